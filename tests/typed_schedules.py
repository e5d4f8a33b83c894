"""Random graphs with types, lattices, and comparisons of their schedules."""

from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import strategies as st
from reference_typed_schedule import (
    ReferenceTypedSchedule,
)
from strategies import input_graphs, run_graphs

from cavs.core.ops._spaces import EdgeList
from cavs.core.type_order import TypeOrder
from cavs.scheduler import GraphBatch, InputGraph, Policy, Schedule, batch

POLICIES = ("depth", "agenda", "bound", "serial")
POLICY = pytest.mark.parametrize("policy", POLICIES)
ANY_POLICY = st.sampled_from(POLICIES)
NAMES = ("char", "word", "place", "phrase", "sentence")
FIELDS = list(get_type_hints(ReferenceTypedSchedule))
#: What a schedule says of its first list of edges, and the name of the same in `edge_rows`.
OF_FIRST_LIST = {
    "edge_order": "order",
    "child": "child",
    "parent": "parent",
    "edge_slot": "slot",
    "child_ptr": "ptr",
    "out_ptr": "out_ptr",
    "out_edge": "out_edge",
}

Case = tuple[GraphBatch, TypeOrder]


def order_of(
    *names: str,
    lists: tuple[EdgeList, ...] = (),
    batched: tuple[str, ...] | None = None,
    apart: tuple[str, ...] = (),
) -> TypeOrder:
    """Types that graphs number as they stand here; all run batch by batch where nothing is said."""
    in_batches = names if batched is None else batched
    return TypeOrder(names, names, lists, frozenset(in_batches), frozenset(apart))


@st.composite
def orders(draw: st.DrawFn) -> TypeOrder:
    """Of 1 to 5 types, numbered otherwise than they were given, with any lists of edges."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    pairs = [EdgeList(a, b) for a in names for b in (None, *names)]
    some = st.sets(st.sampled_from(names)).map(frozenset)
    return TypeOrder(
        names=tuple(names),
        given=tuple(draw(st.permutations(names))),
        lists=tuple(draw(st.lists(st.sampled_from(pairs), max_size=6, unique=True))),
        batched=draw(st.just(frozenset(names)) | some),
        apart=draw(some),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A batch of graphs of any shape whose vertices have types by name, and an order; not every
    type need have vertices."""
    order = draw(orders())
    there = draw(st.lists(st.sampled_from(order.names), min_size=1, unique=True))
    graphs = []
    for graph in draw(st.lists(input_graphs(), max_size=4)):
        count = graph.num_vertices
        types = draw(st.lists(st.sampled_from(there), min_size=count, max_size=count))
        graphs.append(InputGraph(graph.children, types=types))
    return batch(graphs), order


@st.composite
def run_cases(draw: st.DrawFn) -> Case:
    """The same with child lists that are runs."""
    order = draw(orders())
    there = draw(st.lists(st.sampled_from(order.names), min_size=1, unique=True))
    graphs = st.lists(run_graphs(types=there), min_size=1, max_size=4)
    return batch(draw(graphs)), order


def made(graphs: GraphBatch, policy: str | Policy, order: TypeOrder) -> Any:
    """The engine's schedule."""
    return graphs.schedule(policy, order.numbers())


def with_types(graphs: GraphBatch, types: list[Any] | None) -> GraphBatch:
    """The same graphs with other types, or without."""
    first = np.repeat(graphs.ptr[:-1], np.diff(graphs.edge_ptr))
    arrays = graphs.ptr, graphs.child_ptr, graphs.children - first
    return GraphBatch.from_csr(*arrays, graphs.keys, graphs.child_slot, types)


def assert_array_equal(actual: Any, wanted: Any, name: str) -> None:
    np.testing.assert_array_equal(actual, wanted, err_msg=name)
    if isinstance(wanted, np.ndarray):
        assert (actual.dtype, actual.shape) == (np.int32, wanted.shape), name
        assert not actual.flags.writeable, name


def assert_equal(schedule: Schedule, expected: ReferenceTypedSchedule, lists: int) -> None:
    for name in FIELDS:
        assert_array_equal(getattr(schedule, name), getattr(expected, name), name)
    for number in range(lists):
        actual, wanted = schedule.edge_rows(number), expected.edge_rows(number)
        assert list(actual) == list(wanted)
        for name, array in wanted.items():
            assert_array_equal(actual[name], array, f"{name} of list {number}")
        for k in range(wanted["slot"].max(initial=-1) + 3):
            slot = schedule.slot(k, number)
            assert_array_equal(slot, expected.slot(k, number), f"slot {k} of list {number}")


def assert_same(schedule: Schedule, expected: Schedule, lists: int) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(schedule, name), getattr(expected, name), name)
    for number in range(lists):
        for name, array in expected.edge_rows(number).items():
            np.testing.assert_array_equal(schedule.edge_rows(number)[name], array, name)


def batch_of_vertex(schedule: Any) -> dict[int, int]:
    """The number of the batch in which each vertex runs that runs batch by batch."""
    found = {}
    for number, (_, begin, end) in enumerate(schedule.batches):
        found.update(dict.fromkeys(schedule.vertex_order[begin:end].tolist(), number))
    return found


def edges_of(graphs: GraphBatch) -> list[tuple[int, int]]:
    """Parent and child of each edge."""
    parents = np.repeat(np.arange(graphs.num_vertices), np.diff(graphs.child_ptr))
    return list(zip(parents.tolist(), graphs.children.tolist(), strict=True))


LATTICE_TYPES = ("char", "word")


def lattice(count: int, words: tuple[tuple[int, int], ...] = ()) -> InputGraph:
    """Characters in a row, and words: each from behind a character to a later one. Characters come
    first."""
    children = [[place - 1] if place else [] for place in range(count)]
    for number, (begin, end) in enumerate(words):
        children[end].append(count + number)
        children.append([begin])
    return InputGraph(children, types=["char"] * count + ["word"] * len(words))


#: Five characters with three words that end at the last, and three sentences of two characters.
LATTICES = batch([lattice(5, ((0, 4), (1, 4), (2, 4))), *[lattice(2)] * 3])
LATTICE_LISTS = (EdgeList("char", "char"), EdgeList("char", "word"), EdgeList("word", None))
LATTICE_ORDER = order_of(*LATTICE_TYPES, lists=LATTICE_LISTS)


def letters(schedule: Schedule) -> str:
    """The types of the batches, in order: c and w."""
    return "".join(LATTICE_TYPES[number][0] for number, *_ in schedule.batches)
