"""Functions of attention over children."""

from __future__ import annotations

import cavs
from cavs import ops
from vertex_functions.base import linear, listed, parameter


@listed
class AttentionLayers(cavs.VertexFunction):
    """Two layers: keys and values of the second depend on the first, and on no level."""

    def __init__(self) -> None:
        self.q, self.k, self.v = (linear(4, 8, bias=False) for _ in range(3))
        self.q2, self.kv = linear(4, 6), linear(4, 10)
        self.out = linear(8, 4)
        self.places = parameter(2, 40)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 4)
        kids = v.gather(x=4, kv=(2, 5))
        q, k, w = (layer(z).reshape(2, 4) for layer, z in self._pairs(x, kids.x))
        first = ops.attention(q, k, w, position=self.places, bias=v.pull_edge("bias"))
        y = ops.tanh(x + self.out(first.reshape(8)))
        second = ops.attention(
            self.q2(y).reshape(2, 3),
            kids.kv[:, :3],
            kids.kv[:, 3:],
            scale=0.7,
            position=v.pull("places", (2, 40)),
        )
        v.scatter(x=x, kv=self.kv(y).reshape(2, 5))
        v.push(y=y, z=second)

    def _pairs(self, x: cavs.Symbol, of_children: cavs.Symbol) -> object:
        return (self.q, x), (self.k, of_children), (self.v, of_children)


@listed
class AttentionOverStates(cavs.VertexFunction):
    """What it gives is the state that it reads: it runs level by level."""

    def __init__(self) -> None:
        self.q, self.k = linear(4, 4), linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x, h = v.pull("x", 4), v.gather(h=4).h
        q, k = self.q(x).reshape(2, 2), self.k(h).reshape(2, 2)
        places = v.pull("places", (2, 40))
        mean = ops.attention(q, k, h.reshape(2, 2), bias=v.pull_edge("bias", 2), position=places)
        h = ops.tanh(x + mean.reshape(4))
        v.scatter(h=h)
        v.push(h=h)


@listed
class AttentionsOfStates(cavs.VertexFunction):
    """States that are keys and values as they stand, or in part, and are read otherwise too."""

    def __init__(self) -> None:
        self.w, self.u = linear(8, 8), linear(2, 8)

    def forward(self, v: cavs.Vertex) -> None:
        x, kids = v.pull("x", 8), v.gather(h=8, g=(2, 2))
        q, k = x[:6].reshape(2, 3), kids.h[1:7].reshape(2, 3)
        first = ops.attention(q, k, kids.h.reshape(2, 4), scale=0.7)
        second = ops.attention(q[:, :2], kids.g, kids.g, bias=v.pull_edge("bias"))
        by_hand = (ops.sum(x * kids.h, axis=-1, keepdims=True).softmax() * kids.h).sum()
        last = v.gather(-1, h=8).h
        h = ops.tanh(
            x + self.w(first.reshape(8) + by_hand + kids.h.sum()) + self.u(second[0]) - 0.5 * last
        )
        v.scatter(h=h, g=h[2:6].reshape(2, 2))
        v.push(h=h)


@listed
class AttentionAboveLevels(cavs.VertexFunction):
    """Keys are states of levels; the attention comes after them. By hand, with one head."""

    def __init__(self) -> None:
        self.w = linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x, kids = v.pull("x", 4), v.gather(h=4, g=4)
        h = ops.tanh(x + self.w(kids.h.sum()))
        score = ops.sum(h * kids.g, axis=-1, keepdims=True) * 0.5
        v.scatter(h=h, g=h * 2.0)
        v.push(y=(score.softmax() * kids.h).sum() + h)


@listed
class AttentionDropped(cavs.VertexFunction):
    """Weights are dropped: in six heads, with all that scores add, and in one, by hand."""

    def forward(self, v: cavs.Vertex) -> None:
        x, own = v.pull("x", (6, 3)), v.pull("own", 4)
        kids = v.gather(k=(6, 3), h=4)
        bias, places = v.pull_edge("bias"), v.pull("places", (6, 40))
        v.scatter(k=x * 0.5, h=own * 2.0)
        y = ops.attention(x, kids.k, kids.k, bias=bias, position=places, dropout=0.3)
        score = ops.sum(own * kids.h, axis=-1, keepdims=True)
        v.push(y=y, z=(ops.dropout(score.softmax(), 0.6) * kids.h).sum())
