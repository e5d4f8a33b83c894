"""Summaries of compiled functions and programs: what they consist of, and what a call costs."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from cavs.core.outline import table
from cavs.core.trace import Trace
from cavs.core.vertex import Module
from cavs.execution.profile import Profile
from cavs.scheduler import GraphBatch


def parts_of(root: Module, dtype: Any, mode: str) -> list[str]:
    """The heading and the table of parameters."""
    sizes = [(prod(p.shape), p.requires_grad) for p in root.parameters()]
    count = sum(size for size, _ in sizes)
    frozen = sum(size for size, learns in sizes if not learns)
    learning = f" ({frozen:,} of them frozen)" if frozen else ""
    return [
        f"{type(root).__name__}: {count:,} parameters{learning}, "
        f"{in_bytes(count * dtype.itemsize)}, {dtype}, {mode}",
        *(f"  {line}" for line in table(root)),
    ]


def interface_of(traced: Trace) -> list[str]:
    """The inputs, states and outputs of a function, each with its shape."""
    function = traced.function
    inputs = [
        _value(f"{name} {x.dtype}", str(x.rows), x.shape) for name, x in traced.inputs.items()
    ]
    states = [_value(name, str(x.space), x.shape) for name, x in function.scatters.items()]
    given = [_value(name, str(x.space), x.shape) for name, x in function.pushes.items()]
    return [
        f"  {what + ':':9}{', '.join(found) or 'none'}"
        for what, found in (("inputs", inputs), ("states", states), ("outputs", given))
    ]


def _value(name: str, space: str, shape: tuple[int, ...]) -> str:
    kind, _, members = space.partition(":")
    plurals = {"vertex": "vertices", "edge": "edges", "graph": "graphs"}
    rows = [plurals.get(kind, kind) + (f" of {members}" if members else "")]
    return f"{name} ({', '.join(map(str, (*(rows if kind != 'none' else ()), *shape)))})"


def cost_of(graphs: GraphBatch, profile: Profile, memory: Mapping[str, int]) -> list[str]:
    """What a call over a batch takes: FLOPs as they were counted, and bytes as they are planned."""
    flops: dict[str, int] = {}
    for record in profile.records:
        flops[record.direction] = flops.get(record.direction, 0) + record.flops
    lines = [
        f"  a call over {graphs.num_graphs:,} graphs, {graphs.num_vertices:,} vertices and "
        f"{graphs.num_edges:,} edges:",
        f"    inference: {in_flops(flops.get('inference', 0))}, {in_bytes(memory['inference'])}",
    ]
    if "training" in memory:
        both = [in_flops(flops.get(direction, 0)) for direction in ("forward", "backward")]
        lines.append(
            f"    training: {both[0]} forward and {both[1]} backward, "
            f"{in_bytes(memory['training'])}"
        )
    return lines


def in_flops(count: int) -> str:
    """A number of floating-point operations, in words."""
    return _in_units(count, 1000, ("FLOPs", "kFLOPs", "MFLOPs", "GFLOPs", "TFLOPs"))


def in_bytes(count: int) -> str:
    """A number of bytes, in words."""
    return _in_units(count, 1024, ("bytes", "KiB", "MiB", "GiB", "TiB"))


def _in_units(count: int, step: int, units: tuple[str, ...]) -> str:
    number, place = float(count), 0
    while number >= step and place + 1 < len(units):
        number, place = number / step, place + 1
    return f"{count:,} {units[0]}" if place == 0 else f"{number:,.1f} {units[place]}"
