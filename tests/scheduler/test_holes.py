"""Child lists with holes: what is kept of them, and that a hole is no edge."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import dags

from cavs.errors import GraphError
from cavs.scheduler import GraphBatch, InputGraph, batch, check_children, unbatch

RIGHT_ONLY = [[], [], [-1, 0], [1, -1, 2]]


def test_a_hole_is_no_edge() -> None:
    graph = InputGraph(RIGHT_ONLY)
    assert (graph.num_vertices, graph.num_edges) == (4, 3)
    assert graph.children == RIGHT_ONLY
    assert graph.child_ptr.tolist() == [0, 0, 0, 1, 3]
    assert graph.child_index.tolist() == [0, 1, 2]
    assert graph.child_slot.tolist() == [1, 0, 2]
    assert graph.has_holes
    assert graph.levels.tolist() == [0, 0, 1, 2]
    assert graph.leaves.tolist() == [0, 1]
    assert graph.roots.tolist() == [3]
    assert repr(graph) == f"InputGraph(children={RIGHT_ONLY})"
    far = InputGraph.from_csr([0, 0, 1], [0], [2**30])  # too many holes to write
    assert repr(far) == "<InputGraph of 2 vertices, 1 edges, 2 levels>"


@pytest.mark.parametrize(
    ("given_lists", "kept"),
    [
        ([[], [0, -1]], [[], [0]]),
        ([[-1], [0]], [[], [0]]),
        ([[-1, -1, -1], [-1, 0, -1, -1]], [[], [-1, 0]]),
    ],
)
def test_holes_at_the_end_say_nothing(given_lists: Any, kept: Any) -> None:
    graph = InputGraph(given_lists)
    assert graph.children == kept
    assert graph == InputGraph(kept)
    assert hash(graph) == hash(InputGraph(kept))
    assert graph.has_holes == any(-1 in children for children in kept)
    ptr = np.cumsum([0, *map(len, given_lists)])
    assert InputGraph.from_csr(ptr, [c for children in given_lists for c in children]) == graph


def test_holes_tell_graphs_apart() -> None:
    first, second = InputGraph([[], [-1, 0]]), InputGraph([[], [0]])
    assert first != second
    assert hash(first) != hash(second)
    assert batch([first]) != batch([second])
    assert hash(batch([first])) != hash(batch([second]))
    assert first.reverse() == second.reverse()


@given(st.lists(dags() | dags(holes=True), max_size=5))
def test_batches_keep_holes(graphs: list[InputGraph]) -> None:
    together = batch(graphs)
    assert unbatch(together) == graphs
    assert together.has_holes == any(graph.has_holes for graph in graphs)
    slots = [k for g in graphs for c in g.children for k, child in enumerate(c) if child >= 0]
    assert together.child_slot.tolist() == slots
    assert pickle.loads(pickle.dumps(together)) == together
    lists = [c for graph in graphs for c in graph.children]
    ptr = np.cumsum([0, *(graph.num_vertices for graph in graphs)])
    flat = (ptr, np.cumsum([0, *map(len, lists)]), [child for c in lists for child in c])
    assert GraphBatch.from_csr(*flat) == together


@given(dags(holes=True))
def test_without_its_holes_a_graph_has_the_same_edges(graph: InputGraph) -> None:
    dense = InputGraph([[c for c in children if c >= 0] for children in graph.children])
    for name in ("child_ptr", "child_index", "levels", "roots", "leaves"):
        np.testing.assert_array_equal(getattr(graph, name), getattr(dense, name))
    assert dense.reverse() == graph.reverse()
    assert not graph.reverse().has_holes


def test_the_number_of_slots_is_checked_holes_counted() -> None:
    graphs = batch([InputGraph([[]]), InputGraph([[], [-1, -1, 0]])])
    check_children(graphs, 3, 0)
    with pytest.raises(GraphError, match=r"graph 1, vertex 1: expected at most 2 .* got 3"):
        check_children(graphs, 2, 0)
    assert (graphs.schedule().max_arity, graphs.schedule().num_slots) == (1, 3)


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ([0], r"expected 2 elements in child_slot .* got 1"),
        ([1, 1], r"edge 1: expected a slot in 2\.\.\d+, got 1"),
        ([-1, 1], r"edge 0: expected a slot in 0\.\.\d+, got -1"),
        ([0, 2**31], r"edge 1: expected a slot in 1\.\.\d+, got 2147483648"),
    ],
)
def test_wrong_slots_are_refused(slots: Any, text: str) -> None:
    with pytest.raises(GraphError, match=text):
        InputGraph.from_csr([0, 0, 0, 2], [0, 1], slots)
    with pytest.raises(GraphError, match=text):
        GraphBatch.from_csr([0, 3], [0, 0, 0, 2], [0, 1], None, slots)


def test_other_ways_to_make_a_graph_know_no_holes() -> None:
    with pytest.raises(GraphError, match=r"edge 0: expected a child in 0\.\.1, got -1"):
        InputGraph.from_edges(2, [-1], [1])
