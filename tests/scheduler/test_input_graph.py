"""InputGraph: the three ways to make one, what it tells, and what it refuses."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import dags, forests, input_graphs

from cavs.errors import DTypeError, GraphError, InputError
from cavs.scheduler import InputGraph

TREE = [[], [], [0, 1], [], [2, 3]]


def test_arrays_and_properties_of_a_tree() -> None:
    graph = InputGraph(children=TREE)
    assert (graph.num_vertices, graph.num_edges) == (5, 4)
    np.testing.assert_array_equal(graph.child_ptr, [0, 0, 0, 2, 2, 4])
    np.testing.assert_array_equal(graph.child_index, [0, 1, 2, 3])
    assert graph.children == TREE
    assert graph.roots.tolist() == [4]
    assert graph.leaves.tolist() == [0, 1, 3]
    assert graph.levels.tolist() == [0, 0, 1, 0, 2]
    assert (graph.num_levels, graph.depth) == (3, 2)
    for array in (graph.child_ptr, graph.child_index, graph.roots, graph.leaves, graph.levels):
        assert array.dtype == np.int32


def test_arrays_are_read_only_and_outlive_the_graph() -> None:
    graph = InputGraph(TREE)
    index = graph.child_index
    with pytest.raises(ValueError, match="read-only"):
        index[0] = 3
    del graph
    assert index.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("children", "levels"), [([], 0), ([[]], 1)])
def test_graphs_without_edges(children: list[list[int]], levels: int) -> None:
    graph = InputGraph(children)
    assert (graph.num_vertices, graph.num_edges) == (len(children), 0)
    assert (graph.num_levels, graph.depth) == (levels, 0)
    assert graph.children == children
    assert graph.roots.tolist() == graph.leaves.tolist() == list(range(len(children)))
    assert graph.child_index.shape == (0,)


@pytest.mark.parametrize(
    "children",
    [
        tuple(tuple(c) for c in TREE),
        [np.array(c, np.int64) for c in TREE],
        [np.array(c) for c in TREE],  # empty lists become float64 arrays
        [[np.int32(v) for v in c] for c in TREE],
        [range(0), range(0), range(2), range(0), range(2, 4)],
    ],
    ids=["tuples", "int64 arrays", "default arrays", "scalars", "ranges"],
)
def test_any_sequences_of_integers_are_taken(children: Any) -> None:
    assert InputGraph(children) == InputGraph(TREE)


def test_child_order_and_parallel_edges_are_kept() -> None:
    graph = InputGraph([[2, 1, 2], [], []])
    assert graph.children == [[2, 1, 2], [], []]
    assert graph.reverse().children == [[], [0], [0, 0]]


@given(forests())
def test_from_parents_puts_children_in_increasing_order(graph: InputGraph) -> None:
    parents = [-1] * graph.num_vertices
    for vertex, children in enumerate(graph.children):
        assert children == sorted(children)
        for child in children:
            parents[child] = vertex
    assert InputGraph.from_parents(parents) == graph
    assert InputGraph.from_parents(np.array(parents, np.int16)) == graph


@given(forests())
def test_from_parents_by_leaf_puts_children_by_the_first_leaf_below(graph: InputGraph) -> None:
    def first_leaf(vertex: int) -> int:
        below = graph.children[vertex]
        return min(map(first_leaf, below)) if below else vertex

    parents = [-1] * graph.num_vertices
    for vertex, children in enumerate(graph.children):
        for child in children:
            parents[child] = vertex
    found = InputGraph.from_parents(parents, order="leaf")
    assert found.children == [sorted(children, key=first_leaf) for children in graph.children]


@given(dags(), st.randoms(use_true_random=False))
def test_from_edges_keeps_the_order_of_a_parents_edges(graph: InputGraph, random: Any) -> None:
    parents = [v for v, children in enumerate(graph.children) for _ in children]
    edges = list(zip(graph.child_index.tolist(), parents, strict=True))
    # Interleave the parents, without changing the order of any one parent's edges.
    owners = random.sample(parents, len(parents))
    left = {v: [edge for edge in edges if edge[1] == v] for v in owners}
    mixed = [left[v].pop(0) for v in owners]
    children, parents = [e[0] for e in mixed], [e[1] for e in mixed]
    made = InputGraph.from_edges(graph.num_vertices, children, parents)
    assert made == graph
    order = np.argsort(np.array(parents, int), kind="stable")
    np.testing.assert_array_equal(made.child_index, np.array(children, int)[order])


@given(input_graphs())
def test_round_trips(graph: InputGraph) -> None:
    assert InputGraph(graph.children) == graph
    assert InputGraph.from_csr(graph.child_ptr, graph.child_index, graph.child_slot) == graph
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert hash(InputGraph(graph.children)) == hash(graph)


@given(input_graphs())
def test_reverse_turns_every_edge_round(graph: InputGraph) -> None:
    def edges(g: InputGraph) -> list[tuple[int, int]]:
        lists = enumerate(g.children)
        return [(v, child) for v, children in lists for child in children if child >= 0]

    turned = graph.reverse()
    assert sorted(edges(turned)) == sorted((child, v) for v, child in edges(graph))
    assert turned.num_levels == graph.num_levels
    assert turned.roots.tolist() == graph.leaves.tolist()
    assert turned.leaves.tolist() == graph.roots.tolist()
    # The documented renumbering of the edges.
    order = np.argsort(graph.child_index, kind="stable")
    parent = np.repeat(np.arange(graph.num_vertices), np.diff(graph.child_ptr))
    np.testing.assert_array_equal(turned.child_index, parent[order])


def test_equality_and_repr() -> None:
    assert InputGraph(TREE) != InputGraph(TREE[:3])
    assert InputGraph(TREE) != TREE
    assert repr(InputGraph([[], [0]])) == "InputGraph(children=[[], [0]])"
    assert repr(InputGraph([[]] * 100)) == "<InputGraph of 100 vertices, 0 edges, 1 levels>"


@pytest.mark.parametrize(
    ("children", "message"),
    [
        ([[], [0, 9], []], r"vertex 1: expected a child in 0\.\.2, got 9"),
        ([[], [-2]], r"vertex 1: expected a child in 0\.\.1, got -2; .* -1 is a hole"),
        ([[], [-1, 1]], r"own descendant, got vertices 1 -> 1"),
        ([[2**40]], r"vertex 0: expected a child in 0\.\.0, got 1099511627776"),
        ([[], [2**70]], r"vertex 1: child: expected a number of 64 bits"),
        ([[], [1]], r"own descendant, got vertices 1 -> 1"),
        ([[1], [2], [0]], r"own descendant, got vertices 0 -> 1 -> 2 -> 0"),
        ([[], [0, 2], [3], [2], [1]], r"got vertices 2 -> 3 -> 2"),
    ],
)
def test_bad_children_are_refused(children: list[list[int]], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        InputGraph(children)


@pytest.mark.parametrize(
    ("children", "message"),
    [
        (3, r"\[graph\] children: expected a sequence of sequences of integers, got 3"),
        ([[], 3], r"\[graph\] vertex 1: children: expected a sequence of integers, got 3"),
        ([[], [0.5]], r"\[graph\] vertex 1: child: expected an integer, got 0.5"),
        ([["a"]], r"\[graph\] vertex 0: child: expected an integer, got 'a'"),
        ([[], [np.float32(0)]], r"vertex 1: child: expected an integer"),
        ([["\n" + 99 * "ä"]], r"child: expected an integer, got '.nä*\.\.\.; check its type$"),
        ([None], r"vertex 0: children: expected a sequence of integers, got None"),
    ],
)
def test_what_is_no_integer_is_refused(children: Any, message: str) -> None:
    with pytest.raises(DTypeError, match=message):
        InputGraph(children)


@pytest.mark.parametrize(
    ("parents", "error", "message"),
    [
        ([-2], GraphError, r"vertex 0: expected a parent in -1\.\.0, got -2"),
        ([-1, 2], GraphError, r"vertex 1: expected a parent in -1\.\.1, got 2"),
        ([0], GraphError, r"own descendant"),
        ([1, 0], GraphError, r"own descendant"),
        ([0.0], DTypeError, r"parents: expected an integer, got 0.0"),
        (np.zeros(2), DTypeError, r"parents: expected a one-dimensional array of integers"),
        (np.zeros((2, 2), int), DTypeError, r"one-dimensional"),
        (None, DTypeError, r"one-dimensional"),
    ],
)
def test_bad_parents_are_refused(parents: Any, error: type[Exception], message: str) -> None:
    for order in ("number", "leaf"):
        with pytest.raises(error, match=message):
            InputGraph.from_parents(parents, order=order)


def test_an_unknown_order_is_refused() -> None:
    unknown: Any = "depth"
    with pytest.raises(InputError, match=r"\[graph\] expected order 'number' or 'leaf', got"):
        InputGraph.from_parents([-1], order=unknown)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((2, [0], [2]), GraphError, r"edge 0: expected a parent in 0\.\.1, got 2"),
        ((2, [0, -1], [1, 1]), GraphError, r"edge 1: expected a child in 0\.\.1, got -1"),
        ((2, [0, 0], [1]), GraphError, r"as many children as parents of edges, got 2 and 1"),
        ((-1, [], []), GraphError, r"num_vertices of 0 or more, got -1"),
        ((2, [0, 1], [1, 0]), GraphError, r"own descendant"),
        ((2**40, [], []), GraphError, r"at most 2147483646 vertices in a batch, got 1099511627776"),
        ((2.0, [0], [1]), DTypeError, r"num_vertices: expected an integer, got 2.0"),
    ],
)
def test_bad_edges_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        InputGraph.from_edges(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), r"expected 1 elements in child_ptr .*got 0"),
        (([1, 2], [0, 0]), r"expected child_ptr to start with 0, got 1"),
        (([0, 2, 1], [0]), r"vertex 1: expected child_ptr not to decrease, got 1 after 2"),
        (([0, 1], []), r"expected 1 elements in children .*got 0"),
        (([0, 1], [0]), r"own descendant"),
    ],
)
def test_bad_csr_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        InputGraph.from_csr(*arguments)


def test_an_index_method_that_shortens_the_list_does_no_harm() -> None:
    class Shrinking:
        def __index__(self) -> int:
            children.clear()
            return 0

    children: list[Any] = [Shrinking() for _ in range(1000)]
    assert InputGraph([[], children]).num_edges == 1


def test_a_long_cycle_is_named_in_part() -> None:
    count = 100_000
    with pytest.raises(GraphError, match=r"0 -> 1 -> 2 -> .* -> \.\.\. -> 0, each a child"):
        InputGraph([[(v + 1) % count] for v in range(count)])


def test_numbers_too_large_for_64_bits_with_sign_are_no_holes() -> None:
    children = np.array([2**64 - 1], np.uint64)
    with pytest.raises(
        GraphError, match=r"^\[graph\] children: expected numbers of 63 bits, got 1"
    ):
        InputGraph.from_csr([0, 0, 1], children)
