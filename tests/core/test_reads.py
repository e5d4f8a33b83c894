"""Which attributes a trace reads: those of its own thread, and no counters beside them."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.core.reads import recorded_reads
from cavs.core.vertex import Module
from cavs.errors import CavsRuntimeError, TraceError
from cavs.optim import SGD
from cavs.tensor import Parameter

GRAPH = cavs.InputGraph([[], [0]])


class Block(Module):
    def __init__(self) -> None:
        self.inner = nn.Linear(4, 4)

    def __call__(self, x: Any) -> Any:
        return self.inner(x)


def test_reads_are_recorded_while_tracing_only() -> None:
    before = Module.__getattribute__, Module.__setattr__
    block = Block()

    class Wrong(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            raise TraceError("[test] no")

    with pytest.raises(TraceError):
        cavs.compile(Wrong())
    with recorded_reads() as reads:
        other = threading.Thread(target=lambda: (block.inner, setattr(block, "inner", 1)))
        other.start()
        other.join()
        with recorded_reads() as inner:
            assert block.inner == 1
    assert (Module.__getattribute__, Module.__setattr__) == before
    assert not list(reads.names(block))
    assert list(inner.names(block)) == ["inner"]


def test_a_module_with_accessors_of_its_own() -> None:
    class Lazy(Module):
        def __init__(self) -> None:
            self.held = {"weight": Parameter(np.ones(2, np.float32))}

        def __getattr__(self, name: str) -> Any:
            if name in self.__dict__.get("held", ()):
                return self.held[name]
            raise AttributeError(name)

    class F(cavs.VertexFunction):
        def __init__(self) -> None:
            self.lazy = Lazy()

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", 2) * self.lazy.weight)

    f = F()
    model = cavs.compile(f)
    x = np.ones((2, 2), np.float32)
    model(GRAPH, x=x)
    f.lazy.held["weight"] = Parameter(np.ones(2, np.float32))
    with pytest.raises(CavsRuntimeError, match=r"lazy\.held\['weight'\]"):
        model(GRAPH, x=x)


class Plain(cavs.VertexFunction):
    """With a counter that no `forward` means to read."""

    def __init__(self) -> None:
        self.layer = nn.Linear(2, 2)
        self.epoch = 0

    @functools.cached_property
    def size(self) -> int:
        return 2

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", 2)))


class WithCachedProperty(Plain):
    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", self.size)))


class WithAllParameters(Plain):
    def forward(self, v: cavs.Vertex) -> None:
        penalty = sum(ops.square(p).sum() for p in self.parameters())
        v.push(y=self.layer(v.pull("x", 2)) + 0.1 * penalty)


class WithReferenceBack(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.layer.owner = self  # type: ignore[attr-defined]
        self.layers = [self.layer]
        self.layer.siblings = self.layers  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [WithCachedProperty, WithAllParameters, WithReferenceBack])
def test_counters_beside_what_looks_into_the_function(kind: type[Plain]) -> None:
    f = kind()
    model = cavs.compile(f)
    optimizer = SGD(model.named_parameters(), lr=0.1)
    x = np.ones((2, 2), np.float32)
    for _ in range(2):
        f.epoch += 1
        model.step(GRAPH, optimizer, loss="y", x=x)
        assert list(model.state_dict()) == ["layer.weight", "layer.bias"]
    f.layer = nn.Linear(2, 2)
    with pytest.raises(CavsRuntimeError, match="'layer'"):
        model(GRAPH, x=x)
