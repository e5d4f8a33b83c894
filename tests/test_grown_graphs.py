"""The structure of graphs that grow, against lists of children."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs._native import core
from cavs.errors import CavsRuntimeError, GraphError, InputError, ShapeError
from cavs.grown_graphs import lists_of_children, whole_graphs

GRAPHS = 3


def opened(
    graphs: core.GrownGraphs, children: object, owners: list[int] | None = None
) -> np.ndarray:
    ptr, flat = lists_of_children(children)
    given = None if owners is None else np.array(owners, np.int32)
    return graphs.open(ptr, flat, None, given)


@given(st.data())
def test_whole_graphs_have_the_children_that_were_given(data: st.DataObject) -> None:
    grown = core.GrownGraphs(GRAPHS, None, (), False, (-1, 0), 100)
    owner: list[int] = []
    expected: list[list[int]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        graphs = data.draw(st.lists(st.integers(0, GRAPHS - 1), min_size=1, max_size=5))
        children = []
        for graph in graphs:
            there = [-1, *(v for v, g in enumerate(owner) if g == graph)]
            listed = st.lists(st.sampled_from(there), max_size=3) if there[1:] else st.just([])
            children.append(data.draw(listed))
        assert opened(grown, children, graphs).tolist() == graphs
        owner += graphs
        expected += children
    whole = whole_graphs(grown, np.array([7, 5, 6]), None)
    assert whole.graphs.keys.tolist() == [7, 5, 6]
    assert sorted(whole.vertices.tolist()) == list(range(len(owner)))
    assert [owner[v] for v in whole.vertices] == sorted(owner)
    first, edges = np.repeat(whole.graphs.ptr[:-1], np.diff(whole.graphs.ptr)), []
    numbers = np.cumsum([0, *(sum(c >= 0 for c in x) for x in expected)])
    lists = [x for graph in cavs.unbatch(whole.graphs) for x in graph.children]
    for row, (vertex, found) in enumerate(zip(whole.vertices.tolist(), lists, strict=True)):
        named = [-1 if c < 0 else int(whole.vertices[first[row] + c]) for c in found]
        while expected[vertex][-1:] == [-1]:
            expected[vertex].pop()
        assert named == expected[vertex]
        edges += range(numbers[vertex], numbers[vertex + 1])
    assert whole.edges.tolist() == edges


def test_a_refused_level_leaves_no_trace() -> None:
    grown = core.GrownGraphs(2, None, (), False, (1, 0), 3)
    opened(grown, [[], []], [0, 1])
    for children, owners in (
        ([[2]], None),
        ([[-1]], None),
        ([[0]], [1]),
        ([[0]], [2]),
        ([[0, 0]], None),
        ([[0], [0], [0]], None),
    ):
        with pytest.raises(GraphError, match=r"^\[unfold\]"):
            opened(grown, children, owners)
        assert grown.num_vertices == 2
    assert opened(grown, [[0, -1], [1]]).tolist() == [0, 1]
    assert grown.children.tolist() == [0, 1]
    assert grown.graph.tolist() == [0, 1, 0, 1]


def test_children_may_come_in_any_list() -> None:
    for given_lists in ([[1, 2], [], [3]], [(1, 2), (), [np.int64(3)]], [np.array([1, 2]), [], 3]):
        ptr, flat = lists_of_children(given_lists)
        assert (ptr.tolist(), flat.tolist()) == ([0, 2, 2, 3], [1, 2, 3])
    ptr, flat = lists_of_children(np.array([4, -1, 2**40]))
    assert (ptr.tolist(), flat.tolist()) == ([0, 1, 2, 3], [4, -1, 2**40])
    ptr, flat = lists_of_children(np.array([[1, -1], [2, 0]]))
    assert (ptr.tolist(), flat.tolist()) == ([0, 2, 4], [1, -1, 2, 0])
    ptr, flat = lists_of_children(np.zeros((2, 0), np.int32))
    assert (ptr.tolist(), flat.tolist()) == ([0, 0, 0], [])


@pytest.mark.parametrize(
    ("ptr", "children", "types", "graphs"),
    [
        ([], [], None, None),
        ([1, 1], [0], None, None),
        ([0, 2, 1], [0], None, None),
        ([0, 5], [0], None, None),
        ([0, 0], [], None, [0, 0]),
        ([0, 0], [], [0], [0]),
    ],
)
def test_the_engine_takes_only_what_fits(
    ptr: list[int], children: list[int], types: list[int] | None, graphs: list[int] | None
) -> None:
    def array(x: list[int] | None) -> np.ndarray | None:
        return None if x is None else np.array(x, np.int64)

    grown = core.GrownGraphs(1, None, (), False, (-1, 0), 100)
    with pytest.raises(ShapeError, match=r"^\[growth\]"):
        grown.open(array(ptr), array(children), array(types), array(graphs))
    with pytest.raises(InputError, match=r"\[growth\] expected 0.*graphs, got -1"):
        core.GrownGraphs(-1, None, (), False, (-1, 0), 100)


def test_a_level_is_opened_before_it_is_run() -> None:
    class One(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.gather(0, h=()).h + v.pull("x"))
            v.scatter(h=v.pull("x"))

    model = cavs.compile(One())
    executor, compiler = model._executor, model._compiler.growing()
    plain = executor.load(compiler.inference())
    rest = (None, (), False, (-1, 0), 9, np.arange(1), 0, 0, False, [])
    with pytest.raises(InputError, match="hold_states=True"):
        core.Growth(plain, *rest)
    made = executor._make(compiler.inference(), None, True)
    growth = core.Growth(made, *rest)
    with pytest.raises(CavsRuntimeError, match="to be opened first, got none"):
        growth.run([np.ones(1, np.float32)])
    growth.open(np.array([0, 0]), np.zeros(0, np.int64), None, np.array([0]))
    with pytest.raises(CavsRuntimeError, match="the level before to be computed"):
        growth.open(np.array([0, 0]), np.zeros(0, np.int64), None, np.array([0]))
    (y,) = growth.run([np.ones(1, np.float32)])
    assert y.tolist() == [1]
    run = core.Run(made, _schedule(), np.arange(1), 0, 0, False, False)
    with pytest.raises(CavsRuntimeError, match="held states"):
        run.forward([], [np.ones(1, np.float32)])


def _schedule() -> object:
    return cavs.batch([cavs.InputGraph([[]])]).schedule()
