"""Tree-LSTMs (Tai et al. 2015) with a classifier on every vertex.

The paper names dropout with a rate of 0.5 as its regularisation; its published code drops the input
of the classifier, and nothing else.
"""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import WordClassifier, check_sizes


class ChildSumTreeLSTM(WordClassifier):
    """Child-sum Tree-LSTM (Tai et al. 2015, eqs. 2-8): any number of children, in any order.

    With x the embedding of the vertex's word (zeros where it has none) and k over its children::

        h~  = sum_k h_k
        i   = sigmoid(W_i x + U_i h~ + b_i)        o = sigmoid(W_o x + U_o h~ + b_o)
        u   = tanh(W_u x + U_u h~ + b_u)
        f_k = sigmoid(W_f x + U_f h_k + b_f)
        c   = i * u + sum_k f_k * c_k              h = o * tanh(c)

    `dropout` drops h before the classifier, `embedding_dropout` drops x, by vertex or by id
    (:func:`cavs.ops.dropout`).

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w_iou = nn.Linear(embedding_size, 3 * hidden_size)
        self.u_iou = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.w_f = nn.Linear(embedding_size, hidden_size)
        self.u_f = nn.Linear(hidden_size, hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        children = v.gather(h=self.hidden_size, c=self.hidden_size)
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(children.h.sum()), 3)
        f = ops.sigmoid(self.w_f(x) + self.u_f(children.h))  # one row per child
        c = ops.sigmoid(i) * ops.tanh(u) + (f * children.c).sum()
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        return h


class NaryTreeLSTM(WordClassifier):
    """N-ary Tree-LSTM (Tai et al. 2015, eqs. 9-14): at most `arity` children, their order counts.

    With x the embedding of the vertex's word and h_l, c_l the states of child l, zeros where there
    is none; each child has weights of its own::

        i   = sigmoid(W_i x + sum_l U_i,l h_l + b_i)     o, u likewise (u with tanh)
        f_k = sigmoid(W_f x + sum_l U_f,kl h_l + b_f)
        c   = i * u + sum_l f_l * c_l                    h = o * tanh(c)

    ``u_iou.weight`` is (3 hidden, arity hidden): the U_l side by side; ``u_f.weight`` is
    (arity hidden, arity hidden): the U_kl, k down and l across.

    `dropout` drops h before the classifier, `embedding_dropout` drops x, by vertex or by id
    (:func:`cavs.ops.dropout`).

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        arity: int = 2,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        check_sizes(arity=arity)
        self.arity = arity
        super().__init__(
            vocab_size,
            embedding_size,
            hidden_size,
            num_classes,
            dropout=dropout,
            embedding_dropout=embedding_dropout,
            embedding_dropout_by=embedding_dropout_by,
        )

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        arity = self.arity
        self.w_iou = nn.Linear(embedding_size, 3 * hidden_size)
        self.u_iou = nn.Linear(arity * hidden_size, 3 * hidden_size, bias=False)
        self.w_f = nn.Linear(embedding_size, hidden_size)
        self.u_f = nn.Linear(arity * hidden_size, arity * hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        sizes = {"h": self.hidden_size, "c": self.hidden_size}
        children = [v.gather(k, **sizes) for k in range(self.arity)]
        hs = ops.concat([child.h for child in children])
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(hs), 3)
        c = ops.sigmoid(i) * ops.tanh(u)
        w_f = self.w_f(x)
        for child, u_f in zip(children, ops.split(self.u_f(hs), self.arity), strict=True):
            c = c + ops.sigmoid(w_f + u_f) * child.c
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        return h
