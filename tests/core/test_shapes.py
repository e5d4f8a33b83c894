"""Operations that move, join, cut and reduce features of several axes, whose parts are read as they
stand or through an index, against the reference: functions drawn from a seed, and each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import assert_same, draw_inputs, run
from strategies import batches
from vertex_functions.base import embedding, linear
from vertex_functions.shaped import ShapedFunction

import cavs
from cavs import ops
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES

GRAPHS = cavs.batch(
    [cavs.InputGraph([[], [], [0, 1], [2, 0]]), cavs.InputGraph([[1, 2, 3], [], [1], []])]
)


def check(
    make: Callable[[], cavs.VertexFunction],
    graphs: cavs.GraphBatch,
    choices: list[Any],
    seed: int = 1,
    modes: tuple[bool, ...] = (True,),
) -> None:
    """Calls with gradients and without, for each choice of passes."""
    options: Any = {"dtype": "float64", "extra_children": "ignore"}
    reference = cavs.compile(make(), executor="reference", **options)
    inputs = draw_inputs(reference, graphs, seed)
    for training in modes:
        reference.training = training
        expected = run(reference, graphs, inputs)
        for passes in choices:
            model = cavs.compile(make(), passes=passes, **options)
            model.training = training
            assert_same(run(model, graphs, inputs), expected, rtol=1e-8, atol=1e-10)
            model.set_random_state({"seed": 3, "step": 7})
            with cavs.no_grad():
                for name, y in model(graphs, **inputs).items():
                    np.testing.assert_allclose(y.data, expected.outputs[name], 1e-8, 1e-9)


@settings(max_examples=20)
@given(graphs=batches(min_size=1), seed=st.integers(0, 10_000), count=st.integers(1, 3))
def test_drawn_functions(graphs: cavs.GraphBatch, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)

    def make() -> cavs.VertexFunction:
        cavs.nn.init.manual_seed(seed)
        return ShapedFunction(seed)

    cavs.set_num_threads(count)
    choices = [PASSES, (), [p for p in PASSES if rng.random() < 0.5]]
    check(make, graphs, choices, seed, modes=(True, False))


SHAPES = [(4,), (1, 4), (1, 1, 4), (2, 4), (1, 2, 2)]
SOURCES: dict[str, Callable[[Any, cavs.Vertex, Any], Any]] = {
    "vertex": lambda self, v, shape: v.pull("x", shape),
    "edge": lambda self, v, shape: v.pull_edge("e", shape),
    "graph": lambda self, v, shape: v.pull_graph("g", shape),
    "spread": lambda self, v, shape: v.pull("x", shape) + 0.0 * v.pull_edge("gate"),
    "gather": lambda self, v, shape: v.gather(h=shape).h,
    "slot": lambda self, v, shape: v.gather(1, h=shape).h,
    "word": lambda self, v, shape: self.row(v.pull("word", dtype="int32"), shape),
    "tanh word": lambda self, v, shape: ops.tanh(self.row(v.pull("word", dtype="int32"), shape)),
    "relation": lambda self, v, shape: self.row(v.pull_edge("relation", dtype="int32"), shape),
    "topic": lambda self, v, shape: self.row(v.pull_graph("topic", dtype="int32"), shape),
    "computed": lambda self, v, shape: ops.tanh(v.pull("y", shape)),
    "parameter": lambda self, v, shape: ops.reshape(self.w.bias[: self.size], shape) * v.pull("s"),
}


class Joined(cavs.VertexFunction):
    """Two values of one shape side by side, in pieces, and as the rows of further operations."""

    def __init__(self, shape: tuple[int, ...], first: str, second: str) -> None:
        self.shape, self.size = shape, int(np.prod(shape))
        self.sources = first, second
        self.table, self.w = embedding(7, self.size), linear(2, 8)

    def row(self, ids: Any, shape: tuple[int, ...]) -> Any:
        return ops.reshape(self.table(ids), shape)

    def forward(self, v: cavs.Vertex) -> None:
        a, b = (SOURCES[name](self, v, self.shape) for name in self.sources)
        n = self.shape[-1]
        both = ops.concat([a, b])
        pieces = ops.split(both, [1, 2 * n - 1])
        turned = ops.concat([pieces[1], pieces[0], a])
        column = ops.reshape(both[..., n - 1 : n + 1], (-1, 1))
        outputs = {
            "both": both,
            "turned": turned,
            "flat": ops.reshape(turned, (-1,)),
            "soft": ops.softmax(both),
            "sums": ops.sum(turned, axis=-1),
            "top": ops.max(both, axis=-1, keepdims=True) * b,
            "column": column + ops.reshape(pieces[0], (-1,))[:1],
            "product": ops.matmul(ops.reshape(a, (-1, 1)), ops.reshape(turned, (1, -1))),
        }
        v.push(**outputs)
        new = both.mean() if both.space == SpaceKind.EDGE else both
        own = v.pull("x", self.shape)
        v.scatter(h=ops.tanh(new[..., 1 : n + 1] + own))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("first", SOURCES)
def test_values_read_through_an_index_stand_beside_others(
    shape: tuple[int, ...], first: str
) -> None:
    """Beside themselves, and beside another, which differs from shape to shape."""
    names = list(SOURCES)
    other = names[(names.index(first) + 1 + 2 * SHAPES.index(shape)) % len(names)]
    for second in (first, other):

        def make(second: str = second) -> cavs.VertexFunction:
            cavs.nn.init.manual_seed(5)
            return Joined(shape, first, second)

        check(make, GRAPHS, [PASSES, ()])
