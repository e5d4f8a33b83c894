"""Chains: vertex i has vertex i - 1 as its only child, so the last vertex is the root."""

from __future__ import annotations

from functools import lru_cache

from cavs.scheduler import InputGraph


@lru_cache(maxsize=4096)
def chain_graph(length: int) -> InputGraph:
    """The chain of `length` vertices; graphs are immutable, so equal lengths share one object."""
    return InputGraph.from_parents([*range(1, length), -1] if length else [])
