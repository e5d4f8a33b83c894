"""Functions over features of several axes, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

import cavs
from cavs import ops
from cavs.core.ops._spaces import SpaceKind
from vertex_functions.base import CLASSES, IDS, embedding, parameter

Shape = tuple[int, ...]

SIZES = (1, 2, 3, 5)
LARGEST = 60


class ShapedFunction(cavs.VertexFunction):
    """A function drawn from a seed: operations that move, join, cut, repeat and reduce axes, over
    values of zero to three of them that are inputs, rows of embeddings, states and parameters, of
    vertices, edges and graphs, read as they are or through the vertex's children and graph.

    Attributes:
        seed: what everything is drawn from.
        log: the operations, one a line, once the function was traced.
    """

    def __init__(self, seed: int, steps: int = 8) -> None:
        self.seed, self.steps = seed, steps
        self.log: list[str] = []
        rng = np.random.default_rng(seed)
        self.states = [self._shape(rng) for _ in range(int(rng.integers(1, 3)))]
        self.tables = {str(n): embedding(IDS, n) for n in (1, 2, 3, 4, 6, 9)}
        self.matrices = {f"{a}x{b}": parameter(a, b) for a in SIZES for b in SIZES}
        self.vectors = {str(n): parameter(n) for n in SIZES}

    def forward(self, v: cavs.Vertex) -> None:
        self.log.clear()
        rng = np.random.default_rng(self.seed + 1)
        self._rng = rng
        pool = self._sources(v)
        drawn: list[Any] = []
        for _ in range(self.steps):
            x = drawn[-1] if drawn and rng.random() < 0.5 else self._pick(pool)
            y = self._step(pool, x)
            if prod(y.shape) > LARGEST:
                continue
            if rng.random() < 0.3:
                y = ops.tanh(y)
            self._note(y, "step")
            drawn.append(y)
            pool.append(y)
        v.scatter(**{f"h{i}": self._fit(pool, shape) for i, shape in enumerate(self.states)})
        outputs = [drawn[int(i)] for i in rng.choice(len(drawn), min(3, len(drawn)), replace=False)]
        for i, y in enumerate(outputs):
            v.push(**{f"y{i}": y if y.space != SpaceKind.NONE else y + v.pull("x") * 0.0})
        logits = self._fit(pool, (CLASSES,))
        v.push(loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))

    # What there is to begin with

    def _shape(self, rng: np.random.Generator) -> Shape:
        """Up to three axes; the first of several is often one."""
        axes = [int(rng.choice(SIZES)) for _ in range(int(rng.integers(0, 4)))]
        if len(axes) > 1 and rng.random() < 0.5:
            axes[0] = 1
        return tuple(axes) if prod(axes) <= LARGEST // 2 else tuple(axes[:2])

    def _sources(self, v: cavs.Vertex) -> list[Any]:
        rng = self._rng
        ids = [
            lambda: v.pull("word", dtype="int32"),
            lambda: v.pull_edge("relation", dtype="int32"),
            lambda: v.pull_graph("topic", dtype="int32"),
        ]
        makers: list[Callable[[], Any]] = [
            lambda: v.pull(f"v{rng.integers(2)}", self._input_shape("v")),
            lambda: v.pull_edge(f"e{rng.integers(2)}", self._input_shape("e")),
            lambda: v.pull_graph(f"g{rng.integers(2)}", self._input_shape("g")),
            lambda: self._row(ids[int(rng.integers(3))]()),
            lambda: self._state(v, None),
            lambda: self._state(v, int(rng.integers(3))),
        ]
        pool: list[Any] = [self._state(v, None if rng.random() < 0.6 else 0)]
        pool += [makers[int(rng.integers(len(makers)))]() for _ in range(6)]
        for x in pool:
            self._note(x, "source")
        return pool

    def _input_shape(self, kind: str) -> Shape:
        """Of all inputs of a kind: one name must have one shape."""
        return self._shape(np.random.default_rng([self.seed, ord(kind)]))

    def _row(self, ids: Any) -> Any:
        size = str(self._rng.choice(list(self.tables)))
        x = self.tables[size](ids)
        return ops.reshape(x, (1, -1)) if self._rng.random() < 0.5 else x

    def _state(self, v: cavs.Vertex, slot: int | None) -> Any:
        number = int(self._rng.integers(len(self.states)))
        (h,) = v.gather(slot, **{f"h{number}": self.states[number]})
        return h

    def _pick(self, pool: Sequence[Any]) -> Any:
        return pool[int(self._rng.integers(len(pool)))]

    def _note(self, x: Any, what: str) -> None:
        self.log.append(f"{what}: {x!r} of {[repr(y) for y in x.inputs]}")

    # Steps

    def _step(self, pool: Sequence[Any], x: Any) -> Any:
        choices = [
            *[self._concat] * 4,
            *[self._cut] * 2,
            *[self._reshape] * 2,
            self._reduce,
            self._soft,
            self._combine,
            self._combine,
            self._product,
            self._product,
            self._over_children,
            self._drop,
            self._where,
        ]
        chosen = choices[int(self._rng.integers(len(choices)))]
        return chosen(pool, x)

    def _concat(self, pool: Sequence[Any], x: Any) -> Any:
        """Side by side with values of the same leading axes, which may be made to fit."""
        lead = x.shape[:-1] if x.shape else ()
        parts = [x if x.shape else ops.reshape(x, (1,))]
        for _ in range(int(self._rng.integers(1, 4))):
            y = self._pick(pool)
            if y.shape[:-1] != lead or not y.shape:
                if prod(y.shape) % max(prod(lead), 1):
                    continue
                y = ops.reshape(y, (*lead, -1))
            parts.insert(int(self._rng.integers(len(parts) + 1)), y)
        if self._rng.random() < 0.2 and len(lead) <= 1 and set(lead) <= set(SIZES):
            width = int(self._rng.choice(SIZES))
            parts.append(self.matrices[f"{lead[0]}x{width}"] if lead else self.vectors[str(width)])
        return ops.concat(parts)

    def _cut(self, pool: Sequence[Any], x: Any) -> Any:
        """A slice, or pieces in another order."""
        if not x.shape or x.shape[-1] < 2:
            return self._concat(pool, x)
        at = int(self._rng.integers(1, x.shape[-1]))
        first, second = ops.split(x, [at, x.shape[-1] - at])
        kind = int(self._rng.integers(4))
        if kind == 0:
            return ops.concat([second, first])
        if kind == 1:
            return ops.concat([second, ops.tanh(second)])
        return first if kind == 2 else second * 0.5

    def _reshape(self, pool: Sequence[Any], x: Any) -> Any:
        size = prod(x.shape)
        shapes: list[Shape] = [(size,), (1, size), (size, 1), (1, 1, size), (1, size, 1)]
        shapes += [(n, size // n) for n in (2, 3) if size % n == 0]
        shapes += [(1, n, size // n) for n in (2, 3) if size % n == 0]
        if size == 1:
            shapes.append(())
        return ops.reshape(x, shapes[int(self._rng.integers(len(shapes)))])

    def _reduce(self, pool: Sequence[Any], x: Any) -> Any:
        reduce = [ops.sum, ops.mean, ops.max][int(self._rng.integers(3))]
        axis = -1 if x.shape and self._rng.random() < 0.7 else None
        return reduce(x, axis=axis, keepdims=bool(self._rng.integers(2)))

    def _soft(self, pool: Sequence[Any], x: Any) -> Any:
        if not x.shape:
            return ops.sigmoid(x)
        return [ops.softmax, ops.log_softmax][int(self._rng.integers(2))](x)

    def _combine(self, pool: Sequence[Any], x: Any) -> Any:
        """An elementwise operation with whatever broadcasts, on either side."""
        fits = [y for y in pool if _broadcast(x.shape, y.shape)]
        y = self._pick(fits) if fits else x
        a, b = (x, y) if self._rng.random() < 0.5 else (y, x)
        kind = int(self._rng.integers(3))
        return (a + b) if kind == 0 else (a * ops.sigmoid(b)) if kind == 1 else ops.maximum(a, b)

    def _product(self, pool: Sequence[Any], x: Any) -> Any:
        """With a parameter on either side, or with another value."""
        if len(x.shape) == 3:
            x = ops.reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))
        if len(x.shape) not in (1, 2):
            return self._combine(pool, x)
        fits = [y for y in pool if len(y.shape) in (1, 2) and _multiplies(x.shape, y.shape)]
        kind = int(self._rng.integers(3))
        if kind == 0 and fits:
            return ops.tanh(ops.matmul(x, self._pick(fits)))
        other = int(self._rng.choice(SIZES))
        rows, columns = x.shape[0], x.shape[-1]
        if kind == 1 and len(x.shape) == 2 and rows in SIZES:
            return ops.matmul(self.matrices[f"{other}x{rows}"], x)
        if columns in SIZES:
            if self._rng.random() < 0.5:
                return ops.matmul(x, self.matrices[f"{columns}x{other}"])
            return ops.linear(x, self.matrices[f"{other}x{columns}"])
        return self._soft(pool, x)

    def _over_children(self, pool: Sequence[Any], x: Any) -> Any:
        if x.space != SpaceKind.EDGE:
            edges = [y for y in pool if y.space == SpaceKind.EDGE and _broadcast(x.shape, y.shape)]
            return x * self._pick(edges) if edges else self._combine(pool, x)
        kind = int(self._rng.integers(4))
        if kind == 3:
            return ops.segment_softmax(x)
        return [ops.segment_sum, ops.segment_mean, ops.segment_max][kind](x)

    def _drop(self, pool: Sequence[Any], x: Any) -> Any:
        return ops.dropout(x, 0.3) if x.space != SpaceKind.NONE else ops.tanh(x)

    def _where(self, pool: Sequence[Any], x: Any) -> Any:
        fits = [y for y in pool if _broadcast(x.shape, y.shape)]
        y = self._pick(fits) if fits else x
        return ops.where(ops.greater(x, 0.1), x, y)

    def _fit(self, pool: Sequence[Any], shape: Shape) -> Any:
        """A value per vertex of this shape, out of some that are there."""
        size, parts, have = prod(shape), [], 0
        while have < size or len(parts) < 2:
            x = self._pick(pool)
            x = ops.segment_mean(x) if x.space == SpaceKind.EDGE else x
            parts.append(ops.reshape(x, (1, -1)) if self._rng.random() < 0.5 else x)
            parts[-1] = ops.reshape(parts[-1], (-1,)) if len(parts[-1].shape) != 2 else parts[-1]
            have += prod(x.shape)
        flat = ops.concat([ops.reshape(x, (prod(x.shape),)) for x in parts])
        start = int(self._rng.integers(have - size + 1))
        return ops.tanh(ops.reshape(flat[start : start + size], shape))


def _broadcast(a: Shape, b: Shape) -> bool:
    try:
        return prod(np.broadcast_shapes(a, b)) <= LARGEST
    except ValueError:
        return False


def _multiplies(a: Shape, b: Shape) -> bool:
    return a[-1] == b[0]
