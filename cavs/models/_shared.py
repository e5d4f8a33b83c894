"""What models share: checks of sizes, the LSTM of a chain, a classifier of words' states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs._arguments import integer
from cavs.errors import ShapeError


def check_sizes(**sizes: Any) -> None:
    """Raises ShapeError for a size that is no integer of 1 or more, and names it."""
    for name, value in sizes.items():
        integer("models", name, value, 1, error=ShapeError)


def set_pixel_means(bias: nn.Parameter | None, means: Any) -> None:
    """Sets the bias of logits so that pixels are 1 as often as `means`, of its shape, say."""
    p = np.clip(means, 1e-3, 1 - 1e-3)
    assert bias is not None
    with bias.writing() as values:
        values[...] = np.log(p / (1 - p))


def lstm(gates: Any, before: Any) -> tuple[Any, Any]:
    """h and c of an LSTM: `gates` are i, f, g, o before their nonlinearities, `before` is the last
    c."""
    i, f, g, o = ops.split(gates, 4)
    c = ops.sigmoid(f) * before + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


class ChainReader(cavs.VertexFunction):
    """An LSTM (see :class:`cavs.models.LSTM`) that reads words from one end of a chain to the
    other, with an embedding that others may share.

    Inputs per vertex: ``word``: int32.
    Outputs per vertex: ``h``: (hidden_size,).
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        embedding_size: int,
        hidden_size: int,
        embedding_dropout: nn.Dropout | None = None,
    ) -> None:
        self.hidden_size = hidden_size
        self.embedding = embedding
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.embedding_dropout = embedding_dropout or nn.Dropout(0.0)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(h=self.state(v))

    def state(self, v: cavs.Vertex) -> Any:
        """The vertex's h, (hidden_size,)."""
        x = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        before = v.gather(0, h=self.hidden_size, c=self.hidden_size)
        h, c = lstm(self.w(x) + self.u(before.h), before.c)
        v.scatter(h=h, c=c)
        return h


class WordClassifier(cavs.VertexFunction, ABC):
    """The embedding of each vertex's word, a cell, and a classifier of the cell's state."""

    _word = "word"
    """The input that holds the words."""

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        check_sizes(
            vocab_size=vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_classes=num_classes,
        )
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self._add_cell(embedding_size, hidden_size)
        self.classifier = nn.Linear(hidden_size, num_classes)
        self.dropout = dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout, by=embedding_dropout_by)

    @abstractmethod
    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        """Makes the layers of the cell."""

    @abstractmethod
    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        """Gathers and scatters states. Returns the one to classify, (hidden_size,), by `x`, the
        word's embedding."""

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(self.embedding(v.pull(self._word, dtype="int32")))
        logits = self.classifier(ops.dropout(self._cell(v, x), self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
