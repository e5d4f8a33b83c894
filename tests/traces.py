"""Traces of functions that a test writes in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cavs
from cavs import nn
from cavs.core.trace import Trace, trace

Forward = Callable[[Any, cavs.Vertex], Any]


def traced(forward: Forward) -> Trace:
    """`forward` as the only method of a vertex function with a layer `w` from 3 to 4."""

    class Function(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Linear(3, 4)

        def forward(self, v: cavs.Vertex) -> None:
            forward(self, v)

    return trace(Function())
