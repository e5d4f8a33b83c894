"""The structure of graphs that grow, against lists of children."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs.grown_graphs import Fresh, GrownGraphs, LevelBatch

GRAPHS = 3


def by_number(graphs: cavs.GraphBatch, number: np.ndarray) -> dict[int, list[int]]:
    """The children of each vertex, all by the numbers that rows of the batch have."""
    found = {}
    for graph, one in enumerate(cavs.unbatch(graphs)):
        rows = number[graphs.ptr[graph] : graphs.ptr[graph + 1]]
        for vertex, row in enumerate(rows.tolist()):
            found[row] = rows[one.children[vertex]].tolist()
    return found


def check_level(level: LevelBatch, fresh: Fresh, children: list[list[int]]) -> None:
    """The batch has the new vertices with all their children, and known ones without any."""
    found = by_number(level.graphs, level.number)
    new = fresh.vertices.tolist()
    assert [found[v] for v in new] == children
    assert sorted(found) == sorted({*new, *(c for listed in children for c in listed)})
    assert not any(found[k] for k in level.known.tolist())
    assert level.number[level.new_rows].tolist() == new
    assert level.number[level.known_rows].tolist() == level.known.tolist()
    assert sorted(level.number[level.is_new()].tolist()) == new
    owners = np.repeat(level.active, np.diff(level.graphs.ptr))
    assert owners[level.new_rows].tolist() == fresh.graph.tolist()
    last = len(new) - 1
    graph = int(np.searchsorted(level.active, fresh.graph[last]))
    local = int(level.new_rows[last] - level.graphs.ptr[graph])
    assert level.name_of(graph, local) == f"graph {fresh.graph[last]}, vertex {new[last]}"


@given(st.data())
def test_levels_and_whole_graphs_have_the_children_that_were_given(data: st.DataObject) -> None:
    grown = GrownGraphs(GRAPHS, [7, 5, 6], 100, None)
    owner: list[int] = []
    expected: list[list[int]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        graphs = data.draw(st.lists(st.integers(0, GRAPHS - 1), min_size=1, max_size=5))
        children = []
        for graph in graphs:
            there = [v for v, g in enumerate(owner) if g == graph]
            listed = st.lists(st.sampled_from(there), max_size=3) if there else st.just([])
            children.append(data.draw(listed))
        fresh = grown.open(children, graphs)
        assert fresh.vertices.tolist() == [*range(len(owner), len(owner) + len(graphs))]
        check_level(grown.batch(fresh), fresh, children)
        owner += graphs
        expected += children
    whole, number = grown.whole()
    assert by_number(whole, number) == dict(enumerate(expected))
    assert number.tolist() == sorted(range(len(owner)), key=lambda v: (owner[v], v))
    assert whole.keys.tolist() == [7, 5, 6]
    assert np.diff(whole.ptr).tolist() == [owner.count(g) for g in range(GRAPHS)]
