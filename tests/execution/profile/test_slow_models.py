"""Models typed as a new user would: the report names the line that costs; to heed it leaves less
to compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops

TREES = cavs.batch([cavs.InputGraph([[], [], [0, 1], [], [2, 3]])] * 40)
CHAINS = cavs.batch([cavs.InputGraph([[], [0], [1], [2], [3]])] * 40)
DRAW = np.random.default_rng(0)
ROWS = TREES.num_vertices
IDS = {
    "word": (DRAW.zipf(1.4, ROWS) % 50).astype(np.int32),
    "tag": DRAW.integers(0, 5, ROWS).astype(np.int32),
}


def work(profile: cavs.Profile) -> int:
    return sum(r.flops for r in profile.records if r.direction == "inference")


def reasons(profile: cavs.Profile, name: str) -> list[tuple[str, str]]:
    """Reasons and lines of a pass, most work first."""
    return [(x.words, x.text) for x in profile.refused["training"] if x.name == name and x.where]


def explain(function: Any, graphs: cavs.GraphBatch, inputs: Mapping[str, Any]) -> cavs.Profile:
    return cavs.compile(function).explain(graphs, loss="loss", repeats=1, **inputs)


class OfVectors(cavs.VertexFunction):
    """Word vectors come as floats, and stand beside the state in one row."""

    def __init__(self) -> None:
        self.cell, self.classifier = nn.Linear(32 + 16, 16), nn.Linear(16, 5)

    def forward(self, v: cavs.Vertex) -> None:
        row = ops.concat([v.pull("vector", 32), v.gather(h=16).h.sum()])
        h = ops.tanh(self.cell(row))
        v.scatter(h=h)
        v.push(loss=ops.cross_entropy(self.classifier(h), v.pull("tag", dtype="int32")))


class OfWords(OfVectors):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 32)
        self.w, self.u = nn.Linear(32, 16), nn.Linear(16, 16, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.w(self.table(v.pull("word", dtype="int32")))
        h = ops.tanh(x + self.u(v.gather(h=16).h.sum()))
        v.scatter(h=h)
        v.push(loss=ops.cross_entropy(self.classifier(h), v.pull("tag", dtype="int32")))


def test_vectors_in_place_of_ids() -> None:
    vectors = DRAW.normal(size=(50, 32)).astype(np.float32)[IDS["word"]]
    profile = explain(OfVectors(), TREES, {"vector": vectors, "tag": IDS["tag"]})
    (said, line), *_ = reasons(profile, "unique_pulls")
    assert said == "equal rows of the float input 'vector' are not looked for, as those of ids are"
    assert line == "h = ops.tanh(self.cell(row))"
    (said, again), *_ = reasons(profile, "hoist")
    assert said.startswith("multiplies the float input 'vector' beside 'h' of children in one row")
    assert again == line
    mended = explain(OfWords(), TREES, IDS)
    assert not any("float input" in said for said, _ in reasons(mended, "unique_pulls"))
    assert not any("in one row" in said for said, _ in reasons(mended, "hoist"))
    assert work(mended) < work(profile) / 2


class Attentive(cavs.VertexFunction):
    """Scores of children by a product of child and word together."""

    def __init__(self) -> None:
        self.words, self.weigh = nn.Embedding(50, 16), nn.Linear(16, 1)
        self.score, self.child = nn.Linear(32, 16), nn.Linear(16, 16)
        self.own = nn.Linear(16, 16, bias=False)

    def mixed(self, x: Any, h: Any) -> Any:
        return self.score(ops.concat([h, h * x]))

    def forward(self, v: cavs.Vertex) -> None:
        x = self.words(v.pull("word", dtype="int32"))
        children = v.gather(h=16)
        weights = self.weigh(ops.tanh(self.mixed(x, children.h))).softmax()
        h = ops.tanh(x + (weights * children.h).sum())
        v.scatter(h=h)
        v.push(loss=h.sum())


class Apart(Attentive):
    def mixed(self, x: Any, h: Any) -> Any:
        return self.child(h) + self.own(x)


def test_a_product_of_the_child_beside_the_word() -> None:
    profile = explain(Attentive(), TREES, {"word": IDS["word"]})
    (said, line), *_ = reasons(profile, "commute_gather")
    assert said == "depends on more than the child: on the id 'word' of vertices"
    assert line == "return self.score(ops.concat([h, h * x]))"
    mended = explain(Apart(), TREES, {"word": IDS["word"]})
    assert not any("self.child" in line for _, line in reasons(mended, "commute_gather"))
    assert work(mended) < work(profile)


class Weighed(cavs.VertexFunction):
    """A word's embedding is weighed before it is multiplied, one long chain at a time."""

    def __init__(self) -> None:
        self.words, self.deep = nn.Embedding(50, 16), nn.Linear(16, 64)
        self.w, self.u = nn.Linear(64, 16), nn.Linear(16, 16, bias=False)

    def word(self, v: cavs.Vertex) -> Any:
        return self.deep(self.words(v.pull("word", dtype="int32")) * v.pull("confidence"))

    def forward(self, v: cavs.Vertex) -> None:
        h = ops.tanh(self.w(self.word(v)) + self.u(v.gather(0, h=16).h))
        v.scatter(h=h)
        v.push(loss=h.sum())


class WeighedLater(Weighed):
    def word(self, v: cavs.Vertex) -> Any:
        return self.deep(self.words(v.pull("word", dtype="int32"))) * v.pull("confidence")


def test_a_float_beside_an_embedding_in_one_long_chain() -> None:
    inputs = {"word": IDS["word"], "confidence": DRAW.random(ROWS).astype(np.float32)}
    chain = cavs.InputGraph([[], *([i] for i in range(ROWS - 1))])
    profile = explain(Weighed(), cavs.batch([chain]), inputs)
    (said, line), *_ = reasons(profile, "unique_pulls")
    assert said == "joins 'word' with the float input 'confidence', which is no id"
    assert line.startswith('return self.deep(self.words(v.pull("word", dtype="int32")) * ')
    (batching,) = [x.words for x in profile.refused["training"] if x.name == "batching"]
    assert batching.endswith("few: more graphs in a call make batches larger")
    mended = explain(WeighedLater(), CHAINS, inputs)
    (batching,) = [x.words for x in mended.refused["training"] if x.name == "batching"]
    assert "few" not in batching
    assert work(mended) < work(profile)
