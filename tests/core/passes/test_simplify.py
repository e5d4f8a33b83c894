"""Equal computations, neutral operations, slices and reshapes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from pass_checks import operations, simplified, x3

import cavs
from cavs import ops
from cavs.core import ir
from cavs.core.ir import FunctionIR, Node
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.structure import PULL
from cavs.core.passes import Simplifier


def test_equal_computations_become_one() -> None:
    function = simplified(lambda s, v: v.push(a=ops.tanh(s.w(x3(v))), b=ops.tanh(s.w(x3(v))) * 2.0))
    assert operations(function).count("matmul") == 1
    assert operations(function).count("tanh") == 1


def test_dropouts_stay_apart() -> None:
    function = simplified(lambda s, v: v.push(a=ops.dropout(x3(v), 0.5), b=ops.dropout(x3(v), 0.5)))
    assert function.pushes["a"] is not function.pushes["b"]


@pytest.mark.parametrize(
    "neutral",
    [
        lambda x: x + 0.0,
        lambda x: 0.0 + x,
        lambda x: x - 0.0,
        lambda x: x * 1.0,
        lambda x: 1.0 * x,
        lambda x: x / 1.0,
        lambda x: operator.neg(operator.neg(x)),
        lambda x: ops.reshape(ops.reshape(x, (3, 1)), 3),
        lambda x: ops.concat([x]),
    ],
)
def test_neutral_operations_go(neutral: Callable[[Any], Any]) -> None:
    function = simplified(lambda s, v: v.push(y=neutral(x3(v))))
    assert operations(function) == []


def test_what_only_looks_neutral_stays() -> None:
    function = simplified(lambda s, v: v.push(a=0.0 - x3(v), b=v.pull("s") + 0.0 * x3(v)))
    assert function.pushes["a"].op.name == "sub"
    assert function.pushes["b"].shape == (3,)


def test_slices_move_onto_operands_where_nothing_else_reads_the_whole() -> None:
    function = simplified(
        lambda s, v: v.push(**dict(zip("abc", ops.split(s.w(x3(v)) + x3(v), 3), strict=True)))
    )
    assert all(function.pushes[k].op.name == "add" for k in "abc")
    assert all(function.pushes[k].shape == (1,) for k in "abc")

    def whole(self: Any, v: cavs.Vertex) -> None:
        y = ops.tanh(x3(v))
        v.push(y=y, part=y[1:3])

    assert simplified(whole).pushes["part"].op.name == "slice"


def test_slices_of_slices_and_of_concatenations() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        x = x3(v)
        v.push(a=x[1:3][1:2], b=ops.concat([x, ops.tanh(x)])[4:6])

    pushes = simplified(body).pushes
    assert pushes["a"].attrs == {"start": 2, "stop": 3}
    assert pushes["b"].attrs == {"start": 1, "stop": 3}
    assert pushes["b"].inputs[0].op.name == "tanh"  # of which the concatenation needs the whole


def test_reshapes_move_onto_operands_where_nothing_else_reads_the_whole() -> None:
    def body(self: Any, v: cavs.Vertex) -> None:
        m = ops.reshape(x3(v), (1, 3))
        whole = ops.tanh(m)
        v.push(y=ops.reshape(ops.exp(m * m + 1.0), 3), z=ops.reshape(whole, 3), whole=whole)

    pushes = simplified(body).pushes
    assert operations(FunctionIR({}, {"y": pushes["y"]})) == ["mul", "add", "exp"]
    assert pushes["z"].op.name == "reshape"


def test_what_stands_together_already_is_no_concatenation() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        a, b, c = ops.split(x3(v), 3)
        v.push(whole=ops.concat([a, b, c]), part=ops.concat([a, b]), turned=ops.concat([b, c, a]))

    pushes = simplified(body).pushes
    assert pushes["whole"].op.name == "pull"
    assert pushes["part"].op.name == pushes["turned"].op.name == "concat"


def test_the_simplifier_keeps_its_table_between_calls() -> None:
    simplifier = Simplifier()
    x = ir.source(PULL, (3,), SpaceKind.VERTEX, name="x")

    def one() -> Node:
        return (x * 1.0) * x + 0.0

    first, second = one(), one()
    assert simplifier.run([first])[first] is simplifier.run([second])[second]
