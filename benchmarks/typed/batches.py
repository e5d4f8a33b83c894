"""How many batches each policy needs on real minibatches."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cavs
from cavs._native import core
from cavs.core.type_order import TypeOrder
from cavs.scheduler import LearnedPolicy
from typed.graphs import Case, cases

POLICIES = ("depth", "agenda", "bound")
HEAD = ["graphs", "samples", "vertices", *POLICIES, "learned", "least", "bound's goal"]
HEAD += ["learned / bound, goal 1.06", "learned in s, goal 10"]
#: Batches of `bound` on minibatches of 64 that are aimed at.
GOALS = {
    "lattice LSTM, words as vertices": 148,
    "lattice, every edge a cell": 252,
    "tree, 2 types by shape": 25,
    "Tree-LSTM over characters": 35,
    "tagger with characters": 180,
    "attention": 200,
}


def order_of(case: Case) -> tuple[Any, ...]:
    """As the compiler gives it for a function of these types."""
    batched = frozenset(case.types) - frozenset(case.outside)
    return TypeOrder(case.types, case.types, (), batched, frozenset()).numbers()


def learned(seen: Sequence[cavs.GraphBatch], order: tuple[Any, ...]) -> LearnedPolicy:
    """What `cavs.learn_policy` learns, without its comparison with agenda."""
    table, _, _ = core.learn_policy([each.native for each in seen], order, 0)
    names = order[0]
    rows = tuple((tuple(names[t] for t in state), names[best]) for state, best in table.items())
    return LearnedPolicy(names, rows)


def least(graphs: cavs.GraphBatch, outside: Sequence[str]) -> int:
    """No policy needs fewer batches: the longest chain of each type, added up."""
    children = children_of_batch(graphs)
    types = graphs.types or ()
    longest: dict[str | int, int] = {}
    # By vertex and type: the most vertices of the type on a path that ends in the vertex.
    on_path: list[dict[str | int, int]] = []
    for kind, below in zip(types, children, strict=True):
        found: dict[str | int, int] = {}
        for k in below:
            for name, count in on_path[k].items():
                found[name] = max(found.get(name, 0), count)
        if kind not in outside:
            found[kind] = found.get(kind, 0) + 1
            longest[kind] = max(longest.get(kind, 0), found[kind])
        on_path.append(found)
    return sum(longest.values())


def children_of_batch(graphs: cavs.GraphBatch) -> list[list[int]]:
    """The children of each vertex; vertices come after their children here."""
    ptr, children = graphs.child_ptr.tolist(), graphs.children.tolist()
    return [children[a:b] for a, b in pairwise(ptr)]


def rows(folder: Path, sizes: Sequence[int], minibatches: int = 4) -> Iterator[list[str]]:
    """A row for each kind of graph and size: batches of each policy, means over minibatches. The
    learned policy has seen as many other minibatches of the largest size."""
    for case in cases(folder):
        order = order_of(case)
        draw = random.Random(1)
        most = min(max(sizes), len(case.graphs))
        seen = [cavs.batch(draw.sample(case.graphs, most)) for _ in range(minibatches)]
        begin = time.perf_counter()
        policy = learned(seen, order)
        seconds = time.perf_counter() - begin
        for size in sizes:
            fresh = random.Random(2)
            count = min(size, len(case.graphs))
            given = [cavs.batch(fresh.sample(case.graphs, count)) for _ in range(minibatches)]
            found = [
                sum(each.schedule(name, order).num_batches for each in given) / minibatches
                for name in (*POLICIES, policy)
            ]
            bound = sum(least(each, case.outside) for each in given) / minibatches
            vertices = sum(each.num_vertices for each in given) // minibatches
            goal = GOALS.get(case.name) if size == 64 else None
            yield [
                case.name,
                str(size),
                f"{vertices:,}",
                *(f"{x:.0f}" for x in (*found, bound)),
                "" if goal is None else f"<= {goal}: {'yes' if round(found[2]) <= goal else 'no'}",
                f"{found[3] / found[2]:.2f}",
                f"{seconds:.2f}",
            ]
