"""Vertex functions that are one model: joined, trained and saved together."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.errors import InputError, TraceError

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1], [2]]), cavs.InputGraph([[1], []])])


class Up(cavs.VertexFunction):
    """What is below a vertex, with a sample."""

    def __init__(self, w: nn.Linear) -> None:
        self.w = w
        self.u = nn.Linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(self.w(v.pull("x", 3)) + self.u(v.gather(h=3).h.sum()))
        v.scatter(h=h)
        v.push(h=h, u=v.uniform())


class Down(cavs.VertexFunction):
    """What is above a vertex, from what the whole graph came to."""

    def __init__(self, w: nn.Linear) -> None:
        self.w = w

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(self.w(v.pull("below", 3) + v.pull_graph("whole", 3)) + v.gather(0, h=3).h)
        v.scatter(h=h)
        v.push(loss=ops.sum(ops.square(h)), u=v.uniform())


def make(**options: Any) -> cavs.Program:
    nn.init.manual_seed(0)
    shared = nn.Linear(3, 3)
    program = cavs.VertexProgram({"up": Up(shared), "down": Down(shared)})
    return cavs.compile(program, **options)


def loss(program: cavs.Program, x: np.ndarray) -> cavs.Tensor:
    """Bottom-up, then top-down over the reversed graphs, whose vertices have the same numbers."""
    below = program["up"](GRAPHS, x=x)["h"]
    whole = cavs.readout(GRAPHS, below, "root")
    down: cavs.Tensor = program["down"](GRAPHS.reverse(), below=below, whole=whole)["loss"].sum()
    return down


def test_gradients_flow_from_one_function_into_the_other() -> None:
    program = make(dtype="float64")
    x = np.random.default_rng(0).normal(size=(6, 3))
    loss(program, x).backward()
    rng = np.random.default_rng(1)
    for name, p in program.named_parameters():
        direction, values, before = rng.normal(size=p.shape), [], p.data.copy()
        for step in (1e-5, -1e-5):
            p.data[...] = before + step * direction
            values.append(loss(program, x).item())
        p.data[...] = before
        found = float((np.asarray(p.grad) * direction).sum())
        assert found == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6), name


def test_shared_parameters_are_one_and_names_have_the_function_in_front() -> None:
    program = make()
    names = [name for name, _ in program.named_parameters()]
    assert names == ["up.w.weight", "up.w.bias", "up.u.weight", "up.u.bias"]
    assert len(program.parameters()) == 4
    other = make()
    other.parameters()[0].data[...] = 0
    other.load_state_dict(program.state_dict())
    np.testing.assert_array_equal(other.parameters()[0].data, program.parameters()[0].data)


def test_functions_draw_from_streams_of_their_own_and_go_on() -> None:
    program = make(seed=4)
    x = np.zeros((6, 3), np.float32)
    given = {"below": x, "whole": np.zeros((2, 3), np.float32)}
    state = program.random_state()
    up, down = (
        program["up"](GRAPHS, x=x)["u"].data,
        program["down"](GRAPHS.reverse(), **given)["u"].data,
    )
    assert (up != down).all()
    program["up"](GRAPHS, x=x)
    later = program.random_state()
    assert later == {"seed": 4, "up.step": 2, "down.step": 1}
    program.set_random_state(state)
    np.testing.assert_array_equal(program["up"](GRAPHS, x=x)["u"].data, up)
    program.set_random_state(later)
    assert program.random_state() == later
    with pytest.raises(InputError, match=r"a seed and up\.step, down\.step"):
        program.set_random_state({"seed": 1})


def test_modes() -> None:
    program = make()
    assert program.training
    assert not program.eval()["up"].training
    assert not program.training
    assert program.train()["down"].training
    program.zero_grad()
    assert all(p.grad is None for p in program.parameters())


METHODS = sorted(
    name
    for owner in (cavs.VertexProgram, cavs.Program)
    for name in dir(owner)
    if not name.startswith("_")
)


@pytest.mark.parametrize("name", [*METHODS, "names", "function", "models", "training", "seed"])
def test_functions_may_be_called_as_methods_are(name: str) -> None:
    function = Down(nn.Linear(3, 3))
    vertex_program = cavs.VertexProgram({name: function, "other": Up(nn.Linear(3, 3))})
    assert vertex_program.functions()[name] is function
    program = cavs.compile(vertex_program)
    assert list(program.models) == [name, "other"]
    assert next(iter(program.state_dict())) == f"{name}.w.weight"
    program.load_state_dict({k: x * 2 for k, x in program.state_dict().items()})
    x, whole = np.zeros((6, 3), np.float32), np.zeros((2, 3), np.float32)
    program[name](GRAPHS.reverse(), below=x, whole=whole)["loss"].sum().backward()
    program.train().set_random_state(program.random_state())
    assert function.w.weight.grad is not None
    assert program.random_state()[f"{name}.step"] == 1


def test_functions_are_attributes_too() -> None:
    program = cavs.VertexProgram({"up": Up(nn.Linear(3, 3))})
    assert program.up is program.functions()["up"]
    assert not hasattr(program, "down")
    assert [n for n, _ in copy.deepcopy(program).named_parameters()] == [
        n for n, _ in program.named_parameters()
    ]


def test_parameters_of_functions_and_between_them_have_paths_of_their_own() -> None:
    class Bridged(cavs.VertexProgram):
        def __init__(self) -> None:
            super().__init__({"up": Up(nn.Linear(3, 3))})
            self.up = {"w.weight": nn.Linear(3, 2).weight}

    match = (
        r"path 'up.w.weight', got two, Bridged\['up'\]\.w\.weight and Bridged\.up\['w\.weight'\]"
    )
    with pytest.raises(TraceError, match=match):
        cavs.compile(Bridged())


def test_errors() -> None:
    with pytest.raises(InputError, match="got a program"):
        make(outputs=["h"])
    with pytest.raises(InputError, match=r"expected one of \['up', 'down'\], got 'side'"):
        make()["side"]
    with pytest.raises(TraceError, match="names that are identifiers"):
        cavs.VertexProgram({"no name": Down(nn.Linear(3, 3))})
    with pytest.raises(TraceError, match=r"got '_up', at .*test_program\.py:\d+"):
        cavs.VertexProgram({"_up": Down(nn.Linear(3, 3))})
    bad: Any = {"up": 3}
    with pytest.raises(TraceError, match="as 'up', got int"):
        cavs.VertexProgram(bad)


def test_a_program_that_names_no_functions_is_told_how() -> None:
    class Pair(cavs.VertexProgram):
        def __init__(self) -> None:
            self.up = Up(nn.Linear(3, 3))

    with pytest.raises(cavs.TraceError, match=r"Pair.__init__ to name its functions.*super\(\)"):
        cavs.compile(Pair())
    with pytest.raises(cavs.TraceError, match=r"Pair.__init__ to name its functions"):
        Pair().parameters()
