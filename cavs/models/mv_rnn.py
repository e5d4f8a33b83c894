"""MV-RNN (Socher et al. 2012): a vector and a matrix on every vertex of a binary tree."""

from __future__ import annotations

import numpy as np

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes


class MVRNN(cavs.VertexFunction):
    """Matrix-vector recursive network: words change the meaning of their neighbours.

    A leaf has the vector a and the matrix A of its word. A vertex with children (a, A) and (b, B)
    has, g being tanh (section 2.3 of the paper)::

        p = g(W [B a; A b])        P = W_M [A; B]

    Here vectors are rows, so A is stored transposed: a row times A is the paper's A b, and the A
    and B of [A; B] stand side by side. A vertex with a word and children has the sum of both.
    Words' matrices start as identity with some noise, as in the paper; all of their elements are
    parameters.

    `dropout` drops p before the classifier, `embedding_dropout` drops the words' vectors, by vertex
    or by id (:func:`cavs.ops.dropout`); their matrices are never dropped.

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    arity = 2

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        check_sizes(vocab_size=vocab_size, hidden_size=hidden_size, num_classes=num_classes)
        self.hidden_size = hidden_size
        self.vectors = nn.Embedding(vocab_size, hidden_size)
        self.matrices = nn.Embedding(vocab_size, hidden_size * hidden_size, std=0.01)
        with self.matrices.weight.writing() as matrices:
            matrices += np.eye(hidden_size, dtype=np.float32).reshape(-1)
        self.w = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.w_m = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.classifier = nn.Linear(hidden_size, num_classes)
        self.dropout = dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout, by=embedding_dropout_by)

    def forward(self, v: cavs.Vertex) -> None:
        size, word = self.hidden_size, v.pull("word", dtype="int32")
        left = v.gather(0, p=size, m=(size, size))
        right = v.gather(1, p=size, m=(size, size))
        crossed = ops.concat([ops.matmul(left.p, right.m), ops.matmul(right.p, left.m)])
        p = self.embedding_dropout(self.vectors(word)) + ops.tanh(self.w(crossed))
        m = ops.reshape(self.matrices(word), (size, size))
        m = m + self.w_m(ops.concat([left.m, right.m]))
        v.scatter(p=p, m=m)
        logits = self.classifier(ops.dropout(p, self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
