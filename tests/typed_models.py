"""A lattice LSTM of two types of vertices, small, with a batch for it."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import VertexFunction, nn, ops

__all__ = ["GRAPHS", "Char", "Word", "lattice", "lattice_inputs"]

HIDDEN, TAGS, IDS = 4, 3, 6


class Char(VertexFunction):
    """A character: from the one before it, and from the words that end here."""

    def __init__(self, embedding: nn.Embedding) -> None:
        self.embedding = embedding
        self.w = nn.Linear(3, 4 * HIDDEN)
        self.u = nn.Linear(HIDDEN, 4 * HIDDEN, bias=False)
        self.u_word = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.classifier = nn.Linear(HIDDEN, TAGS)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("character", dtype="int32"))
        before = v.gather(0, of="char", h=HIDDEN, c=HIDDEN)
        words = v.gather(of="word", c=HIDDEN)
        i, f, o, g = ops.split(self.w(x) + self.u(before.h), 4)
        weight = ops.exp(ops.sigmoid(self.u_word(words.c)))
        from_words = (weight * words.c).sum() / (1.0 + weight.sum())
        c = ops.sigmoid(f) * before.c + ops.sigmoid(i) * ops.tanh(g) + from_words
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        logits = self.classifier(h)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


class Word(VertexFunction):
    """A word, from the character that it begins behind."""

    def __init__(self, embedding: nn.Embedding) -> None:
        self.embedding = embedding
        self.w = nn.Linear(3, 2 * HIDDEN)

    def forward(self, v: cavs.Vertex) -> None:
        begin = v.gather(0, h=HIDDEN, c=HIDDEN)
        x = self.w(self.embedding(v.pull("word", dtype="int32")))
        i, f = ops.split(x, 2)
        v.scatter(c=ops.sigmoid(f) * begin.c + ops.sigmoid(i) * begin.h)


def lattice() -> cavs.TypedFunction:
    """The function of both types."""
    embedding = nn.Embedding(IDS, 3)
    return cavs.TypedFunction({"char": Char(embedding), "word": Word(embedding)})


GRAPHS = cavs.batch(
    [
        cavs.InputGraph(
            [[], [0], [0], [1, 2], [3], [4]], types=["char", "char", "word", "char", "char", "char"]
        ),
        cavs.InputGraph([[], [0], [1], [1, 2]], types=["char", "char", "word", "char"]),
    ]
)


def lattice_inputs(graphs: cavs.GraphBatch = GRAPHS) -> dict[str, Any]:
    """An array for each input."""
    draw = np.random.default_rng(0)
    counts = {name: len(graphs.vertices(name)) for name in ("char", "word")}
    return {
        "character": draw.integers(0, IDS, counts["char"]).astype(np.int32),
        "word": draw.integers(0, IDS, counts["word"]).astype(np.int32),
        "label": draw.integers(-1, TAGS, counts["char"]).astype(np.int32),
    }
