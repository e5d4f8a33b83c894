"""Graphs of other libraries as input graphs, and back."""

import builtins
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import dags, input_graphs

from cavs.errors import CavsError, DTypeError, GraphError, InputError, ShapeError
from cavs.scheduler import InputGraph


def test_sources_of_an_edge_index_are_children() -> None:
    index = [[3, 0, 1, 2, 0], [4, 3, 3, 4, 3]]
    graph = InputGraph.from_edge_index(index, 5)
    assert graph.children == [[], [], [], [0, 1, 0], [3, 2]]
    order = np.argsort(index[1], kind="stable")
    np.testing.assert_array_equal(graph.child_index, np.array(index[0])[order])
    np.testing.assert_array_equal(graph.to_edge_index(), np.array(index)[:, order])


@given(dags())
def test_edge_index_round_trip(graph: InputGraph) -> None:
    index = graph.to_edge_index()
    assert index.dtype == np.int64
    assert index.shape == (2, graph.num_edges)
    assert InputGraph.from_edge_index(index, graph.num_vertices) == graph


def test_edge_index_of_torch_and_of_no_edges() -> None:
    torch = pytest.importorskip("torch")
    graph = InputGraph.from_edge_index(torch.tensor([[0, 1], [2, 2]]), 3)
    assert graph.children == [[], [], [0, 1]]
    for empty in (np.empty((2, 0)), torch.empty((2, 0), dtype=torch.long), [[], []]):
        assert InputGraph.from_edge_index(empty, 2).children == [[], []]


@pytest.mark.parametrize(
    ("index", "count", "kind", "text"),
    [
        ([[0, 1, 2]], 3, ShapeError, r"\(2, E\).*got shape \(1, 3\)"),
        ([0, 1], 3, ShapeError, r"got shape \(2,\)"),
        ([[0], [1], [2]], 3, ShapeError, r"got shape \(3, 1\)"),
        ([[0.0], [1.0]], 3, DTypeError, "integers in edge_index, got float64"),
        ([[True], [False]], 3, DTypeError, "got bool"),
        ([[0], [3]], 3, GraphError, r"edge 0: expected a parent in 0\.\.2, got 3"),
        ([[-1], [1]], 3, GraphError, r"edge 0: expected a child in 0\.\.2, got -1"),
        ([[1], [1]], 3, GraphError, "its own descendant"),
        ([[0, 1], [1, 0]], 3, GraphError, "its own descendant"),
        ([[0], [1]], -1, GraphError, "num_vertices"),
        ([[0], [1]], None, GraphError, "num_vertices"),
        ([[0], [1, 2]], 3, CavsError, r"^\[graph\] expected"),
        (None, 3, CavsError, r"^\[graph\] expected"),
    ],
)
def test_wrong_edge_indices_are_named(index: Any, count: Any, kind: Any, text: str) -> None:
    with pytest.raises(kind, match=text):
        InputGraph.from_edge_index(index, count)


# --- networkx -------------------------------------------------------------------------------------


@given(input_graphs())
def test_networkx_round_trip(graph: InputGraph) -> None:
    networkx = pytest.importorskip("networkx")
    made = graph.to_networkx()
    assert isinstance(made, networkx.MultiDiGraph)
    assert list(made.nodes) == list(range(graph.num_vertices))
    by_number = sorted(made.edges(data=True), key=lambda edge: edge[2]["edge"])
    assert [(u, v) for u, v, _ in by_number] == list(map(tuple, graph.to_edge_index().T.tolist()))
    assert InputGraph.from_networkx(made) == graph


def test_edges_of_networkx_lead_from_child_to_parent() -> None:
    networkx = pytest.importorskip("networkx")
    made = networkx.DiGraph()
    made.add_weighted_edges_from([("the", "cat", 1.0), ("cat", "sat", 2.0), ("mat", "sat", 3.0)])
    graph = InputGraph.from_networkx(made)
    assert list(made.nodes) == ["the", "cat", "sat", "mat"]
    assert graph.children == [[], [0], [1, 3], []]
    weights = [data["weight"] for node in made for *_, data in made.in_edges(node, data=True)]
    assert weights == [1.0, 2.0, 3.0]
    below = networkx.bfs_tree(networkx.balanced_tree(2, 2), 0)  # its edges lead down
    tree = InputGraph.from_networkx(below.reverse())
    assert tree.children == [[1, 2], [3, 4], [5, 6], [], [], [], []]


def test_slots_of_networkx_say_the_order() -> None:
    networkx = pytest.importorskip("networkx")
    made = networkx.DiGraph()
    made.add_nodes_from(range(3))
    made.add_edge(0, 2, slot=1, place=0)
    made.add_edge(1, 2, slot=0, place=1)
    assert InputGraph.from_networkx(made).children[2] == [1, 0]
    assert InputGraph.from_networkx(made, slot="place").children[2] == [0, 1]
    assert InputGraph.from_networkx(made, slot=None).children[2] == [0, 1]


def _slots(*slots: Any) -> Any:
    networkx = pytest.importorskip("networkx")
    made = networkx.DiGraph()
    for child, slot in enumerate(slots):
        made.add_edge(child, "top", **({} if slot is None else {"slot": slot}))
    return made


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ((0, 0), "node 'top': expected children at distinct slots"),
        ((0, None), "node 'top': expected a slot on all of its 2 edges or on none, got 1"),
        ((0, -1), "slot of an edge >= 0, got -1"),
        ((0, "a"), "slot of an edge >= 0, got 'a'"),
        ((0, 2**30), "slots below"),
    ],
)
def test_wrong_slots_of_networkx(slots: Any, text: str) -> None:
    with pytest.raises(GraphError, match=text):
        InputGraph.from_networkx(_slots(*slots))


def test_other_graphs_are_refused() -> None:
    networkx = pytest.importorskip("networkx")
    with pytest.raises(InputError, match="got an undirected graph; make the graph directed"):
        InputGraph.from_networkx(networkx.path_graph(3))
    with pytest.raises(InputError, match=r"expected a networkx\.DiGraph .* got 3"):
        InputGraph.from_networkx(3)
    with pytest.raises(InputError, match=r"expected a networkx\.DiGraph .* got type"):
        InputGraph.from_networkx(networkx.DiGraph)
    with pytest.raises(GraphError, match="its own descendant"):
        InputGraph.from_networkx(networkx.cycle_graph(3, networkx.DiGraph))


def test_missing_networkx_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "networkx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "networkx", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"expected package networkx, got none; pip install"):
        InputGraph([[]]).to_networkx()


# --- nltk -----------------------------------------------------------------------------------------


def _tree(text: str) -> Any:
    return pytest.importorskip("nltk").Tree.fromstring(text)


def test_words_of_nltk_are_merged_into_their_tags_or_not() -> None:
    tree = _tree("(S (NP (D the) (N cat)) (VP sat))")
    assert InputGraph.from_nltk(tree).children == [[], [], [0, 1], [], [2, 3]]
    own = InputGraph.from_nltk(tree, words="vertices")
    assert own.children == [[], [0], [], [2], [1, 3], [], [5], [4, 6]]
    assert len(own.leaves) == len(tree.leaves())
    mixed = _tree("(S a (X b) c)")
    assert InputGraph.from_nltk(mixed).children == [[], [], [], [0, 1, 2]]


def test_deep_and_shared_trees_of_nltk() -> None:
    nltk = pytest.importorskip("nltk")
    tree = nltk.Tree("X", ["a"])
    shared = nltk.Tree("S", [tree, tree])
    assert InputGraph.from_nltk(shared).children == [[], [], [0, 1]]
    for _ in range(3000):
        tree = nltk.Tree("X", [tree])
    assert InputGraph.from_nltk(tree).depth == 3000
    shared.append(shared)
    with pytest.raises(GraphError, match="its own descendant"):
        InputGraph.from_nltk(shared)


@pytest.mark.parametrize("wrong", ["(S a)", None, 3, ["a"]])
def test_other_trees_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"expected an nltk\.Tree, got"):
        InputGraph.from_nltk(wrong)
    with pytest.raises(InputError, match="expected words among"):
        InputGraph.from_nltk(wrong, words="all")
