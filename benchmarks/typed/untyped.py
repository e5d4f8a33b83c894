"""The same models as users write them without types."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from typed.functions import lstm, push_loss


class EveryCell(cavs.VertexFunction):
    """A tree of phrases of several types: every vertex computes the cells of all, and takes one.

    Inputs: ``word``, ``label``: int32 per vertex; ``kind``: 0 for a leaf, k for the k-th type of
    phrases.
    """

    def __init__(self, function: cavs.TypedFunction) -> None:
        self.leaf, *self.phrases = function.functions().values()

    def forward(self, v: cavs.Vertex) -> None:
        kind = v.pull("kind")
        c, h = self.leaf.cell(v)
        for number, phrase in enumerate(self.phrases, 1):
            other_c, other_h = phrase.cell(v)
            mine = ops.equal(kind, float(number))
            c, h = ops.where(mine, other_c, c), ops.where(mine, other_h, h)
        v.scatter(h=h, c=c)
        push_loss(v, self.leaf.classifier, h)


class Letters(cavs.VertexFunction):
    """Rare words one way; a chain is a word."""

    def __init__(self, given: Any) -> None:
        self.hidden = given.hidden
        self.embedding, self.w, self.u = given.embedding, given.w, given.u

    def forward(self, v: cavs.Vertex) -> None:
        h = chain(v, self, self.w(self.embedding(v.pull("letter", dtype="int32"))))
        v.push(h=h)


class Words(cavs.VertexFunction):
    """Sentences one way, of word vectors and of what the letters gave; with `tag` the second way,
    which gets the states of the first."""

    def __init__(self, function: cavs.TypedFunction, kind: str, tag: bool) -> None:
        given: dict[str, Any] = function.functions()
        self.hidden, self.letters = given[kind].hidden, given["spelled"].letters
        self.embedding: nn.Embedding = given["word"].embedding
        self.w = getattr(given["word"], f"to_{kind}")
        self.join = getattr(given["spelled"], f"join_{kind}")
        self.u = given[kind].u
        self.classifier = given["tag"].classifier if tag else None

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))  # zeros for a rare word
        h = chain(v, self, self.w(x + self.join(v.pull("letters", 2 * self.letters))))
        if self.classifier is None:
            v.push(h=h)
        else:
            push_loss(v, self.classifier, ops.concat([v.pull("before", self.hidden), h]))


def chain(v: cavs.Vertex, cell: Any, gates: Any) -> Any:
    """A step of an LSTM over a chain from what its input adds to the gates; gives h."""
    last = v.gather(0, h=cell.hidden, c=cell.hidden)
    h, c = lstm(gates + cell.u(last.h), last.c)
    v.scatter(h=h, c=c)
    return h
