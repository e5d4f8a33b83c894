"""DAG-RNN (Shuai et al. 2016): a recurrent network over the grid of an image, or any DAG."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes


class DAGRNN(cavs.VertexFunction):
    """Labels every vertex by its features and by the vertices upstream of it.

    In an image the children of a place are its neighbours to the west, the north and the
    north-west, for one of the four directions of the paper. With x the features of a place and k
    over its children (equations 4 and 5 of the paper, its function being tanh here)::

        h = tanh(W x + U sum_k h_k + b)        logits = V h + c

    `dropout` drops h before the classifier, `embedding_dropout` drops x, which stands in place of
    an embedding, by vertex only: there are no ids.

    Inputs: ``x`` (input_size,), float, and ``label``, int32, -1 for none, per vertex.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_classes=num_classes)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.w = nn.Linear(input_size, hidden_size)
        self.u = nn.Linear(hidden_size, hidden_size, bias=False)
        self.classifier = nn.Linear(hidden_size, num_classes)
        self.dropout = dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout, by=embedding_dropout_by)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(v.pull("x", self.input_size))
        h = ops.tanh(self.w(x) + self.u(v.gather(h=self.hidden_size).h.sum()))
        v.scatter(h=h)
        logits = self.classifier(ops.dropout(h, self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
