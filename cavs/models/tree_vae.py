"""Recursive variational autoencoder of trees: a Tree-LSTM up, a latent normal at the root, and an
LSTM down that generates structure and symbols."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes, lstm


class TreeEncoder(cavs.VertexFunction):
    """Child-sum Tree-LSTM (Tai et al. 2015, eqs. 2-8) over productions; a vertex knows its place
    among its siblings, so that their order counts.

    Inputs per vertex: ``production``, ``slot``: int32, the slot -1 at the root.
    Outputs per vertex: ``h``: (hidden_size,).
    """

    def __init__(self, num_productions: int, num_slots: int, size: int, hidden_size: int) -> None:
        check_sizes(
            num_productions=num_productions, num_slots=num_slots, size=size, hidden_size=hidden_size
        )
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(num_productions, size)
        self.slot = nn.Embedding(num_slots, size)
        self.w_iou = nn.Linear(size, 3 * hidden_size)
        self.u_iou = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.w_f = nn.Linear(size, hidden_size)
        self.u_f = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("production", dtype="int32"))
        x = x + self.slot(v.pull("slot", dtype="int32"))
        children = v.gather(h=self.hidden_size, c=self.hidden_size)
        i, o, u = ops.split(self.w_iou(x) + self.u_iou(children.h.sum()), 3)
        f = ops.sigmoid(self.w_f(x) + self.u_f(children.h))
        c = ops.sigmoid(i) * ops.tanh(u) + (f * children.c).sum()
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        v.push(h=h)


class TreeDecoder(cavs.VertexFunction):
    """Predicts the production of a vertex from z and the productions above it, over reversed
    graphs, in which a vertex gathers from its parent.

    Inputs: ``above``, ``slot``: int32 per vertex, the parent's production and the position among
    its children, -1 at the root; ``production``: int32 per vertex, the right one; ``z``:
    (latent_size,) per graph.
    Outputs per vertex: ``logits``: (num_productions,); ``loss``: () -log p(production).
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
        self.hidden_size, self.latent_size = hidden_size, latent_size
        self.embedding = nn.Embedding(num_productions, size)
        self.slot = nn.Embedding(num_slots, size)
        self.w = nn.Linear(size, 4 * hidden_size)
        self.w_z = nn.Linear(latent_size, 4 * hidden_size, bias=False)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, num_productions)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("above", dtype="int32"))
        x = x + self.slot(v.pull("slot", dtype="int32"))
        z = v.pull_graph("z", self.latent_size)
        parent = v.gather(0, h=self.hidden_size, c=self.hidden_size)
        h, c = lstm(self.w(x) + self.w_z(z) + self.u(parent.h), parent.c)
        v.scatter(h=h, c=c)
        logits = self.out(h)
        label = v.pull("production", dtype="int32")
        v.push(logits=logits, loss=ops.cross_entropy(logits, label))


class TreeVAE(cavs.VertexProgram):
    """The encoder, the decoder, and between them q(z | tree) = Normal(mean, exp(log_std)) of the
    root's state; p(z) = Normal(0, 1).

    The production of a vertex is its symbol and its number of children, so that a decoded
    production tells which vertices come next.
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
