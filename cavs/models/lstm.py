"""LSTM over chains (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn
from cavs.models._shared import WordClassifier, lstm


class LSTM(WordClassifier):
    """LSTM with a classifier on every vertex: a tagger, or a language model.

    The child of a vertex is the vertex before it. With x the embedding of its word and h', c' the
    child's states, zeros at the start::

        i = sigmoid(W_i x + U_i h' + b_i)    f = sigmoid(W_f x + U_f h' + b_f)
        g = tanh(W_g x + U_g h' + b_g)       o = sigmoid(W_o x + U_o h' + b_o)
        c = f * c' + i * g                   h = o * tanh(c)

    ``w.weight`` and ``u.weight`` hold the gates in the order i, f, g, o, as torch.nn.LSTM does; one
    bias stands for its two.

    `dropout` drops h before the classifier, `embedding_dropout` drops x, by vertex or by id
    (:func:`cavs.ops.dropout`).

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    arity = 1

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        before = v.gather(0, h=self.hidden_size, c=self.hidden_size)
        h, c = lstm(self.w(x) + self.u(before.h), before.c)
        v.scatter(h=h, c=c)
        return h
