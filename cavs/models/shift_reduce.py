"""Shift-reduce parser of binary trees. Its stack is a graph that grows with each decision."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._shared import ChainReader, check_sizes, lstm


class Buffer(ChainReader):
    """Reads a sentence from its end, over reversed chains: the state of a word stands for it and
    all words after it.

    Inputs per vertex: ``word``: int32.
    Outputs per vertex: ``h``: (hidden_size,).
    """


class Stack(cavs.VertexFunction):
    """An item of the stack, made from a word or from two items, and the action that follows.

    A binary Tree-LSTM (Tai et al. 2015, eqs. 9-14) computes an item's state h, c; an LSTM over the
    items from the bottom of the stack to this one (Dyer et al. 2015) computes s, m::

        h, c = TreeLSTM(x; left, right)
        s, m = LSTM(h; below)
        logits = V tanh(W [s; h; front])

    A vertex gathers from the item below it and, if it was reduced, from ``left`` and ``right``; the
    first vertex, the empty stack, gathers from none.

    Inputs per vertex: ``word``: int32, -1 where no word was shifted; ``front``: (hidden_size,), the
    state of the words to come, zeros where there are none; ``action``: int32, the right action, -1
    for none.
    Outputs per vertex: ``logits``: (2,) of `cavs.data.SHIFT` and `REDUCE`; ``loss``: () -log
    p(action).
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        embedding_size: int,
        hidden_size: int,
        embedding_dropout: nn.Dropout,
        dropout: float,
    ) -> None:
        self.embedding, self.hidden_size, self.dropout = embedding, hidden_size, dropout
        self.embedding_dropout = embedding_dropout
        self.w = nn.Linear(embedding_size, 5 * hidden_size)
        self.u_left = nn.Linear(hidden_size, 5 * hidden_size, bias=False)
        self.u_right = nn.Linear(hidden_size, 5 * hidden_size, bias=False)
        self.w_stack = nn.Linear(hidden_size, 4 * hidden_size)
        self.u_stack = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.hidden = nn.Linear(3 * hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, 2)

    def forward(self, v: cavs.Vertex) -> None:
        size = self.hidden_size
        below = v.gather(0, s=size, m=size)
        left, right = v.gather(1, h=size, c=size), v.gather(2, h=size, c=size)
        x = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        gates = self.w(x) + self.u_left(left.h) + self.u_right(right.h)
        i, f_left, f_right, o, u = ops.split(gates, 5)
        c = ops.sigmoid(f_left) * left.c + ops.sigmoid(f_right) * right.c
        c = c + ops.sigmoid(i) * ops.tanh(u)
        h = ops.sigmoid(o) * ops.tanh(c)
        s, m = lstm(self.w_stack(h) + self.u_stack(below.s), below.m)
        v.scatter(h=h, c=c, s=s, m=m)
        seen = ops.concat([s, h, v.pull("front", size)])
        logits = self.out(ops.tanh(self.hidden(ops.dropout(seen, self.dropout))))
        action = v.pull("action", dtype="int32")
        v.push(logits=logits, loss=ops.cross_entropy(logits, action))


class ShiftReduceParser(cavs.VertexProgram):
    """The buffer and the stack, which share an embedding; :func:`cavs.training.parse` runs it.

    `dropout` drops [s; h; front], from which the action is computed, `embedding_dropout` drops the
    words' embeddings, by vertex or by id (:func:`cavs.ops.dropout`), with other masks in each
    function.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int = 100,
        hidden_size: int = 100,
        *,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        check_sizes(vocab_size=vocab_size, embedding_size=embedding_size, hidden_size=hidden_size)
        embedding = nn.Embedding(vocab_size, embedding_size)
        drop = nn.Dropout(embedding_dropout, by=embedding_dropout_by)
        sizes = (embedding_size, hidden_size, drop)
        super().__init__(
            {"buffer": Buffer(embedding, *sizes), "stack": Stack(embedding, *sizes, dropout)}
        )
