"""Functions over trees, lattices and other graphs: children by sum, position, segment, and inputs
of vertices, edges and graphs."""

from __future__ import annotations

import cavs
from cavs import ops
from vertex_functions.base import CLASSES, IDS, embedding, linear, listed, parameter


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
class LastChildren(cavs.VertexFunction):
    """Children counted from the last one back: one state by the last alone, one by both ends and
    all children, one by the last but one, of which none stands beside it."""

    def __init__(self) -> None:
        self.w, self.u = linear(3, 3), linear(3, 3, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        last, before = v.gather(-1, a=3, b=3, d=3), v.gather(-2, b=3, c=3, d=3)
        first, every = v.gather(0, b=3).b, v.gather(b=3).b
        h = ops.tanh(self.w(x) + self.u(last.a) + last.b * before.b + first + every.sum())
        h = h + before.c * 0.5 - last.d * before.d
        v.scatter(a=h, b=ops.tanh(h), c=h * 2.0, d=ops.sigmoid(h))
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
        new = new + ops.tanh(e.logsumexp()) - ops.tanh(h.logsumexp(-1).logsumexp())
        repeated = ops.segment_sum(x) + ops.segment_mean(x * 2.0)
        repeated = repeated + ops.sigmoid(ops.segment_logsumexp(x))
        v.scatter(h=new)
        v.push(new=new, top=top, mixed=mixed, repeated=repeated, weights=attention)


@listed
class Siblings(cavs.VertexFunction):
    """Softmaxes over the children of what is elsewhere a matter of one edge alone: a function of
    the child's state, of an id, of what a mask leaves out afterwards."""

    def __init__(self) -> None:
        self.embedding = embedding(IDS, 4)
        self.w, self.u = linear(4, 4), linear(4, 4, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        h, mask = v.gather(h=4).h, v.pull_edge("mask")
        relation = self.embedding(v.pull_edge("relation", dtype="int32"))
        of_states = self.w(h).softmax()
        masked = mask * self.u(ops.tanh(h)).softmax()
        new = (of_states * relation.softmax() + masked).sum()
        v.scatter(h=ops.tanh(new + v.pull("x", 4)))
        v.push(h=new, of_states=of_states, direct=h.softmax() * 2.0)


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
class ScatteredInputs(cavs.VertexFunction):
    """Inputs go as they are to the parents and to the caller."""

    def forward(self, v: cavs.Vertex) -> None:
        x, style = v.pull("x", 3), v.pull_graph("style", 3)
        v.scatter(x=x, style=style)
        children = v.gather(x=3, style=3)
        v.push(x=x, style=style, total=children.x.sum(), edges=children.x, first=v.gather(0, x=3).x)
        v.push(product=(children.x * children.style).sum(), gate=v.pull_edge("gate", 3))


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
class ScalarSlots(cavs.VertexFunction):
    """The gradient from one output reads another form of what the gradient from all does."""

    def __init__(self) -> None:
        self.w = linear(1, 1)

    def forward(self, v: cavs.Vertex) -> None:
        first, second = v.gather(0, s=()).s, v.gather(1, s=()).s
        half = second * 0.5
        v.scatter(s=ops.tanh(ops.reshape(self.w(ops.reshape(half, (1,))), ()) + v.pull("step")))
        v.push(tanh=ops.tanh(half), first=first, second=second)


@listed
class Depth(cavs.VertexFunction):
    """Scalar states: depth, number of leaves, with constants only."""

    def forward(self, v: cavs.Vertex) -> None:
        children = v.gather(depth=(), leaves=())
        leaves = ops.maximum(children.leaves.sum(), 1.0)
        depth = children.depth.max() + v.pull("step")
        v.scatter(depth=depth, leaves=leaves)
        v.push(depth=depth, leaves=leaves)
