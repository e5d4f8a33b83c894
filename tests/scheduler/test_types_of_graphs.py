"""Types of the vertices of graphs: where they come from, and where they stay."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import input_graphs

import cavs
from cavs.errors import CavsError, DTypeError, GraphError, InputError
from cavs.scheduler import GraphBatch, GraphStore, InputGraph, batch, unbatch

CHILDREN: list[list[int]] = [[], [0], [1, 0]]
NAMES = ["char", "word", "char"]
NUMBERS = [0, 2, 1]
NAMED = InputGraph(CHILDREN, types=NAMES)
NUMBERED = InputGraph(CHILDREN, types=NUMBERS)
PLAIN = InputGraph(CHILDREN)
BOTH = pytest.mark.parametrize("types", [NAMES, NUMBERS], ids=["names", "numbers"])

names = st.sampled_from(["char", "word", "ö", "", "a b"])
numbers = st.integers(0, 2**16 - 1)


@st.composite
def typed_graphs(draw: st.DrawFn) -> InputGraph:
    """Graphs of any shape with types: all by name, all by number, or some of each."""
    graph = draw(input_graphs())
    count = graph.num_vertices
    items = draw(st.sampled_from([names, numbers, names | numbers]))
    types: list[Any] = draw(st.lists(items, min_size=count, max_size=count))
    return InputGraph(graph.children, types=types)


def types_in(graph: InputGraph) -> list[Any]:
    return list(graph.types or ())


# Where they come from


@BOTH
def test_a_graph_has_the_types_that_it_is_given(types: Any) -> None:
    assert InputGraph(CHILDREN, types=types).types == types


def test_a_graph_without_types_has_none() -> None:
    assert PLAIN.types is None
    assert batch([PLAIN]).types is None


@pytest.mark.parametrize("types", [None, []])
def test_a_graph_without_vertices_has_none(types: Any) -> None:
    assert InputGraph([], types=types).types is None
    assert InputGraph([], types=types) == InputGraph([])


@pytest.mark.parametrize(
    ("given_types", "types"),
    [
        (tuple(NAMES), NAMES),
        (np.array(NAMES), NAMES),
        (np.array(NAMES, object), NAMES),
        (map(str, NAMES), NAMES),
        (tuple(NUMBERS), NUMBERS),
        (np.array(NUMBERS), NUMBERS),
        (np.array(NUMBERS, np.int8), NUMBERS),
        (np.array(NUMBERS, np.uint64), NUMBERS),
        (np.array(NUMBERS, ">i4"), NUMBERS),
        (np.array(NUMBERS, object), NUMBERS),
        (np.repeat(NUMBERS, 2)[::2], NUMBERS),
        ([np.int32(v) for v in NUMBERS], NUMBERS),
        (range(3), [0, 1, 2]),
        (["char", 1, "2"], ["char", 1, "2"]),
        ([2**16 - 1, 0, 0], [2**16 - 1, 0, 0]),
    ],
)
def test_any_sequence_of_names_or_numbers_is_taken(given_types: Any, types: list[Any]) -> None:
    found = types_in(InputGraph(CHILDREN, types=given_types))
    assert found == types
    assert [type(x) for x in found] == [type(x) for x in types]


@BOTH
def test_every_way_to_make_a_graph_takes_types(types: Any) -> None:
    chain = InputGraph([[], [0], [1]], types=types)
    assert InputGraph.from_parents([1, 2, -1], types=types) == chain
    assert InputGraph.from_parents([1, 2, -1], order="leaf", types=types) == chain
    assert InputGraph.from_edges(3, [1, 0], [2, 1], types=types) == chain
    assert InputGraph.from_csr([0, 0, 1, 2], [0, 1], types=types) == chain
    assert InputGraph.from_csr([0, 0, 1, 2], [0, 1], [0, 0], types) == chain


@BOTH
def test_flat_arrays_of_a_batch_take_types(types: Any) -> None:
    made = GraphBatch.from_csr([0, 1, 3], [0, 0, 0, 1], [0], types=types)
    first = InputGraph([[]], types=types[:1])
    assert made == batch([first, InputGraph([[], [0]], types=types[1:])])
    assert made.types == types


def test_types_are_copied() -> None:
    array = np.array(NUMBERS)
    graph = InputGraph(CHILDREN, types=array)
    array[:] = 0
    assert graph.types == NUMBERS


def test_the_list_of_types_is_new_at_each_access() -> None:
    types_in(NAMED)[0] = "other"
    given_list: Any = NAMED.types
    given_list[0] = "other"
    assert NAMED.types == NAMES


# Where they stay


@given(typed_graphs())
def test_reverse_keeps_the_types_of_a_graph(graph: InputGraph) -> None:
    assert graph.reverse().types == graph.types


@given(st.lists(typed_graphs(), max_size=4))
def test_reverse_keeps_the_types_of_a_batch(graphs: list[InputGraph]) -> None:
    together = batch(graphs)
    assert together.reverse().types == together.types
    assert unbatch(together.reverse()) == [graph.reverse() for graph in graphs]


@given(st.lists(typed_graphs(), max_size=4))
def test_a_batch_has_the_types_of_its_graphs(graphs: list[InputGraph]) -> None:
    types = [x for graph in graphs for x in types_in(graph)]
    assert cavs.batch(graphs).types == (types or None)


@given(st.lists(typed_graphs(), max_size=4))
def test_unbatch_gives_the_types_back(graphs: list[InputGraph]) -> None:
    found = cavs.unbatch(cavs.batch(graphs))
    assert found == graphs
    assert [graph.types for graph in found] == [graph.types for graph in graphs]


@given(st.lists(typed_graphs(), min_size=1, max_size=4), st.data())
def test_a_store_gives_batches_with_types(graphs: list[InputGraph], data: st.DataObject) -> None:
    chosen = np.array(data.draw(st.lists(st.integers(0, len(graphs) - 1))), np.int64)
    expected = batch([graphs[n] for n in chosen]).types
    store = GraphStore(graphs)
    assert store.batch(chosen).types == expected
    assert pickle.loads(pickle.dumps(store)).batch(chosen).types == expected


COPIES = pytest.mark.parametrize(
    "copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy]
)


@COPIES
@given(graph=typed_graphs())
def test_copies_of_a_graph_have_its_types(graph: InputGraph, copied: Callable[[Any], Any]) -> None:
    found = copied(graph)
    assert found == graph
    assert found.types == graph.types
    assert hash(found) == hash(graph)


@COPIES
@given(graphs=st.lists(typed_graphs(), max_size=4))
def test_copies_of_a_batch_have_its_types(
    graphs: list[InputGraph], copied: Callable[[Any], Any]
) -> None:
    together = batch(graphs, keys=range(3, 3 + len(graphs)))
    found = copied(together)
    assert found == together
    assert found.types == together.types
    assert hash(found) == hash(together)


def test_graphs_without_vertices_go_with_graphs_of_both_kinds() -> None:
    empty = InputGraph([])
    assert batch([empty, NAMED, empty]).types == NAMES
    assert batch([empty, PLAIN]).types is None
    assert unbatch(batch([empty, NAMED])) == [empty, NAMED]


def test_names_and_numbers_go_into_one_batch() -> None:
    assert batch([NAMED, NUMBERED]).types == [*NAMES, *NUMBERS]


# Equality


OTHERS = [
    PLAIN,
    NAMED,
    NUMBERED,
    InputGraph(CHILDREN, types=["char", "word", "word"]),
    InputGraph(CHILDREN, types=["word", "char", "char"]),
    InputGraph(CHILDREN, types=["0", "2", "1"]),
    InputGraph(CHILDREN, types=[0, 1, 2]),
]


def test_graphs_of_other_types_are_not_equal() -> None:
    for i, first in enumerate(OTHERS):
        for j, second in enumerate(OTHERS):
            assert (first == second) == (i == j)
            assert (batch([first]) == batch([second])) == (i == j)


def test_graphs_of_other_types_have_other_hashes() -> None:
    assert len(set(OTHERS)) == len({hash(graph) for graph in OTHERS}) == len(OTHERS)
    assert len({hash(batch([graph])) for graph in OTHERS}) == len(OTHERS)


def test_graphs_of_the_same_types_are_equal() -> None:
    assert InputGraph(CHILDREN, types=tuple(NAMES)) == NAMED
    assert InputGraph(CHILDREN, types=np.array(NUMBERS)) == NUMBERED
    assert hash(InputGraph(CHILDREN, types=np.array(NUMBERS))) == hash(NUMBERED)


# What is printed


def test_repr_shows_types() -> None:
    assert repr(NAMED) == f"InputGraph(children={CHILDREN}, types=['char', 'word', 'char'])"
    assert repr(NUMBERED) == f"InputGraph(children={CHILDREN}, types=[0, 2, 1])"
    assert repr(PLAIN) == f"InputGraph(children={CHILDREN})"


@given(typed_graphs())
def test_repr_makes_the_same_graph(graph: InputGraph) -> None:
    assert eval(repr(graph)) == graph


def test_repr_of_a_large_graph_is_short() -> None:
    graph = InputGraph([[]] * 100, types=["char"] * 100)
    assert repr(graph) == "<InputGraph of 100 vertices, 0 edges, 1 levels>"


# Vertices of a type


def test_the_vertices_of_a_type() -> None:
    graphs = batch([NAMED, NAMED.reverse()])
    assert graphs.vertices("char").tolist() == [0, 2, 3, 5]
    assert graphs.vertices("word").tolist() == [1, 4]


def test_the_vertices_of_a_numbered_type() -> None:
    graphs = batch([NUMBERED, NUMBERED])
    assert [graphs.vertices(n).tolist() for n in range(3)] == [[0, 3], [2, 5], [1, 4]]
    assert graphs.vertices(np.array(NUMBERS)[1]).tolist() == [1, 4]


@pytest.mark.parametrize(
    ("graph", "missing"), [(NAMED, "verb"), (NAMED, ""), (NAMED, "Char"), (NUMBERED, 3)]
)
def test_a_type_that_is_not_there_has_no_vertices(graph: InputGraph, missing: Any) -> None:
    assert batch([graph]).vertices(missing).shape == (0,)


@pytest.mark.parametrize(
    ("graphs", "asked", "match"),
    [
        ([NAMED], 0, r"such as 'char', got 0; ask by a name"),
        ([NUMBERED], "0", r"such as 0, got '0'; ask by a number"),
        ([NAMED, NUMBERED], "char", r"such as 0, got 'char'; ask by a number, and give graphs"),
    ],
)
def test_names_are_no_numbers(graphs: list[InputGraph], asked: Any, match: str) -> None:
    with pytest.raises(GraphError, match=r"^\[graph\] expected a type as .* " + match):
        batch(graphs).vertices(asked)


@pytest.mark.parametrize("asked", [-1, True, 1.0, None, [[0]], {0}])
def test_what_is_no_type_is_refused(asked: Any) -> None:
    with pytest.raises(InputError, match=r"^\[graph\] expected an integer type >= 0, got "):
        batch([NUMBERED]).vertices(asked)


@given(st.lists(typed_graphs(), max_size=4))
def test_every_vertex_is_among_those_of_its_type(graphs: list[InputGraph]) -> None:
    together = batch(graphs)
    types: list[Any] = list(together.types or ())
    if len({isinstance(each, str) for each in types}) == 2:
        return
    for kind in dict.fromkeys(types):
        found = together.vertices(kind)
        assert found.dtype == np.int32
        assert found.tolist() == [v for v, each in enumerate(types) if each == kind]


def test_graphs_without_types_have_no_vertices_of_a_type() -> None:
    with pytest.raises(GraphError, match=r"^\[graph\] expected graphs with types, got some w"):
        batch([PLAIN]).vertices("char")


@pytest.mark.parametrize("graphs", [[], [InputGraph([])]], ids=["no graph", "no vertex"])
def test_an_empty_batch_has_no_vertices_of_a_type(graphs: list[InputGraph]) -> None:
    assert batch(graphs).vertices("char").tolist() == []


# Refusals


class Strange:
    def __index__(self) -> int:
        raise RuntimeError("no index")


OUT_OF_RANGE = r"vertex \d+: type: expected a name, or a number of 0\.\.65535, got "
REFUSED: list[tuple[Any, type[CavsError], str]] = [
    ([], GraphError, r"expected 3 elements in types \(one for each vertex\), got 0;"),
    (NAMES[:2], GraphError, r"expected 3 elements in types \(one for each vertex\), got 2;"),
    ([*NUMBERS, 0], GraphError, r"expected 3 elements in types \(one for each vertex\), got 4;"),
    (np.zeros(2, int), GraphError, r"expected 3 elements in types .*, got 2;"),
    ([0, 1, -1], GraphError, OUT_OF_RANGE + r"-1;"),
    ([0, 2**16, 1], GraphError, OUT_OF_RANGE + r"65536;"),
    ([0, 2**70, 1], GraphError, r"vertex 1: type: expected a number of 64 bits, got 11805916"),
    (np.array([0, 1, -7]), GraphError, OUT_OF_RANGE + r"-7;"),
    (np.array([0, 1, 2**16]), GraphError, OUT_OF_RANGE + r"65536;"),
    ("abc", DTypeError, r"types: expected a sequence of names or of integers, got 'abc';"),
    ("", DTypeError, r"types: expected a sequence of names or of integers, got '';"),
    (np.str_("abc"), DTypeError, r"types: expected a sequence of names or of integers, got "),
    (3, DTypeError, r"types: expected a sequence of names or of integers, got 3;"),
    (True, DTypeError, r"types: expected a sequence of names or of integers, got True;"),
    (object(), DTypeError, r"types: expected a sequence of names or of integers, got "),
    (["a", 0.5, "b"], DTypeError, r"vertex 1: type: expected .*integer, got 0\.5;"),
    ([1.0, 0, 0], DTypeError, r"vertex 0: type: expected .*integer, got 1\.0;"),
    (["a", None, "b"], DTypeError, r"vertex 1: type: expected .*integer, got None;"),
    (["a", "b", True], DTypeError, r"vertex 2: type: expected a name or an integer, got True;"),
    ([np.bool_(True)] * 3, DTypeError, r"vertex 0: type: expected .*integer, got "),
    (["a", ["b"], "c"], DTypeError, r"vertex 1: type: expected .*integer, got \['b'\];"),
    ([b"a", b"b", b"c"], DTypeError, r"vertex 0: type: expected .*integer, got b'a';"),
    ([Strange()] * 3, DTypeError, r"vertex 0: type: expected .*integer, got "),
    (np.zeros(3), DTypeError, r"vertex 0: type: expected .*integer, got "),
    (np.ones(3, bool), DTypeError, r"vertex 0: type: expected .*integer, got "),
    (np.zeros((1, 3), int), DTypeError, r"types: expected a one-dimensional array of integers, "),
    (np.array(0), DTypeError, r"types: expected a one-dimensional array of integers, got arr"),
]
WRONG = pytest.mark.parametrize(("types", "error", "text"), REFUSED)


@WRONG
def test_wrong_types_of_a_graph_are_refused(types: Any, error: type[CavsError], text: str) -> None:
    with pytest.raises(error, match=rf"^\[graph\] {text}"):
        InputGraph(CHILDREN, types=types)


@pytest.mark.parametrize(
    "make",
    [
        lambda types: InputGraph.from_parents([1, 2, -1], types=types),
        lambda types: InputGraph.from_edges(3, [0], [1], types=types),
        lambda types: InputGraph.from_csr([0, 0, 0, 0], [], types=types),
        lambda types: GraphBatch.from_csr([0, 1, 3], [0, 0, 0, 0], [], types=types),
    ],
    ids=["parents", "edges", "csr", "batch"],
)
@WRONG
def test_wrong_types_are_refused_everywhere(
    types: Any, error: type[CavsError], text: str, make: Callable[[Any], Any]
) -> None:
    with pytest.raises(error, match=rf"^\[graph\] {text}"):
        make(types)


def test_bytes_are_no_sequence_of_numbers() -> None:
    with pytest.raises(DTypeError, match=r"^\[graph\] types: expected a sequence of names .* got"):
        InputGraph(CHILDREN, types=b"abc")


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(CavsError, match=r"^\[graph\] expected text as a type, got '\\ud800';"):
        InputGraph([[]], types=["\ud800"])


def test_an_error_says_that_names_are_taken_too() -> None:
    wrong: Any = [0.5]
    with pytest.raises(DTypeError, match=r"type: expected a name or an integer, got 0\.5;"):
        InputGraph([[]], types=wrong)


MIXED = pytest.mark.parametrize(
    "graphs",
    [[NAMED, PLAIN], [PLAIN, NUMBERED], [InputGraph([]), NAMED, NAMED, PLAIN]],
    ids=["first", "second", "last"],
)
MIXED_TEXT = (
    r"^\[graph\] expected types for the vertices of all graphs of a batch or of none, got some "
    r"with and some without; give types to all$"
)


@MIXED
def test_graphs_with_and_without_types_are_no_batch(graphs: list[InputGraph]) -> None:
    with pytest.raises(GraphError, match=MIXED_TEXT):
        batch(graphs)


@MIXED
def test_a_store_may_hold_both_but_no_batch_may(graphs: list[InputGraph]) -> None:
    store = GraphStore(graphs)
    for number, graph in enumerate(graphs):
        assert store.batch(np.array([number])).types == graph.types
    with pytest.raises(GraphError, match=MIXED_TEXT):
        store.batch(np.arange(len(graphs)))


def test_an_index_method_that_shortens_the_types_does_no_harm() -> None:
    class Shrinking:
        def __index__(self) -> int:
            types.clear()
            return 0

    types: list[Any] = [Shrinking() for _ in range(3)]
    with pytest.raises(GraphError, match=r"expected 3 elements in types .*, got 1"):
        InputGraph(CHILDREN, types=types)


# Edges by type


LATTICE = InputGraph([[], [0], [1], [0], [2, 3]], types=["char", "char", "char", "word", "char"])


def test_the_edges_between_types() -> None:
    graphs = batch([LATTICE, InputGraph([]), LATTICE])
    assert graphs.edges("char", "word").tolist() == [4, 9]
    assert graphs.edges("word", "char").tolist() == [2, 7]
    assert graphs.edges("char", "char").tolist() == [0, 1, 3, 5, 6, 8]
    assert graphs.edges("char").tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    assert graphs.edges(["char", "word"], ["word"]).tolist() == [4, 9]
    assert graphs.edges("place").shape == graphs.edges("char", "place").shape == (0,)
    assert graphs.edges("char").dtype == np.int32


def test_the_edges_of_numbered_types_skip_holes() -> None:
    graphs = batch([InputGraph([[], [-1, 0], [1, -1, 0]], types=[0, 1, 1])])
    assert graphs.edges(1, 0).tolist() == [0, 2]
    assert graphs.edges(1, 1).tolist() == [1]


def test_a_pull_of_edges_takes_their_rows() -> None:
    class Char(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull_edge("x", of="word") * v.gather(of="word", h=()).h
            v.scatter(h=v.gather(0, of="char", h=()).h + 1)
            v.push(y=x.sum())

    class Word(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.scatter(h=v.gather(0, of="char", h=()).h + 1)

    model = cavs.compile(cavs.TypedFunction({"char": Char(), "word": Word()}))
    graphs = batch([LATTICE, LATTICE])
    x = np.arange(10, dtype=np.float32)
    found = model(graphs, x=x[graphs.edges("char", "word")])["y"].numpy()
    assert found.tolist() == [0, 0, 0, 4 * 2, 0, 0, 0, 9 * 2]
    match = (
        r"a row per edge of type 'char<word', for 'x', got shape \(10,\); pass the rows of these "
        r"edges, x\[graphs\.edges\('char', 'word'\)\]$"
    )
    with pytest.raises(CavsError, match=match):
        model(graphs, x=x)
    numbered = InputGraph(LATTICE.children, types=[0, 0, 0, 1, 0])
    with pytest.raises(CavsError, match=r"x\[graphs\.edges\(0, 1\)\]$"):
        model(numbered, x=x[:5])


@pytest.mark.parametrize("ends", [("word", 0), (0, "word"), (0,), (1, None)])
def test_edges_are_asked_for_as_types_are_given(ends: Any) -> None:
    with pytest.raises(GraphError, match="expected a type as the graphs give it, such as 'char'"):
        batch([LATTICE]).edges(*ends)
    with pytest.raises(InputError, match="expected an integer type >= 0, got None"):
        batch([LATTICE]).edges(None)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="expected graphs with types, got some without"):
        batch([PLAIN]).edges(*ends)


def test_a_wrong_type_of_values_is_told_what_types_there_are() -> None:
    graphs = batch([LATTICE])
    match = (
        r"each vertex of type 'chr' of the batch \(0 rows\), got shape \(4,\); pass an output of "
        r"these graphs, and in of= types that are there: they have types 'char', 'word'$"
    )
    with pytest.raises(CavsError, match=r"^\[unbatch\].*" + match):
        unbatch(graphs, np.zeros(4), of="chr")
    with pytest.raises(CavsError, match=r"^\[readout\].*" + match):
        cavs.readout(graphs, np.zeros(4, np.float32), of="chr")  # type: ignore[arg-type]
