"""Pairs of graphs: batches, their order, readout of both sides, and loaders."""

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import input_graphs

import cavs
from cavs.data import Dataset, Loader, PairDataset, WeightedSampler, class_weights
from cavs.errors import GraphError, InputError, ShapeError

pair_lists = st.lists(st.tuples(input_graphs(max_vertices=5), input_graphs(max_vertices=5)))


def side(graphs: list[cavs.InputGraph], first: int) -> Dataset:
    """Vertices, edges and graphs numbered from `first` on."""
    counts = {
        "vertex": sum(graph.num_vertices for graph in graphs),
        "edge": sum(graph.num_edges for graph in graphs),
        "graph": len(graphs),
    }
    arrays = {
        space: {space[0]: first + np.arange(count, dtype=np.float32)}
        for space, count in counts.items()
    }
    return Dataset(graphs, **arrays)


def pairs_of(drawn: list[tuple[cavs.InputGraph, cavs.InputGraph]]) -> PairDataset:
    left, right = side([a for a, _ in drawn], 0), side([b for _, b in drawn], 1000)
    score = np.arange(len(drawn), dtype=np.float32) / 2
    return PairDataset(left, right, pair={"score": score, "label": np.arange(len(drawn)) % 3})


@given(pair_lists, st.data())
def test_a_batch_holds_left_and_right_in_turn(drawn: Any, data: Any) -> None:
    pairs = pairs_of(drawn)
    assert len(pairs) == len(drawn)
    chosen = data.draw(st.lists(st.integers(0, len(drawn) - 1))) if drawn else []
    graphs, inputs = pairs.batch(np.array(chosen, int))
    assert cavs.unbatch(graphs) == [graph for i in chosen for graph in drawn[i]]
    assert inputs["score"].tolist() == [i / 2 for i in chosen]
    left = side([a for a, _ in drawn], 0)
    right = side([b for _, b in drawn], 1000)
    for name in ("v", "e", "g"):
        rows = [part[i][1][name] for i in chosen for part in (left, right)]
        expected = np.concatenate([np.atleast_1d(x) for x in rows] or [np.zeros(0)])
        np.testing.assert_array_equal(inputs[name], expected)
    if len(set(chosen)) == len(chosen):
        assert graphs.keys.tolist() == [k for i in chosen for k in (2 * i, 2 * i + 1)]
    again = pairs.inputs(np.array(chosen, int))
    assert again.keys() == inputs.keys()
    part = pairs.subset(np.array(chosen, int))
    assert list(part.graphs) == cavs.unbatch(graphs)
    assert part.sizes.tolist() == [sum(g.num_vertices for g in drawn[i]) for i in chosen]


CHAIN, LEAF = cavs.InputGraph([[], [0]]), cavs.InputGraph([[]])
PAIRS = pairs_of([(CHAIN, LEAF), (LEAF, CHAIN), (CHAIN, CHAIN)])


def test_one_pair_and_its_inputs() -> None:
    (left, right), inputs = PAIRS[1]
    assert (left, right) == (LEAF, CHAIN)
    assert inputs["v"].tolist() == [2, 1001, 1002]
    assert (inputs["score"], inputs["label"]) == (0.5, 1)
    assert PAIRS[-1][0] == (CHAIN, CHAIN)
    assert len(list(PAIRS)) == 3
    assert PAIRS.names == ("v", "e", "g", "score", "label")
    assert (PAIRS.num_vertices, PAIRS.num_edges) == (10, 4)
    assert PAIRS.select("v", "label").names == ("v", "label")
    assert PAIRS.flat("label").tolist() == [0, 1, 2]
    assert pickle.loads(pickle.dumps(PAIRS)).batch([2])[0] == PAIRS.batch([2])[0]
    with pytest.raises(IndexError, match="expected a pair of a data set of 3, got 3"):
        PAIRS[3]


def test_a_loader_counts_pairs() -> None:
    loader = Loader(PAIRS, 2)
    assert [graphs.num_graphs for graphs, _ in loader] == [4, 2]
    shuffled = Loader(PAIRS, 1, shuffle=True, seed=3, size_window=2)
    seen = [(graphs.num_graphs, float(inputs["score"][0])) for graphs, inputs in shuffled]
    assert sorted(seen) == [(2, 0.0), (2, 0.5), (2, 1.0)]


def test_a_loader_parts_targets_and_weighs_classes_of_pairs() -> None:
    weights = class_weights(PAIRS.flat("label"))
    loader = Loader(PAIRS, 2, sampler=WeightedSampler(weights, 4), targets=("label", "score"))
    for graphs, inputs, targets in loader:
        assert set(inputs) == {"v", "e", "g"}
        assert len(targets["label"]) == len(targets["score"]) == graphs.num_graphs // 2


class Sums(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        h = v.pull("v") + v.gather(h=()).h.sum()
        v.scatter(h=h)
        v.push(h=h)


def test_readout_of_both_sides_and_its_gradient() -> None:
    graphs, inputs = PAIRS.batch([0, 1, 2])
    model = cavs.compile(Sums())
    x = cavs.tensor(inputs["v"], requires_grad=True)
    left, right = cavs.readout_pairs(graphs, model(graphs, v=x)["h"])
    assert left.data.tolist() == [0 + 1, 2, 3 + 4]
    assert right.data.tolist() == [1000, 1001 + 1002, 1003 + 1004]
    (left * cavs.tensor([1.0, 2.0, 3.0]) - right).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, -1, 2, -1, -1, 3, 3, -1, -1]
    with pytest.raises(GraphError, match="expected two graphs for each pair, got 1 graphs"):
        cavs.readout_pairs(cavs.batch([LEAF]), cavs.tensor([1.0]))


@pytest.mark.parametrize(
    ("left", "right", "pair", "kind", "text"),
    [
        ([LEAF], [LEAF, LEAF], {}, InputError, "as many samples"),
        (
            [LEAF],
            [LEAF],
            {"score": [1.0, 2.0]},
            ShapeError,
            r"1 pairs as 'score', got shape \(2,\)",
        ),
        ([LEAF], [LEAF], {"v": [1.0]}, InputError, "'v' twice"),
        ([LEAF], [LEAF], {1: [1.0]}, InputError, "text as the name"),
        ([LEAF], [LEAF], {"score": ["a"]}, InputError, "expected numbers"),
        ([LEAF], [LEAF], 3, InputError, "a dictionary as pair"),
    ],
)
def test_sides_that_do_not_fit(left: Any, right: Any, pair: Any, kind: Any, text: str) -> None:
    with pytest.raises(kind, match=text):
        PairDataset(side(left, 0), side(right, 0), pair=pair)


def test_other_sides_are_refused() -> None:
    one = Dataset([LEAF], vertex={"v": [1.0]})
    for other, kind, text in (
        (Dataset([LEAF], vertex={"w": [1.0]}), InputError, "the same inputs"),
        (Dataset([LEAF], graph={"v": [1.0]}), InputError, "a row per vertex as .v. on both"),
        (Dataset([LEAF], vertex={"v": [[1.0]]}), ShapeError, r"rows of shape \(\) as 'v'"),
        (PairDataset(one, one), InputError, "got a PairDataset"),
        (3, InputError, r"a cavs\.data\.Dataset as right"),
    ):
        with pytest.raises(kind, match=text):
            PairDataset(one, other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two data sets"):
        PairDataset.from_samples([])
