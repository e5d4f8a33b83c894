"""Functions drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs.core.ir import ancestors
from cavs.core.ops._spaces import SpaceKind
from vertex_functions.base import CLASSES, IDS, embedding, linear, parameter


class RandomFunction(cavs.VertexFunction):
    """A function drawn from a seed: any operations on whatever is there, in any rows."""

    def __init__(self, seed: int, steps: int = 14) -> None:
        self.seed, self.steps = seed, steps
        rng = np.random.default_rng(seed)
        self.size = int(rng.choice([1, 3, 16, 17]))
        n = self.size
        self.table, self.w, self.u = embedding(IDS, n), linear(n, n), linear(n, n, bias=False)
        self.gates = linear(n, 3 * n)
        self.out = linear(n, CLASSES)
        self.norm = nn.LayerNorm(n, dtype="float64")
        self.a, self.b = parameter(n), parameter(n)

    def forward(self, v: cavs.Vertex) -> None:
        rng = np.random.default_rng(self.seed + 1)
        n = self.size
        state = v.gather(h=n) if rng.random() < 0.9 else v.gather(0, h=n)
        pool: list[Any] = [v.pull("x", n), *state, self.table(v.pull("word", dtype="int32"))]
        if rng.random() < 0.5:
            pool.append(v.gather(int(rng.integers(3)), h=n).h)
        if rng.random() < 0.4:
            pool.append(self.table(v.pull_edge("relation", dtype="int32")) + v.pull_edge("gate", n))
        if rng.random() < 0.4:
            pool.append(v.pull_graph("style", n) * self.a)
        drawn: list[Any] = []
        for _ in range(self.steps):
            recent = (drawn or pool)[-3:]
            x = (recent if rng.random() < 0.6 else pool)[-1 - int(rng.integers(len(recent)))]
            y = pool[int(rng.integers(len(pool)))]
            drawn.append(self.step(v, rng, x, y))
            pool.append(drawn[-1])
        rows = [x.sum() if x.space == SpaceKind.EDGE else x for x in drawn]
        total = rows[-1]
        for x in rows[-4:-1]:
            total = total + x
        h = ops.tanh(total + v.pull("x", n))
        v.scatter(h=h if rng.random() < 0.8 else ops.tanh(rows[0] + 0.0 * v.pull("x", n)))
        v.push(h=h, some=drawn[int(rng.integers(len(drawn)))] + v.pull("x", n))
        logits = self.out(drawn[int(rng.integers(len(drawn)))] * v.pull("x", n))
        v.push(loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))

    def step(self, v: cavs.Vertex, rng: np.random.Generator, x: Any, y: Any) -> Any:
        """One more value of `size` features, bounded, from two others."""
        n = self.size
        choice = int(rng.integers(22))
        simple: Sequence[Callable[[], Any]] = [
            lambda: ops.tanh(x + y),
            lambda: x * ops.sigmoid(y),
            lambda: ops.tanh(self.w(x)),
            lambda: self.u(x) * 0.5 - y,
            lambda: ops.softmax(x) + y,
            lambda: ops.log_softmax(x) * 0.1 * self.b,
            lambda: self.norm(x),
            lambda: ops.where(ops.greater(x, 0.1), x, y),
            lambda: ops.relu(x) - ops.softplus(y) * 0.3,
            lambda: ops.maximum(x, y * 0.7 + 0.01),
            lambda: x * ops.mean(y) + ops.max(x),
            lambda: x + ops.sum(ops.square(y), keepdims=True) * (0.1 / n),
            lambda: ops.reshape(ops.matmul(ops.reshape(x, (n, 1)), ops.reshape(y, (1, n))), -1)[:n],
            lambda: ops.tanh(self._matrix(x) + self._matrix(y)),
        ]
        if choice < len(simple):
            return simple[choice]()
        if choice < 17:
            i, o, u = ops.split(self.gates(x), 3)
            return ops.sigmoid(i) * ops.tanh(u) + ops.tanh(o * y)
        if choice == 17:
            whole = ops.concat([x, y, x]) if x.space == y.space else ops.concat([x, x, x])
            start = int(rng.integers(2 * n + 1))
            return whole[start : start + n]
        if choice == 18:
            return ops.dropout(x, 0.3)
        if x.space == SpaceKind.EDGE:
            name = ["sum", "mean", "max", "softmax", "logsumexp"][int(rng.integers(5))]
            return ops.tanh(getattr(x, name)())
        return ops.tanh(x * self.a + ops.sigmoid(self.b - self.a))

    def _matrix(self, x: Any) -> Any:
        m = ops.reshape(x, (1, self.size))
        return ops.reshape(ops.matmul(m, self.u.weight), self.size)


class OfLaterOperations(RandomFunction):
    """The same, half of whose values come from special functions, axes, places and reductions over
    graphs."""

    def step(self, v: cavs.Vertex, rng: np.random.Generator, x: Any, y: Any) -> Any:
        if rng.random() < 0.5:
            return super().step(v, rng, x, y)
        n = self.size
        ids = v.pull("word", dtype="int32")
        apart = x + np.linspace(
            0.0, 0.7, n
        )  # the order of equal numbers would be that of roundings

        def square(value: Any) -> Any:
            return ops.matmul(ops.reshape(value, (n, 1)), ops.reshape(ops.tanh(value), (1, n)))

        pairs: Sequence[Callable[[], Any]] = [
            lambda: ops.sin(x) + ops.cos(2.0 * y),
            lambda: ops.erf(x) * ops.gelu(y),
            lambda: ops.tanh(ops.silu(x) - ops.elu(y) + ops.leaky_relu(x, 0.1)),
            lambda: ops.log1p(ops.square(x)) - ops.expm1(ops.tanh(y)),
            lambda: ops.tanh(ops.lgamma(1.0 + ops.square(x)) * ops.digamma(1.5 + ops.square(y))),
            lambda: ops.tanh((0.5 + ops.square(x)) ** ops.tanh(y)),
            lambda: ops.tanh(ops.sum(square(x) + square(y).T, axis=0)),
            lambda: ops.max(ops.softmax(square(apart), axis=0), axis=0) + y * 0.1,
            lambda: ops.sum(ops.log_softmax(ops.stack([x, 0.5 * y]), axis=0), axis=0) * 0.1,
            lambda: ops.tanh(ops.logsumexp(ops.stack([x, y, x + y], axis=-1), axis=-1)),
            lambda: ops.tanh(ops.cumsum(x * (1.0 / n))),
            lambda: ops.sort(apart) * ops.tanh(y),
            lambda: ops.top_k(ops.concat([apart, x * 0.3]), n)[0],
            lambda: ops.one_hot(ops.argmax(apart), n) * x + 0.2 * x,
            lambda: ops.tanh(ops.permute(ops.stack([x, 2.0 * x]), (1, 0)).reshape(2 * n)[:n]),
            lambda: ops.tanh(ops.mean(ops.matmul(ops.stack([square(x), square(x).T]), x), axis=0)),
        ]
        choice = int(rng.integers(len(pairs) + 3))
        if choice < len(pairs):
            return pairs[choice]()
        if x.space == SpaceKind.EDGE:
            return x.log_softmax() * 0.1
        if choice == len(pairs) and n >= IDS:
            return x * ops.take(ops.tanh(x), ids)
        if x.space == SpaceKind.VERTEX and not _recurrent(x):
            return ops.tanh(x - x.graph_mean() + 0.1 * x.graph_max())
        return ops.tanh(x * np.linspace(0.5, 1.5, n))


def _recurrent(x: Any) -> bool:
    return any(node.op.name == "gather" for node in ancestors([x]))
