"""Vertex functions of a module of their own, to be saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import cavs
from cavs import data, nn, ops


class Scale(nn.Module):
    def __init__(self, size: int) -> None:
        self.weight = nn.Parameter(np.arange(size, dtype=np.float32))


class Everything(cavs.VertexFunction):
    """Attributes of all kinds that a file takes."""

    def __init__(self, words: data.Vocabulary, table: Any, *, act: Callable[[Any], Any]) -> None:
        size = table.shape[1]
        self.words, self.size, self.act = words, size, act
        self.embedding = nn.Embedding(*table.shape, values=table)
        self.scales = [Scale(size), {"a": (Scale(size), 1.5)}]
        self.shared = self.scales[0]
        self.bias = self.scales[0].weight
        self.embedding.weight.requires_grad = False
        self.numbers = (1, True, None, "text \ud800", float("inf"), 2**70, np.float32(0.5))
        self.sets = {3, 4}, frozenset({"x"})
        self.by_number = {1: "one", (2, 3): [np.int32([1, 2])], "nan": float("nan")}
        self.dtype = np.dtype("float32")
        self.kind = Scale
        self.noise = cavs.Generator(9)
        self.constant = cavs.tensor([[1.0, 2.0]])
        self.above = self  # a way back
        self.noise.uniform(3)
        self.dropout = nn.Dropout(0.5)
        self.anything: Any = None

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h = self.act(x * self.shared.weight + v.gather(h=self.size).h.sum())
        h = h * self.scales[1]["a"][1] + self.bias
        v.scatter(h=h)
        v.push(h=self.dropout(h), loss=ops.sum(h))


def make() -> Everything:
    words = data.Vocabulary(["<unk>", "a", "b"])
    table = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    return Everything(words, table, act=ops.tanh)


class Outer:
    class Inner(cavs.VertexFunction):
        """A class within another."""

        def __init__(self) -> None:
            self.layer = nn.Linear(2, 2)

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.layer(v.pull("x", 2)))


class Slotted(nn.Module):
    __slots__ = ("hidden",)
