"""What the functions are made of, and their table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import cavs
from cavs import nn

FUNCTIONS: dict[str, Callable[[], cavs.VertexFunction]] = {}

IDS = 7
CLASSES = 4


def parameter(*shape: int) -> nn.Parameter:
    """Random values of float64."""
    return nn.init.normal_(nn.Parameter(np.zeros(shape)), 0.0, 0.5)


def linear(size_in: int, size_out: int, bias: bool = True) -> nn.Linear:
    return nn.Linear(size_in, size_out, bias, dtype="float64")


def embedding(num: int, size: int) -> nn.Embedding:
    return nn.Embedding(num, size, std=0.5, dtype="float64")


def listed(kind: type[cavs.VertexFunction]) -> type[cavs.VertexFunction]:
    FUNCTIONS[kind.__name__] = kind
    return kind
