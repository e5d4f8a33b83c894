"""Graphs whose child lists are runs of vertices: they are the graphs with these lists."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import as_lists, dags, run_graphs

import cavs
from cavs.errors import DTypeError, GraphError
from cavs.scheduler import GraphBatch, InputGraph, batch, unbatch
from cavs.scheduler.graph_batch import GraphStore

_CLEAR = Path("/proc/self/clear_refs")


def peak_of_memory() -> int:
    """KiB that the process has held at most since the last call."""
    status = Path("/proc/self/status").read_text().splitlines()
    _CLEAR.write_text("5")
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


GRAPHS = st.lists(run_graphs(), min_size=1, max_size=4)


def test_windows() -> None:
    graph = InputGraph.windows([0, 0, 0, 1, 3], [0, 1, 2, 2, 0])
    assert graph.children == [[], [0], [0, 1], [1, 2], []]
    assert graph.has_runs
    assert (graph.num_vertices, graph.num_edges, graph.depth) == (5, 5, 3)
    assert graph.runs is not None
    assert [x.tolist() for x in graph.runs] == [[0, 0, 0, 1, 0], [0, 1, 2, 2, 0]]
    assert graph == InputGraph(graph.children)
    assert graph.child_index.tolist() == [0, 0, 1, 1, 2]
    assert graph.roots.tolist() == [3, 4]
    assert graph.leaves.tolist() == [0, 4]
    assert not InputGraph(graph.children).has_runs
    assert InputGraph(graph.children).runs is None


@pytest.mark.parametrize("window", [None, 0, 1, 3])
@pytest.mark.parametrize("memory", [0, 2])
def test_a_causal_chain(window: int | None, memory: int) -> None:
    graph = InputGraph.chain(5, window=window, memory=memory)
    lists = [
        list(range(0 if window is None else max(0, i - window), i)) if i >= memory else []
        for i in range(5 + memory)
    ]
    assert graph.children == lists
    assert graph.has_runs


def test_a_memory_as_long_as_the_window_gives_all_as_many_children() -> None:
    graph = InputGraph.chain(6, window=4, memory=4)
    assert np.diff(graph.child_ptr).tolist() == [0] * 4 + [4] * 6


def test_children_may_stand_behind_their_parents() -> None:
    graph = InputGraph.windows([1, 2, 0], [2, 1, 0])
    assert graph.children == [[1, 2], [2], []]
    assert graph.levels.tolist() == [2, 1, 0]


@given(graph=run_graphs())
def test_a_graph_of_runs_equals_that_of_its_lists(graph: InputGraph) -> None:
    lists = as_lists(graph)
    assert not lists.has_runs
    assert graph == lists
    assert lists == graph
    assert hash(graph) == hash(lists)
    for name in ("child_ptr", "child_index", "child_slot", "roots", "leaves", "levels"):
        np.testing.assert_array_equal(getattr(graph, name), getattr(lists, name), err_msg=name)
    assert (graph.num_edges, graph.depth, graph.has_holes) == (lists.num_edges, lists.depth, False)
    assert repr(graph) == repr(lists)
    assert graph.reverse() == lists.reverse()
    np.testing.assert_array_equal(graph.to_edge_index(), lists.to_edge_index())


@given(graph=run_graphs(types=["a", "b"]), other=run_graphs(types=["a", "b"]))
def test_equality_is_that_of_lists(graph: InputGraph, other: InputGraph) -> None:
    expected = as_lists(graph) == as_lists(other)
    assert (graph == other) == expected
    assert (as_lists(graph) == other) == expected
    assert (graph == as_lists(other)) == expected


@given(graphs=st.lists(run_graphs() | dags(), max_size=4))
def test_a_batch_equals_that_of_lists(graphs: list[InputGraph]) -> None:
    made, lists = batch(graphs), batch([as_lists(graph) for graph in graphs])
    assert made == lists
    assert hash(made) == hash(lists)
    for name in ("ptr", "edge_ptr", "child_ptr", "children", "child_slot", "roots", "leaves"):
        np.testing.assert_array_equal(getattr(made, name), getattr(lists, name), err_msg=name)
    assert made.reverse() == lists.reverse()
    assert unbatch(made) == graphs


@given(graphs=GRAPHS)
def test_runs_stay_runs(graphs: list[InputGraph]) -> None:
    made = batch([*graphs, InputGraph([[], [0], [0, 1]])])  # consecutive lists join them
    assert made.has_runs
    assert all(graph.has_runs for graph in unbatch(made))
    copies = (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made))
    for other in copies:
        assert other.has_runs
        assert other == made
    for graph in graphs:
        for own in (pickle.loads(pickle.dumps(graph)), copy.copy(graph), copy.deepcopy(graph)):
            assert own.has_runs
            assert own == graph
    store = GraphStore(graphs).batch(np.arange(len(graphs)))
    assert store.has_runs
    assert store == batch(graphs)


def test_a_batch_with_other_lists_is_written_out() -> None:
    chain, tree = InputGraph.chain(3), InputGraph([[], [], [1, 0]])
    assert not batch([chain, tree]).has_runs
    assert not batch([chain, InputGraph([[], [-1, 0]])]).has_runs
    assert batch([chain, tree]).children.tolist() == [0, 0, 1, 4, 3]


@pytest.mark.parametrize("memory", [0, 3])
@pytest.mark.parametrize("window", [None, 2])
def test_the_reverse_of_a_chain_has_runs(window: int | None, memory: int) -> None:
    graph = InputGraph.chain(6, window=window, memory=memory)
    turned = graph.reverse()
    assert turned.has_runs
    assert turned == as_lists(graph).reverse()
    assert turned.reverse() == graph
    both = batch([graph, turned])
    assert both.has_runs
    np.testing.assert_array_equal(
        both.schedule().vertex_order,
        batch([as_lists(graph), as_lists(turned)]).schedule().vertex_order,
    )


def test_a_reverse_without_runs_is_written_out() -> None:
    graph = InputGraph.windows([0, 0, 0, 0], [0, 1, 0, 1])  # vertex 0 has parents 1 and 3
    assert graph.reverse().children == [[1, 3], [], [], []]
    assert not graph.reverse().has_runs


def test_types() -> None:
    graph = InputGraph.chain(2, memory=1, types=["memory", "word", "word"])
    assert graph.types == ["memory", "word", "word"]
    assert graph == InputGraph([[], [0], [0, 1]], types=["memory", "word", "word"])
    assert graph != InputGraph.chain(3)
    with pytest.raises(GraphError, match="3 elements in types"):
        InputGraph.chain(2, memory=1, types=["word", "word"])


@pytest.mark.parametrize(
    ("first", "count", "message"),
    [
        ([0, 0], [0, -1], r"vertex 1: expected a count of 0 or more, got -1; correct count"),
        ([0, -1], [0, 1], r"vertex 1: expected its first child in 0\.\.1, got -1; correct first"),
        ([0, 2], [0, 1], r"vertex 1: expected its first child in 0\.\.1, got 2; correct first"),
        ([0, 2**62], [0, 2**62], r"vertex 1: expected its first child in 0\.\.1"),
        ([0, 0], [0, 3], r"vertex 1: expected at most 2 children from vertex 0 on, got 3;"),
        ([0, 0], [0, 2**62], r"vertex 1: expected at most 2 children from vertex 0 on"),
        (
            [0, 0],
            [0, 2],
            r"vertex 1: expected all children before it or behind it, got vertices 0 to 1;",
        ),
        ([0, 1], [0, 1], r"vertex 1: expected all children before it or behind it"),
        (
            [0, 0, 3, 0],
            [0, 1, 1, 0],
            r"vertex 2: expected all children before it, as those of other vertices, got vertices "
            r"3 to 3; correct first and count",
        ),
        ([1, 0], [1, 1], r"vertex 1: expected all children behind it, as those of other vertices"),
        ([0, 0], [0], r"expected 2 elements in count \(one for each vertex\), got 1;"),
    ],
)
def test_wrong_runs_are_named(first: list[int], count: list[int], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        InputGraph.windows(first, count)


def test_numbers_of_edges_fit_32_bits() -> None:
    assert InputGraph.chain(65_536).num_edges == 2**31 - 2**15
    with pytest.raises(GraphError, match="at most 2147483646 edges in a batch, got 2147"):
        InputGraph.chain(65_537)
    half = InputGraph.chain(50_000)
    with pytest.raises(GraphError, match="at most 2147483646 edges in a batch"):
        batch([half, half])


@pytest.mark.parametrize(
    "wrong", [{"length": -1}, {"length": 3, "window": -1}, {"length": 3, "memory": 1.5}]
)
def test_wrong_sizes_of_chains_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(GraphError, match="expected an integer"):
        InputGraph.chain(**wrong)  # type: ignore[arg-type]


def test_what_is_no_integer_is_refused() -> None:
    with pytest.raises(DTypeError, match="first: expected a one-dimensional array of integers"):
        InputGraph.windows(np.array([0.5]), [0])
    with pytest.raises(DTypeError, match="count"):
        InputGraph.windows([0], ["a"])  # type: ignore[list-item]


def test_graphs_without_vertices() -> None:
    for graph in (InputGraph.windows([], []), InputGraph.chain(0)):
        assert graph == InputGraph([])
        assert (graph.num_vertices, graph.runs) == (0, None)
    assert batch([InputGraph.chain(0), InputGraph.chain(2)]).has_runs


@pytest.mark.skipif(not _CLEAR.exists(), reason="needs /proc")
def test_a_long_chain_takes_memory_by_vertices() -> None:
    """Nothing here may take an array of 8 * 4096 ** 2 / 2 edges: 268 MB."""
    graphs = [InputGraph.chain(4096) for _ in range(8)]
    peak_of_memory()
    before = peak_of_memory()
    made = batch(graphs)
    assert made.num_edges == 8 * 4096 * 4095 // 2
    schedule = made.schedule()
    assert schedule.num_levels == 4096
    made.schedule("serial")
    schedule.slot(4095)
    assert len(schedule.runs()["first"]) == 8 * 4096
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.reverse().has_runs
    assert unbatch(made) == graphs
    hash(made), made.roots, made.leaves, repr(made), repr(graphs[0]), hash(graphs[0])
    assert peak_of_memory() - before < 64 << 10
    assert len(made.children) == made.num_edges
    assert peak_of_memory() - before > 200 << 10


def test_edges_are_written_out_when_they_are_asked_for() -> None:
    made = batch([InputGraph.chain(4), InputGraph.chain(3, window=1)])
    assert made.children is not None
    assert made.has_runs
    assert made.children.base is made.children.base
    assert made.children.ctypes.data == made.children.ctypes.data  # once
    np.testing.assert_array_equal(made.children, [0, 0, 1, 0, 1, 2, 4, 5])


def test_they_are_graphs_for_a_data_set() -> None:
    graphs = [InputGraph.chain(n, memory=1) for n in (2, 3)]
    rows = np.arange(sum(g.num_vertices for g in graphs))
    dataset = cavs.data.Dataset(graphs, vertex={"x": rows})
    made, inputs = dataset.batch([1, 0])
    assert made.has_runs
    assert made == GraphBatch([graphs[1], graphs[0]], keys=[1, 0])
    assert inputs["x"].tolist() == [3, 4, 5, 6, 0, 1, 2]
    assert pickle.loads(pickle.dumps(dataset)).graphs == dataset.graphs
