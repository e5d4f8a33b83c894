"""Tree-GRU: the GRU of Cho et al. 2014 over the sum of the children's states."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import WordClassifier


class ChildSumTreeGRU(WordClassifier):
    """Child-sum Tree-GRU: any number of children, in any order.

    With x the embedding of the vertex's word (zeros where it has none) and k over its children::

        h~ = sum_k h_k
        z  = sigmoid(W_z x + U_z h~ + b_z)
        r  = sigmoid(W_r x + U_r h~ + b_r)
        n  = tanh(W_n x + U_n (r * h~) + b_n)
        h  = z * h~ + (1 - z) * n

    `dropout` drops h before the classifier, `embedding_dropout` drops x, by vertex or by id
    (:func:`cavs.ops.dropout`).

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w_zrn = nn.Linear(embedding_size, 3 * hidden_size)
        self.u_zr = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.u_n = nn.Linear(hidden_size, hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        before = v.gather(h=self.hidden_size).h.sum()
        w_z, w_r, w_n = ops.split(self.w_zrn(x), 3)
        u_z, u_r = ops.split(self.u_zr(before), 2)
        z = ops.sigmoid(w_z + u_z)
        r = ops.sigmoid(w_r + u_r)
        n = ops.tanh(w_n + self.u_n(r * before))
        h = z * before + (1 - z) * n
        v.scatter(h=h)
        return h
