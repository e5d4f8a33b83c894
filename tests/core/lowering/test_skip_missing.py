"""Products leave out rows of the id -1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from model_runs import Result, assert_same, compiled, draw_inputs, run
from pass_checks import Function, programs, x3
from strategies import batches

import cavs
from cavs import nn, ops
from cavs.core.compiler import Compiler
from cavs.core.ir import Node, ancestors
from cavs.core.lowering.skip_missing import skip_missing
from cavs.core.lowering.zeros import RowIds, Rows, both, either
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.structure import PULL
from cavs.core.passes import PASSES
from cavs.core.program import Program
from cavs.core.trace import trace
from cavs.models import ChildSumTreeLSTM

WITHOUT = tuple(p for p in PASSES if p != "skip_missing")


def products(program: Program) -> dict[str, list[bool]]:
    """Rows to whether each product over them leaves out the id -1."""
    found: dict[str, list[bool]] = {}
    for segment in program.segments:
        for i in segment.instructions:
            if "matmul" in i.kernel:
                ids = any(program.values[n].dtype == "int32" for n in i.inputs)
                found.setdefault(str(i.space), []).append(ids)
    return found


def test_products_leave_out_the_id_that_means_no_input() -> None:
    forward, backward = programs("ChildSumTreeLSTM", PASSES)
    # W_iou and W_f of a vertex without a word; of a leaf the classifier and U_f get h, not zeros.
    assert products(forward)["unique:word@inner"] == [True, True]
    assert products(forward)["unique:word@leaf"] == [True, False, False]
    # Back to the words, whose gradient has no row for -1, and to the weights.
    assert products(backward)["unique:word@inner"] == [True] * 4
    assert sorted(products(backward)["unique:word@leaf"]) == [False] * 4 + [True] * 2
    plain = programs("ChildSumTreeLSTM", WITHOUT)
    assert not any(any(found) for program in plain for found in products(program).values())


def test_products_of_vertices_do_where_dropout_stands_between() -> None:
    compiler = Compiler(ChildSumTreeLSTM(8, 30, 40, 5, embedding_dropout=0.5))
    forward, backward = compiler.training(()), compiler.backward(["loss"], ())
    # W_iou and W_f of words; not U_iou, U_f and the classifier.
    assert products(forward)["inner"] == [True] * 2 + [False] * 3
    assert products(forward)["leaf"] == [True] + [False] * 2
    # Both sides of W_iou and W_f, and of the classifier, where a vertex has no label; not of U_iou
    # and U_f.
    assert sorted(products(backward)["inner"]) == [False] * 4 + [True] * 6
    assert sorted(products(backward)["leaf"]) == [False] * 2 + [True] * 4
    plain = Compiler(ChildSumTreeLSTM(8, 30, 40, 5, embedding_dropout=0.5), WITHOUT)
    for program in (plain.training(()), plain.backward(["loss"], ())):
        assert not any(any(found) for found in products(program).values())


def test_products_leave_out_tuples_without_any_input() -> None:
    """As inner vertices have, which are one row among the pairs; each direction's products of the
    pair and of its parts leave some out."""
    forward, backward = programs("Pairs", PASSES)
    plain = programs("Pairs", WITHOUT)
    for program, count in ((forward, 1), (backward, 2)):
        assert masked(program, "unique:tag+word@inner") == count
    assert not any(masked(program, space) for program in plain for space in products(program))


def masked(program: Program, space: str) -> int:
    """How many products over these rows leave some out."""
    return sum(
        "masked" in i.kernel and str(i.space) == space
        for s in program.segments
        for i in s.instructions
    )


class Matrices(cavs.VertexFunction):
    """A matrix of the word, which is not zeros without one, times a vector of the tag."""

    def __init__(self) -> None:
        self.words, self.tags = (vertex_functions.base.embedding(5, 3) for _ in range(2))
        self.first, self.matrix = (vertex_functions.base.linear(3, n) for n in (3, 9))
        self.w = vertex_functions.parameter(3, 3)
        for layer in (self.first, self.matrix):
            nn.init.normal_(layer.bias)

    def forward(self, v: cavs.Vertex) -> None:
        word = self.first(self.words(v.pull("word", dtype="int32")))
        matrix = ops.reshape(self.matrix(word), (3, 3))
        vector = self.tags(v.pull("tag", dtype="int32"))
        y = ops.reshape(ops.matmul(matrix, ops.reshape(vector, (3, 1))), (3,))
        v.push(y=ops.matmul(y, self.w))


@pytest.mark.parametrize("tags", [[-1, 2, -1, 2, 0], [-1] * 5, [2, -1, -1, -1, 1]])
def test_no_input_beside_an_id_is_not_left_out(tags: list[int]) -> None:
    inputs = {"word": np.array([-1, -1, 1, 1, 3], np.int32), "tag": np.array(tags, np.int32)}
    graphs = cavs.batch([cavs.InputGraph([[]] * 5)])
    anew = tuple(p for p in PASSES if p != "remember_pulls")  # where nothing is kept of the word
    results: list[tuple[Result, Result]] = []
    for options in ({"executor": "reference"}, {}, {"passes": anew}):
        nn.init.manual_seed(5)
        model = cavs.compile(Matrices(), dtype="float64", **options)
        with cavs.no_grad():
            inference = Result({"y": model(graphs, **inputs)["y"].data})
        results.append((inference, run(model, graphs, inputs)))
    for found in results[1:]:
        for result, expected in zip(found, results[0], strict=True):
            assert_same(result, expected)


Body = Callable[[Any, cavs.Vertex], Any]


def word(s: Any, v: cavs.Vertex) -> Any:
    return s.table(v.pull("word", dtype="int32"))


def tag(s: Any, v: cavs.Vertex) -> Any:
    return s.table(v.pull("tag", dtype="int32"))


def topic(s: Any, v: cavs.Vertex) -> Any:
    return s.table(v.pull_graph("topic", dtype="int32"))


def relation(s: Any, v: cavs.Vertex) -> Any:
    return s.table(v.pull_edge("relation", dtype="int32"))


# What is multiplied with a weight, to the ids of which all in one of the sets are -1 where it is
# zeros.
ZEROS: dict[str, tuple[Body, list[set[str]]]] = {
    "row": (word, [{"word"}]),
    "dropout": (lambda s, v: ops.dropout(word(s, v), 0.5), [{"word"}]),
    "scaled": (lambda s, v: word(s, v) * 3.0 / (1.0 + ops.exp(x3(v))), [{"word"}]),
    "times": (lambda s, v: x3(v) * word(s, v), [{"word"}]),
    "odd": (lambda s, v: ops.tanh(-word(s, v)) - ops.relu(word(s, v)), [{"word"}]),
    "sum": (lambda s, v: word(s, v) + tag(s, v), [{"tag", "word"}]),
    "product": (lambda s, v: word(s, v) * tag(s, v), [{"tag"}, {"word"}]),
    "concat": (lambda s, v: ops.concat([word(s, v)[:1], tag(s, v)[1:]]), [{"tag", "word"}]),
    "graph": (lambda s, v: topic(s, v) * x3(v), [{"topic"}]),
    "graph and vertex": (lambda s, v: topic(s, v) - word(s, v), [{"topic", "word"}]),
    "edge": (lambda s, v: relation(s, v) * v.pull_edge("e", 3), [{"relation"}]),
    "spread": (lambda s, v: word(s, v) * v.pull_edge("e", 3), [{"word"}]),
    "spread graph": (lambda s, v: topic(s, v) + word(s, v) + relation(s, v), [{"all"}]),
    "edges summed": (lambda s, v: (word(s, v) * v.pull_edge("e", 3)).sum(), [{"word"}]),
    "linear": (lambda s, v: s.u(word(s, v)) - s.u.bias, []),
    "moved": (lambda s, v: word(s, v) + 1.0, []),
    "even": (lambda s, v: ops.exp(word(s, v)), []),
    "softmax": (lambda s, v: ops.softmax(word(s, v)), []),
    "one of two": (lambda s, v: word(s, v) + x3(v), []),
    "some edges": (lambda s, v: (relation(s, v) * v.pull_edge("e", 3)).sum(), []),
    "state": (lambda s, v: v.gather(0, h=3).h, []),
}


def names(rows: Rows) -> list[set[str]]:
    return sorted([{_name(x) for x in clause} for clause in rows], key=sorted)


def _name(ids: Node) -> str:
    while ids.inputs:
        (ids,) = ids.inputs
    return str(ids.attrs["name"])


@pytest.mark.parametrize("name", ZEROS)
def test_a_product_leaves_out_rows_in_which_a_factor_is_zeros(name: str) -> None:
    of, expected = ZEROS[name]

    def body(s: Any, v: cavs.Vertex) -> None:
        y = s.w(of(s, v))
        v.push(y=y)
        v.scatter(h=y if y.space == SpaceKind.VERTEX else y.sum())

    given = Function(body)
    function = trace(given).function
    found = skip_missing(function.roots(), RowIds())
    order = ancestors(function.roots())
    weights = {n: n.inputs[1].attrs.get("parameter") for n in order if n.op.name == "matmul"}
    (product,) = [node for node, weight in weights.items() if weight is given.w.weight]
    rows = found.get(product, frozenset())
    if expected == [{"all"}]:
        expected = [{"relation", "topic", "word"}]
    assert names(rows) == expected
    for clause in rows:  # as values of the product's rows
        assert {x.space for x in clause} == {product.space}


def test_a_product_leaves_out_rows_that_nobody_reads() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        x = x3(v)
        logits = s.w(x)
        v.push(
            loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")),
            y=s.u(x) * word(s, v),
        )

    function = trace(Function(body)).function
    found = skip_missing(function.roots(), RowIds())
    assert [names(rows) for rows in found.values()] == [[{"label"}], [{"word"}]]


def test_what_is_read_in_all_rows_is_computed_in_all() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        logits = s.w(x3(v))
        y = s.u(x3(v))
        v.push(loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")), logits=logits)
        v.push(y=y * word(s, v), z=ops.sum(y))

    function = trace(Function(body)).function
    assert skip_missing(function.roots(), RowIds()) == {}


def test_rows_of_several_ids() -> None:
    a, b, c, d, e = (
        cavs.core.ir.source(PULL, (), SpaceKind.VERTEX, "int32", name=n) for n in "abcde"
    )
    rows = [frozenset([frozenset([x])]) for x in (a, b, c, d, e)]
    assert both(rows[0], rows[1]) == {frozenset([a, b])}
    assert either(rows[0], both(rows[0], rows[1])) == rows[0]
    assert both(either(rows[0], rows[1]), rows[2]) == {frozenset([a, c]), frozenset([b, c])}
    assert both(rows[0], frozenset()) == frozenset()
    four = both(both(rows[0], rows[1]), both(rows[2], rows[3]))
    assert four == {frozenset([a, b, c, d])}
    assert both(four, rows[4]) == frozenset()  # more than are kept track of


@settings(max_examples=10)
@given(graphs=batches())
def test_results_are_the_same(graphs: cavs.GraphBatch) -> None:
    """With all passes, without this one, without those that gather ids, and of the reference."""
    options = [PASSES, WITHOUT, [p for p in PASSES if p not in ("unique_pulls", "simplify")]]
    reference = compiled("Missing", executor="reference")
    inputs = draw_inputs(reference, graphs)
    expected = run(reference, graphs, inputs)
    for passes in options:
        model = compiled("Missing", passes=tuple(passes))
        assert_same(run(model, graphs, inputs), expected)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("threads", [1, 3])
def test_wide_rows_with_any_share_of_ids(share: float, threads: int) -> None:
    """Rows as they stand and rows brought together, of vertices in long levels; repeated by the
    bit."""

    class Wide(cavs.VertexFunction):
        def __init__(self) -> None:
            self.table, self.w = nn.Embedding(9, 40), nn.Linear(40, 70)
            self.u = nn.Linear(70, 70)

        def forward(self, v: cavs.Vertex) -> None:
            x = ops.dropout(self.table(v.pull("word", dtype="int32")), 0.3)
            h = ops.tanh(self.w(x) + self.u(v.gather(0, h=70).h))
            v.scatter(h=h)
            v.push(h=h)

    cavs.set_num_threads(threads)
    graphs = cavs.batch([cavs.InputGraph([[], [0], [1]])] * 200)
    rng = np.random.default_rng(0)
    words = np.where(rng.random(600) < share, rng.integers(0, 9, 600), -1).astype(np.int32)
    results = []
    for options in ({}, {}, {"passes": WITHOUT}):
        nn.init.manual_seed(0)
        model = cavs.compile(Wide(), dtype="float64", **options)
        results.append(run(model, graphs, {"word": words}))
    assert_same(results[0], results[1], rtol=0, atol=0)
    assert_same(results[0], results[2])


@pytest.mark.parametrize("passes", [PASSES, [p for p in PASSES if p != "unique_pulls"]])
@pytest.mark.parametrize("dropped", [False, True])
def test_what_no_input_gives_is_no_product(passes: list[str], dropped: bool) -> None:
    class Sum(Function):
        def __init__(self) -> None:
            super().__init__(self._body)

        def _body(self, s: Any, v: cavs.Vertex) -> None:
            x = word(s, v)
            v.push(y=s.w(ops.dropout(x, 0.5) if dropped else x))

    function = Sum()
    graphs = cavs.batch([cavs.InputGraph([[], []])])
    function.w.weight.data[...] = np.inf
    y = cavs.compile(function, passes=passes)(graphs, word=np.array([-1, -1], np.int32))["y"]
    np.testing.assert_array_equal(y.data, np.broadcast_to(function.w.bias.data, (2, 3)))


def test_what_is_remembered_of_no_input_is_zeros_where_it_was() -> None:
    """In inference the projection of a word is kept; its join with that of a tag is multiplied
    where there is a word or a tag."""

    def body(s: Any, v: cavs.Vertex) -> None:
        z = ops.concat([ops.tanh(word(s, v)), ops.tanh(tag(s, v))])
        v.push(y=ops.linear(z, s.both))

    function = Function(body)
    function.both = nn.Parameter(np.ones((2, 6), np.float32))
    rest, parts = Compiler(function).remembering()
    assert len(parts) == 2
    assert products(rest) == {"unique:tag+word": [False]}  # a mask of two ids is a number
    assert [i.kernel for s in rest.segments for i in s.instructions].count("matmul_masked") == 1
    model = cavs.compile(function).eval()
    function.both.data[...] = np.inf
    ids = {"word": np.array([-1, 2], np.int32), "tag": np.array([-1, -1], np.int32)}
    with cavs.no_grad():
        y = model(cavs.InputGraph([[], []]), **ids)["y"].data
    assert (y[0] == 0).all()
    assert not np.isfinite(y[1]).all()


def test_of_dropped_ids_the_one_row_is_left_out() -> None:
    drop = {"embedding_dropout": 0.5, "embedding_dropout_by": "id"}
    compiler = Compiler(ChildSumTreeLSTM(8, 30, 40, 5, **drop))
    forward, backward = compiler.training(()), compiler.backward(["loss"], ())
    assert products(forward)["unique:word@inner"] == [True, True]
    assert products(backward)["unique:word@inner"] == [True] * 4


def test_of_some_outputs_backward_may_leave_out_more_than_of_all() -> None:
    """The gradient of `y` alone is zeros without a word, that of both outputs is not; no forward
    program has the words then, which are read by distinct ids."""

    class Both(Function):
        def __init__(self) -> None:
            super().__init__(self._body)

        def _body(self, s: Any, v: cavs.Vertex) -> None:
            shared = s.u(x3(v))
            v.push(y=shared * word(s, v), z=ops.sum(shared))

    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])])
    results = []
    for options in ({}, {"executor": "reference"}):
        nn.init.manual_seed(0)
        model = cavs.compile(Both(), dtype="float64", **options)
        inputs = {**draw_inputs(model, graphs), "word": np.array([-1, 2, 0], np.int32)}
        results += [run(model, graphs, inputs, names=names) for names in (["y"], ["z"], ["y", "z"])]
    for own, expected in zip(results[:3], results[3:], strict=True):
        assert_same(own, expected)
