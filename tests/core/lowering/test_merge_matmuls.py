"""Sums over parts of the rows become one."""

from __future__ import annotations

from typing import Any

from pass_checks import Function, calls, programs, x3

import cavs
from cavs.core.compiler import Compiler
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES
from cavs.core.program import Role


def test_sums_over_parts_of_the_rows_go_on_from_each_other() -> None:
    def additions(passes: tuple[str, ...]) -> int:
        _, backward = programs("ChildSumTreeLSTM", passes)
        return sum(i.space == SpaceKind.NONE and bool(calls(i)) for i in backward.instructions())

    assert additions(PASSES) == 0
    assert additions(tuple(p for p in PASSES if p != "merge_matmuls")) > 0
    _, backward = programs("ChildSumTreeLSTM", PASSES)
    written = [n for s in backward.segments for i in s.instructions for n in i.outputs]
    several = {n for n in written if written.count(n) > 1}
    # Of leaves and of inner vertices: both of the classifier's and of W_iou's, and U_f.
    assert len(several) == 5
    assert all(backward.values[n].role is Role.OUTPUT for n in several)


def test_sums_that_something_else_reads_stay_apart() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        x, y = x3(v), v.pull("y", 3)
        v.push(a=s.w(x) + s.w(y), b=x * (s.u.bias + s.w.bias) + y * s.u.bias)

    backward = Compiler(Function(body)).backward(("a", "b"), ())
    # Both biases get what a sum over rows gives; the products for w's weight nobody else reads.
    assert [op for s in backward.segments for i in s.instructions for op in calls(i)] == [
        "mul",
        "mul",
        *["add"] * 3,
    ]
    sums = [i for s in backward.segments for i in s.instructions if "reduce" in i.kernel]
    several = [i.kernel for i in sums if i.outputs[0] in i.inputs]
    assert several == ["matmul_reduce"]
