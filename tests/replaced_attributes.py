"""A function with attributes of all kinds, for tests that replace them after it was compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs.core.vertex import Module
from cavs.optim import SGD
from cavs.tensor import Parameter

IDS = np.array([1, 2], np.int32)
GRAPH = cavs.InputGraph([[], [0]])
outside = nn.Dropout(0.5)


@dataclass
class Scale(Module):
    """A module that is equal to others."""

    factor: float

    def __call__(self, x: Any) -> Any:
        return x * self.factor


class Block(Module):
    def __init__(self) -> None:
        self.inner = nn.Linear(4, 4)

    def __call__(self, x: Any) -> Any:
        return self.inner(x)


class Net(cavs.VertexFunction):
    """Layers as attributes, in lists, dictionaries and tuples; numbers, strings and flags."""

    offset = 1.0

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 4)
        self.layers = [nn.Linear(4, 4), nn.Linear(4, 4)]
        self.heads = {"a": nn.Linear(4, 2), "b": (nn.Linear(4, 2), [nn.Linear(4, 2)])}
        self.block = Block()
        self.drop = nn.Dropout(0.5)
        self.scale = Scale(2.0)
        self.gain = Parameter(np.ones(4, np.float32))
        self.tied = nn.Linear(4, 4)
        self.sizes = [1, [2, 3]]
        self.hidden_size = 4
        self.kind = "tanh"
        self.gated = False
        self.activation = ops.tanh
        self.extra: Any = None
        self.unread = nn.Linear(2, 2)
        self.epoch = 0
        self.history: list[Any] = []
        self.calls = 0
        self.seen: list[str] = []

    def shift(self, x: Any) -> Any:
        return x + self.offset

    def forward(self, v: cavs.Vertex) -> None:
        self.calls += 1
        self.seen.append("forward")
        x = self.drop(self.embedding(v.pull("ids", dtype="int32")))
        for layer in self.layers:
            x = self.activation(layer(x))
        x = self.scale(self.block(x)) * self.gain + sum(self.sizes[1])  # type: ignore[arg-type]
        if self.kind == "tanh" and not self.gated and self.extra is None:
            x = ops.tanh(self.tied(x))
        x = outside(self.shift(x)) * getattr(self, "temperature", 1.0)
        self.last = x[: self.hidden_size]
        first, (second,) = self.heads["b"]  # type: ignore[misc]
        v.scatter(h=self.last)
        v.push(y=self.heads["a"](x) + first(x) + second(x) + v.gather(h=4).h.sum()[:2])


class Holder:
    """What a test works with."""

    def __init__(self, **options: Any) -> None:
        self.f: Any = Net()
        self.model = cavs.compile(self.f, **options)
        self.optimizer = SGD(self.model.parameters(), lr=0.1)

    def call(self) -> dict[str, cavs.Tensor]:
        return self.model(GRAPH, ids=IDS)
