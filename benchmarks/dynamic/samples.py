"""Minibatches as a program with dynamic declaration holds them: Python objects by sample.

All functions take a ``PeerBatch``; vertices come children first, and are called by their place in
this order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

Samples = list[Any]
_Ints = list[int]


class _Topology:
    """The graphs of a batch as lists."""

    def __init__(self, batch: Any) -> None:
        self._ptr: _Ints = batch.ptr.tolist()
        self._child_ptr: _Ints = batch.child_ptr.tolist()
        self._children: _Ints = batch.children.tolist()

    def edges(self, vertex: int) -> range:
        return range(self._child_ptr[vertex], self._child_ptr[vertex + 1])

    def children(self, vertex: int) -> _Ints:
        return self._children[self._child_ptr[vertex] : self._child_ptr[vertex + 1]]

    def graphs(self) -> Iterator[list[tuple[int, tuple[int, ...]]]]:
        """For each graph, for each vertex: (vertex, places of its children)."""
        for first, last in pairwise(self._ptr):
            order = list(range(first, last))
            if any(k >= v for v in order for k in self.children(v)):
                order = self._sorted(order)
            place = {v: i for i, v in enumerate(order)}
            yield [(v, tuple(place[k] for k in self.children(v))) for v in order]

    def _sorted(self, vertices: _Ints) -> _Ints:
        order: _Ints = []
        done: set[int] = set()
        for root in vertices:
            stack = [root]
            while stack:
                vertex = stack[-1]
                waiting = [k for k in self.children(vertex) if k not in done]
                if waiting:
                    stack += waiting
                    continue
                stack.pop()
                if vertex not in done:
                    done.add(vertex)
                    order.append(vertex)
        return order


def vertex_samples(batch: Any) -> Samples:
    """For each graph, for each vertex: (children, word, label)."""
    words, labels = batch.inputs["word"].tolist(), batch.inputs["label"].tolist()
    return [
        [(children, words[v], labels[v]) for v, children in graph]
        for graph in _Topology(batch).graphs()
    ]


def feature_samples(batch: Any) -> Samples:
    """For each graph, for each vertex: (children, features, label), the features an array."""
    features, labels = list(batch.inputs["x"]), batch.inputs["label"].tolist()
    return [
        [(children, features[v], labels[v]) for v, children in graph]
        for graph in _Topology(batch).graphs()
    ]


def chain_samples(batch: Any) -> Samples:
    """For each chain, for each vertex from its beginning: (word, label)."""
    words, labels = batch.inputs["word"].tolist(), batch.inputs["label"].tolist()
    samples = []
    for graph in _Topology(batch).graphs():
        if any(children != ((i - 1,) if i else ()) for i, (_, children) in enumerate(graph)):
            raise ValueError("[dynamic] expected chains, got other graphs; check the data")
        samples.append([(words[v], labels[v]) for v, _ in graph])
    return samples


def lattice_samples(batch: Any) -> Samples:
    """For each lattice, for each character: (characters before, ((where a word begins, word), ...),
    character, label)."""
    row = {kind: itertools.count() for kind in ("char", "word")}
    rows = [next(row[kind]) for kind in batch.types]  # of each vertex, in the inputs of its type
    names = "character", "label", "word"
    characters, labels, words = (batch.inputs[name].tolist() for name in names)

    def sample(graph: list[tuple[int, tuple[int, ...]]]) -> list[tuple[Any, ...]]:
        place: dict[int, int] = {}  # of characters among those of the lattice
        for i, (v, _) in enumerate(graph):
            if batch.types[v] == "char":
                place[i] = len(place)
        found = []
        for i, (v, children) in enumerate(graph):
            if i in place:
                before = tuple(place[k] for k in children if k in place)
                ends = tuple(
                    (place[graph[k][1][0]], words[rows[graph[k][0]]])
                    for k in children
                    if k not in place
                )
                found.append((before, ends, characters[rows[v]], labels[rows[v]]))
        return found

    return list(map(sample, _Topology(batch).graphs()))
