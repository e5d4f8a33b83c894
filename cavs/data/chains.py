"""Chains: vertex i has vertex i - 1 as its only child, so the last vertex is the root."""

from __future__ import annotations

from functools import lru_cache

from cavs._arguments import integer
from cavs.scheduler import InputGraph


def chain_graph(length: int) -> InputGraph:
    """The chain of `length` vertices; graphs are immutable, so equal lengths share one object.

    Raises InputError if `length` is no length.
    """
    return _chain(integer("data", "length", length, 0))


@lru_cache(maxsize=4096)
def _chain(length: int) -> InputGraph:
    return InputGraph.from_parents([*range(1, length), -1] if length else [])
