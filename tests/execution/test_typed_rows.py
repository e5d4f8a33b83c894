"""Which vertices and edges have rows: against a look at each one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from typed_schedules import Case, cases

from cavs.core.ops._spaces import EdgeList, SpaceKind, Typed
from cavs.execution.typed_rows import names_of_types, rows_of
from cavs.scheduler import InputGraph, batch


def one_by_one(case: Case, rows: Typed) -> list[int]:
    graphs, order = case
    names = names_of_types(graphs, order.given)
    if rows.kind is not SpaceKind.EDGE:
        return [v for v, name in enumerate(names) if name in rows.members]
    found, edge = [], 0
    for parent, children in zip(names, lists_of_children(case), strict=True):
        for child in children:
            if any(x.parents == parent and x.children in (None, names[child]) for x in rows.lists):
                found.append(edge)
            edge += 1
    return found


def lists_of_children(case: Case) -> list[list[int]]:
    graphs, _ = case
    ptr = graphs.child_ptr.tolist()
    every = graphs.children.tolist()
    return [every[first:last] for first, last in pairwise(ptr)]


@given(case=cases())
def test_rows_of_types_and_of_lists_of_edges(case: Case) -> None:
    graphs, order = case
    names = order.given
    spaces = [Typed(SpaceKind.VERTEX, (name,)) for name in names]
    spaces += [Typed(SpaceKind.VERTEX, tuple(names)), Typed(SpaceKind.EDGE, order.lists)]
    spaces += [Typed(SpaceKind.EDGE, (each,)) for each in order.lists]
    for rows in spaces:
        assert rows_of(graphs, names, rows).tolist() == one_by_one(case, rows)


@pytest.mark.parametrize("graphs", [[], [InputGraph([], types=[])]])
def test_no_vertices(graphs: list[InputGraph]) -> None:
    lists = (EdgeList("a", None), EdgeList("b", "a"))
    for rows in (Typed(SpaceKind.VERTEX, ("a",)), Typed(SpaceKind.EDGE, lists)):
        assert rows_of(batch(graphs), ("a", "b"), rows).tolist() == []
