"""Calls of the public API with good arguments, by component, for tests of wrong ones.

A case is a function and good keyword arguments for it; tests replace one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from argument_cases import (
    compiled,
    corpora,
    datasets,
    generative,
    graphs,
    learning,
    operations,
    tensors,
    torch_layer,
)
from argument_cases.base import BATCH, GRAPH, Case, symbol

__all__ = ["BATCH", "GRAPH", "GROUPS", "Case", "operations", "symbol"]

# Every function of these modules whose name ends with `_cases`, by the rest of its name. Those of
# `operations` stand apart: they take values of the world that they are called in.
GROUPS: dict[str, Callable[[], Iterator[Case]]] = {
    name.removesuffix("_cases"): function
    for module in (tensors, graphs, compiled, learning, datasets, corpora, generative, torch_layer)
    for name, function in vars(module).items()
    if name.endswith("_cases")
}
