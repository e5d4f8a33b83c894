"""Functions whose values are not finite for some inputs, and what errors say of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.errors import NonFiniteError

__all__ = ["GRAPHS", "Formula", "Sums", "error_of", "line_of", "log", "rows"]

GRAPHS = [cavs.InputGraph([[], [0], [1]]), cavs.InputGraph([[], [], [0, 1]])]


Formula = Callable[[cavs.Vertex, Any], Any]


class Sums(cavs.VertexFunction):
    """Sums x over the vertices below and pushes what a formula makes of it."""

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.w = cavs.Parameter(np.ones(3, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        total = v.pull("x", 3) * self.w + v.gather(s=3).s.sum()
        v.scatter(s=total)
        v.push(y=self.formula(v, total), total=total)


def rows(**changes: float) -> Any:
    """x of all six vertices: 1, save where changes name a vertex, as in v4=-9."""
    x = np.ones((6, 3), np.float32)
    for name, value in changes.items():
        x[int(name[1:])] = value
    return x


def line_of(function: Any, text: str) -> str:
    """The place of the line of a function that has this text, as errors say it."""
    lines, first = inspect.getsourcelines(function)
    (number,) = [n for n, line in enumerate(lines, first) if text in line]
    return f"{inspect.getsourcefile(function)}:{number}"


def error_of(run: Callable[[], Any]) -> str:
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError) as caught:
        run()
    return str(caught.value)


def log(v: cavs.Vertex, x: Any) -> Any:
    return ops.log(x)
