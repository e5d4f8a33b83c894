"""What depends on ids alone is computed for distinct ids."""

from __future__ import annotations

from typing import Any

from pass_checks import Function, x3

import cavs
from cavs import ops
from cavs.core.compiler import Compiler
from cavs.core.ir import ancestors
from cavs.core.passes import unique_pulls
from cavs.core.trace import trace
from cavs.models import ChildSumTreeLSTM


def test_what_depends_on_ids_alone_moves_to_distinct_ids() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        projected = ops.tanh(self.w(self.table(v.pull("word", dtype="int32"))))
        h = v.gather(h=3).h.sum()
        v.scatter(h=projected + h)
        v.push(y=projected * x3(v))

    function = unique_pulls(trace(Function(body)).function)
    spaces = {n.op.name: str(n.space) for n in ancestors(function.roots()) if n.inputs}
    assert spaces["embedding"] == spaces["matmul"] == spaces["tanh"] == "unique:word"
    assert spaces["expand"] == spaces["mul"] == "vertex"


def test_what_depends_on_more_than_one_pull_or_on_chance_stays() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        word, tag = (self.table(v.pull(k, dtype="int32")) for k in ("word", "tag"))
        v.push(y=self.w(word * tag), z=ops.dropout(self.u(word), 0.5))
        v.push(e=self.table(v.pull_edge("edge", dtype="int32")).softmax() + v.gather(h=3).h)
        v.scatter(h=word)

    function = unique_pulls(trace(Function(body)).function)
    for node in ancestors(function.roots()):
        if node.op.name in ("mul", "dropout"):
            assert node.space == "vertex"
        if node.op.name == "segment_softmax":
            assert node.space == "edge"
        if node.op.name == "embedding":
            assert str(node.space).startswith("unique:")


def test_dropout_by_id_moves_as_any_function_of_the_ids() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        word, tag = (self.table(v.pull(k, dtype="int32")) for k in ("word", "tag"))
        cell = ops.tanh(self.w(ops.dropout(word, 0.5, by="id")))
        v.push(y=cell * x3(v), z=ops.dropout(word * tag, 0.5, by="id"))

    function = unique_pulls(trace(Function(body)).function)
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
