"""Functions of a child's state are computed by the child."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import vertex_functions
from pass_checks import calls, programs, simplified, x3

import cavs
from cavs import nn, ops
from cavs.core.ir import FunctionIR, ancestors
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES, Context, commute_gather
from cavs.core.passes.commute_gather import Commuted
from cavs.core.program import Program, Role, SegmentKind, Table, TableKind
from cavs.core.trace import trace


def commuted(body: Callable[[Any, cavs.Vertex], None]) -> FunctionIR:
    return commute_gather(simplified(body), Context())


def spaces_of_products(function: FunctionIR) -> list[str]:
    return [str(n.space) for n in ancestors(function.roots()) if n.op.name == "matmul"]


def test_functions_of_a_childs_state_are_computed_by_the_child() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        h = v.gather(h=3).h
        hidden = ops.tanh(s.u(h))  # the last value of the child alone is what is gathered
        deep = s.w(hidden)
        v.scatter(h=ops.tanh(x3(v) + (deep * v.pull_edge("gate", 3)).sum()))
        v.push(e=hidden)

    function = commuted(body)
    assert set(function.scatters) == {Commuted("h", 1), Commuted("h", 2)}  # nobody gathers h
    assert spaces_of_products(function) == ["vertex", "vertex"]
    assert function.pushes["e"].op.name == "gather"


def test_new_states_have_names_of_their_own() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        h, other = v.gather(h=3, h_1=3)
        v.scatter(h=ops.tanh(s.w(h).sum() + s.w(other).sum() + x3(v)), h_1=s.u(h).max())
        v.push(y=h.sum())

    function = commuted(body)
    new = {Commuted("h", 1), Commuted("h", 2), Commuted("h_1", 1)}
    assert set(function.scatters) == {"h"} | new  # nobody gathers h_1
    assert sorted(map(str, new)) == ["h@1", "h@2", "h_1@1"]


@pytest.mark.parametrize(
    "value",
    [
        lambda s, v: s.u(v.gather(0, h=3).h),  # by position: zeros where there is no child
        lambda s, v: s.u(v.gather(h=3).h * v.pull_edge("gate", 3)).sum(),
        lambda s, v: s.u(v.gather(h=3).h + x3(v)).sum(),
        lambda s, v: s.u(ops.dropout(v.gather(h=3).h, 0.5)).sum(),  # drawn for the edge
        lambda s, v: s.u(v.gather(h=3).h.softmax()).sum(),
        lambda s, v: ops.tanh(v.gather(h=3).h * s.u.bias).sum(),  # no product to save
        lambda s, v: (s.table(v.pull_edge("word", dtype="int32")) + v.gather(h=3).h).sum(),
    ],
)
def test_other_functions_stay_on_the_edges(value: Callable[[Any, cavs.Vertex], Any]) -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        v.scatter(h=ops.tanh(x3(v)))
        v.push(y=value(s, v))

    before = simplified(body)
    assert commute_gather(before, Context()) is before


def test_commuting_must_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products that make long rows of short ones stay: what they save is less than what gathering
    such rows costs."""

    class Wide(cavs.VertexFunction):
        def __init__(self, size: int) -> None:
            self.size, self.u = size, nn.Linear(size, 64)

        def forward(self, v: cavs.Vertex) -> None:
            h = v.gather(h=self.size).h
            v.scatter(h=v.pull("x", self.size) + h.sum())
            v.push(y=(ops.tanh(self.u(h)) * v.pull_edge("gate", 64)).sum())

    monkeypatch.setattr(import_module("cavs.core.passes.commute_gather"), "WORTH", 16)
    for size, paying in ((7, False), (8, True)):
        function = commute_gather(trace(Wide(size)).function, Context())
        assert spaces_of_products(function) == (["vertex"] if paying else ["edge"])


def test_wide_values_are_gathered_before_they_are_made() -> None:
    """The outer product of U h with itself is made on the edge, of U h gathered."""

    def body(s: Any, v: cavs.Vertex) -> None:
        column, row = (ops.reshape(s.u(v.gather(h=3).h), shape) for shape in ((3, 1), (1, 3)))
        v.scatter(h=x3(v))
        v.push(y=(ops.matmul(column, row) * v.pull_edge("m", (3, 3))).sum())

    function = commuted(body)
    assert spaces_of_products(function) == ["vertex", "edge"]
    assert function.scatters[Commuted("h", 1)].size == 3


def flops(program: Program, rows: dict[str, int]) -> int:
    return sum(i.flops * rows[str(i.space)] for s in program.segments for i in s.instructions)


def test_commuting_leaves_no_product_and_no_copy_on_the_edges() -> None:
    without = tuple(p for p in PASSES if p != "commute_gather")
    # A batch of binary trees with as many leaves as others, three leaves to a word.
    rows = {"vertex": 120, "edge": 118, "none": 1, "leaf": 60, "inner": 60}
    rows |= {"unique:word@leaf": 20, "unique:word@inner": 1}
    names = ("ChildSumTreeLSTM", "WideTreeLSTM")
    for name in names:
        total = 0
        for program, plain in zip(programs(name, PASSES), programs(name, without), strict=True):
            every = [i for s in program.segments for i in s.instructions]
            assert not [i for i in every if "matmul" in i.kernel and i.space == SpaceKind.EDGE]
            assert not [i for i in every if "identity" in calls(i)]
            total += flops(program, rows) - flops(plain, rows)
        assert total < -2 * 3 * 30 * vertex_functions.FUNCTIONS[name]().size ** 2


def test_gathered_products_are_read_through_an_index_and_not_kept() -> None:
    forward, backward = programs("Lattice", PASSES)
    takes = [i for s in forward.segments for i in s.instructions if i.kernel == "take"]
    assert not [i for i in takes if Table(TableKind.CHILD) in i.tables]
    product = next(
        i.outputs[0]
        for s in forward.segments
        for i in s.instructions
        if s.kind is SegmentKind.LEVELS and i.kernel == "matmul"
    )
    assert forward.values[product].role is Role.VIEW  # written among the rows of all vertices
    assert forward.values[product].base not in forward.saved
    assert not [i for s in backward.segments for i in s.instructions if product in i.inputs]
