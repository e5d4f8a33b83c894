"""Modules as text."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import nn
from cavs.core.outline import table
from cavs.core.vertex import Module


class Part(Module):
    def __init__(self) -> None:
        self.one = nn.Linear(2, 3)
        self.scale = nn.Parameter(np.ones(3, np.float32))


class Whole(Module):
    def __init__(self) -> None:
        self.parts = [Part(), {"a": nn.Dropout(0.25)}]
        self.again = self.parts[0]
        self.starts = [nn.Parameter(np.zeros((2, 2)), requires_grad=False)]
        self.size = 3


def test_a_module_prints_as_a_tree() -> None:
    assert repr(Whole()) == str(Whole())
    part = "Part(\n    (one): Linear(2, 3, bias=True)\n    (scale): Parameter(float32, (3,))\n  )"
    assert repr(Whole()) == (
        "Whole(\n"
        f"  (parts.0): {part}\n"
        "  (parts.1.a): Dropout(0.25)\n"
        f"  (again): {part}\n"
        "  (starts.0): Parameter(float64, (2, 2))\n"
        ")"
    )
    assert repr(Module()) == "Module()"


def test_a_module_in_itself_prints() -> None:
    outer: Any = Part()
    outer.inner = Module()
    outer.inner.outer = outer
    outer.inner.all = [outer.inner]
    assert "(inner): Module(" in repr(outer)
    assert "(outer): Part(...)" in repr(outer)
    assert "(all.0): Module(...)" in repr(outer)
    assert len(table(outer)) == 5


def test_a_module_shows_itself_as_its_class_says() -> None:
    class Own(Module):
        def __repr__(self) -> str:
            return "two\nlines"

    assert repr(Whole.__new__(Whole)) == "Whole()"
    whole = Module()
    whole.own = Own()  # type: ignore[attr-defined]
    assert repr(whole) == "Module(\n  (own): two\n  lines\n)"
    assert "Own" in table(whole)[-1]


def test_a_table_has_a_line_for_each_parameter() -> None:
    lines = [line.split() for line in table(Whole())]
    assert lines[0] == ["path", "module", "parameter", "shape", "elements"]
    assert [line[-1] for line in lines] == ["elements", "frozen", "3", "6", "3", "Dropout(0.25)"]
    text = "\n".join(table(Whole()))
    for words in ("Whole      ", "starts.0", "(2, 2)", "4 frozen", "parts.0.one", "(3, 2)"):
        assert words in text
    assert len(table(cavs.VertexProgram({"f": nn_function()}))) == 5


def nn_function() -> cavs.VertexFunction:
    function = cavs.VertexFunction()
    function.layer = nn.Linear(2, 2)  # type: ignore[attr-defined]
    return function
