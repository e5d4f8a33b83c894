"""Parameters whose versions tests look at, and a model that keeps what it made of them."""

from __future__ import annotations

import numpy as np

import cavs
from cavs import nn


def parameter(*values: float) -> cavs.Parameter:
    """One whose memory nobody else has."""
    p = cavs.Parameter(np.array(values or (1, 2, 3), np.float32))
    assert version(p) >= 0
    return p


def version(p: cavs.Parameter) -> int:
    return p.read()[1]


class Words(cavs.VertexFunction):
    """Inference keeps results of it by id, and packs a weight."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 16)
        self.linear = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)

    def forward(self, v: cavs.Vertex) -> None:
        y = self.norm(self.linear(self.embedding(v.pull("word", dtype="int32"))))
        v.push(y=y, loss=(y * y).sum())


GRAPHS = cavs.batch([cavs.InputGraph([[]])] * 12)
WORDS = np.arange(12, dtype=np.int32) % 5
