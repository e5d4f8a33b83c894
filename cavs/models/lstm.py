"""LSTM over chains (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._sizes import check_sizes


class LSTM(cavs.VertexFunction):
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
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.classifier = nn.Linear(hidden_size, num_classes)
        self.dropout = dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout, by=embedding_dropout_by)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        before = v.gather(0, h=self.hidden_size, c=self.hidden_size)
        i, f, g, o = ops.split(self.w(x) + self.u(before.h), 4)
        c = ops.sigmoid(f) * before.c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        logits = self.classifier(ops.dropout(h, self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
