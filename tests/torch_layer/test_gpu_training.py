"""Training on a GPU by optimizers of PyTorch and of cavs, states, copies and files."""

import copy
import io
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, inputs
from torch_steps import assert_equal, assign, parameters

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

pytestmark = pytest.mark.gpu
Layer, optim = cavs.torch.Layer, cavs.torch.optim

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1, "weight_decay": 0.1, "momentum": 0.9}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "centered": True, "eps": 1e-3}),
]


def trained(
    optimizer: Any, layer: Any, head: Any, given: dict[str, Any], clip: Any = None
) -> list[float]:
    """Losses of three steps of a layer and a module above it."""
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = head(layer(GRAPHS, **given)["h"]).square().sum()
        loss.backward()
        if clip is not None:
            clip([*layer.parameters(), *head.parameters()], 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def pair(**options: Any) -> tuple[Any, Any]:
    """A layer and a head, alike each time."""
    head = torch.nn.Linear(4, 2)
    with torch.no_grad():
        for p in head.parameters():
            p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape))
    return Layer(Cell(), **options), head


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_training_is_that_on_the_cpu(
    gpu: Any, name: str, options: dict[str, Any], sparse: bool
) -> None:
    kind, clip = getattr(optim, name), cavs.torch.clip_grad_norm_
    with gpu.at("cpu"):
        layer, head = (gpu.move(x, "cpu") for x in pair(sparse=sparse))
        own = kind([*layer.parameters(), *head.parameters()], **options)
        expected = trained(own, layer, head, inputs(), clip)
    there, above = (gpu.move(x, "cuda:0") for x in pair(sparse=sparse))
    other = kind([*there.parameters(), *above.parameters()], **options)
    given = {key: gpu.put(x) for key, x in inputs().items()}
    assert trained(other, there, above, given, clip) == pytest.approx(expected, rel=1e-4)
    for found, p in zip(there.parameters(), layer.parameters(), strict=True):
        assert gpu.is_on(found, "cuda:0")
        torch.testing.assert_close(gpu.host(found), p.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_optimizers_of_torch_train_it(gpu: Any, name: str) -> None:
    kind, clip = getattr(torch.optim, name), torch.nn.utils.clip_grad_norm_
    with gpu.at("cpu"):
        layer, head = (gpu.move(x, "cpu") for x in pair())
        own = kind([*layer.parameters(), *head.parameters()], lr=0.1)
        expected = trained(own, layer, head, inputs(), clip)
    layer, head = (gpu.move(x, "cuda:0") for x in pair())
    other = kind([*layer.parameters(), *head.parameters()], lr=0.1)
    given = {key: gpu.put(x) for key, x in inputs().items()}
    assert trained(other, layer, head, given, clip) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_states_of_optimizers_go_between_devices_and_libraries(
    gpu: Any, name: str, options: dict[str, Any], dtype: Any
) -> None:
    theirs = parameters(dtype)
    ours = [torch.nn.Parameter(gpu.put(p.detach())) for p in theirs]
    own, other = (
        getattr(optim, name)(ours, **options),
        getattr(torch.optim, name)(theirs, **options),
    )
    for number in range(4):
        assign(theirs, number)
        for p, q in zip(ours, theirs, strict=True):
            p.grad = None if q.grad is None else gpu.put(q.grad)
        own.step()
        other.step()
        if number == 1:
            mine, its = copy.deepcopy(own.state_dict()), copy.deepcopy(other.state_dict())
            own.load_state_dict(its)
            other.load_state_dict(mine)
            for state in own.state.values():
                if "step" in state:  # as of fused optimizers
                    state["step"] = gpu.put(state["step"])
        assert_equal([gpu.host(p) for p in ours], theirs)


def test_clipping_gives_the_norm_of_the_cpu(gpu: Any) -> None:
    theirs = parameters()
    assign(theirs, 0)
    rows = torch.sparse_coo_tensor([[4, 1, 4]], torch.ones(3, 3), (5, 3), check_invariants=False)
    theirs[0].grad = rows
    ours = [torch.nn.Parameter(gpu.put(p.detach())) for p in theirs]
    for p, q in zip(ours, theirs, strict=True):
        p.grad = gpu.put(q.grad)
    with gpu.at("cpu"):
        expected = cavs.torch.clip_grad_norm_(theirs, 0.5)
    found = cavs.torch.clip_grad_norm_(ours, 0.5)
    torch.testing.assert_close(gpu.host(found), expected)
    assert_equal(
        [gpu.host(p.grad) for p in ours],
        [p.grad.to_dense() if p.grad.is_sparse else p.grad for p in theirs],
    )


def test_states_of_layers_go_between_devices(gpu: Any) -> None:
    function = Cell(seed=1)
    layer = gpu.move(Layer(Cell(seed=2)), "cuda:0")
    layer.load_state_dict(function.state_dict())
    state = layer.state_dict()
    assert all(gpu.is_on(x, "cuda:0") for x in state.values())
    for name, array in function.state_dict().items():
        np.testing.assert_array_equal(gpu.host(state[name]).numpy(), array)
        np.testing.assert_array_equal(layer.function.state_dict()[name], array)
    other = Cell(seed=3)
    other.load_state_dict(layer.function.state_dict())
    with gpu.at("cpu"):
        back = gpu.move(Layer(Cell(seed=4)), "cpu")
        back.load_state_dict({name: gpu.host(x) for name, x in state.items()})
        found = back(GRAPHS, **inputs())["h"].detach()
        expected = gpu.move(Layer(other), "cpu")(GRAPHS, **inputs())["h"].detach()
    assert torch.equal(found, expected)


def _saved(layer: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return file


def test_copies_stay_on_their_device(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell(), sparse=True), "cuda:0")  # not yet compiled there
    given = {name: gpu.put(x) for name, x in inputs().items()}
    copies = [copy.deepcopy(layer), gpu.load(_saved(layer), "cuda:0")]
    expected = gpu.host(layer(GRAPHS, **given)["h"])
    for copied in copies:
        assert copied.model.device == "cuda:0"
        assert copied.embedding.weight.data_ptr() != layer.embedding.weight.data_ptr()
        y = copied(GRAPHS, **given)["h"]
        assert torch.equal(gpu.host(y), expected)
        y.sum().backward()
        assert copied.embedding.weight.grad.is_sparse
        with torch.no_grad():
            for p in copied.parameters():
                p.add_(1)
        assert not torch.equal(gpu.host(copied(GRAPHS, **given)["h"]), expected)
        assert torch.equal(gpu.host(layer(GRAPHS, **given)["h"]), expected)


def test_a_file_of_a_layer_loads_to_another_device(gpu: Any) -> None:
    layer = gpu.move(Layer(Cell()), "cuda:0")
    expected = gpu.host(layer(GRAPHS, **{name: gpu.put(x) for name, x in inputs().items()})["h"])
    loaded = gpu.load(_saved(layer), "cpu")
    with gpu.at("cpu"):
        assert loaded.model.device == "cpu"
        torch.testing.assert_close(loaded(GRAPHS, **inputs())["h"].detach(), expected)


def test_an_update_that_is_not_finite_changes_nothing(gpu: Any) -> None:
    p = torch.nn.Parameter(gpu.put(torch.ones(3)))
    optimizer = optim.SGD([p], lr=1e38)
    p.grad = gpu.put(torch.full((3,), 1e10))
    with cavs.detect_nonfinite(), pytest.raises(cavs.NonFiniteError, match="after the update"):
        optimizer.step()
    assert torch.equal(gpu.host(p), torch.ones(3))
