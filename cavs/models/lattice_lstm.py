"""Lattice LSTM (Zhang & Yang 2018): characters on the vertices of a chain, words on its edges."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import WordClassifier


class LatticeLSTM(WordClassifier):
    """Character LSTM that words flow into, with a classifier on every vertex.

    Vertex j stands after character j. One edge leads to it from j - 1, and one from each earlier
    vertex b such that the characters b + 1 .. j are a word. With x_j the character's embedding,
    h', c' the states of j - 1, and for each word x_bj its embedding and h_b, c_b the states where
    it begins (all products with weights and biases of their own; section 3.3 of the paper)::

        i, f, o, g     = sigmoid, sigmoid, sigmoid, tanh (W x_j + U h' + b)
        iw, fw, gw     = sigmoid, sigmoid, tanh (W_w x_bj + U_w h_b + b_w)      for each word
        cw             = fw * c_b + iw * gw
        l              = sigmoid(W_l x_j + U_l cw + b_l)
        c = (exp(i) * g + sum_b exp(l) * cw) / (exp(i) + sum_b exp(l))          with words
        c = f * c' + i * g                                                      without
        h = o * tanh(c)

    One embedding holds characters and words. The id of an edge from j - 1 repeats the character,
    and is not read.

    `dropout` drops h before the classifier, `embedding_dropout` drops the embeddings of characters
    and words, by vertex (an edge's word: by edge) or by id (:func:`cavs.ops.dropout`); None: as
    `dropout`, since the paper drops them (section 4.1).

    Inputs: ``character``, ``label``: int32 per vertex, -1 for none; ``word``: int32 per edge;
    ``kind``: per edge, 1 for a word and 0 for the edge from j - 1.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    _word = "character"

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float | None = None,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        super().__init__(
            vocab_size,
            embedding_size,
            hidden_size,
            num_classes,
            dropout=dropout,
            embedding_dropout=dropout if embedding_dropout is None else embedding_dropout,
            embedding_dropout_by=embedding_dropout_by,
        )

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.w_word = nn.Linear(embedding_size, 3 * hidden_size)
        self.u_word = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.w_link = nn.Linear(embedding_size, hidden_size)
        self.u_link = nn.Linear(hidden_size, hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        x_word = self.embedding_dropout(self.embedding(v.pull_edge("word", dtype="int32")))
        is_word = v.pull_edge("kind")
        children = v.gather(h=self.hidden_size, c=self.hidden_size)

        from_before = 1 - is_word
        h_before = (from_before * children.h).sum()
        c_before = (from_before * children.c).sum()
        i, f, o, g = ops.split(self.w(x) + self.u(h_before), 4)
        i, g = ops.sigmoid(i), ops.tanh(g)

        iw, fw, gw = ops.split(self.w_word(x_word) + self.u_word(children.h), 3)
        c_word = ops.sigmoid(fw) * children.c + ops.sigmoid(iw) * ops.tanh(gw)
        link = ops.sigmoid(self.w_link(x) + self.u_link(c_word))
        weight = is_word * ops.exp(link)
        own = ops.exp(i)
        with_words = (own * g + (weight * c_word).sum()) / (own + weight.sum())

        c = ops.where(is_word.sum(), with_words, ops.sigmoid(f) * c_before + i * g)
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        return h
