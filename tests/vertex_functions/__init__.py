"""Small vertex functions that together use every operation and structure; see FUNCTIONS, to which
each of the modules adds its own when it is imported."""

from __future__ import annotations

import cavs
from cavs import nn
from vertex_functions import (
    attention,
    axes,
    cases,
    images,
    operations,
    parameters,
    pulls,
    structures,
)
from vertex_functions.base import FUNCTIONS, IDS, parameter
from vertex_functions.drawn import OfLaterOperations, RandomFunction
from vertex_functions.shaped import ShapedFunction

__all__ = [
    "FUNCTIONS",
    "IDS",
    "OfLaterOperations",
    "RandomFunction",
    "ShapedFunction",
    "attention",
    "axes",
    "cases",
    "images",
    "make_function",
    "operations",
    "parameter",
    "parameters",
    "pulls",
    "structures",
]


def make_function(name: str, dtype: str = "float64") -> cavs.VertexFunction:
    """A function of the library with the same parameters every time."""
    nn.init.manual_seed(sum(map(ord, name)))
    function = FUNCTIONS[name]()
    for p in function.parameters():
        p.data = p.data.astype(dtype)
    return function
