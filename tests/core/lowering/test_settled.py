"""States that wait for no level: what gathers them runs once over all vertices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.core.passes import PASSES
from cavs.core.program import SegmentKind

HEADS, SIZE = 2, 3


class Layer(cavs.VertexFunction):
    """One layer of attention over the layer below, in which its own vertex is the first child."""

    def __init__(self, number: int, below: str, last: bool) -> None:
        self.number, self.below, self.last = number, below, last
        width = HEADS * SIZE
        self.q = nn.Linear(width, width, dtype="float64")
        if not last:
            self.kv = nn.Linear(width, 2 * width, dtype="float64")

    def forward(self, v: cavs.Vertex) -> None:
        n, width = self.number, HEADS * SIZE
        own = v.gather(0, of=self.below, **{f"x{n}": width})
        kids = v.gather(**{f"k{n}": (HEADS, SIZE), f"v{n}": (HEADS, SIZE)})
        x, k, w = (
            getattr(s, name) for s, name in ((own, f"x{n}"), (kids, f"k{n}"), (kids, f"v{n}"))
        )
        q = self.q(x).reshape(HEADS, SIZE)
        y = ops.tanh(x + ops.attention(q, k, w).reshape(width))
        if self.last:
            v.push(y=y)
        else:
            v.scatter(**states(n + 1, y, self.kv))


class Word(cavs.VertexFunction):
    def __init__(self) -> None:
        self.kv = nn.Linear(HEADS * SIZE, 2 * HEADS * SIZE, dtype="float64")

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(**states(1, v.pull("x", HEADS * SIZE), self.kv))


class Memory(cavs.VertexFunction):
    """Keys and values alone, of a vertex that nobody takes for its own."""

    def forward(self, v: cavs.Vertex) -> None:
        m = v.pull("m", (HEADS, 2 * SIZE))
        v.scatter(k1=m[:, :SIZE], v1=m[:, SIZE:])


def states(number: int, x: Any, weights: Any) -> dict[str, Any]:
    k, w = (part.reshape(HEADS, SIZE) for part in ops.split(weights(x), 2))
    return {f"x{number}": x, f"k{number}": k, f"v{number}": w}


def stack(words: int, memory: int) -> cavs.InputGraph:
    """Two layers over words and memory."""
    types = ["memory"] * memory + ["word"] * words + ["lower"] * words + ["upper"] * words
    first, lower = memory, memory + words
    children: list[list[int]] = [[] for _ in range(lower)]
    for i in range(words):
        others = [*range(memory), *range(first, first + i)]
        children.append([first + i, *others])
    for i in range(words):
        children.append([lower + i, *range(lower, lower + i)])
    return cavs.InputGraph(children, types=types)


def model(**options: Any) -> cavs.Model:
    nn.init.manual_seed(1)
    kinds = {
        "memory": Memory(),
        "word": Word(),
        "lower": Layer(1, "word", False),
        "upper": Layer(2, "lower", True),
    }
    return cavs.compile(cavs.TypedFunction(kinds), dtype="float64", **options)


def gradients(own: cavs.Model) -> list[np.ndarray]:
    graphs = cavs.batch([stack(7, 2), stack(1, 0), stack(4, 5)])
    rng = np.random.default_rng(0)
    x = {
        "x": rng.normal(size=(12, HEADS * SIZE)),
        "m": rng.normal(size=(7, HEADS, 2 * SIZE)),
    }
    t = {name: cavs.tensor(a, requires_grad=True) for name, a in x.items()}
    y = own(graphs, **t)["y"]
    (y * rng.normal(size=y.shape)).sum().backward()
    return [y.numpy(), *(np.asarray(a.grad) for a in (*t.values(), *own.parameters()))]


def kinds_of(program: Any) -> set[SegmentKind]:
    return {segment.kind for segment in program.segments}


@pytest.mark.parametrize("left_out", [None, "fuse_attention", "hoist", "specialize_leaves", "all"])
def test_layers_by_type_need_no_levels(left_out: str | None) -> None:
    passes = () if left_out == "all" else tuple(p for p in PASSES if p != left_out)
    expected, found = gradients(model(executor="reference")), gradients(model(passes=passes))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_levels_are_for_what_waits_for_them() -> None:
    own = model()
    compiler = own._compiler
    backward = compiler.backward(compiler.function.pushes, ["x"])
    assert SegmentKind.LEVELS not in kinds_of(compiler.inference()) | kinds_of(backward)
    hoisted = model(passes=tuple(p for p in PASSES if p != "defer"))
    assert SegmentKind.LEVELS in kinds_of(hoisted._compiler.inference())
