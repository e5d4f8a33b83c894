"""The last of three steps to a program: writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cavs.core.lowering.analyse import Lowering
from cavs.core.lowering.number import Values
from cavs.core.lowering.operands import Operand
from cavs.core.lowering.steps import Step
from cavs.core.program import Instruction, Program, Segment
from cavs.core.type_order import TypeOrder


def write(
    lowering: Lowering, values: Values, params: Mapping[str, Any], types: TypeOrder | None
) -> Program:
    """The program of these values; `params`: by path; `types`: the order of a function's types."""
    storage = lowering.storage
    segments = [
        Segment(s.kind, s.space, tuple(_instruction(values, step) for step in s.steps))
        for s in lowering.stretches
    ]
    return Program(
        values.values,
        tuple(segments),
        values.inputs,
        tuple(output for output, _ in storage.sinks.outputs),
        values.uniques,
        values.saved,
        tuple(params.values()),
        storage.forward.program if storage.forward else None,
        {} if storage.forward else dict(values.states),
        types,
        values.given,
    )


def _instruction(values: Values, step: Step) -> Instruction:
    call = step.call
    tables = (call.source,) if call.source else tuple(operand.table for operand in call.inputs)
    return Instruction(
        call.kernel,
        _numbers(values, call.inputs),
        _numbers(values, step.outputs),
        tables,
        call.attributes,
        step.space,
        step.flops,
        step.where,
    )


def _numbers(values: Values, operands: Iterable[Operand]) -> tuple[int, ...]:
    return tuple(values.number_of[operand.place] for operand in operands)
