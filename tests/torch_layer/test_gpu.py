"""A layer on a GPU gives what it gives on the CPU, in memory that PyTorch and cavs share."""

import threading
from typing import Any

import numpy as np
import pytest
from cuda_counts import counting
from hypothesis import given, settings
from strategies import batches
from torch_cell import GRAPHS, Cell, Noisy, inputs

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip
from torch_gpu import RealGpus, gpus  # noqa: E402  isort: skip

pytestmark = pytest.mark.gpu
Layer = cavs.torch.Layer


def results(layer: Any, graphs: Any, gpu: Any = None, name: str = "cuda:0") -> dict[str, Any]:
    """Outputs and gradients of a call, on the host; without `gpu` of a layer on the CPU."""
    given = inputs(graphs, dtype=str(layer.model.dtype))
    if gpu is not None:
        given = {key: gpu.put(x, name) for key, x in given.items()}
    out = layer(graphs, **given)
    (out["h"] * out["square"] + out["fixed"]).sum().backward()
    if gpu is not None:
        assert all(gpu.is_on(y, name) for y in out.values())
    grads = {key: p.grad for key, p in layer.named_parameters() if p.grad is not None}
    found = {**out, **{f"gradient of {key}": dy for key, dy in grads.items()}}
    found["gradient of x"] = given["x"].grad
    host = gpu.host if gpu is not None else lambda x: x.detach().to_dense()
    layer.zero_grad()
    return {key: host(x) for key, x in found.items()}


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        tolerance = 1e-5 if x.dtype == torch.float32 else 1e-12
        torch.testing.assert_close(found[name], x, rtol=tolerance, atol=tolerance, msg=name)


@settings(max_examples=8)
@given(graphs=batches(min_size=1, max_size=3))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_are_those_of_the_cpu(graphs: cavs.GraphBatch, dtype: str) -> None:
    expected = results(Layer(Cell(), dtype=dtype), graphs)
    with gpus() as gpu:
        layer = Layer(Cell(), dtype=dtype, device="cuda")
        assert layer.model.device == "cuda:0"
        assert_close(results(layer, graphs, gpu), expected)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_layer_goes_to_the_gpu_and_comes_back(gpu: Any, sparse: bool) -> None:
    layer = Layer(Cell(), sparse=sparse)
    model = torch.nn.Sequential(layer)
    with gpu.at("cpu"):
        gpu.move(model, "cpu")
        expected = results(layer, GRAPHS)
    for dtype in (torch.float32, torch.float64, torch.float32):
        gpu.move(model, "cuda:0")
        layer.to(dtype)
        assert all(gpu.is_on(p, "cuda:0") for p in layer.parameters())
        assert layer.model.device == "cuda:0"
        found = results(layer, GRAPHS, gpu)
        assert_close({name: x.to(torch.float32) for name, x in found.items()}, expected)
    with gpu.at("cpu"):
        gpu.move(model, "cpu")
        assert layer.model.device == "cpu"
        assert_close(results(layer, GRAPHS), expected)


def test_nothing_is_copied_between_the_libraries(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    for name, parameter in layer.function.named_parameters():
        assert parameter.device == "cuda:0"
        values = parameter.read()[0].__cuda_array_interface__["data"][0]
        assert values == layer.get_parameter(name).data_ptr()
    given = {name: gpu.put(x) for name, x in inputs().items()}
    given["word"] = inputs()["word"]
    with torch.no_grad():
        layer(GRAPHS, **given)
        for parameter in layer.parameters():
            parameter.add_(1)  # remembered results are made anew
        with counting() as count:
            layer(GRAPHS, **given)
    if count is not None:
        assert count["copies_to_host"] == 0
        assert count["copies_to_device"] <= 1  # the batch's own
    with counting() as count:
        layer(GRAPHS, **given)["h"].sum().backward()
    if count is not None:
        assert count["copies_to_device"] <= 2  # and a cotangent's strides


def test_writes_are_seen_and_results_by_id_remembered(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0").eval()
    given = {name: gpu.put(x) for name, x in inputs().items()}

    def call() -> Any:
        with torch.no_grad():
            return gpu.host(layer(GRAPHS, **given)["h"])

    before = call()
    assert torch.equal(call(), before)
    for write in (
        lambda w: w.mul_(2),
        lambda w: w.data.mul_(2),
        lambda w: setattr(w, "data", gpu.put(w.data * 2)),
    ):
        with torch.no_grad():
            write(layer.embedding.weight)
        after = call()
        assert not torch.equal(after, before)
        fresh = gpu.move(Layer(Cell(seed=3)), "cuda:0").eval()
        fresh.load_state_dict(layer.state_dict())
        with torch.no_grad():
            assert torch.equal(gpu.host(fresh(GRAPHS, **given)["h"]), after)
        before = after


def test_parameters_freeze_and_others_stand_in(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    given = {name: gpu.put(x) for name, x in inputs().items()}
    layer.embedding.requires_grad_(False)
    assert not layer.function.embedding.weight.requires_grad
    layer(GRAPHS, **given)["h"].sum().backward()
    assert layer.embedding.weight.grad is None
    assert gpu.is_on(layer.get_parameter("layers.0.bias").grad, "cuda:0")
    state = {name: gpu.put(p.detach() * 2) for name, p in layer.named_parameters()}
    found = torch.func.functional_call(layer, state, (GRAPHS,), given)["h"]
    layer.load_state_dict(state)
    torch.testing.assert_close(gpu.host(found), gpu.host(layer(GRAPHS, **given)["h"]))


def test_kept_graphs_asked_outputs_and_checkpoints(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    given = {name: gpu.put(x) for name, x in inputs().items()}
    y = layer(GRAPHS, **given)["h"].sum()
    first, second = (torch.autograd.grad(y, given["x"], retain_graph=True)[0] for _ in range(2))
    assert torch.equal(gpu.host(first), gpu.host(second))
    asked = layer(GRAPHS, outputs=["h"], **given)
    assert list(asked) == ["h"]
    again = torch.utils.checkpoint.checkpoint(
        lambda x: layer(GRAPHS, word=given["word"], x=x)["h"], given["x"], use_reentrant=False
    )
    (third,) = torch.autograd.grad(again.sum(), given["x"])
    assert torch.equal(gpu.host(third), gpu.host(first))
    with gpu.at("cuda:0"), torch.no_grad():
        layer.embedding.weight.add_(1)
    with pytest.raises(cavs.CavsRuntimeError, match=r"embedding\.weight"):
        y.backward()


def test_backward_in_another_thread(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    given = {name: gpu.put(x) for name, x in inputs().items()}
    found = []
    for run in (lambda f: f(), lambda f: (t := threading.Thread(target=f), t.start(), t.join())):
        run(layer(GRAPHS, **given)["h"].sum().backward)
        found.append(gpu.host(layer.embedding.weight.grad))
        layer.zero_grad()
    assert torch.equal(*found)


def test_dropout_has_the_masks_of_the_cpu(gpu: Any) -> None:
    x = torch.ones(GRAPHS.num_vertices, 4)
    function = Noisy()
    with gpu.at("cpu"):
        expected = gpu.move(Layer(function, seed=3), "cpu")(GRAPHS, x=x)["h"].detach().clone()
    layer = Layer(function, seed=3, device="cuda")
    assert torch.equal(gpu.host(layer(GRAPHS, x=gpu.put(x))["h"]) == 0, expected == 0)


def test_layers_of_one_function_go_together(gpu: Any) -> None:
    function = Cell()
    with gpu.at("cpu"):
        first = gpu.move(Layer(function), "cpu")
        expected = first(GRAPHS, **inputs())["h"].detach().clone()
    second = Layer(function, device="cuda", outputs=["h"])
    given = {name: gpu.put(x) for name, x in inputs().items()}
    for layer in (second, first):
        assert layer.embedding.weight is first.embedding.weight
        assert layer.model.device == "cuda:0"
        torch.testing.assert_close(gpu.host(layer(GRAPHS, **given)["h"]), expected)


def test_nan_is_found(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    given = {name: gpu.put(x) for name, x in inputs().items()}
    with torch.no_grad():
        layer.get_parameter("layers.0.bias").fill_(float("nan"))
    with cavs.detect_nonfinite(), pytest.raises(cavs.NonFiniteError, match=r"layers\.0\.bias"):
        layer(GRAPHS, **given)


def test_no_vertices(gpu: Any) -> None:
    layer, empty = gpu.move(Layer(Cell()), "cuda:0"), cavs.batch([])
    given = {name: gpu.put(x) for name, x in inputs(empty).items()}
    out = layer(empty, **given)
    out["h"].sum().backward()
    assert out["h"].shape == given["x"].grad.shape == (0, 4)
    assert not gpu.host(layer.embedding.weight.grad).any()


@pytest.mark.filterwarnings("ignore")  # of a graph that stays empty
def test_work_is_ordered_with_the_current_stream(gpu: Any) -> None:
    if not isinstance(gpu, RealGpus):
        pytest.skip("streams of a real GPU")
    layer = gpu.move(Layer(Cell()), "cuda:0")
    given = {name: gpu.put(x) for name, x in inputs().items()}
    expected = gpu.host(layer(GRAPHS, **given)["h"])
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(100_000_000)
        x = given["x"].detach() * 1.0  # after the sleep
        found = layer(GRAPHS, word=given["word"], x=x)["h"] * 1.0
    stream.synchronize()
    np.testing.assert_array_equal(gpu.host(found).numpy(), expected.numpy())
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(cavs.CavsRuntimeError, match="records"), torch.cuda.graph(graph):
        layer(GRAPHS, **given)
