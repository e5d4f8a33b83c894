"""The engine's schedule for a function of types: it equals the reference, and is as it must be."""

from collections.abc import Callable
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_typed_schedule import (
    ReferenceTypedSchedule,
    Waiting,
    least_batches,
    type_names,
)
from run_checks import check_runs
from strategies import input_graphs
from typed_schedules import (
    ANY_POLICY,
    LATTICE_ORDER,
    LATTICES,
    OF_FIRST_LIST,
    POLICY,
    Case,
    assert_equal,
    assert_same,
    batch_of_vertex,
    cases,
    edges_of,
    lattice,
    letters,
    made,
    order_of,
    run_cases,
    with_types,
)

from cavs.core.ops._spaces import EdgeList
from cavs.core.type_order import TypeOrder
from cavs.errors import GraphError, InputError
from cavs.scheduler import GraphBatch, InputGraph, Schedule, batch


@POLICY
@given(case=cases())
def test_the_engine_equals_the_reference(case: Case, policy: str) -> None:
    graphs, order = case
    expected = ReferenceTypedSchedule(graphs, policy, order)
    assert_equal(made(graphs, policy, order), expected, len(order.lists))


@POLICY
@given(case=run_cases())
def test_the_engine_equals_the_reference_on_runs(case: Case, policy: str) -> None:
    graphs, order = case
    assert graphs.has_runs
    expected = ReferenceTypedSchedule(graphs, policy, order)
    schedule = made(graphs, policy, order)
    assert_equal(schedule, expected, len(order.lists))
    check_runs(graphs, schedule, len(order.lists))


@given(case=cases(), policy=ANY_POLICY)
def test_each_vertex_has_one_row_among_those_of_its_type(case: Case, policy: str) -> None:
    graphs, order = case
    schedule = made(graphs, policy, order)
    rows = np.arange(graphs.num_vertices)
    np.testing.assert_array_equal(np.sort(schedule.vertex_order), rows)
    np.testing.assert_array_equal(schedule.vertex_row[schedule.vertex_order], rows)
    ends = [0, *(last for *_, last in schedule.type_rows)]
    assert [first for first, *_ in schedule.type_rows] == ends[:-1]
    numbers = [order.names.index(name) for name in type_names(graphs, order)]
    by_row = np.repeat(np.arange(len(order.names)), np.diff(ends))
    np.testing.assert_array_equal(by_row[schedule.vertex_row], numbers)


@given(case=cases(), policy=ANY_POLICY)
def test_each_vertex_of_a_batched_type_runs_once(case: Case, policy: str) -> None:
    graphs, order = case
    schedule = made(graphs, policy, order)
    ran = [row for _, *span in schedule.batches for row in range(*span)]
    types, leaves = type_names(graphs, order), set(graphs.leaves.tolist())
    batched = {
        v
        for v, name in enumerate(types)
        if name in order.batched and not (v in leaves and name in order.apart)
    }
    assert len(ran) == len(batched)
    assert set(schedule.vertex_order[ran].tolist()) == batched


@given(case=cases(), policy=ANY_POLICY)
def test_a_batch_has_vertices_of_one_type(case: Case, policy: str) -> None:
    graphs, order = case
    schedule = made(graphs, policy, order)
    types = type_names(graphs, order)
    for number, begin, end in schedule.batches:
        assert begin < end
        vertices = schedule.vertex_order[begin:end].tolist()
        assert {types[v] for v in vertices} == {order.names[number]}


@given(case=cases(), policy=ANY_POLICY)
def test_vertices_run_after_their_children(case: Case, policy: str) -> None:
    graphs, order = case
    number = batch_of_vertex(made(graphs, policy, order))
    for parent, child in edges_of(graphs):
        if parent in number and child in number:
            assert number[child] < number[parent]


@given(case=cases(), policy=ANY_POLICY)
def test_batches_of_a_step_do_not_wait_for_each_other(case: Case, policy: str) -> None:
    graphs, order = case
    schedule = made(graphs, policy, order)
    number = batch_of_vertex(schedule)
    step = np.repeat(np.arange(schedule.num_steps), np.diff(schedule.step_ptr))
    assert (np.diff(schedule.step_ptr) > 0).all()
    assert len(step) == schedule.num_batches
    types = type_names(graphs, order)
    for parent, child in edges_of(graphs):
        lists = {(types[parent], None), (types[parent], types[child])}
        is_read = not lists.isdisjoint(order.lists)
        if parent in number and child in number and is_read:
            assert step[number[child]] < step[number[parent]]


@given(case=cases(), policy=ANY_POLICY)
def test_no_policy_needs_fewer_batches_than_the_longest_chain_of_each_type(
    case: Case, policy: str
) -> None:
    graphs, order = case
    assert made(graphs, policy, order).num_batches >= least_batches(graphs, order)


@given(case=cases())
def test_bound_lowers_the_bound_of_what_is_left_where_a_batch_can(case: Case) -> None:
    graphs, order = case
    schedule, waiting = made(graphs, "bound", order), Waiting(graphs, order)
    left = set(waiting.running)
    for number, begin, end in schedule.batches:
        ready = waiting.ready(left)
        after = {name: waiting.least(left.difference(ready[name])) for name in ready}
        assert after[order.names[number]] == min(after.values())
        left.difference_update(schedule.vertex_order[begin:end].tolist())


@given(case=cases())
def test_depth_goes_level_by_level_and_in_each_type_by_type(case: Case) -> None:
    graphs, order = case
    schedule, depth = made(graphs, "depth", order), Waiting(graphs, order).depth
    places = []
    for number, begin, end in schedule.batches:
        (level,) = {depth[v] for v in schedule.vertex_order[begin:end].tolist()}
        places.append((level, number))
    assert places == sorted(set(places))


@given(case=cases())
def test_serial_runs_one_vertex_at_a_time_graph_by_graph(case: Case) -> None:
    graphs, order = case
    schedule = made(graphs, "serial", order)
    rows = [begin for _, begin, _ in schedule.batches]
    assert [end for *_, end in schedule.batches] == [row + 1 for row in rows]
    assert (np.diff(schedule.graph[rows]) >= 0).all()


@pytest.mark.parametrize("policy", ["depth", "agenda", "bound"])
@given(graphs=st.lists(input_graphs(), max_size=4))
def test_a_single_type_runs_level_by_level(graphs: list[InputGraph], policy: str) -> None:
    plain = batch(graphs)
    typed = with_types(plain, ["char"] * plain.num_vertices)
    order = order_of("char", lists=(EdgeList("char", None),))
    schedule: Any = made(typed, policy, order)
    expected: Any = plain.schedule()
    for name in ("batches", "step_ptr", "vertex_order", "type_rows", *OF_FIRST_LIST):
        np.testing.assert_array_equal(getattr(schedule, name), getattr(expected, name), name)


@given(case=cases())
def test_a_function_without_types_does_not_see_them(case: Case) -> None:
    graphs, _ = case
    schedule, expected = graphs.schedule(), with_types(graphs, None).schedule()
    for name in get_type_hints(Schedule):
        np.testing.assert_array_equal(getattr(schedule, name), getattr(expected, name), name)


@given(case=cases(), policy=ANY_POLICY, data=st.data())
def test_types_by_number_count_as_those_by_name(
    case: Case, policy: str, data: st.DataObject
) -> None:
    graphs, order = case
    names = type_names(graphs, order)
    numbers = [order.given.index(name) for name in names]
    expected = made(graphs, policy, order)
    assert_same(made(with_types(graphs, numbers), policy, order), expected, len(order.lists))
    count = len(names)
    by_name = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    mixed = [a if use else b for a, b, use in zip(names, numbers, by_name, strict=True)]
    assert_same(made(with_types(graphs, mixed), policy, order), expected, len(order.lists))


@given(case=cases())
def test_what_is_said_of_edges_is_of_the_first_list(case: Case) -> None:
    graphs, order = case
    if not order.lists:
        return
    schedule = made(graphs, "bound", order)
    edges = schedule.edge_rows(0)
    for name, key in OF_FIRST_LIST.items():
        np.testing.assert_array_equal(getattr(schedule, name), edges[key], name)
    graph = schedule.graph[edges["parent"]]
    np.testing.assert_array_equal(schedule.edge_graph, graph)
    np.testing.assert_array_equal(schedule.edge_local, edges["order"] - graphs.edge_ptr[graph])
    assert schedule.max_arity == np.diff(edges["ptr"]).max(initial=0)
    assert schedule.num_slots == edges["slot"].max(initial=-1) + 1


# Lattices


@pytest.mark.parametrize(
    ("policy", "batches"),
    [
        ("depth", "ccwcwcwc"),  # 8: a word as soon as the character is there behind which it begins
        ("agenda", "ccwcwcc"),  # 7: short sentences keep the first word back for a batch
        ("bound", "cccwcc"),  # 6: all words at once
        ("serial", "ccwcwcwc" + 3 * "cc"),  # 14: as many as vertices, by depth
    ],
)
def test_the_table_of_the_lattices(policy: str, batches: str) -> None:
    assert letters(made(LATTICES, policy, LATTICE_ORDER)) == batches


def test_the_least_of_the_lattices() -> None:
    assert least_batches(LATTICES, LATTICE_ORDER) == 5 + 1


@pytest.mark.parametrize(
    ("policy", "steps"),
    [
        ("depth", [0, 1, 3, 5, 7, 8]),  # a word runs beside the next character
        ("agenda", [0, 1, 2, 4, 6, 7]),
        ("bound", [0, 1, 2, 3, 5, 6]),
    ],
)
def test_the_steps_of_the_lattices(policy: str, steps: list[int]) -> None:
    assert made(LATTICES, policy, LATTICE_ORDER).step_ptr.tolist() == steps


def test_the_rows_of_the_lattices() -> None:
    schedule = made(LATTICES, "bound", LATTICE_ORDER)
    # The first characters; the second ones; one each; words.
    characters = [0, 8, 10, 12, 1, 9, 11, 13, 2, 3, 4]
    assert schedule.vertex_order.tolist() == [*characters, 5, 6, 7]
    assert schedule.type_rows == [(0, 4, 11), (11, 11, 14)]
    spans = [(0, 0, 4), (0, 4, 8), (0, 8, 9), (1, 11, 14), (0, 9, 10), (0, 10, 11)]
    assert schedule.batches == spans


def test_a_list_counts_the_children_of_its_type() -> None:
    graphs = batch([InputGraph([[], [], [], [0, -1, 1, 2]], types=["a", "b", "a", "b"])])
    lists = (EdgeList("b", "a"), EdgeList("b", "b"), EdgeList("b", None))
    schedule = made(graphs, "depth", order_of("a", "b", lists=lists))
    assert schedule.vertex_order.tolist() == [0, 2, 1, 3]
    slots = [schedule.edge_rows(number)["slot"].tolist() for number in range(3)]
    assert slots == [[0, 1], [0], [0, 2, 3]]
    assert [schedule.slot(k, 0)[3] for k in range(3)] == [0, 1, -1]
    assert [schedule.slot(k, 1)[3] for k in range(2)] == [2, -1]
    assert [schedule.slot(k, 2)[3] for k in range(5)] == [0, -1, 2, 1, -1]
    assert [schedule.slot(-1 - k, 0)[3] for k in range(3)] == [1, 0, -1]
    assert [schedule.slot(-1 - k, 1)[3] for k in range(2)] == [2, -1]
    assert [schedule.slot(-1 - k, 2)[3] for k in range(4)] == [1, 2, 0, -1]


def test_types_outside_of_batches_stand_in_the_users_order() -> None:
    types = ["word", "char", "tag", "word", "char", "tag"]
    graphs = batch([InputGraph([[], [0], [1], [], [3, 1], [4]], types=types)])
    order = order_of("tag", "char", "word", batched=("char",))
    schedule = made(graphs, "bound", order)
    assert schedule.vertex_order.tolist() == [2, 5, 1, 4, 0, 3]
    assert schedule.batches == [(1, 2, 3), (1, 3, 4)]
    assert schedule.type_rows == [(0, 0, 2), (2, 2, 4), (4, 6, 6)]


def test_leaves_that_are_apart_stand_before_the_batches_of_their_type() -> None:
    graphs = batch([lattice(3), lattice(2)])
    schedule = made(graphs, "bound", order_of("char", "word", apart=("char",)))
    assert schedule.vertex_order.tolist() == [0, 3, 1, 4, 2]
    assert schedule.type_rows == [(0, 2, 5), (5, 5, 5)]
    assert schedule.batches == [(0, 2, 4), (0, 4, 5)]


@POLICY
@pytest.mark.parametrize("graphs", [[], [InputGraph([])], [InputGraph([], types=[])] * 3], ids=str)
def test_no_vertices(graphs: list[InputGraph], policy: str) -> None:
    schedule = made(batch(graphs), policy, LATTICE_ORDER)
    assert_equal(schedule, ReferenceTypedSchedule(batch(graphs), policy, LATTICE_ORDER), 3)
    assert (schedule.batches, schedule.step_ptr.tolist()) == ([], [0])
    assert schedule.type_rows == [(0, 0, 0)] * 2


@POLICY
def test_a_chain_of_50_000_of_two_types(policy: str) -> None:
    count = 50_000
    order = np.random.default_rng(0).permutation(count)
    types = np.empty(count, int)
    types[order] = np.arange(count) % 2
    chain = InputGraph.from_edges(count, order[:-1], order[1:], types=types)
    lists = (EdgeList("a", None), EdgeList("b", None))
    schedule = made(batch([chain]), policy, order_of("a", "b", lists=lists))
    assert schedule.num_batches == schedule.num_steps == count
    np.testing.assert_array_equal(schedule.vertex_order, [*order[::2], *order[1::2]])


# Refusals


@POLICY
def test_graphs_without_types_are_refused(policy: str) -> None:
    text = r"^\[graph\] expected a type for each vertex \(char, word\), got graphs without types; "
    with pytest.raises(GraphError, match=text):
        made(batch([InputGraph([[], [0]])]), policy, LATTICE_ORDER)


@POLICY
@pytest.mark.parametrize(
    ("unknown", "shown"), [("verb", "'verb'"), ("Char", "'Char'"), ("", "''"), (2, "2")]
)
def test_an_unknown_type_is_refused(policy: str, unknown: Any, shown: str) -> None:
    first = InputGraph([[]], types=["char"])
    second = InputGraph([[], [0]], types=["word", unknown])
    text = rf"^\[graph\] graph 1, vertex 1: expected a type among char, word, got {shown}; "
    with pytest.raises(GraphError, match=text):
        made(batch([first, second]), policy, LATTICE_ORDER)


def test_types_are_named_as_they_were_given() -> None:
    order = TypeOrder(("b", "a"), ("a", "b"), (), frozenset(), frozenset())
    with pytest.raises(GraphError, match=r"graph 2, vertex 0: expected a type among a, b, got 2"):
        made(batch([InputGraph([])] * 2 + [InputGraph([[]], types=[2])]), "depth", order)


@POLICY
def test_a_cycle_is_refused(policy: str) -> None:
    arrays = [0, 1, 4], [0, 0, 1, 2, 3], [1, 2, 1]
    graphs = GraphBatch.from_csr(*arrays, types=["char"] * 4)
    with pytest.raises(GraphError, match=r"graph 1: .*got vertices 1 -> 2 -> 1, each a child"):
        made(graphs, policy, LATTICE_ORDER)


@pytest.mark.parametrize("number", [-1, 3])
@pytest.mark.parametrize("ask", [lambda s, n: s.edge_rows(n), lambda s, n: s.slot(0, n)])
def test_another_list_of_edges_is_refused(ask: Callable[[Any, int], Any], number: int) -> None:
    schedule = made(LATTICES, "depth", LATTICE_ORDER)
    with pytest.raises(InputError, match=rf"expected a list of edges of 0\.\..*, got {number};"):
        ask(schedule, number)


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ((), r"expected a tuple of 5 as an order of types, got \(\)"),
        ((("a",), (1,), (), (True,), (True,)), r"expected types below 1, got 1"),
        ((("a",), (0,), ((1, -1),), (True,), (True,)), r"expected types below 1, got 1"),
        ((("a",), (0,), ((-1, 0),), (True,), (True,)), r"expected types below 1, got -1"),
        ((("a",), (0,), ((0, -2),), (True,), (True,)), r"expected types below 1, got -2"),
        ((("a",), (0,), (0,), (True,), (True,)), r"expected two types, got 0"),
        ((("a",), (0,), (), (), (True,)), r"expected a truth value for each of 1 types, got 0"),
        ((("a",), (0,), (), (True,), (True,) * 2), r"a truth value for each of 1 types, got 2"),
    ],
)
def test_an_order_of_another_form_is_refused(order: Any, text: str) -> None:
    with pytest.raises(InputError, match=rf"^\[schedule\] .*{text};"):
        batch([InputGraph([[]], types=["a"])]).schedule("depth", order)


def test_arrays_outlive_the_schedule() -> None:
    child = made(batch([lattice(2)]), "bound", LATTICE_ORDER).edge_rows(0)["child"]
    assert child.tolist() == [0]
