"""Functions that together use every operation."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from vertex_functions.base import CLASSES, IDS, embedding, linear, listed, parameter


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
            part=square[..., 1:5],
            flat=ops.reshape(ops.reshape(square, (3, 4)), (12,)),
            h=new,
            one=gates[4:5],
        )


@listed
class Framed(cavs.VertexFunction):
    """What is made of a concatenation stands within a longer one, an element further on."""

    def forward(self, v: cavs.Vertex) -> None:
        first, below = v.pull("first", 1), v.gather(0, h=17).h
        inner = ops.sigmoid(ops.concat([first, below, first]))
        v.scatter(h=ops.tanh(v.pull("x", 17)))
        v.push(framed=ops.concat([first, inner, first]))


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
    """Sums, means and maxima over features, both softmaxes and what they normalise by, on vertices
    and edges."""

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
            total_log=ops.logsumexp(m) - m.logsumexp(),
            kept_log=h.logsumexp(axis=-1, keepdims=True) + m.logsumexp(-1).sum(),
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
class Missing(cavs.VertexFunction):
    """Products with rows of embeddings that dropout, scaling, joins of several ids, and moves to
    edges and from graphs stand between, and products that only a label reads."""

    def __init__(self) -> None:
        self.word, self.tag = embedding(IDS, 4), embedding(IDS, 4)
        self.w, self.u, self.v = linear(4, 4), linear(4, 4, bias=False), linear(8, 4)
        self.edges, self.out = linear(4, 4), linear(4, CLASSES)
        self.matrix = parameter(2, 3)

    def forward(self, v: cavs.Vertex) -> None:
        word = ops.dropout(self.word(v.pull("word", dtype="int32")), 0.4)
        tag = self.tag(v.pull("tag", dtype="int32")) * v.pull("x", 4)
        topic = ops.dropout(self.word(v.pull_graph("topic", dtype="int32")), 0.3)
        relation = ops.dropout(self.tag(v.pull_edge("relation", dtype="int32")), 0.2)
        h = v.gather(h=4).h
        square = ops.matmul(ops.reshape(word, (2, 2)), self.matrix)
        vertex = self.w(word) + self.u(tag + word) + self.v(ops.concat([word, tag]))
        edge = self.edges(relation) * h + self.u(word * h) + self.u(h) * relation
        both = self.w(word * tag) + self.w(topic * word)
        new = ops.tanh(vertex + both + edge.sum() + ops.sum(square))
        v.scatter(h=new)
        logits = self.out(new)
        labels = v.pull("label", dtype="int32"), v.pull_edge("edge_label", dtype="int32")
        v.push(h=new, square=square, loss=ops.cross_entropy(logits, labels[0]))
        v.push(edges=ops.cross_entropy(self.out(relation + h), labels[1]))


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
class DroppedEverywhere(cavs.VertexFunction):
    """Dropout of an input, a row of an embedding, a state, an edge, a value of the graph, of
    dropout, of samples and of what is scattered and pushed."""

    def __init__(self) -> None:
        self.table, self.w = embedding(IDS, 3), linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x = ops.dropout(v.pull("x", 3), 0.4)
        word = ops.dropout(ops.dropout(self.table(v.pull("word", dtype="int32")), 0.2), 0.3)
        style = ops.dropout(v.pull_graph("style", 3), 0.5)
        h = ops.dropout(v.gather(h=3).h, 0.4) * v.pull_edge("gate", 3)
        noise = ops.dropout(v.normal(3), 0.1)
        new = ops.tanh(self.w(x) + word * style + h.sum() + noise)
        v.scatter(h=ops.dropout(new, 0.5))
        v.push(h=ops.dropout(new, 0.5), x=x, edges=h, noise=v.uniform(2))


@listed
class DropoutsById(cavs.VertexFunction):
    """Dropout by one id or by several, of vertices, edges and graphs."""

    def __init__(self) -> None:
        self.w, self.table, self.relations = linear(17, 17), embedding(IDS, 17), embedding(IDS, 17)

    def forward(self, v: cavs.Vertex) -> None:
        drop, table = nn.Dropout(0.4, by="id"), self.table
        word = table(v.pull("word", dtype="int32"))
        relation = self.relations(v.pull_edge("relation", dtype="int32"))
        topic = table(v.pull_graph("topic", dtype="int32"))
        one, again = drop(self.w(word)), drop(self.w(word))
        style = drop(self.w(topic))
        edge = drop(relation)
        pair = drop(relation + word)
        three = drop(word * topic - table(v.pull("tag", dtype="int32")))
        children = v.gather(h=17).h
        h = ops.tanh(one + style + self.w(three) + (self.w(children) * edge + pair).sum())
        v.scatter(h=h)
        v.push(h=h, one=one, again=again, style=style, edge=edge, pair=pair, three=three)


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
            ops.sin(x) * ops.cos(y) + ops.erf(x),
            ops.gelu(x) - ops.silu(y) + ops.elu(x, 0.5) * ops.leaky_relu(x, self.w),
            ops.log1p(y) + ops.expm1(-y),
            ops.lgamma(y) * ops.digamma(y) + ops.trigamma(y),
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
