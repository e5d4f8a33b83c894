"""Functions of several integer pulls, whose values are joined, added and multiplied."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from vertex_functions.base import CLASSES, IDS, embedding, linear, listed


def biased(size_in: int, size_out: int) -> nn.Linear:
    """A layer that gives other numbers than zeros for zeros, which no input is."""
    layer = linear(size_in, size_out)
    nn.init.normal_(layer.bias)
    return layer


@listed
class Pairs(cavs.VertexFunction):
    """A cell over a word and a tag beside it; the tag alone is read as well."""

    def __init__(self) -> None:
        self.words, self.tags = embedding(IDS, 3), embedding(IDS, 2)
        self.w, self.deep = biased(5, 8), biased(4, 4)
        self.u, self.tag = linear(4, 8, bias=False), biased(2, 4)
        self.classifier = biased(4, CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        tag = self.tags(v.pull("tag", dtype="int32"))
        x = ops.concat([self.words(v.pull("word", dtype="int32")), tag])
        children = v.gather(h=4).h
        gate, own = ops.split(self.w(x) + self.u(children.sum()), 2)
        h = ops.sigmoid(gate) * ops.tanh(own) + self.deep(ops.tanh(children)).max()
        v.scatter(h=h)
        logits = self.classifier(h) * self.tag(tag)
        label = v.pull("label", dtype="int32")
        v.push(h=h, x=x, loss=ops.cross_entropy(logits, label))


@listed
class Triples(cavs.VertexFunction):
    """Pairs within triples, of vertices, edges and graphs; some meet what has rows of its own."""

    def __init__(self) -> None:
        self.tables = [embedding(IDS, 4) for _ in range(3)]
        self.layers = {name: biased(4, 4) for name in ("pair", "all", "drop", "edge", "graph", "u")}
        self.three = biased(12, 4)
        self.classifier = biased(4, CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        def ids(*names: str, of: Any = v.pull) -> list[Any]:
            pulled = [of(name, dtype="int32") for name in names]
            return [table(x) for table, x in zip(self.tables, pulled, strict=False)]

        layers = self.layers
        word, tag, case = ids("word", "tag", "case")
        pair = ops.tanh(layers["pair"](word + tag))
        all_three = ops.tanh(self.three(ops.concat([word, tag, case])) + pair)
        dropped = layers["drop"](ops.dropout(tag * case, 0.3, by="id"))
        apart = layers["drop"](ops.dropout(word * case, 0.3))  # a row's own sample
        relation, kind = ids("relation", "kind", of=v.pull_edge)
        topic, year = ids("topic", "year", of=v.pull_graph)
        edge, graph = layers["edge"](relation * kind), layers["graph"](topic - year)
        h = v.gather(h=4, pair=4)
        below = (layers["u"](h.h) * edge + layers["edge"](word * edge) + h.pair).sum()
        own = ops.tanh(all_three + below + graph * layers["graph"](word * graph))
        v.scatter(h=own, pair=layers["all"](pair * tag))
        logits = self.classifier(all_three)
        v.push(
            h=own,
            random=dropped + apart,
            sums=word - case,
            edge=edge,
            loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")),
        )
