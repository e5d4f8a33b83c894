"""Tree-FC: a fully connected layer on every vertex of a binary tree."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import WordClassifier


class TreeFC(WordClassifier):
    """The fully connected cell that dynamic-batching systems are measured with (Looks et al. 2017;
    Xu et al. 2018), over trees with at most two children.

    With x the embedding of the vertex's word (zeros where it has none)::

        h = tanh(W x + U_1 h_1 + U_2 h_2 + b)

    ``u.weight`` is (hidden, 2 hidden): U_1 and U_2 side by side.

    `dropout` drops h before the classifier, `embedding_dropout` drops x, by vertex or by id
    (:func:`cavs.ops.dropout`).

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    arity = 2

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w = nn.Linear(embedding_size, hidden_size)
        self.u = nn.Linear(2 * hidden_size, hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        left = v.gather(0, h=self.hidden_size).h
        right = v.gather(1, h=self.hidden_size).h
        h = ops.tanh(self.w(x) + self.u(ops.concat([left, right])))
        v.scatter(h=h)
        return h
