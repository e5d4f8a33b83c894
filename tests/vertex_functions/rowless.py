"""Functions with values without rows: arrays, buffers, and reductions over graphs and batches.

They stand apart from FUNCTIONS where a row depends on the other graphs of its batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import cavs
from cavs import ops
from vertex_functions.base import IDS, embedding, linear, parameter

ROWLESS: dict[str, Callable[[], cavs.VertexFunction]] = {}


def listed(kind: type[cavs.VertexFunction]) -> type[cavs.VertexFunction]:
    ROWLESS[kind.__name__] = kind
    return kind


@listed
class Arrays(cavs.VertexFunction):
    """Arrays and a buffer as operands: of products, sums, comparisons and a state."""

    def __init__(self) -> None:
        self.w, self.u = linear(3, 4), parameter(4, 4)
        self.mask = np.tril(np.ones((4, 4), np.float32))
        self.register_buffer("centre", np.array([0.5, -1.0, 2.0, 0.0]))

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3) * np.array([1.0, -2.0, 0.5])
        h = self.w(np.ones(3) / 3 + x) + v.gather(h=4).h.sum() @ (self.u * self.mask)
        h = ops.tanh(h - self.centre)
        v.scatter(h=h)
        large = ops.where(h > np.array([0, 1, 0, 1]), h, np.zeros(4, np.int64))
        v.push(h=h, large=large, fixed=np.arange(6.0).reshape(2, 3))


def norm(x: cavs.Symbol, weight: cavs.Parameter) -> cavs.Symbol:
    """Batch normalisation."""
    centred = x - x.batch_mean()
    return centred * ops.rsqrt(ops.square(centred).batch_mean() + 1e-3) * weight


@listed
class Normed(cavs.VertexFunction):
    """Batch norm before the levels and after them, and sums over the graph on both sides."""

    def __init__(self) -> None:
        self.w, self.u, self.out = linear(3, 4), linear(4, 4, bias=False), linear(4, 2)
        self.before, self.after = parameter(4), parameter(4)

    def forward(self, v: cavs.Vertex) -> None:
        x = norm(self.w(v.pull("x", 3)), self.before)
        x = x + 0.1 * x.graph_sum() - x.graph_mean()
        h = ops.tanh(x + self.u(v.gather(h=4).h.sum()))
        v.scatter(h=h)
        y = norm(h, self.after) * h.graph_mean() + ops.sigmoid(h.graph_sum())
        v.push(h=h, y=y, logits=self.out(y))


@listed
class NormedWords(cavs.VertexFunction):
    """Batch norm of what depends on ids alone, which is computed once per distinct id."""

    def __init__(self) -> None:
        self.embedding = embedding(IDS, 3)
        self.w, self.weight = linear(3, 4), parameter(4)

    def forward(self, v: cavs.Vertex) -> None:
        x = norm(self.w(self.embedding(v.pull("word", dtype="int32"))), self.weight)
        h = ops.tanh(x + v.gather(h=4).h.mean())
        v.scatter(h=h)
        v.push(h=h)


@listed
class OverEdges(cavs.VertexFunction):
    """Sums of edge values, and of values per graph, over graphs and batches."""

    def __init__(self) -> None:
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        gate = v.pull_edge("gate", 3)
        h = v.gather(h=3).h
        total = gate.graph_mean() - gate.batch_mean() + 0.1 * v.pull_graph("topic", 3).batch_sum()
        new = ops.tanh(self.w(v.pull("x", 3)) + (h * gate).sum() + total)
        v.scatter(h=new)
        e = h * gate
        v.push(h=new, edges=e - e.batch_mean(), sums=new + e.graph_sum() + 0.1 * e.batch_sum())


@listed
class OfTheBatch(cavs.VertexFunction):
    """Inputs of the batch: a mask of a weight, a temperature, a shift."""

    def __init__(self) -> None:
        self.w, self.u = linear(3, 4), parameter(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        mask, temperature = v.pull_batch("mask_of_weights", (4, 4)), v.pull_batch("temperature")
        h = self.w(v.pull("x", 3)) + v.gather(h=4).h.sum() @ (self.u * mask)
        h = ops.tanh(h + v.pull_batch("shift", 4))
        v.scatter(h=h)
        v.push(h=h, y=h / (2.0 + ops.tanh(temperature)))


@listed
class Samples(cavs.VertexFunction):
    """Numbers drawn once a call, beside numbers of vertices: weights with noise."""

    def __init__(self) -> None:
        self.w, self.spread = linear(3, 4), parameter(4, 4)
        self.embedding = embedding(IDS, 4)

    def forward(self, v: cavs.Vertex) -> None:
        u = self.spread * v.normal((4, 4), rows="batch") + v.uniform(4, rows="batch")
        word = self.embedding(v.pull("word", dtype="int32")) @ u
        h = ops.tanh(self.w(v.pull("x", 3)) + word + v.gather(h=4).h.sum() @ u)
        v.scatter(h=h)
        v.push(h=h, noise=v.uniform(2), drawn=ops.sum(u))


@listed
class OfGraphs(cavs.VertexFunction):
    """Reductions over graphs alone: no graph depends on another one."""

    def __init__(self) -> None:
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        h = ops.tanh(self.w(x - x.graph_max()) + v.gather(h=3).h.sum())
        v.scatter(h=h)
        v.push(h=h, y=h * h.graph_max() + h.graph_sum() - h.graph_mean())


@listed
class Maxima(cavs.VertexFunction):
    """Maxima over the vertices of a graph, and over all rows, before and after the levels."""

    def __init__(self) -> None:
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        gate = v.pull_edge("gate", 3)
        x = x - x.graph_max() + 0.1 * x.batch_max() - 0.1 * gate.batch_max()
        h = ops.tanh(self.w(x) + v.gather(h=3).h.sum())
        v.scatter(h=h)
        v.push(h=h, y=h * h.graph_max() + h * h.batch_max())


@listed
class RunningAverages(cavs.VertexFunction):
    """Batch norm with running averages before the levels and after them, and outputs without
    rows."""

    def __init__(self) -> None:
        self.w, self.u, self.out = linear(3, 4), linear(4, 4, bias=False), parameter(2, 3)
        self.before, self.after = cavs.nn.BatchNorm(4), cavs.nn.BatchNorm(2, affine=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.before(self.w(v.pull("x", 3)))
        h = ops.tanh(x + self.u(v.gather(h=4).h.sum()))
        v.scatter(h=h)
        v.push(h=h, y=self.after(ops.reshape(h, (2, 2))))
        temperature = v.pull_batch("temperature")
        v.push_batch(mean=h.batch_mean(), total=ops.sum(x.batch_sum()) * temperature)
        v.push_batch(out=self.out, given=temperature, one=1.0, rows=ops.batch_count(h))


@listed
class WrittenBuffers(cavs.VertexFunction):
    """A buffer that takes a value of each call, of the batch and of itself, beside one that no call
    writes; and values that differ by mode."""

    def __init__(self) -> None:
        self.w = linear(3, 4)
        self.register_buffer("fixed", np.arange(4.0))
        self.register_buffer("state", np.ones(4))

    def forward(self, v: cavs.Vertex) -> None:
        x = self.w(v.pull("x", 3)) + self.fixed
        state = ops.running(x.batch_max() * self.state, self.state, 0.5 * self.state + 2.0)
        h = ops.tanh(x * state + v.gather(h=4).h.sum())
        v.scatter(h=h)
        v.push(h=h, y=ops.by_mode(h * self.fixed, v.pull("z", 4)))
