"""GRU over chains (Cho et al. 2014), in the form of cuDNN and torch.nn.GRU."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import WordClassifier


class GRU(WordClassifier):
    """GRU with a classifier on every vertex: a tagger, or a language model.

    The child of a vertex is the vertex before it. With x the embedding of its word and h' the
    child's state, zeros at the start::

        r = sigmoid(W_r x + U_r h' + b_r)
        z = sigmoid(W_z x + U_z h' + b_z)
        n = tanh(W_n x + b_n + r * (U_n h' + d_n))
        h = (1 - z) * n + z * h'

    ``w.weight`` and ``u.weight`` hold the gates in the order r, z, n, and ``w.bias`` and
    ``u.bias`` the two biases, as torch.nn.GRU does; d_n is the last third of ``u.bias``.

    `dropout` drops h before the classifier, `embedding_dropout` drops x, by vertex or by id
    (:func:`cavs.ops.dropout`).

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    arity = 1

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w = nn.Linear(embedding_size, 3 * hidden_size)
        self.u = nn.Linear(hidden_size, 3 * hidden_size)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        before = v.gather(0, h=self.hidden_size).h
        w_r, w_z, w_n = ops.split(self.w(x), 3)
        u_r, u_z, u_n = ops.split(self.u(before), 3)
        r = ops.sigmoid(w_r + u_r)
        z = ops.sigmoid(w_z + u_z)
        n = ops.tanh(w_n + r * u_n)
        h = (1 - z) * n + z * before
        v.scatter(h=h)
        return h
