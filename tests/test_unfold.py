"""Graphs that grow: against the model over the grown graph, one graph at a time, and to an end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import Growth, ops
from cavs.errors import GraphError, InputError, ShapeError
from cavs.models import ChildSumTreeLSTM, NaryTreeLSTM


def tree_lstm(kind: type = ChildSumTreeLSTM, **options: Any) -> cavs.Model:
    cavs.nn.init.manual_seed(1)
    return cavs.compile(kind(9, 4, 5, 3, **options), seed=7, dtype="float64")


class Sampler:
    """Opens up to three vertices above those of the last level, by random numbers of the graph's
    own: each gathers from one to two vertices of its graph, or from one at its second slot."""

    def __init__(self, keys: list[int], levels: int = 5) -> None:
        self.rngs = [np.random.default_rng(key) for key in keys]
        self.members: list[list[int]] = [[] for _ in keys]
        self.levels = levels

    def __call__(self, frontier: cavs.Frontier) -> Growth | None:
        if frontier.level == self.levels:
            return None
        for vertex, graph in zip(frontier.vertices, frontier.graph, strict=True):
            self.members[graph].append(int(vertex))
        children: list[list[int]] = []
        words: list[int] = []
        # In the order of the level's vertices, and graphs need not stand together.
        for graph in np.unique(frontier.graph)[::-1]:
            rng, members = self.rngs[graph], self.members[graph]
            last = [v for v, g in zip(frontier.vertices, frontier.graph, strict=True) if g == graph]
            for _ in range(int(rng.integers(0, 4))):
                chosen = [int(rng.choice(last))]
                if rng.random() < 0.5:
                    chosen.append(members[int(rng.integers(len(members)))])
                elif rng.random() < 0.5:
                    chosen.insert(0, -1)  # a hole
                children.append(chosen)
                words.append(int(rng.integers(-1, 9)))
        return Growth(children, labelled(words))


def labelled(words: list[int]) -> dict[str, np.ndarray]:
    word = np.array(words, np.int32)
    return {"word": word, "label": word % 3}


def test_more_children_than_the_model_reads_are_named() -> None:
    def open_one(frontier: cavs.Frontier) -> Growth | None:
        return Growth([[0], [0, 1, 2]], labelled([1, 1])) if frontier.level == 0 else None

    roots = Growth([[]] * 4, labelled([1, 2, 3, 4]), [1, 1, 1, 0])
    message = r"\[unfold\] graph 1, vertex 5: expected at most 2 children.*slot beyond 1, got 3"
    with pytest.raises(GraphError, match=message):
        cavs.unfold(tree_lstm(NaryTreeLSTM), roots, open_one, num_graphs=2)
    assert len(cavs.unfold(tree_lstm(), roots, open_one, num_graphs=2).vertices) == 6


def grow(model: cavs.Model, keys: list[int], **options: Any) -> cavs.Unfolded:
    model.set_random_state({"seed": 7, "step": 3})
    roots = Growth(
        [[]] * 2 * len(keys), labelled([k % 9 for k in keys * 2]), [*range(len(keys))] * 2
    )
    return cavs.unfold(
        model, roots, Sampler(keys), num_graphs=len(keys), keys=np.array(keys), **options
    )


@pytest.mark.parametrize("kind", [ChildSumTreeLSTM, NaryTreeLSTM])
def test_it_equals_the_model_over_what_grew(kind: type) -> None:
    model = tree_lstm(kind)
    grown = grow(model, [4, 11, 5, 8])
    assert grown.graphs.num_vertices > 12
    assert grown.graphs.has_holes
    out = model(grown.graphs, **grown.inputs)
    assert set(out) == set(grown.outputs)
    for name, y in out.items():
        np.testing.assert_allclose(grown.outputs[name], y.data, rtol=1e-10, atol=1e-13)
    out["loss"].sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("by", ["vertex", "id"])
def test_graphs_grow_as_if_alone(by: str) -> None:
    """The graphs, and samples by the bit: dropout acts on words and in front of the classifier."""
    model = tree_lstm(dropout=0.5, embedding_dropout=0.5, embedding_dropout_by=by)
    together = grow(model, [4, 11, 5, 8])
    parts = cavs.unbatch(together.graphs)
    for number, key in enumerate([4, 11, 5, 8]):
        alone = grow(model, [key])
        assert cavs.unbatch(alone.graphs) == [parts[number]]
        rows = slice(*together.graphs.ptr[number : number + 2])
        for name, y in alone.outputs.items():
            np.testing.assert_allclose(together.outputs[name][rows], y, rtol=1e-10, atol=1e-13)


class Coin(cavs.VertexFunction):
    """A number that is thrown, and how many ones there were below."""

    def forward(self, v: cavs.Vertex) -> None:
        thrown = ops.less(v.uniform(1), v.pull_graph("p", 1))  # for each vertex
        ones = v.gather(0, ones=1).ones + thrown
        v.scatter(ones=ones)
        v.push(ones=ones)


def test_values_decide_the_structure() -> None:
    """A chain for each graph that ends with the third one."""
    model = cavs.compile(Coin())

    def expand(frontier: cavs.Frontier) -> Growth:
        return Growth(frontier.vertices[frontier.outputs["ones"][:, 0] < 3])

    p = np.full((50, 1), 0.5, np.float32)
    roots = Growth([[]] * 50, graph=np.arange(50))
    grown = cavs.unfold(model, roots, expand, num_graphs=50, graph_inputs={"p": p})
    last = grown.graphs.roots
    assert len(last) == 50
    np.testing.assert_array_equal(grown.outputs["ones"][last], 3)
    sizes = np.diff(grown.graphs.ptr)
    assert sizes.min() >= 3
    assert 5 < sizes.mean() < 7  # 3 / p = 6
    assert model.random_state()["step"] == 1  # a growth is one step
    np.testing.assert_array_equal(grown.inputs["p"], p)


def test_what_does_not_end_is_stopped() -> None:
    model = tree_lstm()

    def on(frontier: cavs.Frontier) -> Growth:
        vertices = frontier.vertices[frontier.graph == 1]
        return Growth(vertices, labelled([0] * len(vertices)))

    def twice(frontier: cavs.Frontier) -> Growth:
        vertices = np.repeat(frontier.vertices, 2)
        return Growth(vertices, labelled([0] * len(vertices)))

    roots = Growth([[], []], labelled([1, 2]), [0, 1])
    with pytest.raises(GraphError, match=r"\[unfold\] expected graph 1 to end within 20 levels"):
        cavs.unfold(model, roots, on, num_graphs=2, max_levels=20)
    with pytest.raises(GraphError, match=r"expected graph 0 to end within 100 vertices, got 127"):
        cavs.unfold(model, roots, twice, num_graphs=2, max_vertices=100)


def test_nothing_grows_from_nothing() -> None:
    model = tree_lstm()
    roots = Growth([[]], labelled([1]), [1])
    grown = cavs.unfold(model, roots, lambda frontier: None, num_graphs=3)
    assert np.diff(grown.graphs.ptr).tolist() == [0, 1, 0]
    assert len(grown.outputs["loss"]) == 1


@pytest.mark.parametrize(
    ("growth", "error", "match"),
    [
        (Growth([[2]], labelled([0])), GraphError, r"among the 2 vertices.* got 2"),
        (Growth([[0]], labelled([0]), [1]), GraphError, r"own graph 1, got vertex 0 of graph 0"),
        (Growth([[0, 1]], labelled([0])), GraphError, r"own graph 0, got vertex 1 of graph 1"),
        (Growth([[]], labelled([0])), GraphError, "give graph="),
        (Growth([[]], labelled([0]), [2]), GraphError, r"expected graphs in 0\.\.1"),
        (Growth([[0]], labelled([0]), [0, 1]), ShapeError, "graphs of 1 new vertices"),
        (Growth([[0]], labelled([0, 1])), ShapeError, r"an array of shape \(1,\) for 'word'"),
        (Growth([[0]], {"word": np.int32([1])}), InputError, "'label'"),
    ],
)
def test_what_cannot_grow_is_named(growth: Growth, error: type[Exception], match: str) -> None:
    model, roots = tree_lstm(), Growth([[], []], labelled([1, 2]), [0, 1])
    with pytest.raises(error, match=match):
        cavs.unfold(model, roots, lambda frontier: growth, num_graphs=2, max_levels=2)


class Weighted(cavs.VertexFunction):
    """A sum over children with weights."""

    def forward(self, v: cavs.Vertex) -> None:
        h = v.gather(h=()).h
        v.scatter(h=v.pull("x"))
        v.push(total=h.sum(), each=2 * h, weighted=h * v.pull_edge("w"))


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_edges_have_inputs_and_outputs(executor: str) -> None:
    """Edges of graph 0 come first in the batch, and were opened last."""
    seen = []

    def expand(frontier: cavs.Frontier) -> Growth | None:
        seen.append(frontier.outputs["weighted"].tolist())
        if frontier.level == 0:
            return Growth([[1, -1, 2]], {"x": [5.0]}, edges={"w": np.float32([3, 4])})
        if frontier.level == 1:
            return Growth([[0], []], {"x": [6.0, 7.0]}, [0, 1], edges={"w": np.float32([2])})
        return None

    roots = Growth([[], [], []], {"x": np.float32([1, 2, 3])}, [0, 1, 1], edges={"w": np.ones(0)})
    model = cavs.compile(Weighted(), executor=executor)
    grown = cavs.unfold(model, roots, expand, num_graphs=2)
    assert seen == [[], [6, 12], [2]]
    assert grown.inputs["w"].tolist() == [2, 3, 4]
    assert grown.outputs["each"].tolist() == [2, 4, 6]
    assert grown.outputs["weighted"].tolist() == [2, 6, 12]
    for name, y in model(grown.graphs, **grown.inputs).items():
        np.testing.assert_array_equal(y.data, grown.outputs[name])


def test_what_edges_lack_is_named_and_what_is_not_asked_for_need_not_be_given() -> None:
    model, roots = cavs.compile(Weighted()), Growth([[]], {"x": np.ones(1, np.float32)}, [0])

    def expand(frontier: cavs.Frontier) -> Growth | None:
        return Growth([[0, 0]], {"x": [1.0]}) if frontier.level == 0 else None

    with pytest.raises(InputError, match=r"'w' for each new edge, pulled at .*edges of the Growth"):
        cavs.unfold(model, roots, expand, num_graphs=1)
    wrong = Growth([[0]], {"x": [1.0]}, edges={"w": np.ones(2, np.float32)})
    with pytest.raises(ShapeError, match=r"shape \(1,\) for 'w', got \(2,\); .* each new edge"):
        cavs.unfold(model, roots, lambda frontier: wrong, num_graphs=1)
    beside = Growth([[0]], {"x": [1.0], "w": np.ones(1)})
    with pytest.raises(
        InputError, match=r"inputs of a Growth among \['x'\], got 'w'; give it in edges"
    ):
        cavs.unfold(model, roots, lambda frontier: beside, num_graphs=1)
    beside = Growth([[0]], edges={"w": np.ones(1), "x": [1.0]})
    match = r"edges of a Growth among \['w'\], got 'x'; give it in inputs"
    with pytest.raises(InputError, match=match):
        cavs.unfold(model, roots, lambda frontier: beside, num_graphs=1)
    unknown = Growth([[0]], {"x": [1.0], "y": [1.0]})
    with pytest.raises(InputError, match=r"got 'y'; leave it out, or rename it"):
        cavs.unfold(model, roots, lambda frontier: unknown, num_graphs=1)
    grown = cavs.unfold(model, roots, expand, num_graphs=1, outputs=["total", "each"])
    assert grown.outputs["each"].tolist() == [2, 2]


def test_inputs_of_outputs_that_are_not_asked_for_are_kept_by_edge() -> None:
    model = cavs.compile(Weighted())
    levels = iter([Growth([[0, 1]], {"x": [5.0]}, edges={"w": np.float32([3, 4])}), None])
    roots = Growth([[], []], {"x": [1.0, 2.0]}, [0, 0])
    grown = cavs.unfold(model, roots, lambda _: next(levels), num_graphs=1, outputs=["total"])
    assert grown.inputs["w"].tolist() == [3, 4]
    assert model(grown.graphs, **grown.inputs)["weighted"].data.tolist() == [3, 8]
    wrong = Growth([[0]], {"x": [1.0]}, edges={"w": np.ones(2, np.float32)})
    with pytest.raises(ShapeError, match=r"shape \(1,\) for 'w'"):
        cavs.unfold(model, roots, lambda _: wrong, num_graphs=1, outputs=["total"])


def test_inputs_of_graphs_are_given_once() -> None:
    model = cavs.compile(Coin())
    by_graph = {"p": np.full((1, 1), 0.5, np.float32)}
    beside = Growth([[]], {"p": by_graph["p"]}, [0])
    with pytest.raises(InputError, match=r"among \[\], got 'p'; give it in graph_inputs"):
        cavs.unfold(model, beside, lambda _: None, num_graphs=1, graph_inputs=by_graph)
    other = {**by_graph, "q": by_graph["p"]}
    roots = Growth([[]], graph=[0])
    with pytest.raises(InputError, match=r"graph_inputs among \['p'\], got 'q'"):
        cavs.unfold(model, roots, lambda _: None, num_graphs=1, graph_inputs=other)


@pytest.mark.parametrize("passes", [None, []])
def test_a_model_that_grew_is_called_all_the_same(passes: list[str] | None) -> None:
    """Without passes of whole batches a growth and a call run the same program."""

    class Sum(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            total = v.pull("x") + v.gather(0, s=()).s
            v.scatter(s=total)
            v.push(y=total)

    def expand(frontier: cavs.Frontier) -> Growth | None:
        return Growth([[0]], {"x": [2.0]}) if frontier.level == 0 else None

    model = cavs.compile(Sum(), passes=passes)
    for _ in range(2):
        grown = cavs.unfold(model, Growth([[]], {"x": [1.0]}, [0]), expand, num_graphs=1)
        with cavs.no_grad():
            found = model(grown.graphs, **grown.inputs)["y"].numpy()
        np.testing.assert_array_equal(found, grown.outputs["y"])
        np.testing.assert_array_equal(found, [1, 3])
