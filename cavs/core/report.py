"""The work of a compiler on F, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cavs.core.compiler import Compiler
from cavs.core.ir import Node, ancestors
from cavs.core.ops._def import SpaceKind
from cavs.core.ops.structure import PARAM
from cavs.core.passes.unique_pulls import reasons
from cavs.core.program import Program


def programs(compiler: Compiler) -> str:
    """The programs for inference, and for training with cotangents of all outputs."""
    return "\n".join(f"=== {title}\n{program}" for title, program in _programs(compiler))


def explain(compiler: Compiler, item_size: int) -> str:
    """F as traced and after the passes, why its products do not run once per distinct id, and each
    program's instructions with the FLOPs and bytes (each operand and result once) of one row."""
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
    lines.extend(not_by_id_lines(not_by_id(compiler)))
    for title, program in _programs(compiler):
        instructions = [i for s in program.segments for i in s.instructions]
        lines.append(
            f"=== {title}: {len(instructions)} launches in {len(program.segments)} segments"
        )
        lines.extend(program.costs(item_size))
    return "\n".join(lines)


def not_by_id(compiler: Compiler) -> dict[str, list[str]]:
    """Maps each product of F that does not run once per distinct id, by rows, parameter and source
    line, to the reasons."""
    found: dict[str, list[str]] = {}
    for node, why in reasons(compiler.function).items():
        params = [x.attrs["parameter"] for x in node.inputs if x.op is PARAM]
        weight = "".join(f" with {compiler.param_names[p]}" for p in params)
        where = f", at {node.where}" if node.where else ""
        known = found.setdefault(
            f"{node.space}{list(node.shape)} {node.op.name}{weight}{where}", []
        )
        known.extend(reason for reason in why if reason not in known)
    return found


def not_by_id_lines(found: Mapping[str, Sequence[str]]) -> list[str]:
    """The products and their reasons under a heading."""
    lines = [f"=== products of F that do not run once per distinct id: {len(found)}"]
    for product, why in found.items():
        lines += [f"  {product}", *(f"    because {reason}" for reason in why)]
    return lines


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
