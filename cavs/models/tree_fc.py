"""Tree-FC: a fully connected layer on every vertex of a binary tree."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._sizes import check_sizes


class TreeFC(cavs.VertexFunction):
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
        self.w = nn.Linear(embedding_size, hidden_size)
        self.u = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.classifier = nn.Linear(hidden_size, num_classes)
        self.dropout = dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout, by=embedding_dropout_by)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        left = v.gather(0, h=self.hidden_size).h
        right = v.gather(1, h=self.hidden_size).h
        h = ops.tanh(self.w(x) + self.u(ops.concat([left, right])))
        v.scatter(h=h)
        logits = self.classifier(ops.dropout(h, self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
