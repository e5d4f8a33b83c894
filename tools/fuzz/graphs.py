"""Random batches of graphs and inputs."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from functions import Pull

import cavs

Array = np.ndarray[Any, Any]
FEW = 10  # children of a vertex of `draw_graph`, at most


def draw_graph(rng: random.Random) -> cavs.InputGraph:
    """A DAG, tree, chain, star, single vertex or nothing; vertices numbered in any order."""
    kinds = ["dag", "dag", "dag", "tree", "chain", "star", "single", "empty", "parallel", "holes"]
    kind = rng.choice([*kinds, "runs"])
    count = rng.randrange(1, 11)
    if kind == "empty":
        return cavs.InputGraph([])
    if kind == "single":
        return cavs.InputGraph([[]])
    if kind == "chain":
        return cavs.InputGraph.from_parents([*range(1, count), -1])
    if kind == "runs":
        window, memory = rng.choice([None, 1, 2, 4]), rng.randrange(count)
        graph = cavs.InputGraph.chain(count - memory, window=window, memory=memory)
        return graph if rng.random() < 0.5 else graph.reverse()
    if kind == "star":
        return cavs.InputGraph([*[[] for _ in range(count)], list(range(count))])
    order = rng.sample(range(count), count)
    if kind == "tree":
        parents = [-1] * count
        for place in range(count - 1):
            parents[order[place]] = order[rng.randrange(place + 1, count)]
        return cavs.InputGraph.from_parents(parents)
    children: list[list[int]] = [[] for _ in range(count)]
    for place in range(1, count):
        below = [order[rng.randrange(place)] for _ in range(rng.choice([0, 1, 2, 2, 3, 5]))]
        if kind == "holes":
            below = [c if rng.random() < 0.6 else -1 for c in below]
        children[order[place]] = below[:1] * len(below) if kind == "parallel" else below
    return cavs.InputGraph(children)


def draw_large_graph(rng: random.Random, most: int) -> cavs.InputGraph:
    """Lists of up to `most` children: windows of a text, runs that begin anywhere, any vertices."""
    count, kind = rng.randrange(1, 61), rng.choice(["chain", "chain", "runs", "lists", "star"])
    if kind == "chain":
        memory, window = rng.randrange(count), rng.randint(1, most)
        graph = cavs.InputGraph.chain(count - memory, window=window, memory=memory)
        return graph if rng.random() < 0.7 else graph.reverse()
    if kind == "star":
        leaves = rng.randint(1, most)
        return cavs.InputGraph([*[[] for _ in range(leaves)], list(range(leaves))])
    sizes = [rng.choice([0, rng.randint(0, min(v, most))]) for v in range(count)]
    if kind == "runs":
        return cavs.InputGraph.windows([rng.randint(0, v - n) for v, n in enumerate(sizes)], sizes)
    return cavs.InputGraph([[rng.randrange(v) for _ in range(n)] for v, n in enumerate(sizes)])


def draw_batch(rng: random.Random, most_children: int | None = None) -> cavs.GraphBatch:
    """Zero to four graphs, some with keys of their own; with `most_children` above `FEW` some of
    them are larger."""
    graphs = [draw_graph(rng) for _ in range(rng.choice([0, 1, 1, 2, 3, 4]))]
    if most_children is not None and most_children > FEW:
        graphs = [draw_large_graph(rng, most_children) if rng.random() < 0.6 else g for g in graphs]
    keys = [rng.randrange(1 << 40) for _ in graphs] if rng.random() < 0.3 else None
    return cavs.batch(graphs, keys)


def draw_inputs(
    pulls: Mapping[str, Pull], graphs: cavs.GraphBatch, numbers: np.random.Generator
) -> dict[str, Array]:
    """Floats that float32 holds, many of them zero where a mask is meant and some -inf where a
    child is to be hidden, and ids, some missing."""
    inputs: dict[str, Array] = {}
    for name, pull in pulls.items():
        rows = graphs.rows(pull.space)
        if pull.bound is not None:
            inputs[name] = numbers.integers(
                int(numbers.integers(-1, 1)), pull.bound, (rows, *pull.shape)
            )
            continue
        x = numbers.standard_normal((rows, *pull.shape)).astype(np.float32).astype(np.float64)
        if name.startswith("mask"):
            x *= numbers.random(x.shape) < numbers.choice([0.1, 0.5, 0.9])
        if name.startswith("hide"):
            hidden = numbers.random(x.shape) < numbers.choice([0.1, 0.5])
            ends = graphs.child_ptr[1:][np.diff(graphs.child_ptr) > 0] - 1
            hidden[ends] = False  # a mean over no child is no number
            x[hidden] = -np.inf
        inputs[name] = x
    return inputs


def in_some_layout(inputs: Mapping[str, Array], rng: random.Random) -> dict[str, Any]:
    """The same numbers as arrays of other dtypes, byte orders and strides, and as lists."""
    given: dict[str, Any] = {}
    for name, x in inputs.items():
        way = rng.randrange(6)
        narrow = np.float32 if x.dtype.kind == "f" else np.int32
        if way < 2:
            given[name] = x.astype(narrow)
        elif way == 2:
            given[name] = x.astype(x.dtype.newbyteorder(">"))
        elif way == 3:
            given[name] = np.repeat(x, 2, axis=0)[::2]
        elif way == 4 and x.size:
            given[name] = np.asfortranarray(x) if x.dtype.kind == "f" else x.tolist()
        else:
            given[name] = x
    return given
