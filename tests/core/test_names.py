"""What may be called what: names that a call can give, and no two things under one name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.core.names import OPTIONS
from cavs.core.traced_vertex import Vertex
from cavs.errors import TraceError

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
NO_NAMES: list[Any] = ["w@2", "state h", "h:0", "", "1", "a.b", "_w", "__w__", "class", "w\n", 3]
NO_NAMES += ["\ufb01le", "\uff57", "e\u0301", "\u212a"]  # Python reads them as others


def function(forward: Callable[[cavs.Vertex], None]) -> cavs.VertexFunction:
    class Function(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            forward(v)

    return Function()


@pytest.mark.parametrize("kind", ["pull", "pull_edge", "pull_graph"])
@pytest.mark.parametrize("name", [*NO_NAMES, *OPTIONS])
def test_inputs_are_called_as_a_call_can_give_them(name: Any, kind: str) -> None:
    def forward(v: cavs.Vertex) -> None:
        v.push(y=v.pull("x"))
        getattr(v, kind)(name)

    with pytest.raises(
        TraceError, match=r"\[pull\] expected inputs .*test_names\.py:\d+ \(getattr"
    ):
        cavs.compile(function(forward))


@pytest.mark.parametrize("name", [*[n for n in NO_NAMES if isinstance(n, str)], "of"])
def test_states_and_outputs_are_identifiers(name: str) -> None:
    def gather(v: cavs.Vertex) -> None:
        v.gather(**{name: 3})

    def scatter(v: cavs.Vertex) -> None:
        v.scatter(**{name: v.pull("x", 3)})

    def push(v: cavs.Vertex) -> None:
        v.push(**{name: v.pull("x", 3)})

    for forward in (gather, scatter):
        with pytest.raises(
            TraceError, match=rf"\[{forward.__name__}\] expected states .*test_names\.py:"
        ):
            cavs.compile(function(forward))
    if name != "of":
        with pytest.raises(TraceError, match=r"\[push\] expected outputs .*test_names\.py:"):
            cavs.compile(function(push))


def options_beside_inputs(method: Any) -> set[str]:
    """The keywords of a method that it does not take for inputs."""
    parameters = inspect.signature(method).parameters.values()
    if all(p.kind is not p.VAR_KEYWORD for p in parameters):
        return set()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    return {p.name for p in parameters if p.kind not in (*positional, p.VAR_KEYWORD)}


@pytest.mark.parametrize("owner", [cavs.Model, cavs.Program])
def test_options_of_methods_are_no_names_of_inputs(owner: Any) -> None:
    """`explain(graphs, loss=...)` cannot mean an input, wherever an option is added."""
    methods = [
        method
        for name, method in inspect.getmembers(owner, callable)
        if name == "__call__" or not name.startswith("_")
    ]
    found = set().union(*map(options_beside_inputs, methods))
    assert found <= set(OPTIONS)
    if owner is cavs.Model:
        assert {"loss", "repeats", "gradients"} <= found


@pytest.mark.parametrize("method", [Vertex.gather, Vertex.scatter, Vertex.push])
def test_states_and_outputs_may_have_any_other_name(method: Any) -> None:
    assert options_beside_inputs(method) == ({"of"} if method is Vertex.gather else set())

    def forward(v: cavs.Vertex) -> None:
        h = v.gather(self=1, name=1, states=1)
        v.scatter(self=v.pull("self", 1) + h.self.sum(), name=h.self.max(), states=h.name.max())
        v.push(self=h.self.sum(), outputs=h.states.sum(), loss=h.name.sum())

    model = cavs.compile(function(forward))
    out = model(GRAPHS, self=np.ones((5, 1), np.float32))
    np.testing.assert_array_equal(out["self"].data[:, 0], [0, 0, 2, 0, 1])


def test_pulls_of_one_name_have_rows_of_one_kind() -> None:
    for first, second in (
        ("pull", "pull_edge"),
        ("pull_edge", "pull_graph"),
        ("pull_graph", "pull"),
    ):

        def forward(v: cavs.Vertex, first: str = first, second: str = second) -> None:
            getattr(v, first)("x", 3)
            getattr(v, second)("x", 3)

        with pytest.raises(TraceError, match="input 'x' as before"):
            cavs.compile(function(forward))


def test_names_that_look_alike_are_told_apart() -> None:
    """Pulls, states and outputs with the names that passes could have made of each other."""

    class Function(cavs.VertexFunction):
        def __init__(self) -> None:
            cavs.nn.init.manual_seed(3)
            self.embedding = cavs.nn.Embedding(7, 3)
            self.u, self.w = cavs.nn.Linear(3, 3), cavs.nn.Linear(3, 3)

        def forward(self, v: cavs.Vertex) -> None:
            names = ("w", "w_leaf", "w_inner", "leaf", "edge", "unique")
            total = [self.w(self.embedding(v.pull(name, dtype="int32"))) for name in names]
            h = v.gather(h=3, h_1=3, state_h=3)
            own = ops.tanh(sum(total[1:], total[0]) + self.u(h.h).sum() + self.u(h.h_1).sum())
            v.scatter(h=own, h_1=own * 0.5, state_h=h.state_h.sum() + own)
            v.push(h=own, state_h=h.state_h.sum(), known=h.h_1.sum())

    rng = np.random.default_rng(0)
    names = ("w", "w_leaf", "w_inner", "leaf", "edge", "unique")
    ids = {name: rng.integers(-1, 7, 5).astype(np.int32) for name in names}
    model = cavs.compile(Function(), dtype="float64")
    expected = cavs.compile(Function(), dtype="float64", executor="reference")
    for learns in (True, False):
        for parameter in (*model.parameters(), *expected.parameters()):
            parameter.requires_grad = learns
        found, wanted = model(GRAPHS, **ids), expected(GRAPHS, **ids)
        for name, y in wanted.items():
            np.testing.assert_allclose(found[name].data, y.data, 1e-9, 1e-11)
        if learns:
            for outputs in (found, wanted):
                sum((y.sum() for y in outputs.values()), cavs.Tensor(np.zeros(()))).backward()
            for p, q in zip(model.parameters(), expected.parameters(), strict=True):
                np.testing.assert_allclose(np.asarray(p.grad), np.asarray(q.grad), 1e-9, 1e-11)
