"""Functions whose parameters are shared, tied, read in several ways, or missing, and what has no
levels."""

from __future__ import annotations

import cavs
from cavs import ops
from vertex_functions.base import CLASSES, IDS, embedding, linear, listed, parameter


@listed
class SharedEmbedding(cavs.VertexFunction):
    """One table for inputs of vertices, edges and graphs; id -1 reads zeros."""

    def __init__(self) -> None:
        self.table = embedding(IDS, 3)
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        word = self.table(v.pull("word", dtype="int32"))
        tag = self.table(v.pull("tag", dtype="int32"))
        both = self.w(word) * tag + self.table(v.pull_graph("topic", dtype="int32"))
        edge = self.table(v.pull_edge("relation", dtype="int32"))
        h = v.gather(h=3).h
        new = ops.tanh(both + (h * edge).sum())
        v.scatter(h=new)
        v.push(h=new, word=word)


@listed
class TiedWeights(cavs.VertexFunction):
    """The table of an embedding is the output layer, too: row-sparse and dense gradients add."""

    def __init__(self) -> None:
        self.table = embedding(IDS, 3)
        self.bias = parameter(IDS)

    def forward(self, v: cavs.Vertex) -> None:
        word = v.pull("word", dtype="int32")
        h = ops.tanh(self.table(word) + v.gather(h=3).h.sum())
        v.scatter(h=h)
        logits = ops.linear(h, self.table.weight, self.bias)
        v.push(logits=logits, loss=ops.cross_entropy(logits, word))


@listed
class Parameters(cavs.VertexFunction):
    """Computations on parameters alone, scalars and slices of parameters."""

    def __init__(self) -> None:
        self.a, self.b, self.m = parameter(3), parameter(3), parameter(3, 4)
        self.scale = parameter()
        self.unused = parameter(2)
        self.frozen = parameter(3)
        self.frozen.requires_grad = False

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        w = self.a * self.b + ops.sigmoid(self.a - self.b) * self.scale
        rows = ops.softmax(self.m)
        mixed = ops.matmul(x, rows) + ops.concat([self.a, ops.reshape(self.scale, (1,))])
        h = v.gather(h=3).h.sum()
        new = ops.tanh(w * x + h * self.frozen + mixed[:3] + self.m[1:2].sum())
        v.scatter(h=new)
        v.push(h=new * ops.sum(self.a) + ops.max(self.b), mixed=mixed)


@listed
class Constants(cavs.VertexFunction):
    """Scatters and pushes what has no rows: numbers, parameters, and what is made of these."""

    def __init__(self) -> None:
        self.start, self.scale = parameter(3), parameter()
        self.u, self.table = linear(3, 3), embedding(IDS, 3)

    def forward(self, v: cavs.Vertex) -> None:
        children = v.gather(one=(), start=3, made=3)
        first = v.gather(0, one=(), zero=3, start=3)
        below = (self.u(children.start) * children.made + children.one).sum() + first.zero
        begun = ops.where(first.one, first.start * self.scale, self.start)
        h = ops.tanh(self.table(v.pull("word", dtype="int32")) + below * begun)
        made = ops.exp(self.start) * self.scale
        v.scatter(one=1, zero=0.0, start=self.start, made=made)
        v.push(h=h, number=2.5, start=self.start, made=made, inside=children.one.max())


@listed
class SummedParameters(cavs.VertexFunction):
    """Two parameters with the same gradient."""

    def __init__(self) -> None:
        self.a, self.b = parameter(3), parameter(3)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=v.pull("x", 3) + (self.a + self.b))


@listed
class NoParameters(cavs.VertexFunction):
    """Only inputs get gradients."""

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(v.pull("x", 3) + v.gather(h=3).h.sum())
        v.scatter(h=h)
        v.push(h=h)


@listed
class NoGather(cavs.VertexFunction):
    """Vertices by themselves."""

    def __init__(self) -> None:
        self.w = linear(3, CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        logits = self.w(ops.relu(v.pull("x", 3)))
        v.push(loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


@listed
class OnlyIds(cavs.VertexFunction):
    """Everything depends on one integer input: all of it runs once per distinct id."""

    def __init__(self) -> None:
        self.table, self.w = embedding(IDS, 3), linear(3, IDS)

    def forward(self, v: cavs.Vertex) -> None:
        word = v.pull("word", dtype="int32")
        logits = self.w(ops.tanh(self.table(word)))
        v.push(loss=ops.cross_entropy(logits, word), logits=logits)


@listed
class HoistedState(cavs.VertexFunction):
    """What is scattered does not depend on what is gathered."""

    def __init__(self) -> None:
        self.w, self.u = linear(3, 3), linear(3, 2)

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(self.w(v.pull("x", 3)))
        v.scatter(h=h)
        v.push(y=ops.sigmoid(self.u(v.gather(h=3).h)).sum())


@listed
class SameValue(cavs.VertexFunction):
    """One value under two state names and two output names."""

    def __init__(self) -> None:
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        a, b = v.gather(h=3, g=3)
        h = ops.tanh(self.w(v.pull("x", 3) + a.sum()) + b.max())
        v.scatter(h=h, g=h)
        v.push(h=h, again=h, shaped=ops.reshape(h, (3, 1)))
