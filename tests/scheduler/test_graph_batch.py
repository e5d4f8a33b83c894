"""GraphBatch: graphs laid end to end, and back."""

import array
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import batches, input_graphs

from cavs.errors import DTypeError, GraphError, InputError, ShapeError
from cavs.scheduler import GraphBatch, GraphStore, InputGraph, batch, unbatch

PAIR = [InputGraph([[], [0]]), InputGraph([[1, 2], [], []])]


def test_arrays() -> None:
    graphs = batch([*PAIR, InputGraph([]), InputGraph([[]])])
    assert (graphs.num_graphs, graphs.num_vertices, graphs.num_edges) == (4, 6, 3)
    assert len(graphs) == 4
    assert graphs.ptr.tolist() == [0, 2, 5, 5, 6]
    assert graphs.edge_ptr.tolist() == [0, 1, 3, 3, 3]
    assert graphs.child_ptr.tolist() == [0, 0, 1, 3, 3, 3, 3]
    assert graphs.children.tolist() == [0, 3, 4]
    assert graphs.keys.tolist() == [0, 1, 2, 3]
    assert graphs.roots.tolist() == [1, 2, 5]
    assert graphs.leaves.tolist() == [0, 3, 4, 5]
    assert graphs.graph_of_vertex.tolist() == [0, 0, 1, 1, 1, 3]
    assert repr(graphs) == "<GraphBatch of 4 graphs, 6 vertices, 3 edges>"
    for values in (graphs.ptr, graphs.edge_ptr, graphs.child_ptr, graphs.children):
        assert values.dtype == np.int32
        assert not values.flags.writeable


def test_what_the_engine_reads_is_read_only_and_the_rest_is_new() -> None:
    graphs = batch(PAIR)
    for name in ("ptr", "edge_ptr", "child_ptr", "children", "keys"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(graphs, name)[:] = 0
    for name in ("roots", "leaves", "graph_of_vertex", "child_slot"):
        before = getattr(graphs, name).tolist()
        getattr(graphs, name)[:] = 7
        assert getattr(graphs, name).tolist() == before
        assert getattr(graphs, name).dtype == np.int32


@given(batches())
def test_the_graph_of_each_vertex(graphs: GraphBatch) -> None:
    owners = [number for number, graph in enumerate(unbatch(graphs)) for _ in graph.children]
    assert graphs.graph_of_vertex.tolist() == owners
    assert graphs.graph_of_vertex.dtype == np.int32


def test_arrays_outlive_the_batch() -> None:
    children = batch(PAIR).children
    assert children.tolist() == [0, 3, 4]


def test_the_empty_batch() -> None:
    graphs = batch([])
    assert (graphs.num_graphs, graphs.num_vertices, graphs.num_edges) == (0, 0, 0)
    assert graphs.ptr.tolist() == graphs.edge_ptr.tolist() == graphs.child_ptr.tolist() == [0]
    assert unbatch(graphs) == unbatch(graphs, np.zeros((0, 3))) == []


@given(st.lists(input_graphs(), max_size=5))
def test_unbatch_undoes_batch(graphs: list[InputGraph]) -> None:
    together = batch(graphs)
    assert unbatch(together) == graphs
    values = np.arange(2.0 * together.num_vertices).reshape(-1, 2)
    parts = unbatch(together, values)
    assert [len(part) for part in parts] == [graph.num_vertices for graph in graphs]
    assert all(np.shares_memory(part, values) for part in parts if part.size)
    np.testing.assert_array_equal(np.concatenate([*parts, np.zeros((0, 2))]), values)


@given(batches())
def test_flat_arrays_make_the_same_batch(graphs: GraphBatch) -> None:
    first = np.repeat(graphs.ptr[:-1], np.diff(graphs.edge_ptr))
    keys, slots = graphs.keys, graphs.child_slot
    flat = (graphs.ptr, graphs.child_ptr, graphs.children - first, keys, slots)
    assert GraphBatch.from_csr(*flat) == graphs
    assert GraphBatch.from_csr(*(values.tolist() for values in flat)) == graphs
    assert pickle.loads(pickle.dumps(graphs)) == graphs
    assert hash(GraphBatch.from_csr(*flat)) == hash(graphs)


@given(batches())
def test_reverse_is_graph_by_graph(graphs: GraphBatch) -> None:
    turned = graphs.reverse()
    assert unbatch(turned) == [graph.reverse() for graph in unbatch(graphs)]
    np.testing.assert_array_equal(turned.ptr, graphs.ptr)
    np.testing.assert_array_equal(turned.edge_ptr, graphs.edge_ptr)


def test_buffers_are_taken() -> None:
    graphs = GraphBatch.from_csr(
        array.array("i", [0, 2]), memoryview(array.array("q", [0, 0, 1])), array.array("b", [0])
    )
    assert unbatch(graphs) == [PAIR[0]]
    parts = unbatch(batch(PAIR), array.array("f", range(5)))
    assert [part.tolist() for part in parts] == [[0, 1], [2, 3, 4]]
    assert [part.tolist() for part in unbatch(batch(PAIR), [0, 1, 2, 3, 4])] == [[0, 1], [2, 3, 4]]


def test_keys_travel_with_the_batch() -> None:
    graphs = batch(PAIR, keys=[7, 2**40])
    assert graphs.keys.dtype == np.int64
    assert graphs.keys.tolist() == [7, 2**40]
    assert graphs.reverse().keys.tolist() == [7, 2**40]
    assert pickle.loads(pickle.dumps(graphs)) == graphs
    assert graphs != batch(PAIR)


def test_keys_are_copied() -> None:
    keys = np.array([3, 4])
    graphs = batch(PAIR, keys)
    keys[0] = 9
    assert graphs.keys.tolist() == [3, 4]


@given(graphs=st.lists(input_graphs(), min_size=1, max_size=5), data=st.data())
def test_a_store_gives_batches_by_number(graphs: list[InputGraph], data: st.DataObject) -> None:
    numbers = np.array(data.draw(st.lists(st.integers(0, len(graphs) - 1))), np.int64)
    copies = [int((numbers[:place] == n).sum()) for place, n in enumerate(numbers)]
    keys = numbers + np.array(copies, np.int64) * 2**32
    expected = batch([graphs[n] for n in numbers], keys=keys)
    store = GraphStore(graphs)
    assert store.batch(numbers) == expected
    assert pickle.loads(pickle.dumps(store)).batch(numbers) == expected


def test_a_store_refuses_other_numbers_and_keeps_its_keys() -> None:
    store = GraphStore(PAIR)
    for wrong in (-1, 2):
        with pytest.raises(InputError, match=rf"sample numbers from 0 to 1, got {wrong}"):
            store.batch(np.array([0, wrong]))
    numbers = np.array([1, 0])
    graphs = store.batch(numbers)
    numbers[0] = 0
    assert graphs.keys.tolist() == [1, 0]
    assert not graphs.keys.flags.writeable


def test_the_schedule_is_kept() -> None:
    graphs = batch(PAIR)
    assert graphs.schedule() is graphs.schedule("depth")
    assert graphs.schedule("batching") is graphs.schedule("batching")
    assert graphs.schedule("serial") is graphs.schedule("serial")
    assert graphs.schedule("serial") is not graphs.schedule()
    with pytest.raises(
        InputError,
        match=r"expected policy depth, agenda, bound, serial or a function .*, got 'magic'",
    ):
        graphs.schedule("magic")


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ([1], ShapeError, r"one integer key for each of the 2 graphs, got shape \(1,\)"),
        ([[1, 2]], ShapeError, r"got shape \(1, 2\)"),
        ([0.5, 1.5], DTypeError, r"keys to be integers, got float64"),
    ],
)
def test_bad_keys_are_refused(keys: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        batch(PAIR, keys)


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(GraphError, match=r"expected graph 1 to be a cavs.InputGraph, got list"):
        batch([PAIR[0], [[]]])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], [0], []), GraphError, r"expected ptr to start with 0, got nothing"),
        (([1, 2], [0], []), GraphError, r"expected ptr to start with 0, got 1"),
        (
            ([0, 2, 1], [0, 0], []),
            GraphError,
            r"graph 1: expected ptr not to decrease, got 1 after 2",
        ),
        (([0, 1], [0], []), GraphError, r"expected 2 elements in child_ptr .*got 1"),
        (([0, 1, 3], [0, 0, 1, 0], [0]), GraphError, r"vertex 1: expected child_ptr not to dec"),
        (([0, 1, 3], [0, 0, 0, 2], [0]), GraphError, r"expected 2 elements in children"),
        (([0, 1, 3], [0, 0, 0, 1], [2]), GraphError, r"graph 1, vertex 1: .* 0\.\.1, got 2"),
        (([0, 1, 3], [0, 0, 0, 1], [-2]), GraphError, r"graph 1, vertex 1: .* got -2"),
        (([0, 2**31], [0], []), GraphError, r"at most 2147483646 vertices .*got 2147483648"),
        (([0.0, 1.0], [0, 0], []), DTypeError, r"ptr: expected an integer, got 0.0"),
    ],
)
def test_bad_flat_arrays_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GraphBatch.from_csr(*arguments)


def test_a_cycle_in_flat_arrays_is_found_by_the_schedule() -> None:
    graphs = GraphBatch.from_csr([0, 1, 4], [0, 0, 1, 2, 3], [1, 2, 1])
    with pytest.raises(
        GraphError, match=r"graph 1: expected no vertex .* got vertices 1 -> 2 -> 1"
    ):
        graphs.schedule()


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros(()), np.zeros((2, 5)), [1, 2]])
def test_values_of_another_length_are_refused(values: Any) -> None:
    with pytest.raises(
        ShapeError, match=r"\[unbatch\] expected a row for each vertex of the batch \(5 rows\)"
    ):
        unbatch(batch(PAIR), values)
