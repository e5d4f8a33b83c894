"""A model of one's own for ``cavs train``: each vertex attends to its children.

    cavs train examples/own_model.py:AttentiveTree --task trees --arg sharpness=2 --output runs/own
    cavs evaluate runs/own/best.safetensors --model examples/own_model.py:AttentiveTree

The constructor takes the arguments that the task `trees` gives its own models, by their names, and
`sharpness`.
"""

from __future__ import annotations

import cavs
from cavs import nn, ops


class AttentiveTree(cavs.VertexFunction):
    """h = tanh(W x + U sum_k a_k h_k), where a is the softmax over the children of v . h_k times
    `sharpness`; with a classifier on every vertex."""

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
        sharpness: float = 1.0,
    ) -> None:
        self.hidden_size, self.dropout, self.sharpness = hidden_size, dropout, sharpness
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.embedding_dropout = nn.Dropout(embedding_dropout, by=embedding_dropout_by)
        self.w = nn.Linear(embedding_size, hidden_size)
        self.u = nn.Linear(hidden_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        self.classifier = nn.Linear(hidden_size, num_classes)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        children = v.gather(h=self.hidden_size).h
        weight = (self.score(children) * self.sharpness).softmax()  # over the children
        h = ops.tanh(self.w(x) + self.u((weight * children).sum()))
        v.scatter(h=h)
        logits = self.classifier(ops.dropout(h, self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
