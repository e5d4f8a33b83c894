"""Recursive variational autoencoder of trees: a Tree-LSTM up, a latent normal at the root, and an
LSTM down that generates structure and symbols; leaves and phrases are vertices of a type each."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes, lstm


class TreeEncoder(cavs.TypedFunction):
    """N-ary Tree-LSTM (Tai et al. 2015, eqs. 9-14, with a forget gate that sees its own child
    alone) over productions, from the leaves up. Types: ``leaf``, whose states are rows of tables,
    and ``phrase``::

        [i; o; u] = W x + sum_k U_k h_k        f_k = sigmoid(W_f x + V_k h_k)
        c = sigmoid(i) tanh(u) + sum_k f_k c_k        h = sigmoid(o) tanh(c)

    Inputs per vertex: ``production``: int32.
    Outputs per vertex of type ``phrase``: ``h``: (hidden_size,).
    """

    def __init__(self, num_productions: int, num_slots: int, size: int, hidden_size: int) -> None:
        check_sizes(
            num_productions=num_productions, num_slots=num_slots, size=size, hidden_size=hidden_size
        )
        super().__init__(
            {
                "leaf": _EncodedLeaf(num_productions, hidden_size),
                "phrase": _EncodedPhrase(num_productions, num_slots, size, hidden_size),
            }
        )


class _EncodedLeaf(cavs.VertexFunction):
    """A row of two tables."""

    def __init__(self, num_productions: int, hidden_size: int) -> None:
        self.h = nn.Embedding(num_productions, hidden_size)
        self.c = nn.Embedding(num_productions, hidden_size)

    def forward(self, v: cavs.Vertex) -> None:
        production = v.pull("production", dtype="int32")
        v.scatter(h=ops.tanh(self.h(production)), c=self.c(production))


class _EncodedPhrase(cavs.VertexFunction):
    """What its children say, each in its place."""

    def __init__(self, num_productions: int, num_slots: int, size: int, hidden_size: int) -> None:
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(num_productions, size)
        self.w = nn.Linear(size, 4 * hidden_size)
        self.u = [nn.Linear(hidden_size, 4 * hidden_size, bias=False) for _ in range(num_slots)]

    def forward(self, v: cavs.Vertex) -> None:
        size = self.hidden_size
        x = self.w(self.embedding(v.pull("production", dtype="int32")))
        children = [v.gather(k, h=size, c=size) for k in range(len(self.u))]
        parts = [u(child.h) for u, child in zip(self.u, children, strict=True)]
        gates = ops.slice_last(x, 0, 3 * size)
        forget = ops.slice_last(x, 3 * size, 4 * size)
        for part in parts:
            gates = gates + ops.slice_last(part, 0, 3 * size)
        i, o, u = ops.split(gates, 3)
        c = ops.sigmoid(i) * ops.tanh(u)
        for part, child in zip(parts, children, strict=True):
            c = c + ops.sigmoid(forget + ops.slice_last(part, 3 * size, 4 * size)) * child.c
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        v.push(h=h)


class TreeDecoder(cavs.TypedFunction):
    """Predicts each vertex's production from z and what its parent says to it, from the root down:
    over reversed graphs, in which a vertex gathers from its parent.

    A vertex of type ``phrase`` is an LSTM's, and says to each of its children another thing; it
    predicts which of them are phrases, so that these can be opened. One of type ``leaf`` has no
    state.

    Inputs: ``above``, ``slot``: int32 per vertex, the parent's production and the position among
    its children, -1 at the root; ``production``: int32 per vertex, the right one; ``phrases``:
    (num_slots,) per phrase, 1 for a child that is a phrase, 0 for a leaf, -1 for none; ``z``:
    (latent_size,) per graph.
    Outputs per vertex: ``logits``: (num_productions,); ``loss``: () -log p(production, phrases).
    Outputs per phrase: ``phrase_logits``: (num_slots,).
    """

    def __init__(
        self, num_productions: int, num_slots: int, size: int, hidden_size: int, latent_size: int
    ) -> None:
        check_sizes(
            num_productions=num_productions,
            num_slots=num_slots,
            size=size,
            hidden_size=hidden_size,
            latent_size=latent_size,
        )
        self.latent_size = latent_size
        sizes = (num_productions, num_slots, size, hidden_size, latent_size)
        super().__init__({"leaf": _DecodedLeaf(*sizes), "phrase": _DecodedPhrase(*sizes)})


class _Decoded(cavs.VertexFunction):
    """What leaves and phrases share: they read what the parent says to their place."""

    def __init__(
        self, num_productions: int, num_slots: int, size: int, hidden_size: int, latent_size: int
    ) -> None:
        self.num_slots, self.hidden_size, self.latent_size = num_slots, hidden_size, latent_size
        self.embedding = nn.Embedding(num_productions, size)
        gates = self.num_gates * hidden_size
        self.w = nn.Linear(size, gates)
        self.w_z = nn.Linear(latent_size, gates, bias=False)
        self.u = nn.Linear(hidden_size, gates, bias=False)
        self.out = nn.Linear(hidden_size, num_productions)

    num_gates = 1

    def gates(self, v: cavs.Vertex, said: Any) -> Any:
        """From all that the parent said, (num_slots * hidden_size,)."""
        x = self.embedding(v.pull("above", dtype="int32"))
        z = v.pull_graph("z", self.latent_size)
        place = ops.one_hot(v.pull("slot", dtype="int32"), self.num_slots)
        own = ops.matmul(place, ops.reshape(said, (self.num_slots, self.hidden_size)))
        return self.w(x) + self.w_z(z) + self.u(own)

    def say(self, v: cavs.Vertex, h: Any) -> tuple[Any, Any]:
        """The logits, and the loss by the right production."""
        logits = self.out(h)
        return logits, ops.cross_entropy(logits, v.pull("production", dtype="int32"))


class _DecodedLeaf(_Decoded):
    def forward(self, v: cavs.Vertex) -> None:
        said = v.gather(0, said=self.num_slots * self.hidden_size).said
        logits, loss = self.say(v, ops.tanh(self.gates(v, said)))
        v.push(logits=logits, loss=loss)


class _DecodedPhrase(_Decoded):
    num_gates = 4

    def __init__(
        self, num_productions: int, num_slots: int, size: int, hidden_size: int, latent_size: int
    ) -> None:
        super().__init__(num_productions, num_slots, size, hidden_size, latent_size)
        self.down = nn.Linear(hidden_size, num_slots * hidden_size)
        self.phrases = nn.Linear(hidden_size, num_slots)

    def forward(self, v: cavs.Vertex) -> None:
        parent = v.gather(0, said=self.num_slots * self.hidden_size, c=self.hidden_size)
        h, c = lstm(self.gates(v, parent.said), parent.c)
        v.scatter(said=ops.tanh(self.down(h)), c=c)
        logits, loss = self.say(v, h)
        opens, right = self.phrases(h), v.pull("phrases", self.num_slots)
        losses = ops.binary_cross_entropy_with_logits(opens, right)
        loss = loss + ops.sum(ops.where(ops.less(right, 0), losses * 0, losses))
        v.push(logits=logits, loss=loss, phrase_logits=opens)


class TreeVAE(cavs.VertexProgram):
    """The encoder, the decoder, and between them q(z | tree) = Normal(mean, exp(log_std)) of the
    root's state; p(z) = Normal(0, 1).

    The production of a vertex is its symbol and its number of children, so that a decoded
    production tells how many vertices come next; which of them are phrases is said beside it. Both
    functions have the types ``leaf`` and ``phrase``; roots are phrases.
    """

    def __init__(
        self,
        num_productions: int,
        num_slots: int,
        embedding_size: int = 32,
        hidden_size: int = 128,
        latent_size: int = 64,
    ) -> None:
        check_sizes(
            num_productions=num_productions,
            num_slots=num_slots,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            latent_size=latent_size,
        )
        self.latent_size = latent_size
        sizes = (num_productions, num_slots, embedding_size, hidden_size)
        super().__init__(
            {"encoder": TreeEncoder(*sizes), "decoder": TreeDecoder(*sizes, latent_size)}
        )
        self.posterior = nn.Linear(hidden_size, 2 * latent_size)
