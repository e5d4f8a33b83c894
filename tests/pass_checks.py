"""What the tests of passes read off the IR and programs; that passes change no result stands in
tests/test_executor.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import vertex_functions

import cavs
from cavs import nn
from cavs.core.attributes import Group
from cavs.core.compiler import Compiler
from cavs.core.ir import FunctionIR, ancestors
from cavs.core.passes import PASSES, Simplifier
from cavs.core.program import Instruction, Program, SegmentKind
from cavs.core.trace import trace

WITHOUT_LEAVES = tuple(p for p in PASSES if p != "specialize_leaves")


class Function(cavs.VertexFunction):
    def __init__(self, body: Callable[[Any, cavs.Vertex], None]) -> None:
        self.body = body
        self.table, self.w, self.u = nn.Embedding(5, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        self.body(self, v)


def simplified(body: Callable[[Any, cavs.Vertex], None]) -> FunctionIR:
    function = trace(Function(body)).function
    return function.map(Simplifier().run(function.roots()))


def operations(function: FunctionIR) -> list[str]:
    return [n.op.name for n in ancestors(function.roots()) if n.inputs]


def x3(v: cavs.Vertex) -> Any:
    return v.pull("x", 3)


def programs(name: str, passes: tuple[str, ...]) -> tuple[Program, Program]:
    compiler = Compiler(vertex_functions.make_function(name), passes)
    return compiler.training(()), compiler.backward(compiler.function.pushes, ())


def instructions(program: Program, kind: SegmentKind | None = None) -> list[str]:
    return [i.kernel for s in program.segments for i in s.instructions if kind in (None, s.kind)]


def calls(i: Instruction) -> list[str]:
    """Operations of an elementwise group; none of another instruction."""
    return [call.op for call in i.attributes.calls] if isinstance(i.attributes, Group) else []
