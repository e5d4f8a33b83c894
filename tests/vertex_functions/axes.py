"""Functions along any axis, of axes in other orders, and of elements by their places."""

from __future__ import annotations

import cavs
from cavs import ops
from vertex_functions.base import IDS, linear, listed, parameter


@listed
class Axes(cavs.VertexFunction):
    """Reductions and softmax along the first axes of matrices and of three axes, on vertices and
    edges; transposed products; stacks, and indices of each kind."""

    def __init__(self) -> None:
        self.w, self.m = linear(6, 6), parameter(3, 2)

    def forward(self, v: cavs.Vertex) -> None:
        x, h = v.pull("x", (2, 3)), v.gather(h=(2, 3)).h
        deep = ops.stack([x, ops.tanh(x), x * 0.5], axis=1)
        soft = ops.softmax(deep, axis=0) + ops.log_softmax(deep, axis=-2)
        tops = ops.max(h, axis=0) + ops.logsumexp(h, axis=0)
        below = (tops * ops.softmax(h, 0)[..., 1, :]).sum()
        scores = h.sum(axis=(0, 1)).log_softmax()
        mixed = (x.T @ x + self.m @ self.m.T)[:2] + (h * ops.exp(scores)[..., None, None]).sum()
        new = ops.tanh(self.w(mixed.reshape(6)).reshape(2, 3) + below[None])
        v.scatter(h=new)
        v.push(
            h=new,
            soft=soft,
            scores=scores,
            part=soft[:, 1:, -1],
            tops=ops.max(deep, axis=(0, 2)) - ops.logsumexp(deep, (0, 1))[1],
            turned=deep.permute(2, 0, 1) * 2.0,
            joined=ops.concat([x, new[1:]], axis=0),
        )


@listed
class Places(cavs.VertexFunction):
    """Running sums, orders, the greatest elements, and elements by ids that come with a shape."""

    def __init__(self) -> None:
        self.table, self.w = parameter(IDS, 3), linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x, ids = v.pull("x", (2, 3)), v.pull("several", 2, dtype="int32")
        rows = ops.take(self.table, ids, axis=0)
        best, places = ops.top_k(x + self.w(rows), 2)
        h = v.gather(h=3).h
        below = (ops.sort(h, descending=True) * ops.one_hot(ops.argmax(h), 3)).sum()
        new = ops.tanh(ops.cumsum(x, axis=0)[1] + below)
        v.scatter(h=new)
        v.push(
            h=new,
            best=best,
            chosen=ops.one_hot(places, 3) * x[:, None],
            known=ops.one_hot(ids, IDS),
            picked=ops.pick(ops.concat([rows, x, rows]), ids),
            first=ops.take(x, ops.argsort(x, axis=0)[0, :], axis=1),
        )
