"""The work of a compiler on F, as text."""

from __future__ import annotations

from cavs.core.compiler import Compiler
from cavs.core.ir import Node, ancestors
from cavs.core.ops._spaces import SpaceKind
from cavs.core.program import Program
from cavs.core.remarks import sum_up
from cavs.core.remarks_text import MOST, remarks_lines


def programs(compiler: Compiler) -> str:
    """The programs for inference, and for training with cotangents of all outputs."""
    return "\n".join(f"=== {title}\n{program}" for title, program in _programs(compiler))


def explain(compiler: Compiler, item_size: int, most: int | None = MOST) -> str:
    """F as traced and after the passes, each program's instructions with the FLOPs and bytes (each
    operand and result once) of one row, and what the passes did not do: `most` lines of each, None
    for all."""
    lines = [f"{compiler.trace.name}, passes: {', '.join(compiler.passes) or 'none'}"]
    for title, function in (("traced", compiler.trace.function), ("optimised", compiler.function)):
        nodes = [n for n in ancestors(function.roots()) if n.inputs]
        flops = sum(n.flops for n in nodes if n.space.kind is SpaceKind.VERTEX)
        edge_flops = sum(n.flops for n in nodes if n.space.kind is SpaceKind.EDGE)
        lines.append(
            f"=== F {title}: {len(nodes)} operations, "
            f"{flops:,} FLOPs per vertex and {edge_flops:,} per edge"
        )
        lines.extend(f"  {_describe(n)}" for n in nodes)
    for title, program in _programs(compiler):
        instructions = [i for s in program.segments for i in s.instructions]
        lines.append(
            f"=== {title}: {len(instructions)} launches in {len(program.segments)} segments"
        )
        lines.extend(program.costs(item_size))
    notes = compiler.noted()
    refused = {mode: sum_up(said.refused, None) for mode, said in notes.items()}
    saved = {mode: sum_up(said.saved, None) for mode, said in notes.items()}
    lines.extend(remarks_lines(refused, saved, most))
    return "\n".join(lines)


def _programs(compiler: Compiler) -> list[tuple[str, Program]]:
    return [
        ("inference", compiler.inference()),
        ("training, forward", compiler.training(())),
        ("training, backward", compiler.backward(compiler.function.pushes, ())),
    ]


def _describe(node: Node) -> str:
    operands = ", ".join(
        str(x.attrs.get("name") or x.attrs.get("value", "")) or f"%{x.number}" for x in node.inputs
    )
    where = f"  # {node.where}" if node.where else ""
    return f"%{node.number}: {node.space}{list(node.shape)} = {node.op.name}({operands}){where}"
