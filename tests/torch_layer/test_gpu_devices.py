"""Two GPUs, and what a layer on a GPU refuses: in one line, and nothing has changed."""

from typing import Any

import pytest
from cuda_counts import is_emulated, limited_memory
from torch_cell import GRAPHS, Cell, inputs
from torch_checks import one_line

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

pytestmark = pytest.mark.gpu
Layer = cavs.torch.Layer


@pytest.fixture
def two(gpu: Any) -> Any:
    if gpu.count() < 2:
        pytest.skip("one GPU")
    return gpu


def output(gpu: Any, layer: Any, name: str) -> Any:
    """The output, on the host, of a layer on a device."""
    given = {key: gpu.put(x, name) for key, x in inputs().items()}
    with gpu.at(name):
        y = layer(GRAPHS, **given)["h"]
        assert gpu.is_on(y, name)
        y.sum().backward()
        return gpu.host(y)


def test_a_layer_goes_from_one_gpu_to_another(two: Any) -> None:
    layer = two.move(Layer(Cell()), "cuda:0")
    expected = output(two, layer, "cuda:0")
    optimizer = cavs.torch.optim.SGD(layer.parameters(), lr=0.0)
    for name in ("cuda:1", "cuda:0", "cuda:1"):
        two.move(layer, name)
        assert layer.model.device == name
        torch.testing.assert_close(output(two, layer, name), expected)
        with two.at(name):
            optimizer.step()


def test_an_optimizer_takes_parameters_of_all_devices(two: Any) -> None:
    start = torch.linspace(-1, 1, 6)
    params = [torch.nn.Parameter(two.put(start, name)) for name in ("cuda:0", "cuda:1", "cpu")]
    for p, name in zip(params, ("cuda:0", "cuda:1", "cpu"), strict=True):
        p.grad = two.put(start, name)
    optimizer = cavs.torch.optim.SGD(params, lr=0.5)
    optimizer.step()
    for p in params:
        torch.testing.assert_close(two.host(p), start * 0.5)


def test_inputs_of_another_device_are_refused(two: Any) -> None:
    layer = two.move(Layer(Cell()), "cuda:1")
    expected = output(two, layer, "cuda:1")
    for name in ("cpu", "cuda:0"):
        given = {key: two.put(x, name) for key, x in inputs().items()}
        with pytest.raises(cavs.InputError, match="'x'") as caught, two.at("cuda:1"):
            layer(GRAPHS, **given)
        assert "on cuda:1" in one_line(caught.value)
    ids = two.put(inputs()["word"], "cuda:0")  # which the host counts, wherever they are
    with two.at("cuda:1"):
        y = layer(GRAPHS, word=ids, x=two.put(inputs()["x"], "cuda:1"))["h"]
    torch.testing.assert_close(two.host(y), expected)


def test_inputs_of_a_gpu_are_refused_on_the_cpu(gpu: Any) -> None:
    if is_emulated():
        pytest.skip("tensors of a real GPU, whose memory is not the host's")
    layer, given = Layer(Cell()), {name: gpu.put(x) for name, x in inputs().items()}
    with pytest.raises(cavs.InputError, match="'x'") as caught:
        layer(GRAPHS, **given)
    one_line(caught.value)


def test_arrays_and_lists_go_to_the_gpu(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    given = inputs()
    expected = output(gpu, layer, "cuda:0")
    array = given["x"].detach().numpy()
    for x in (array, array.tolist(), cavs.Tensor(array).to("cuda:0")):
        y = layer(GRAPHS, word=given["word"].tolist(), x=x)["h"]
        torch.testing.assert_close(gpu.host(y), expected)


def test_parts_on_other_devices_are_refused(gpu: Any) -> None:
    layer = Layer(Cell())
    with gpu.at("cpu"):
        gpu.move(layer, "cpu")
    gpu.move(layer.embedding, "cuda:0")
    for use in (lambda: layer(GRAPHS, **inputs()), lambda: layer.model):
        with pytest.raises(cavs.InputError, match=r"'embedding\.weight' on cuda:0") as caught:
            use()
        one_line(caught.value)
    gpu.move(layer, "cuda:0")
    output(gpu, layer, "cuda:0")


REFUSED: dict[str, Any] = {
    "half": lambda layer: layer.half(),
    "meta": lambda layer: layer.to("meta"),
    "another shape": lambda layer: setattr(layer.embedding.weight, "data", torch.ones(6, 4)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cavs_cannot_read_is_refused_and_nothing_changes(gpu: Any, kind: str) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    before = {name: (p, p.data_ptr()) for name, p in layer.named_parameters()}
    expected = output(gpu, layer, "cuda:0")
    with pytest.raises(cavs.CavsError) as caught:
        REFUSED[kind](layer)
    one_line(caught.value)
    assert {name: (p, p.data_ptr()) for name, p in layer.named_parameters()} == before
    torch.testing.assert_close(output(gpu, layer, "cuda:0"), expected)


@pytest.mark.parametrize("device", ["cuda:7", "gpu", torch.device("meta"), torch.device("cuda", 7)])
def test_devices_that_are_not_there_are_refused(gpu: Any, device: Any) -> None:
    with pytest.raises(cavs.CavsError) as caught:
        Layer(Cell(), device=device)
    one_line(caught.value)


def test_pytorch_without_cuda_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("it has CUDA")
    function = Cell()
    for use in (
        lambda: Layer(function, device="cuda"),
        lambda: Layer(cavs.compile(function, device="cuda").function, device="cuda"),
    ):
        with pytest.raises(cavs.DeviceError, match="is_available") as caught:
            use()
        one_line(caught.value)


def test_a_state_of_another_device_is_refused(two: Any) -> None:
    p = torch.nn.Parameter(two.put(torch.ones(3)))
    optimizer = cavs.torch.optim.Adagrad([p], lr=0.1)
    p.grad = two.put(torch.ones(3))
    optimizer.step()
    optimizer.state[p]["sum"] = two.put(optimizer.state[p]["sum"], "cuda:1")
    before = two.host(p)
    with pytest.raises(cavs.InputError, match="'sum'") as caught:
        optimizer.step()
    one_line(caught.value)
    assert torch.equal(two.host(p), before)


def test_a_layer_works_on_after_memory_ran_out(gpu: Any) -> None:
    if not is_emulated():
        pytest.skip("memory of a real GPU is not filled up")
    layer = gpu.move(Layer(Cell()), "cuda:0")
    expected = output(gpu, layer, "cuda:0")
    many = cavs.batch([cavs.InputGraph([[] for _ in range(20_000)])])
    given = {name: gpu.put(x) for name, x in inputs(many).items()}
    with limited_memory(1), pytest.raises((MemoryError, cavs.DeviceError)) as caught:
        layer(many, **given)
    one_line(caught.value)
    torch.testing.assert_close(output(gpu, layer, "cuda:0"), expected)
