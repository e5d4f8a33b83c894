"""Lattice LSTM (Zhang & Yang 2018): characters and words are vertices of a type each."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import WordClassifier, check_sizes


class LatticeCharacter(WordClassifier):
    """A character of a lattice: see :class:`LatticeLSTM`, whose type ``char`` it is."""

    _word = "character"

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.w_link = nn.Linear(embedding_size, hidden_size)
        self.u_link = nn.Linear(hidden_size, hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        before = v.gather(0, of="char", h=self.hidden_size, c=self.hidden_size)
        words = v.gather(of="word", c=self.hidden_size)
        i, f, o, g = ops.split(self.w(x) + self.u(before.h), 4)
        i, g = ops.sigmoid(i), ops.tanh(g)

        weight = ops.exp(ops.sigmoid(self.w_link(x) + self.u_link(words.c)))  # one row per word
        own, of_words = ops.exp(i), weight.sum()
        with_words = (own * g + (weight * words.c).sum()) / (own + of_words)

        # Without words their weights are an empty sum, and else each is at least 1.
        c = ops.where(of_words, with_words, ops.sigmoid(f) * before.c + i * g)
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        return h


class LatticeWord(cavs.VertexFunction):
    """A word of a lattice: see :class:`LatticeLSTM`, whose type ``word`` it is."""

    def __init__(
        self,
        num_words: int,
        embedding_size: int,
        hidden_size: int,
        *,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(num_words, embedding_size)
        self.w = nn.Linear(embedding_size, 3 * hidden_size)
        self.u = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.embedding_dropout = nn.Dropout(embedding_dropout, by=embedding_dropout_by)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        begin = v.gather(0, of="char", h=self.hidden_size, c=self.hidden_size)
        i, f, g = ops.split(self.w(x) + self.u(begin.h), 3)
        v.scatter(c=ops.sigmoid(f) * begin.c + ops.sigmoid(i) * ops.tanh(g))


class LatticeLSTM(cavs.TypedFunction):
    """Character LSTM that words flow into, with a classifier on every character.

    Vertices are of the types ``char`` and ``word``. The children of a character are the one before
    it and the words that end with it; the child of a word is the character that it begins behind.
    With x_j a character's embedding, h', c' the states of the character before, and for each word
    b that ends at j its embedding x_bj, and h_b, c_b the states of the character that it begins
    behind (all products with weights and biases of their own; section 3.3 of the paper)::

        iw, fw, gw     = sigmoid, sigmoid, tanh (W_w x_bj + U_w h_b + b_w)      of each word
        cw             = fw * c_b + iw * gw

        i, f, o, g     = sigmoid, sigmoid, sigmoid, tanh (W x_j + U h' + b)     of each character
        l              = sigmoid(W_l x_j + U_l cw + b_l)                        of each of its words
        c = (exp(i) * g + sum_b exp(l) * cw) / (exp(i) + sum_b exp(l))          with words
        c = f * c' + i * g                                                      without
        h = o * tanh(c)

    `dropout` drops h before the classifier, `embedding_dropout` drops the embeddings of characters
    and words, by vertex or by id (:func:`cavs.ops.dropout`); None: as `dropout`, since the paper
    drops them (section 4.1).

    Inputs: ``character``, ``label``: int32 per character, -1 for none; ``word``: int32 per word,
    -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per character.

    Raises:
      ShapeError: a size that is no integer of 1 or more.
    """

    def __init__(
        self,
        num_characters: int,
        num_words: int,
        embedding_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float | None = None,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        check_sizes(
            num_characters=num_characters,
            num_words=num_words,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_classes=num_classes,
        )
        of_embeddings: dict[str, Any] = {
            "embedding_dropout": dropout if embedding_dropout is None else embedding_dropout,
            "embedding_dropout_by": embedding_dropout_by,
        }
        sizes = embedding_size, hidden_size
        super().__init__(
            {
                "char": LatticeCharacter(
                    num_characters, *sizes, num_classes, dropout=dropout, **of_embeddings
                ),
                "word": LatticeWord(num_words, *sizes, **of_embeddings),
            }
        )
