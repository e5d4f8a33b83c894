"""What depends on ids alone is computed for distinct ids."""

from __future__ import annotations

from typing import Any

from pass_checks import Function, x3

import cavs
from cavs import ops
from cavs.core.ir import ancestors
from cavs.core.passes import unique_pulls
from cavs.core.trace import trace


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

    function = unique_pulls(trace(Function(body)).function)
    for node in ancestors(function.roots()):
        if node.op.name in ("mul", "dropout"):
            assert node.space == "vertex"
        if node.op.name == "embedding":
            assert str(node.space).startswith("unique:")
