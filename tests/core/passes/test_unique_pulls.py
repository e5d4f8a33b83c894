"""What depends on ids alone is computed for distinct ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import vertex_functions
from model_runs import assert_same, compiled, draw_inputs, run
from pass_checks import Function, calls, x3

import cavs
from cavs import nn, ops
from cavs.core.compiler import Compiler
from cavs.core.ir import FunctionIR, ancestors
from cavs.core.passes import PASSES, Context, unique_pulls
from cavs.core.trace import trace
from cavs.models import ChildSumTreeLSTM


def test_what_depends_on_ids_alone_moves_to_distinct_ids() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        projected = ops.tanh(self.w(self.table(v.pull("word", dtype="int32"))))
        h = v.gather(h=3).h.sum()
        v.scatter(h=projected + h)
        v.push(y=projected * x3(v))

    function = unique_pulls(trace(Function(body)).function, Context())
    spaces = {n.op.name: str(n.space) for n in ancestors(function.roots()) if n.inputs}
    assert spaces["embedding"] == spaces["matmul"] == spaces["tanh"] == "unique:word"
    assert spaces["expand"] == spaces["mul"] == "vertex"


def pulled(self: Any, v: cavs.Vertex, *names: str) -> list[Any]:
    return [self.table(v.pull(name, dtype="int32")) for name in names]


def spaces_of(function: FunctionIR) -> dict[str, list[str]]:
    """Operation to the rows that it is computed for."""
    found: dict[str, list[str]] = {}
    for node in ancestors(function.roots()):
        found.setdefault(node.op.name, []).append(str(node.space))
    return {name: sorted(spaces) for name, spaces in found.items()}


def test_what_depends_on_chance_or_on_other_rows_stays() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        word, tag = pulled(self, v, "word", "tag")
        topic = self.table(v.pull_graph("topic", dtype="int32"))
        v.push(
            random=self.w(ops.dropout(word * tag, 0.5)),
            dropped=ops.dropout(self.u(word), 0.5) + tag,
            graph=self.w(topic - word),
            given=self.w(word + x3(v)),
            edges=self.table(v.pull_edge("edge", dtype="int32")).softmax() + v.gather(h=3).h,
        )
        v.scatter(h=word)

    spaces = spaces_of(unique_pulls(trace(Function(body)).function, Context()))
    ids = ["unique:edge", "unique:tag", "unique:topic", "unique:word"]
    assert spaces["embedding"] == ids
    assert spaces["segment_softmax"] == ["edge"]
    assert spaces["matmul"] == ["unique:word", "vertex", "vertex", "vertex"]
    assert spaces["mul"] == spaces["sub"] == ["vertex"]
    assert set(spaces["dropout"]) == {"vertex"}


def test_products_of_several_pulls_run_for_distinct_tuples() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        word, tag, case = pulled(self, v, "word", "tag", "case")
        pair = ops.tanh(self.w(word * tag))
        v.push(y=self.u(pair - case) + x3(v), once=pair, joined=word * tag)

    spaces = spaces_of(unique_pulls(trace(Function(body)).function, Context()))
    assert spaces["embedding"] == ["unique:case", "unique:tag", "unique:word"]
    assert spaces["matmul"] == ["unique:case+tag+word", "unique:tag+word"]
    assert spaces["sub"] == ["unique:case+tag+word"]
    # For the product, and for the caller, who asks for no table of pairs.
    assert spaces["mul"] == ["unique:tag+word", "vertex"]
    assert spaces["tanh"] == ["unique:tag+word"]


def test_sums_of_embeddings_without_a_product_are_joined_where_they_are_read() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        word, tag = pulled(self, v, "word", "tag")
        v.push(y=ops.tanh(self.w(word) + self.u(tag)))

    spaces = spaces_of(unique_pulls(trace(Function(body)).function, Context()))
    assert spaces["matmul"] == ["unique:tag", "unique:word"]
    assert spaces["tanh"] == ["vertex"]


class Joined(cavs.VertexFunction):
    """A product over a word and a tag beside it, and another one over what that gave."""

    def __init__(self) -> None:
        self.words, self.tags = nn.Embedding(60, 32), nn.Embedding(5, 32)
        self.w, self.u = nn.Linear(64, 32), nn.Linear(32, 32)

    def forward(self, v: cavs.Vertex) -> None:
        word, tag = (v.pull(name, dtype="int32") for name in ("word", "tag"))
        x = ops.concat([self.words(word), self.tags(tag)])
        v.push(y=ops.sum(ops.square(self.u(ops.tanh(self.w(x))))))


def mflop(passes: tuple[str, ...], ids: dict[str, np.ndarray]) -> dict[str, float]:
    """MFLOP by direction, as `explain` shows them."""
    graphs = cavs.batch([cavs.InputGraph([[]] * 64)] * (len(ids["word"]) // 64))
    found: dict[str, float] = {}
    for r in cavs.compile(Joined(), passes=passes).explain(graphs, repeats=1, **ids).records:
        found[r.direction] = found.get(r.direction, 0.0) + r.flops / 1e6
    return found


def test_pairs_of_few_words_and_tags_are_computed_once_each() -> None:
    rng = np.random.default_rng(0)
    ids = {
        "word": rng.integers(0, 50, 4096).astype(np.int32),
        "tag": rng.integers(0, 2, 4096).astype(np.int32),
    }
    before = mflop(tuple(p for p in PASSES if p != "unique_pulls"), ids)
    after = mflop(PASSES, ids)
    assert set(after) == {"inference", "forward", "backward"}
    for direction, count in after.items():
        assert count <= before[direction] / 20, direction


def test_the_cell_of_a_leaf_with_two_pulls_runs_once_per_pair() -> None:
    compiler = Compiler(vertex_functions.make_function("Pairs"))
    for program in (compiler.training(()), compiler.backward(["loss"], ())):
        products = [i for s in program.segments for i in s.instructions if "matmul" in i.kernel]
        assert "unique:tag+word@leaf" in {str(i.space) for i in products}
        assert "leaf" not in {str(i.space) for i in products}
    activations = [
        str(i.space)
        for s in compiler.training(()).segments
        for i in s.instructions
        if "sigmoid" in calls(i)
    ]
    assert activations == ["unique:tag+word@leaf", "inner"]


CASES: dict[str, dict[str, list[int]]] = {
    "all missing": {"word": [-1] * 6, "tag": [-1] * 6, "case": [-1] * 6},
    "one missing": {"word": [-1, -1, 3, 3, -1, 0], "tag": [2, -1, -1, 2, 2, 0], "case": [1] * 6},
    "the other": {"word": [4] * 6, "tag": [-1, 0, -1, 0, -1, 0], "case": [-1, -1, -1, 0, 0, 0]},
    "one tuple": {"word": [4] * 6, "tag": [1] * 6, "case": [0] * 6},
    "all different": {"word": [0, 1, 2, 3, 4, 5], "tag": [5, 4, 3, 2, 1, 0], "case": [0] * 6},
    "far apart": {"word": [0, 6, 0, 6, 0, 6], "tag": [6, 0, 6, 0, 6, 0], "case": [-1] * 6},
}


@pytest.mark.parametrize("name", ["Pairs", "Triples"])
@pytest.mark.parametrize("case", CASES)
def test_tuples_with_and_without_input_equal_the_reference(name: str, case: str) -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [2]]), cavs.InputGraph([[], [0]])])
    reference = compiled(name, executor="reference")
    inputs = draw_inputs(reference, graphs)
    inputs |= {k: np.array(x, np.int32) for k, x in CASES[case].items() if k in inputs}
    expected = run(reference, graphs, inputs)
    assert_same(run(compiled(name), graphs, inputs), expected)
    everything_else = tuple(p for p in PASSES if p != "unique_pulls")
    assert_same(run(compiled(name, passes=everything_else), graphs, inputs), expected)


@pytest.mark.parametrize("name", ["Pairs", "Triples"])
def test_memory_with_tuples_is_what_a_call_takes(name: str) -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1], [2]])] * 9)
    model = compiled(name)
    inputs = draw_inputs(model, graphs)
    memory = model.explain(graphs, repeats=1, **inputs).memory
    outputs = frozenset(model(graphs, **inputs))
    assert memory["training"].peak == model._memory(graphs, outputs, inputs).arena
    assert memory["inference"].peak == model._memory(graphs, False, inputs).arena
    ids = {k: x for k, x in inputs.items() if x.dtype == np.int32}
    fewer = {k: x for k, x in ids.items() if k != "tag"}
    assert model.memory(graphs, **fewer) >= model.memory(graphs, **ids)


def test_dropout_by_id_moves_as_any_function_of_the_ids() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        word, tag = (self.table(v.pull(k, dtype="int32")) for k in ("word", "tag"))
        cell = ops.tanh(self.w(ops.dropout(word, 0.5, by="id")))
        v.push(y=cell * x3(v), z=ops.dropout(word * tag, 0.5, by="id"))

    function = unique_pulls(trace(Function(body)).function, Context())
    spaces = [n.space for n in ancestors(function.roots()) if n.op.name == "dropout_by_id"]
    assert sorted(map(str, spaces)) == ["unique:word", "vertex"]  # of two pulls it stays
    assert {str(n.space) for n in ancestors(function.roots()) if n.op.name == "matmul"} == {
        "unique:word"
    }


def test_words_with_dropout_by_id_are_computed_once_each() -> None:
    """Of the cell of a leaf all is by distinct words, as without dropout; by vertex nothing is."""

    def by_word(rate: float, by: str) -> tuple[list[str], list[str]]:
        model = ChildSumTreeLSTM(9, 4, 6, 3, embedding_dropout=rate, embedding_dropout_by=by)
        compiler = Compiler(model)
        pair = (compiler.training(()), compiler.backward(["loss"], ()))
        return tuple(  # type: ignore[return-value]
            [
                i.kernel
                for s in program.segments
                for i in s.instructions
                if str(i.space).startswith("unique") and i.kernel.startswith("matmul")
            ]
            for program in pair
        )

    without = by_word(0.0, "vertex")
    assert all(without)
    assert by_word(0.5, "id") == without
    assert by_word(0.5, "vertex") == ([], [])
