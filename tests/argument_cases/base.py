"""What a case is, and good arguments that many cases share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import cavs
from cavs import data, nn, ops


@dataclass(frozen=True)
class Case:
    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any]


class Cell(cavs.VertexFunction):
    """A small tree function; keeps a symbol and the vertex of its last trace."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 4)
        self.u = nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h = ops.tanh(x + self.u(v.gather(h=4).h.sum()) + v.pull("extra", 4))
        v.scatter(h=h)
        v.push(h=h, loss=ops.sum(h))


class Chain(cavs.VertexFunction):
    """Grows: pulls a word, and what its child scattered."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 4)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h = ops.tanh(x + v.gather(0, h=4).h + v.pull_graph("z", 4))
        v.scatter(h=h)
        v.push(h=h)


def symbol() -> Any:
    """A value of a vertex function whose trace is over."""
    kept = []

    class Keeps(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            kept.append(v.pull("x", 4))
            v.push(y=kept[0])

    cavs.compile(Keeps())
    return kept[0]


GRAPH = cavs.InputGraph([[], [], [0, 1]])
BATCH = cavs.batch([GRAPH, GRAPH])
WORD = np.int32([1, 2, -1, 3, 4, -1])
EXTRA = np.zeros((6, 4), np.float32)
TREES = [data.parse_tree("(1 (0 a) (1 b))"), data.parse_tree("(0 (1 c) (1 (0 a) (0 b)))")]
WORDS = data.tree_vocabulary(TREES)
SENTENCES = [["a", "b"], ["c"]]


def parameter() -> nn.Parameter:
    return nn.Parameter(np.zeros((2, 3), np.float32))
