"""Buffers of a layer: PyTorch and cavs have one memory for them."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn
from cavs.errors import CavsRuntimeError, DTypeError, ShapeError

torch = pytest.importorskip("torch")
from cavs.torch import Layer  # noqa: E402  isort: skip

SIZE = 3
GRAPHS = cavs.batch([cavs.InputGraph([[], [0]])] * 4)


class Normed(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w = nn.Linear(SIZE, SIZE)
        self.norm = nn.BatchNorm(SIZE)
        self.register_buffer("scale", np.full(SIZE, 2.0, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        h = self.norm(self.w(v.pull("x", SIZE))) * self.scale + v.gather(h=SIZE).h.sum()
        v.scatter(h=h)
        v.push(h=h, plain=self.scale * v.pull("x", SIZE))


def made(dtype: Any = torch.float32) -> Layer:
    nn.init.manual_seed(3)
    return Layer(Normed(), dtype=dtype)


def x_of(seed: int = 0, dtype: Any = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(1, 2, (8, SIZE))).to(dtype)


NAMES = ["norm.running_mean", "norm.running_var", "scale"]


def test_they_are_buffers_of_pytorch_in_the_memory_of_cavs() -> None:
    layer = made()
    assert sorted(dict(layer.named_buffers())) == NAMES
    assert set(NAMES) < set(layer.state_dict())
    function: Any = layer.function
    mean = layer.get_buffer("norm.running_mean")
    version = mean._version
    layer(GRAPHS, x=x_of())
    assert mean._version > version
    assert mean.abs().sum() > 0
    np.testing.assert_array_equal(mean.numpy(), function.norm.running_mean.numpy())
    layer.eval()
    before = layer(GRAPHS, x=x_of())["h"]
    version = mean._version
    layer(GRAPHS, x=x_of())
    assert mean._version == version
    mean.add_(1.0)
    mean.data.add_(1.0)  # PyTorch does not count this one
    after = layer(GRAPHS, x=x_of())["h"]
    assert (after != before).any()
    expected = cavs.compile(layer.function).eval()(GRAPHS, x=x_of().numpy())["h"]
    np.testing.assert_array_equal(after.detach().numpy(), expected.numpy())


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("arrays", [False, True])
def test_states_are_loaded(assign: bool, arrays: bool) -> None:
    layer, other = made(), made()
    other(GRAPHS, x=x_of())
    with torch.no_grad():
        other.get_buffer("scale").mul_(3)
    state: Any = {name: x.clone() for name, x in other.state_dict().items()}
    if arrays:
        state = {name: x.numpy() for name, x in state.items()}
    layer.load_state_dict(state, assign=assign)
    for each in (layer, other):
        each.eval()
    given = x_of(5)
    y, expected = layer(GRAPHS, x=given), other(GRAPHS, x=given)
    for name in y:
        torch.testing.assert_close(y[name], expected[name], rtol=0, atol=0)
    layer.train()(GRAPHS, x=given)  # writes to its own
    torch.testing.assert_close(other.eval()(GRAPHS, x=given)["h"], expected["h"], rtol=0, atol=0)


def test_copies_and_pickles_have_their_own() -> None:
    layer = made()
    layer(GRAPHS, x=x_of())
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    copies = [copy.deepcopy(layer), torch.load(file, weights_only=False)]
    expected = layer.eval()(GRAPHS, x=x_of(5))["h"]
    for each in copies:
        assert sorted(dict(each.named_buffers())) == NAMES
        each.eval()
        torch.testing.assert_close(each(GRAPHS, x=x_of(5))["h"], expected, rtol=0, atol=0)
        each.get_buffer("scale").zero_()
        assert not each(GRAPHS, x=x_of(5))["plain"].any()
        each.train()(GRAPHS, x=x_of(6))
    torch.testing.assert_close(layer.eval()(GRAPHS, x=x_of(5))["h"], expected, rtol=0, atol=0)


def test_they_follow_to_another_dtype() -> None:
    layer = made()
    layer(GRAPHS, x=x_of())
    layer.double()
    assert {x.dtype for x in layer.buffers()} == {torch.float64}
    mean = layer.get_buffer("norm.running_mean")
    before = mean.clone()
    layer(GRAPHS, x=x_of(1, torch.float64))
    assert (mean != before).all()
    function: Any = layer.function
    np.testing.assert_array_equal(mean.numpy(), function.norm.running_mean.numpy())
    with pytest.raises(DTypeError):
        layer.half()
    assert {x.dtype for x in layer.buffers()} == {torch.float64}
    layer(GRAPHS, x=x_of(1, torch.float64))


def test_another_compile_takes_pytorch_along() -> None:
    layer = made()
    model = cavs.compile(layer.function)
    model(GRAPHS, x=x_of().numpy())
    function: Any = layer.function
    mean = layer.get_buffer("norm.running_mean")
    np.testing.assert_array_equal(mean.numpy(), function.norm.running_mean.numpy())
    function.norm.running_mean.data = np.ones(SIZE, np.float32)
    layer.eval()(GRAPHS, x=x_of())
    assert layer.get_buffer("norm.running_mean").tolist() == [1.0] * SIZE


def test_others_stand_in_for_a_functional_call() -> None:
    layer = made()
    layer.eval()
    state = {name: x.clone() for name, x in layer.state_dict().items()}
    state["scale"] = torch.zeros(SIZE)
    y = torch.func.functional_call(layer, state, (GRAPHS,), {"x": x_of()})
    assert not y["plain"].any()
    assert layer(GRAPHS, x=x_of())["plain"].all()
    assert layer.get_buffer("scale").tolist() == [2.0] * SIZE


def test_a_write_between_a_call_and_its_backward() -> None:
    """To what the call writes itself: nothing changes, since calls in training come between."""
    layer, other = made(), made()
    y = layer(GRAPHS, x=x_of())["h"]
    layer(GRAPHS, x=x_of(1))
    y.square().sum().backward()
    other(GRAPHS, x=x_of())["h"].square().sum().backward()
    for (name, p), q in zip(layer.named_parameters(), other.parameters(), strict=True):
        assert p.grad is not None, name
        assert q.grad is not None, name
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=0)


def test_it_trains_as_pytorch_does() -> None:
    layer = made(torch.float64)
    theirs = torch.nn.Sequential(torch.nn.Linear(SIZE, SIZE), torch.nn.BatchNorm1d(SIZE)).double()
    names = {"0.weight": "w.weight", "0.bias": "w.bias"}
    names |= {f"1.{x}": f"norm.{x}" for x in ("weight", "bias", "running_mean", "running_var")}
    state = layer.state_dict()
    theirs.load_state_dict({**theirs.state_dict(), **{k: state[x] for k, x in names.items()}})
    steps = [torch.optim.SGD(m.parameters(), lr=0.05) for m in (layer, theirs)]
    leaves = cavs.batch([cavs.InputGraph([[]])] * 8)
    for seed in range(5):
        x = x_of(seed, torch.float64)
        for step, y in zip(steps, (layer(leaves, x=x)["h"], 2.0 * theirs(x)), strict=True):
            step.zero_grad()
            loss = (y - 1.0).square().mean()
            loss.backward()
            step.step()
    found = theirs.state_dict()
    for known, name in names.items():
        torch.testing.assert_close(layer.state_dict()[name], found[known], rtol=1e-9, atol=1e-12)


def test_bad_use_is_one_clear_line() -> None:
    layer = made()
    layer.norm.running_mean = torch.zeros(SIZE + 1)  # type: ignore[union-attr]
    with pytest.raises(ShapeError, match=r"\[torch\] expected shape \(3,\) for buffer 'norm\.run"):
        layer(GRAPHS, x=x_of())
    layer.norm.running_mean = torch.zeros(SIZE, dtype=torch.int64)  # type: ignore[union-attr]
    with pytest.raises(DTypeError, match=r"expected buffer 'norm\.running_mean' of torch\.float32"):
        layer(GRAPHS, x=x_of())
    layer.norm.running_mean = torch.zeros(SIZE, dtype=torch.float64)  # type: ignore[union-attr]
    with pytest.raises(CavsRuntimeError, match=r"'norm\.running_mean' as float32"):
        layer(GRAPHS, x=x_of())
    layer.norm.running_mean = torch.zeros(SIZE)  # type: ignore[union-attr]
    layer(GRAPHS, x=x_of())
