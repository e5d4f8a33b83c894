"""Data sets whose inputs have rows for the vertices, or edges, of some types."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import data
from cavs.data import Dataset, Loader, PairDataset
from cavs.errors import GraphError, InputError, ShapeError
from cavs.scheduler import InputGraph

C, W = "char", "word"
GRAPHS = [
    InputGraph([[], [0], [1], [0], [2, 3]], types=[C, C, C, W, C]),
    InputGraph([], types=[]),
    InputGraph([[], [0]], types=[C, C]),
    InputGraph([[], [0], [0], [1, 2]], types=[C, W, W, C]),
]
NAMES = [t for graph in GRAPHS for t in graph.types or ()]
OF: Any = {
    "char": C,
    "word": [W],
    "both": (W, C),
    "begin": (W, C),
    "end": [(C, W)],
    "any": (C, None),
}


def make() -> Dataset:
    numbers = np.arange(len(NAMES), dtype=np.float32)
    is_word = np.array([name == W for name in NAMES])
    ends = [
        (graph.types[vertex], graph.types[child])  # type: ignore[index]
        for graph in GRAPHS
        for vertex, children in enumerate(graph.children)
        for child in children
    ]
    edges = np.arange(float(len(ends)))
    return Dataset(
        GRAPHS,
        vertex={
            "char": numbers[~is_word],
            "word": numbers[is_word],
            "both": numbers,
            "all": numbers,
        },
        edge={
            "begin": edges[[x == (W, C) for x in ends]],
            "end": edges[[x == (C, W) for x in ends]],
            "any": edges[[x[0] == C for x in ends]],
        },
        graph={"answer": [0, 1, 2, 3]},
        of=OF,
    )


def test_a_sample_has_the_rows_of_its_types() -> None:
    _, inputs = make()[3]
    assert inputs["char"].tolist() == [7, 10]
    assert inputs["word"].tolist() == [8, 9]
    assert inputs["both"].tolist() == inputs["all"].tolist() == [7, 8, 9, 10]
    assert inputs["begin"].tolist() == [6, 7]
    assert inputs["end"].tolist() == [8, 9]
    assert inputs["any"].tolist() == [8, 9]
    assert [len(x["word"]) for _, x in make()] == [1, 0, 0, 2]


@given(st.lists(st.integers(0, 3), max_size=9))
def test_a_batch_has_what_a_model_pulls(indices: list[int]) -> None:
    dataset = make()
    graphs, inputs = dataset.batch(indices)
    numbers = inputs["all"]
    for name, types in (("char", C), ("word", W), ("both", [C, W])):
        np.testing.assert_array_equal(inputs[name], numbers[graphs.vertices(types)])
    for number, index in enumerate(indices):
        own = dataset[index][1]
        for name, of in (("char", C), ("word", W)):
            np.testing.assert_array_equal(
                cavs.unbatch(graphs, inputs[name], of=of)[number], own[name]
            )


def test_parts_and_copies_keep_their_rows() -> None:
    dataset = make()
    part = dataset.subset([3, 0]).select("word", "end", "answer")
    assert part.names == ("word", "end", "answer")
    assert part.flat("word").tolist() == [8, 9, 3]
    assert part.flat("end").tolist() == [8, 9, 4]
    again = Dataset.from_samples(dataset, edge=["begin", "end", "any"], graph=["answer"], of=OF)
    for name in dataset.names:
        np.testing.assert_array_equal(again.flat(name), dataset.flat(name))
    rows = data.from_rows(
        [{"n": 2}, {"n": 1}],
        lambda row: (InputGraph([[]] * row["n"] + [[0]], types=[C] * row["n"] + [W]), {"x": [5]}),
        of={"x": W},
    )
    assert rows.flat("x").tolist() == [5, 5]
    assert len(Dataset.from_samples([], of={"x": W})) == 0


def test_pairs_and_loaders_carry_them() -> None:
    dataset = make()
    pairs = PairDataset(dataset, dataset, pair={"label": [0, 1, 0, 1]})
    (_, right), inputs = pairs[3]
    assert right == GRAPHS[3]
    assert inputs["word"].tolist() == [8, 9, 8, 9]
    for graphs, values in Loader(pairs, 3, shuffle=True, seed=1):
        assert len(values["char"]) == len(graphs.vertices(C))
    other = Dataset(GRAPHS, vertex={name: np.zeros(11) for name in dataset.names})
    with pytest.raises(InputError, match="a row per vertex of type 'char' as 'char' on both sides"):
        PairDataset(dataset.select("char"), other.select("char"))


def test_a_model_trains_on_them() -> None:
    class Char(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            words = v.gather(of=W, h=())
            before = v.gather(0, of=C, h=())
            h = v.pull("char") + before.h + words.h.sum()
            v.scatter(h=h)
            v.push(h=h)

    class Word(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.scatter(h=v.pull("word") * v.gather(0, of=C, h=()).h)

    model = cavs.compile(cavs.TypedFunction({C: Char(), W: Word()}))
    dataset = make().select("char", "word")
    for indices in ([0, 1, 2, 3], [3, 0]):
        graphs, inputs = dataset.batch(indices)
        out = model(graphs, **inputs)["h"]
        alone = [model(cavs.batch([dataset[i][0]]), **dataset[i][1])["h"].numpy() for i in indices]
        np.testing.assert_array_equal(out.numpy(), np.concatenate(alone))


def test_typed_numbers_of_types_work_too() -> None:
    graph = InputGraph([[], [0]], types=[0, 1])
    assert Dataset([graph] * 2, vertex={"x": [3, 4]}, of={"x": 1})[1][1]["x"].tolist() == [4]


@pytest.mark.parametrize(
    ("of", "error", "message"),
    [
        ({"y": C}, InputError, r"vertices or edges in of, among .'e', 'x'., got 'y'"),
        ({"g": C}, InputError, r"in of, among .'e', 'x'., got 'g'"),
        ({"x": 1.5}, InputError, "a type, or a list of these, for the vertex input 'x' in of"),
        ({"x": []}, InputError, r"for the vertex input 'x' in of, got \[\]"),
        ({"e": C}, InputError, "a pair .type of the parent, type of the child.*input 'e'"),
        ({"e": (None, C)}, InputError, "a pair"),
        ({"x": W}, ShapeError, r"one row per vertex of type 'word' .* \(3 rows\) for .* 'x'"),
        ({"e": (W, C)}, ShapeError, r"one row per edge from 'word' to 'char' .* \(3 rows\)"),
        ("x", InputError, "of"),
    ],
)
def test_what_does_not_fit_is_named(of: Any, error: type[Exception], message: str) -> None:
    edges = sum(graph.num_edges for graph in GRAPHS)
    arrays: Any = {
        "vertex": {"x": np.zeros(11)},
        "edge": {"e": np.zeros(edges)},
        "graph": {"g": np.zeros(4)},
    }
    with pytest.raises(error, match=message):
        Dataset(GRAPHS, **arrays, of=of)


def test_graphs_without_types_and_samples_of_another_length_are_refused() -> None:
    plain = InputGraph([[]])
    with pytest.raises(
        GraphError, match="since an input has a row per vertex of type 'char', got graph 4"
    ):
        Dataset([*GRAPHS, plain], vertex={"x": np.zeros(8)}, of={"x": C})
    samples: Any = [(GRAPHS[2], {"x": [1, 2]}), (GRAPHS[3], {"x": [1, 2, 3]})]
    with pytest.raises(
        ShapeError, match=r"expected 2 rows, one per vertex of type 'char'.*sample 1"
    ):
        Dataset.from_samples(samples, of={"x": C})


@pytest.mark.parametrize(
    ("space", "of", "rows"),
    [("vertex", "wrd", "vertex of type 'wrd'"), ("edge", (C, "wrd"), "edge from 'char' to 'wrd'")],
)
def test_a_type_that_no_graph_has_is_named_beside_those_there(
    space: str, of: Any, rows: str
) -> None:
    match = (
        rf"^\[data\] expected one row per {rows} of the 4 graphs \(0 rows\) .*; give a row for "
        r"each, or correct of: they have types 'char', 'word'$"
    )
    given: Any = {space: {"x": np.zeros(3)}}
    with pytest.raises(ShapeError, match=match):
        Dataset(GRAPHS, of={"x": of}, **given)
