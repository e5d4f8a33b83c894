"""Small vertex functions that together use every operation and structure; see FUNCTIONS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops

__all__ = ["FUNCTIONS", "make_function", "parameter"]

FUNCTIONS: dict[str, Callable[[], cavs.VertexFunction]] = {}

IDS = 7
CLASSES = 4


def parameter(*shape: int) -> nn.Parameter:
    """Random values of float64."""
    return nn.init.normal_(nn.Parameter(np.zeros(shape)), 0.0, 0.5)


def linear(size_in: int, size_out: int, bias: bool = True) -> nn.Linear:
    return nn.Linear(size_in, size_out, bias, dtype="float64")


def embedding(num: int, size: int) -> nn.Embedding:
    return nn.Embedding(num, size, std=0.5, dtype="float64")


def make_function(name: str, dtype: str = "float64") -> cavs.VertexFunction:
    """A function of the library with the same parameters every time."""
    nn.init.manual_seed(sum(map(ord, name)))
    function = FUNCTIONS[name]()
    for p in function.parameters():
        p.data = p.data.astype(dtype)
    return function


def listed(kind: type[cavs.VertexFunction]) -> type[cavs.VertexFunction]:
    FUNCTIONS[kind.__name__] = kind
    return kind


@listed
class ChildSumTreeLSTM(cavs.VertexFunction):
    """Embedding, gates by split, one forget gate per child, a classifier on every vertex."""

    size = 5

    def __init__(self) -> None:
        self.embedding = embedding(IDS, 3)
        self.w_iou = linear(3, 3 * self.size)
        self.u_iou = linear(self.size, 3 * self.size, bias=False)
        self.w_f = linear(3, self.size)
        self.u_f = linear(self.size, self.size, bias=False)
        self.classifier = linear(self.size, CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        children = v.gather(h=self.size, c=self.size)
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(children.h.sum()), 3)
        f = ops.sigmoid(self.w_f(x) + self.u_f(children.h))
        c = ops.sigmoid(i) * ops.tanh(u) + (f * children.c).sum()
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        logits = self.classifier(h)
        label = v.pull("label", dtype="int32")
        v.push(logits=logits, loss=ops.cross_entropy(logits, label))


@listed
class WideTreeLSTM(ChildSumTreeLSTM):
    """Rows longer than a vector, which are padded in memory."""

    size = 17


@listed
class NaryTreeLSTM(cavs.VertexFunction):
    """A state for each child position, with weights of its own."""

    def __init__(self) -> None:
        self.w = linear(4, 20)
        self.left, self.right = linear(4, 20, bias=False), linear(4, 20, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        a, b = v.gather(0, h=4, c=4), v.gather(1, h=4, c=4)
        z = self.w(v.pull("x", 4)) + self.left(a.h) + self.right(b.h)
        i, o, u, f, g = ops.split(z, 5)
        c = ops.sigmoid(i) * ops.tanh(u) + ops.sigmoid(f) * a.c + ops.sigmoid(g) * b.c
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        v.push(h=h)


@listed
class Segments(cavs.VertexFunction):
    """Every reduction over the children, methods and functions, of edge and vertex values."""

    def __init__(self) -> None:
        self.w = linear(3, 3)
        self.key = linear(3, 1)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        h = v.gather(h=3).h
        e = self.w(h) * v.pull_edge("gate", 3)
        attention = (self.key(h) + ops.sum(x)).softmax()
        mixed = (attention * h).sum()
        top = ops.segment_max(e)
        new = ops.tanh(x + e.mean() + top + mixed + ops.segment_softmax(e * h).max())
        repeated = ops.segment_sum(x) + ops.segment_mean(x * 2.0)
        v.scatter(h=new)
        v.push(new=new, top=top, mixed=mixed, repeated=repeated, weights=attention)


@listed
class Lattice(cavs.VertexFunction):
    """Gates of each edge from the child's state and the edge's input, of which one product."""

    def __init__(self) -> None:
        self.w, self.u = linear(3, 6), linear(3, 6, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        h = v.gather(h=3).h
        i, g = ops.split(self.w(v.pull_edge("word", 3)) + self.u(h), 2)
        new = ops.tanh(v.pull("x", 3) + (ops.sigmoid(i) * ops.tanh(g) * h).sum())
        v.scatter(h=new)
        v.push(h=new)


@listed
class Mixer(cavs.VertexFunction):
    """Several layers of the children's states, some shared, some an output, before they join."""

    def __init__(self) -> None:
        self.u, self.w, self.deep = linear(4, 4), linear(4, 8), linear(8, 4, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        h, c = v.gather(h=4, c=4)
        hidden = ops.tanh(self.w(ops.sigmoid(self.u(h)) * c))
        deep, gates = self.deep(hidden), ops.softmax(self.u(c))
        new = ops.tanh(v.pull("x", 4) + (gates * deep * v.pull_edge("gate", 4)).sum())
        v.scatter(h=new, c=new * v.pull("x", 4) + deep.max())
        v.push(h=new, hidden=hidden, mixed=ops.concat([deep, hidden[2:6]]))


@listed
class EdgeInputs(cavs.VertexFunction):
    """Float and integer inputs on edges, an output on edges, an edge loss."""

    def __init__(self) -> None:
        self.embedding = embedding(IDS, 3)
        self.u = linear(3, 3)
        self.out = linear(3, CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        relation = self.embedding(v.pull_edge("relation", dtype="int32"))
        h = v.gather(h=3).h
        messages = ops.tanh(self.u(h) * relation + v.pull_edge("bias", 3))
        new = ops.tanh(v.pull("x", 3) + messages.sum())
        v.scatter(h=new)
        logits = self.out(messages)
        v.push(
            messages=messages,
            h=new,
            own=ops.cross_entropy(logits, v.pull_edge("edge_label", dtype="int32")),
            parents=ops.cross_entropy(logits, v.pull("label", dtype="int32")),
            graphs=ops.cross_entropy(logits, v.pull_graph("topic", dtype="int32")),
        )


@listed
class GraphInputs(cavs.VertexFunction):
    """Inputs of a whole graph on vertices and edges; a computation in graph rows alone."""

    def __init__(self) -> None:
        self.embedding = embedding(IDS, 3)
        self.w, self.u = linear(3, 3), linear(2, 3)

    def forward(self, v: cavs.Vertex) -> None:
        topic = ops.tanh(self.w(self.embedding(v.pull_graph("topic", dtype="int32"))))
        style = self.u(v.pull_graph("style", 2))
        h = v.gather(h=3).h
        new = ops.tanh((h * topic).sum() + style + v.pull("x", 3) * ops.sum(topic))
        v.scatter(h=new)
        v.push(h=new, style=style, topic=topic)


@listed
class MatrixStates(cavs.VertexFunction):
    """Matrices as states: products per vertex, per edge, and with a parameter on either side."""

    def __init__(self) -> None:
        self.m, self.w = parameter(3, 3), parameter(3, 2)

    def forward(self, v: cavs.Vertex) -> None:
        a = v.gather(0, m=(3, 3), x=3)
        m, x = v.gather(m=(3, 3)).m, v.pull("x", 3)
        per_edge = ops.matmul(m, self.m)
        own = ops.tanh(ops.matmul(self.m, ops.reshape(x, (3, 1))) * x)
        new = ops.tanh(ops.matmul(a.m, own) + per_edge.sum() + ops.matmul(own, self.m))
        column = ops.matmul(new, a.x) + ops.matmul(x, new) + ops.matmul(self.m, x)
        v.scatter(m=new, x=ops.tanh(column))
        v.push(
            m=new @ self.w,
            dot=ops.matmul(x, column),
            shared=ops.matmul(self.m, new),
            transposed=ops.linear(new, new),
            beside=ops.concat([new, a.m]),
        )


@listed
class Masked(cavs.VertexFunction):
    """Edges that a mask leaves out: a product of the child's state, and one of what it gives."""

    def __init__(self) -> None:
        self.w, self.u = linear(4, 5), linear(5, 5, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        h, mask = v.gather(h=4).h, v.pull_edge("mask")
        word = ops.tanh(self.w(h))
        weight = mask * ops.exp(ops.sigmoid(self.u(word)))
        of_words = (weight * word).sum() / (1.0 + weight.sum())
        new = ops.tanh(v.pull("x", 4) + of_words[:4] * of_words[1:] + ((1.0 - mask) * h).sum())
        v.scatter(h=new)
        v.push(h=new)


@listed
class Bilinear(cavs.VertexFunction):
    """x^T W h with W pulled, shared, and per edge."""

    def __init__(self) -> None:
        self.w = parameter(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x, m = v.pull("x", 3), v.pull("m", (3, 3))
        h = v.gather(h=3).h
        scores = ops.matmul(ops.matmul(h, self.w), ops.matmul(m, x))
        new = ops.tanh((h * scores.softmax()).sum() + ops.matmul(x, m))
        v.scatter(h=new)
        v.push(h=new, scores=scores, two=ops.matmul(m, ops.matmul(self.w, m)))


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
class SummedParameters(cavs.VertexFunction):
    """Two parameters with the same gradient."""

    def __init__(self) -> None:
        self.a, self.b = parameter(3), parameter(3)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=v.pull("x", 3) + (self.a + self.b))


@listed
class Shapes(cavs.VertexFunction):
    """Concatenations, splits, slices and reshapes of vectors and matrices, nested and repeated."""

    def __init__(self) -> None:
        self.w = linear(12, 6)

    def forward(self, v: cavs.Vertex) -> None:
        x, m = v.pull("x", 6), v.pull("m", (2, 3))
        y = ops.tanh(x)
        wide = ops.concat([x, y])
        gates = self.w(wide) + v.gather(h=6).h.sum()
        a, b, c = ops.split(gates, [1, 2, 3])
        twice = ops.concat([y, ops.concat([a, b, c]), y, wide[2:9]])
        square = ops.concat([m, ops.reshape(gates, (2, 3))])
        left, right = ops.split(square * ops.square(square), 2)
        new = ops.tanh(ops.reshape(left + right[0:3], -1) + ops.concat([c, b, a]))
        v.scatter(h=new)
        v.push(
            twice=twice,
            square=square,
            part=square[1:5],
            flat=ops.reshape(ops.reshape(square, (3, 4)), (12,)),
            h=new,
            one=gates[4:5],
        )


@listed
class Broadcasts(cavs.VertexFunction):
    """Scalars, single columns and rows of matrices against larger shapes."""

    def __init__(self) -> None:
        self.row, self.column, self.one = parameter(3), parameter(2, 1), parameter(1)

    def forward(self, v: cavs.Vertex) -> None:
        s, x = v.pull("s"), v.pull("x", 3)
        column, row = v.pull("column", (2, 1)), v.pull("row", (1, 3))
        outer = column * row + s
        mixed = outer * self.column + self.row * self.one
        h = v.gather(h=(2, 3)).h
        new = ops.tanh(mixed + (h * s).sum() + ops.sum(x) * column)
        v.scatter(h=new)
        v.push(h=new, outer=outer, s=s * 2.0, scaled=x * s, sums=ops.sum(mixed, axis=-1))


@listed
class Reductions(cavs.VertexFunction):
    """Sums, means and maxima over features, and both softmaxes, on vertices and edges."""

    def __init__(self) -> None:
        self.w = linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x, m = v.pull("x", 4), v.pull("m", (2, 4))
        h = self.w(v.gather(h=4).h)
        peak = ops.max(h, axis=-1, keepdims=True)
        new = ops.tanh(x + (ops.log_softmax(h) * peak).sum() + (ops.softmax(h) + h).max())
        v.scatter(h=new)
        v.push(
            h=new,
            total=ops.sum(m),
            rows=ops.mean(m, axis=-1),
            top=ops.max(m, axis=-1),
            kept=ops.sum(m, keepdims=True) + ops.max(m, axis=-1, keepdims=True),
            soft=ops.softmax(m) * x,
            log=ops.log_softmax(m),
            edges=h.sum(axis=-1),
            means=h.mean(axis=-1, keepdims=True) * h.max(axis=-1, keepdims=True),
        )


@listed
class Norms(cavs.VertexFunction):
    """Layer normalisation of vertex vectors, edge vectors and matrices."""

    def __init__(self) -> None:
        self.norm = nn.LayerNorm(3, dtype="float64")
        self.inner = nn.LayerNorm(3, eps=0.1, dtype="float64")
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        h = self.inner(self.w(v.gather(h=3).h))
        new = self.norm(v.pull("x", 3) + h.sum())
        v.scatter(h=new)
        v.push(h=new, m=self.norm(v.pull("m", (2, 3))))


@listed
class Dropouts(cavs.VertexFunction):
    """Dropout of vertex, edge and graph values, in front of the levels and within them."""

    def __init__(self) -> None:
        self.w, self.table = linear(3, 3), embedding(IDS, 5)

    def forward(self, v: cavs.Vertex) -> None:
        drop = nn.Dropout(0.4)
        x = drop(v.pull("x", 3))
        topic = drop(self.w(v.pull_graph("style", 3)))
        h = drop(v.gather(h=3).h)
        new = drop(ops.tanh(self.w(x) + (h * topic).sum()))
        v.scatter(h=new)
        word = drop(self.table(v.pull("word", dtype="int32")))
        v.push(h=new, h_edge=h, topic=topic, word=word, x=x)


@listed
class Samples(cavs.VertexFunction):
    """Samples by vertex, edge and graph, in front of the levels, within and after them."""

    def __init__(self) -> None:
        self.w, self.table = linear(3, 3), embedding(IDS, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x, topic = v.pull("x", 3), v.pull_graph("style", 3)
        h = v.gather(h=3).h
        kept = ops.bernoulli(ops.sigmoid(self.w(h)))
        chosen = ops.categorical(self.w(topic))
        soft = ops.gumbel_softmax(self.w(x), 0.7)
        word = ops.normal(self.table(v.pull("word", dtype="int32")), 0.3)
        new = ops.normal(ops.tanh(word * soft + (h * kept).sum()), ops.sigmoid(topic))
        v.scatter(h=ops.tanh(new) + 0.1 * v.normal(3))
        v.push(h=new, kept=kept, chosen=chosen, soft=soft, word=word, u=v.uniform())


@listed
class StraightThrough(cavs.VertexFunction):
    """Gradients that are not those of the values: one-hot samples, and parts that get none."""

    def __init__(self) -> None:
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        hard = ops.gumbel_softmax(self.w(v.gather(h=3).h), 0.7, hard=True)
        h = ops.tanh(self.w(v.pull("x", 3)) + hard.sum())
        v.scatter(h=h * ops.stop_gradient(h))
        v.push(h=h, hard=hard)


@listed
class NoGather(cavs.VertexFunction):
    """Vertices by themselves."""

    def __init__(self) -> None:
        self.w = linear(3, CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        logits = self.w(ops.relu(v.pull("x", 3)))
        v.push(loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


@listed
class NoParameters(cavs.VertexFunction):
    """Only inputs get gradients."""

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(v.pull("x", 3) + v.gather(h=3).h.sum())
        v.scatter(h=h)
        v.push(h=h)


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
class ScatteredInputs(cavs.VertexFunction):
    """Inputs go as they are to the parents and to the caller."""

    def forward(self, v: cavs.Vertex) -> None:
        x, style = v.pull("x", 3), v.pull_graph("style", 3)
        v.scatter(x=x, style=style)
        children = v.gather(x=3, style=3)
        v.push(x=x, style=style, total=children.x.sum(), edges=children.x, first=v.gather(0, x=3).x)
        v.push(product=(children.x * children.style).sum(), gate=v.pull_edge("gate", 3))


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


@listed
class PassedOn(cavs.VertexFunction):
    """A gathered state is scattered on and pushed as it came."""

    def forward(self, v: cavs.Vertex) -> None:
        first, x = v.gather(0, deep=3, h=3), v.pull("x", 3)
        v.scatter(deep=first.h, h=x + first.deep)
        v.push(deep=first.deep, h=first.h)


@listed
class ManySlots(cavs.VertexFunction):
    """Slots with gaps, a slot beyond every arity, and all children of the same state."""

    def __init__(self) -> None:
        self.w = linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        slots = [v.gather(k, h=3).h for k in (0, 2, 3, 9)]
        every = v.gather(h=3).h
        h = ops.tanh(v.pull("x", 3) + slots[0] * slots[1] + self.w(slots[2]) - slots[3])
        h = h + (every * slots[1]).mean()
        v.scatter(h=h)
        v.push(h=h, third=slots[2])


@listed
class SeveralStates(cavs.VertexFunction):
    """States of several sizes; one that no output needs, one that nobody gathers."""

    def __init__(self) -> None:
        self.w, self.dead = linear(5, 4), linear(2, 2)

    def forward(self, v: cavs.Vertex) -> None:
        a, b, count, dead = v.gather(a=4, b=1, count=(), dead=2)
        size = 1.0 + count.sum()
        z = ops.concat([a.sum(), b.mean()])
        new = ops.tanh(self.w(z) + v.pull("x", 4) / size)
        gone = ops.tanh(self.dead(dead.sum() + 1.0))
        v.scatter(a=new, b=ops.sum(new, keepdims=True) * 0.1, count=size, dead=gone, nobody=new)
        v.push(a=new, size=size)


@listed
class Depth(cavs.VertexFunction):
    """Scalar states: depth, number of leaves, with constants only."""

    def forward(self, v: cavs.Vertex) -> None:
        children = v.gather(depth=(), leaves=())
        leaves = ops.maximum(children.leaves.sum(), 1.0)
        depth = children.depth.max() + v.pull("step")
        v.scatter(depth=depth, leaves=leaves)
        v.push(depth=depth, leaves=leaves)


@listed
class Elementwise(cavs.VertexFunction):
    """Every elementwise operation, constants on either side, more values than registers."""

    def __init__(self) -> None:
        self.w = parameter(3)

    def forward(self, v: cavs.Vertex) -> None:
        x, h = v.pull("x", 3), v.gather(h=3).h
        y = ops.square(x) + 0.5
        terms = [
            ops.exp(-y),
            ops.log(y),
            ops.sqrt(y),
            ops.rsqrt(y),
            ops.reciprocal(y),
            ops.abs(x) * ops.sign(self.w),
            ops.sigmoid(x) * ops.tanh(x),
            ops.relu(x) + ops.softplus(x),
            ops.maximum(x, self.w) - ops.minimum(x, y),
            ops.clip(x, -0.5, 0.75),
            ops.where(ops.greater(x, 0.0), x / y, 2.0 - x),
            ops.greater_equal(x, self.w) * y + ops.less(x, y) - ops.less_equal(x, 0.25),
            ops.equal(x, x) / 3.0,
            ops.squared_error(x, self.w),
            ops.binary_cross_entropy_with_logits(x, ops.sigmoid(self.w)),
            ops.erfinv(0.9 * ops.tanh(x)),
        ]
        products = [a * b for a, b in zip(terms, terms[3:], strict=False)]
        total = terms[0]
        for term in [*terms[1:], *products]:
            total = total + term
        new = ops.tanh(0.1 * total + (ops.relu(h) - ops.abs(h * self.w)).sum())
        v.scatter(h=new)
        v.push(h=new, total=total, **{f"term{i}": term for i, term in enumerate(terms)})


@listed
class Losses(cavs.VertexFunction):
    """All losses; logits of a parameter, of vertices, of edges; targets that are inputs."""

    def __init__(self) -> None:
        self.prior, self.w = parameter(CLASSES), linear(3, CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        label, target = v.pull("label", dtype="int32"), v.pull("target", 3)
        h = ops.tanh(v.pull("x", 3) + v.gather(h=3).h.sum())
        v.scatter(h=h)
        v.push(
            prior=ops.cross_entropy(self.prior, label),
            loss=ops.cross_entropy(self.w(h), label) * ops.sum(target),
            binary=ops.sum(ops.binary_cross_entropy_with_logits(h, ops.sigmoid(target))),
            squared=ops.mean(ops.squared_error(h, target)),
        )


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
        rows = [x.sum() if x.space == "edge" else x for x in drawn]
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
        if x.space == "edge":
            name = ["sum", "mean", "max", "softmax"][int(rng.integers(4))]
            return ops.tanh(getattr(x, name)())
        return ops.tanh(x * self.a + ops.sigmoid(self.b - self.a))

    def _matrix(self, x: Any) -> Any:
        m = ops.reshape(x, (1, self.size))
        return ops.reshape(ops.matmul(m, self.u.weight), self.size)
