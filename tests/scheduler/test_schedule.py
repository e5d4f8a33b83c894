"""The engine's schedule: it equals the reference, and both are what a schedule must be."""

import threading
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import given
from reference_schedule import ReferenceSchedule
from run_checks import check_runs
from strategies import batches, run_graphs

from cavs.errors import GraphError
from cavs.scheduler import (
    GraphBatch,
    InputGraph,
    Schedule,
    batch,
    unbatch,
)

POLICY = pytest.mark.parametrize("policy", ["batching", "serial"])
FIELDS = list(get_type_hints(Schedule))
MALFORMED = GraphBatch.from_csr([0, 1, 4], [0, 0, 1, 2, 3], [1, 2, 1])


def _csr(graphs: GraphBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Its arrays as `GraphBatch.from_csr` takes them."""
    first = np.repeat(graphs.ptr[:-1], np.diff(graphs.edge_ptr))
    return graphs.ptr, graphs.child_ptr, graphs.children - first


def assert_equal(schedule: Schedule, expected: Schedule) -> None:
    for name in FIELDS:
        actual, wanted = getattr(schedule, name), getattr(expected, name)
        np.testing.assert_array_equal(actual, wanted, err_msg=name)
        if isinstance(wanted, np.ndarray):
            assert (actual.dtype, actual.shape) == (np.int32, wanted.shape), name
            assert not actual.flags.writeable, name
    for k in range(expected.num_slots + 2):
        np.testing.assert_array_equal(schedule.slot(k), expected.slot(k), err_msg=f"slot {k}")


@POLICY
@given(graphs=batches())
def test_the_engine_equals_the_reference(graphs: GraphBatch, policy: str) -> None:
    assert_equal(graphs.schedule(policy), ReferenceSchedule(graphs, policy))


@POLICY
@given(graphs=batches(run_graphs(), min_size=1))
def test_the_engine_equals_the_reference_on_runs(graphs: GraphBatch, policy: str) -> None:
    assert graphs.has_runs
    schedule = graphs.schedule(policy)
    assert_equal(schedule, ReferenceSchedule(graphs, policy))
    check_runs(graphs, schedule)
    of_lists = GraphBatch.from_csr(*_csr(graphs)).schedule(policy)
    for name, array in schedule.runs().items():
        np.testing.assert_array_equal(array, of_lists.runs()[name])


@given(graphs=batches(min_size=1))
def test_runs_are_found_in_lists(graphs: GraphBatch) -> None:
    check_runs(graphs, graphs.schedule())


@POLICY
@given(graphs=batches())
def test_each_vertex_runs_once_and_after_its_children(graphs: GraphBatch, policy: str) -> None:
    schedule = graphs.schedule(policy)
    rows = np.arange(graphs.num_vertices)
    np.testing.assert_array_equal(np.sort(schedule.vertex_order), rows)
    np.testing.assert_array_equal(schedule.vertex_row[schedule.vertex_order], rows)
    np.testing.assert_array_equal(np.sort(schedule.edge_order), np.arange(graphs.num_edges))
    level = np.repeat(np.arange(schedule.num_levels), np.diff(schedule.level_ptr))
    assert (np.diff(schedule.level_ptr) > 0).all()
    assert (level[schedule.child] < level[schedule.parent]).all()


@given(graphs=batches())
def test_a_level_is_the_longest_path_below(graphs: GraphBatch) -> None:
    schedule = graphs.schedule()
    for vertex, row in enumerate(schedule.vertex_row):
        children = graphs.children[graphs.child_ptr[vertex] : graphs.child_ptr[vertex + 1]]
        below = [
            np.searchsorted(schedule.level_ptr, schedule.vertex_row[c], "right") - 1
            for c in children
        ]
        level = np.searchsorted(schedule.level_ptr, row, "right") - 1
        assert level == max(below, default=-1) + 1


@given(graphs=batches())
def test_serial_runs_graph_by_graph(graphs: GraphBatch) -> None:
    schedule = graphs.schedule("serial")
    assert schedule.num_levels == graphs.num_vertices
    assert (np.diff(schedule.level_ptr) == 1).all()
    assert (np.diff(schedule.graph) >= 0).all()


@POLICY
@given(graphs=batches())
def test_rows_name_the_users_edges(graphs: GraphBatch, policy: str) -> None:
    schedule = graphs.schedule(policy)
    parent = np.repeat(np.arange(graphs.num_vertices), np.diff(graphs.child_ptr))
    order = schedule.edge_order
    np.testing.assert_array_equal(schedule.vertex_order[schedule.parent], parent[order])
    np.testing.assert_array_equal(schedule.vertex_order[schedule.child], graphs.children[order])
    lists = [c for graph in unbatch(graphs) for c in graph.children]
    slots = [k for children in lists for k, child in enumerate(children) if child >= 0]
    np.testing.assert_array_equal(schedule.edge_slot, np.array(slots, int)[order])
    assert schedule.num_slots == max(map(len, lists), default=0)


@POLICY
def test_the_example_of_two_trees(policy: str) -> None:
    schedule = batch([InputGraph([[1, 2], [], []]), InputGraph([[], [0]])]).schedule(policy)
    orders = {"batching": [1, 2, 3, 0, 4], "serial": [1, 2, 0, 3, 4]}
    assert schedule.vertex_order.tolist() == orders[policy]
    assert (
        schedule.level_ptr.tolist() == {"batching": [0, 3, 5], "serial": [0, 1, 2, 3, 4, 5]}[policy]
    )
    assert (
        schedule.level_edge_ptr.tolist()
        == ({"batching": [0, 0, 3], "serial": [0, 0, 0, 2, 2, 3]}[policy])
    )
    assert schedule.max_arity == 2


@POLICY
@pytest.mark.parametrize("graphs", [[], [InputGraph([])], [InputGraph([])] * 3], ids=str)
def test_no_vertices(graphs: list[InputGraph], policy: str) -> None:
    empty = batch(graphs)
    schedule = empty.schedule(policy)
    assert_equal(schedule, ReferenceSchedule(empty, policy))
    assert (schedule.num_levels, schedule.num_vertices, schedule.max_arity) == (0, 0, 0)
    assert schedule.level_ptr.tolist() == [0]


@pytest.mark.parametrize("direction", ["up", "down", "shuffled"])
@POLICY
def test_a_chain_of_100_000(direction: str, policy: str) -> None:
    count = 100_000
    order = np.arange(count)
    if direction == "down":
        order = order[::-1]
    elif direction == "shuffled":
        order = np.random.default_rng(0).permutation(count)
    chain = InputGraph.from_edges(count, children=order[:-1], parents=order[1:])
    assert chain.num_levels == count
    schedule = batch([chain]).schedule(policy)
    np.testing.assert_array_equal(schedule.vertex_order, order)
    np.testing.assert_array_equal(schedule.level_ptr, np.arange(count + 1))
    np.testing.assert_array_equal(schedule.slot(0), np.arange(-1, count - 1))
    np.testing.assert_array_equal(schedule.child, np.arange(count - 1))


@POLICY
def test_a_star(policy: str) -> None:
    count = 50_000
    star = batch([InputGraph.from_parents([-1] + [0] * count)])
    schedule = star.schedule(policy)
    assert schedule.max_arity == count
    assert schedule.num_levels == {"batching": 2, "serial": count + 1}[policy]
    np.testing.assert_array_equal(schedule.child, np.arange(count))
    assert (schedule.parent == count).all()
    assert schedule.slot(count - 1)[-1] == count - 1
    turned = star.reverse().schedule(policy)
    assert (turned.max_arity, turned.num_levels) == (1, schedule.num_levels)
    np.testing.assert_array_equal(np.diff(turned.out_ptr), [count] + [0] * count)


@POLICY
def test_a_cycle_is_refused(policy: str) -> None:
    with pytest.raises(GraphError, match=r"graph 1: .*got vertices 1 -> 2 -> 1, each a child"):
        MALFORMED.schedule(policy)
    with pytest.raises(GraphError, match="own descendant"):
        ReferenceSchedule(MALFORMED, policy)


def test_slots_below_zero_count_from_the_last_child() -> None:
    schedule = batch([InputGraph([[], [0], [0, -1, 1], [2, 1, 0, -1]])]).schedule()
    assert schedule.slot(-1).tolist() == [-1, 0, 1, 0]
    assert schedule.slot(-2).tolist() == [-1, -1, 0, 1]  # holes do not count
    assert schedule.slot(-3).tolist() == [-1, -1, -1, 2]
    assert schedule.slot(-9).tolist() == [-1, -1, -1, -1]


def test_arrays_outlive_the_schedule() -> None:
    child = batch([InputGraph([[], [0]])]).schedule().child
    assert child.tolist() == [0]


def test_threads_may_ask_for_slots_at_once() -> None:
    schedule = batch([InputGraph.from_parents([-1] + [0] * 200)] * 20).schedule()
    found: list[list[int]] = []

    def ask() -> None:
        found.append([int(schedule.slot(k).max()) for k in range(200)])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[20 * 200 - 200 + k for k in range(200)]] * 8
