"""Cotangents are read where the parents have them."""

from __future__ import annotations

from pass_checks import programs

import cavs
from cavs import models
from cavs.core.compiler import Compiler
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES
from cavs.core.program import Program


def tables(program: Program) -> set[str]:
    return {str(t) for s in program.segments for i in s.instructions for t in i.tables}


def test_cotangents_are_read_where_the_parents_have_them() -> None:
    def backward_of(function: cavs.VertexFunction, passes: tuple[str, ...]) -> Program:
        return Compiler(function, passes).backward(["loss"], ())

    functions = models.DAGRNN(3, 4, 2), models.TreeFC(5, 3, 4, 2), models.MVRNN(5, 3, 2)
    expected = "parent_rows", "parent_rows:2", "parent_rows:2"
    for function, table in zip(functions, expected, strict=True):
        backward = backward_of(function, PASSES)
        assert table in tables(backward)
        assert "parents" not in tables(backward)
        assert not any(i.space == SpaceKind.EDGE for s in backward.segments for i in s.instructions)
        plain = backward_of(function, tuple(p for p in PASSES if p != "read_parents"))
        assert "parents" in tables(plain)
    _, backward = programs("ManySlots", PASSES)  # some of positions, some of all children
    assert "parents" in tables(backward)
