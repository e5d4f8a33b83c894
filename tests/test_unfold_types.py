"""Graphs with types that grow: against the same graphs given whole, on both executors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import typed_functions as drawn
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import Frontier, Growth, Unfolded, nn, ops
from cavs.errors import GraphError, InputError, ShapeError

Rows = dict[str, Any]


class Replay:
    """Opens the vertices of whole graphs: at each level some of those whose children are there.

    Attributes:
        number: the number that each vertex of the batch got, -1 before that.
    """

    def __init__(self, model: cavs.Model, graphs: cavs.GraphBatch, inputs: Rows, seed: int) -> None:
        self.graphs, self.inputs = graphs, inputs
        self.rows = {name: rows_of(model, graphs, name) for name in inputs}
        self.draw = np.random.default_rng(seed)
        self.number = np.full(graphs.num_vertices, -1)
        self.frontiers: list[Frontier] = []
        self.opened: list[np.ndarray] = []
        first = np.repeat(graphs.ptr[:-1], np.diff(graphs.ptr))
        lists = [c for graph in cavs.unbatch(graphs) for c in graph.children]
        self.children = [[c + first[v] if c >= 0 else -1 for c in x] for v, x in enumerate(lists)]

    def next(self) -> Growth | None:
        ready = [
            v
            for v, found in enumerate(self.children)
            if self.number[v] < 0 and all(c < 0 or self.number[c] >= 0 for c in found)
        ]
        if not ready:
            return None
        count = int(self.draw.integers(1, len(ready) + 1))
        new = self.draw.permutation(ready)[:count]
        self.opened.append(new)
        children = [[self.number[c] if c >= 0 else -1 for c in self.children[v]] for v in new]
        inputs = {}
        for name, rows in self.rows.items():
            own = new[np.isin(new, rows)]
            if len(own) or self.draw.random() < 0.5:  # else it may be left out
                inputs[name] = self.inputs[name][np.searchsorted(rows, own)]
        types: Any = self.graphs.types
        self.number[new] = (self.number >= 0).sum() + np.arange(count)
        return Growth(
            children, inputs, self.graphs.graph_of_vertex[new], types=[types[v] for v in new]
        )

    def __call__(self, frontier: Frontier) -> Growth | None:
        self.frontiers.append(frontier)
        return self.next()


def rows_of(model: cavs.Model, graphs: cavs.GraphBatch, name: str) -> np.ndarray:
    """The vertices that an input, or an output, has rows for."""
    trace = model._compiler.trace
    rows: Any = (
        trace.inputs[name].rows if name in trace.inputs else trace.function.pushes[name].space
    )
    return graphs.vertices(list(rows.members))


def replayed(
    model: cavs.Model, graphs: cavs.GraphBatch, inputs: Rows, seed: int
) -> tuple[Unfolded, Replay]:
    by_graph = {n for n, spec in model.inputs.items() if spec.space == "graph"}
    own = {name: x for name, x in inputs.items() if name not in by_graph}
    replay = Replay(model, graphs, own, seed)
    roots = replay.next() or Growth([])
    options: Rows = {"num_graphs": len(graphs), "keys": graphs.keys}
    given = {name: inputs[name] for name in by_graph}
    return cavs.unfold(model, roots, replay, graph_inputs=given, **options), replay


@pytest.mark.parametrize("executor", ["native", "reference"])
@given(seed=st.integers(0, 10_000))
def test_what_grows_equals_the_same_graphs_given_whole(executor: str, seed: int) -> None:
    """Random functions of types; the grown graphs are those of the batch, renumbered."""
    nn.init.manual_seed(seed)
    case = drawn.draw_case(seed, without=("noise", "edge_input"))
    model = cavs.compile(case.function, dtype="float64", executor=executor).eval()
    graphs = drawn.draw_graphs(case, seed)
    inputs = drawn.draw_inputs(model, graphs, seed)
    grown, replay = replayed(model, graphs, inputs, seed)
    whole = {n: y.numpy() for n, y in model(graphs, **inputs).items()}
    again = model(grown.graphs, **grown.inputs)
    assert grown.outputs.keys() == whole.keys() or not graphs.num_vertices
    place = np.argsort(replay.number)[grown.vertices]  # the batch's vertex of each grown one
    types: Any = graphs.types
    assert grown.graphs.types == ([types[v] for v in place] if len(place) else grown.graphs.types)
    for name, y in grown.outputs.items():
        np.testing.assert_allclose(y, again[name].numpy(), rtol=1e-10, atol=1e-12)
        if name == "on_edges":
            continue
        rows = rows_of(model, graphs, name)
        own = place[np.isin(place, rows)]
        np.testing.assert_allclose(y, whole[name][np.searchsorted(rows, own)], 1e-10, 1e-12)
        for frontier, new in zip(replay.frontiers, replay.opened, strict=True):
            members: Any = model._compiler.trace.function.pushes[name].space
            at = frontier.rows(list(members.members))
            expected = whole[name][np.searchsorted(rows, new[at])]
            np.testing.assert_allclose(frontier.outputs[name], expected, 1e-10, 1e-12)


class Count(cavs.VertexFunction):
    """Adds up numbers of its own type before, and of all words."""

    def __init__(self, type: str) -> None:
        self.type = type

    def forward(self, v: cavs.Vertex) -> None:
        before, words = v.gather(0, of=self.type, n=()).n, v.gather(of="word", n=()).n
        n = before + words.sum() + v.pull(f"{self.type}_x")
        v.scatter(n=n)
        v.push(**{f"{self.type}_n": n, "n": n})


class End(cavs.VertexFunction):
    """Nobody gathers from it."""

    def forward(self, v: cavs.Vertex) -> None:
        v.push(last=v.gather(of="char", n=()).n.sum() * v.pull_graph("by"))


@pytest.fixture(scope="module")
def model() -> cavs.Model:
    functions = {"word": Count("word"), "char": Count("char"), "end": End()}
    return cavs.compile(cavs.TypedFunction(functions))


def ones(**counts: int) -> Rows:
    return {f"{name}_x": np.ones(count, np.float32) for name, count in counts.items()}


GRAPH = {"by": np.array([1, 10], np.float32)}
ROOTS = Growth([[], [], []], ones(char=2, word=1), [1, 0, 1], types=["char", "word", "char"])


def test_rows_of_outputs_are_those_of_the_types_that_push_them(model: cavs.Model) -> None:
    frontiers = []

    def expand(frontier: Frontier) -> Growth | None:
        frontiers.append(frontier)
        if frontier.level:
            return None
        # Types by number, in the order of the function's; no word, and so no input of words.
        return Growth([[0], [1], [0, 2]], ones(char=2), types=np.array([1, 1, 2]))

    grown = cavs.unfold(model, ROOTS, expand, num_graphs=2, graph_inputs=GRAPH)
    first, second = frontiers
    assert first.types is not None
    assert first.types.tolist() == ["char", "word", "char"]
    assert first.rows("char").tolist() == first.rows(1).tolist() == [0, 2]
    assert first.rows(["word", "char"]).tolist() == [0, 1, 2]
    assert first.outputs["char_n"].tolist() == [1, 1]
    assert first.outputs["word_n"].tolist() == [1]
    assert first.outputs["n"].tolist() == [1, 1, 1]
    assert first.outputs["last"].tolist() == []
    assert second.rows("end").tolist() == [2]
    assert second.rows("word").tolist() == []
    assert second.outputs["char_n"].tolist() == [2, 2]
    assert second.outputs["last"].tolist() == [20]
    assert second.vertices[second.rows("end")].tolist() == [5]
    assert grown.graphs.types == ["word", "char", "char", "char", "char", "end"]
    assert [graph.children for graph in cavs.unbatch(grown.graphs)] == [
        [[], [0]],
        [[], [], [0], [0, 1]],
    ]
    assert grown.vertices.tolist() == [1, 4, 0, 2, 3, 5]
    out = model(grown.graphs, **grown.inputs)
    for name, y in out.items():
        np.testing.assert_array_equal(grown.outputs[name], y.numpy())


def test_inputs_of_types_that_no_graph_has_are_empty(model: cavs.Model) -> None:
    roots = Growth([[]], ones(char=1), [0], types=["char"])
    grown = cavs.unfold(model, roots, lambda _: None, num_graphs=1, graph_inputs={"by": [2.0]})
    assert len(grown.inputs["word_x"]) == 0
    assert model(grown.graphs, **grown.inputs)["n"].data.tolist() == [1]


def test_what_is_not_asked_for_need_not_be_given(model: cavs.Model) -> None:
    roots = replace(ROOTS, types=["char", "char", "char"], inputs=ones(char=3))
    grown = cavs.unfold(model, roots, lambda _: None, num_graphs=2, outputs=["char_n"])
    assert list(grown.outputs) == ["char_n"]
    assert grown.outputs["char_n"].tolist() == [1, 1, 1]


CHAR = ones(char=1)


@pytest.mark.parametrize(
    ("growth", "error", "match"),
    [
        (
            Growth([[0]], CHAR),
            GraphError,
            r"a type for each .* \(word, char, end\), got a Gr",
        ),
        (Growth([[0]], CHAR, types=["char"] * 2), ShapeError, "types of 1 new vertices, got 2; gi"),
        (Growth([[0]], CHAR, types=["verb"]), GraphError, "new vertex 0: .* got 'verb'; correct"),
        (Growth([[0]], CHAR, types=[3]), GraphError, "a type among word, char, end, got 3"),
        (Growth([[0]], CHAR, types=[True]), GraphError, "a type among word, char, end, got True"),
        (
            Growth([[0]], CHAR, types="char"),
            InputError,
            "types in a list as types, got 'char'",
        ),
        (Growth([[0]], CHAR, types=1), InputError, "names of types in a list as types, got 1"),
        (Growth([[0]], ones(char=2), types=["char"]), ShapeError, "new vertex of type 'char'"),
        (Growth([[0]], ones(char=1, word=1), types=["char"]), ShapeError, r"\(0,\) for 'word_x'"),
        (
            Growth([[0]], {}, types=["char"]),
            InputError,
            "'char_x' for each new vertex of type 'char', pulled",
        ),
        (Growth([[0]], {"y": CHAR}, types=["char"]), InputError, "among .*, got 'y'"),
        (
            Growth([[0, 2]], CHAR, types=["char"]),
            GraphError,
            r"graph 1, vertex 3 of type 'char': expected children that its .*, got vertex 2 of",
        ),
    ],
)
def test_what_cannot_grow_is_named(
    model: cavs.Model, growth: Growth, error: type[Exception], match: str
) -> None:
    given: Rows = {"num_graphs": 2, "max_levels": 2, "graph_inputs": GRAPH}
    with pytest.raises(error, match=match):
        cavs.unfold(model, ROOTS, lambda frontier: growth, **given)


class Weigh(cavs.VertexFunction):
    """Weighs its children of one type."""

    def __init__(self, of: str) -> None:
        self.of = of

    def forward(self, v: cavs.Vertex) -> None:
        seen = v.gather(of=self.of, n=()).n * v.pull_edge("w", of=self.of) * v.pull_graph("by")
        n = v.gather(n=()).n.sum() + seen.sum() + v.pull("x")
        v.scatter(n=n)
        v.push(n=n)


W = np.ones(1, np.float32)


@pytest.mark.parametrize(
    ("growth", "error", "match"),
    [
        (Growth([[1]], {"x": W}), InputError, r"'w' for each new edge of .*, got none; give it in"),
        (Growth([[0]], {"x": W}, edges={"w": W}), ShapeError, r"shape \(0,\) for 'w', got \(1,\)"),
        (Growth([[1]], {"x": W}, edges={"w": [1, 2]}), ShapeError, r"shape \(1,\) for 'w', got"),
        (Growth([[1]], {"x": W, "w": W}), InputError, r"among \['x'\], got 'w'; give it in edges"),
        (Growth([[1]], {}, edges={"x": W}), InputError, r"among \['w'\], got 'x'; give it in inp"),
        (Growth([[1]], {"by": W}), InputError, r"got 'by'; give it in graph_inputs of unfold"),
        (Growth([[1]], {"y": W}), InputError, r"among \['x'\], got 'y'; leave it out, or rename"),
        (Growth([[1]], {"x": W}, edges=[W]), InputError, "a dictionary as edges of a Growth, got"),
    ],
)
def test_what_edges_of_types_lack_is_named(
    growth: Growth, error: type[Exception], match: str
) -> None:
    model = cavs.compile(cavs.TypedFunction({"a": Weigh("b"), "b": Weigh("a")}))
    roots = Growth([[], []], {"x": np.ones(2, np.float32)}, [0, 0], types=["a", "b"])
    levels = iter([replace(growth, types=["a"]), None])
    with pytest.raises(error, match=match):
        cavs.unfold(model, roots, lambda _: next(levels), num_graphs=1, graph_inputs={"by": [2.0]})


def test_a_program_is_no_model() -> None:
    program: Any = cavs.compile(cavs.VertexProgram({"a": cavs.models.TreeEncoder(3, 2, 4, 4)}))
    with pytest.raises(InputError, match=r"a cavs.TypedFunction where .*, as model, got Program"):
        cavs.unfold(program, Growth([[]]), lambda _: None, num_graphs=1)


def test_an_input_is_given_for_all_vertices_or_for_none(model: cavs.Model) -> None:
    levels = iter([Growth([[0]], CHAR, types=["char"]), None])
    given: Rows = {"num_graphs": 2, "outputs": ["last"], "graph_inputs": GRAPH}
    roots = Growth([[]], {}, [0], types=["end"])
    cavs.unfold(model, roots, lambda _: None, **given)
    levels = iter([Growth([[], []], CHAR, [0, 0], types=["char", "end"]), None])
    grown = cavs.unfold(model, roots, lambda _: next(levels), **given)
    assert grown.inputs["char_x"].tolist() == [1]


def test_types_are_for_functions_of_types() -> None:
    class Plain(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            n = v.gather(n=()).n.sum() + 1
            v.scatter(n=n)
            v.push(n=n)

    plain = cavs.compile(Plain())
    with pytest.raises(
        GraphError, match=r"new vertices without types, since .*, got \['a'\]; leave"
    ):
        cavs.unfold(plain, Growth([[]], {}, [0], types=["a"]), lambda _: None, num_graphs=1)

    def expand(frontier: Frontier) -> None:
        assert frontier.types is None
        with pytest.raises(GraphError, match="expected a function of types, got one without"):
            frontier.rows("a")

    grown = cavs.unfold(plain, Growth([[]], {}, [0]), expand, num_graphs=1)
    assert grown.graphs.types is None


def test_a_frontier_names_its_types(model: cavs.Model) -> None:
    def expand(frontier: Frontier) -> None:
        for wrong in ("verb", 7, None):
            with pytest.raises(GraphError, match="expected a type among word, char, end, got"):
                frontier.rows(wrong)  # type: ignore[arg-type]

    cavs.unfold(model, ROOTS, expand, num_graphs=2, graph_inputs=GRAPH)


def test_a_pair_that_grows_attends_to_all_of_the_encoder() -> None:
    """The decoder of a pair graph opened vertex by vertex: the graph that `pair_graph` makes."""
    encode = lambda v: v.gather(0, of="encoder", h=()).h  # noqa: E731

    class Encoder(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            h = 0.5 * encode(v) + v.pull("x")
            v.scatter(h=h)
            v.push(h=h)

    class Decoder(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            before, seen = v.gather(0, of="decoder", h=()).h, v.gather(of="encoder", h=()).h
            h = ops.tanh(before + ((before * seen).softmax() * seen).sum())
            v.scatter(h=h)
            v.push(y=h)

    model = cavs.compile(
        cavs.TypedFunction({"encoder": Encoder(), "decoder": Decoder()}), dtype="float64"
    )
    x = np.array([0.3, -1.0, 0.7])

    def expand(frontier: Frontier) -> Growth | None:
        last = frontier.vertices[-1]
        if frontier.level < 2:
            return Growth([[last]], {"x": x[frontier.level + 1 :][:1]}, types=["encoder"])
        own = [] if frontier.level == 2 else [last]
        return Growth([[*(own or [-1]), 0, 1, 2]], types=["decoder"]) if last < 6 else None

    roots = Growth([[]], {"x": x[:1]}, [0], types=["encoder"])
    grown = cavs.unfold(model, roots, expand, num_graphs=1)
    pair = cavs.data.pair_graph(cavs.data.chain_graph(3), cavs.data.chain_graph(4))
    assert cavs.unbatch(grown.graphs) == [pair]
    out = model(pair, x=x)
    np.testing.assert_allclose(grown.outputs["y"], out["y"].numpy(), rtol=1e-12)
