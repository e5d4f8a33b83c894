"""The work of a row: the kernels count the FLOPs and bytes that the program counts, which adds up
those of the operations of F."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import vertex_functions
from model_runs import compiled, draw_cotangents, draw_inputs
from vertex_functions.rowless import ROWLESS

import cavs
from cavs._native import core
from cavs.core.attributes import Group
from cavs.core.ops import OPS
from cavs.core.passes import PASSES
from cavs.core.program import Instruction, Program
from cavs.execution.executor import RandomState

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1], [2]]), cavs.InputGraph([[]])])
FUNCTIONS = sorted(vertex_functions.FUNCTIONS)
SWITCHES: list[tuple[str, ...]] = [PASSES, ()]


def models(dtype: str) -> Iterator[cavs.Model]:
    for passes in SWITCHES:
        for name in FUNCTIONS:
            yield compiled(name, dtype, passes=passes)
        for make in ROWLESS.values():
            yield cavs.compile(make(), dtype=dtype, passes=passes)


def works(model: cavs.Model, dtype: str) -> Iterator[tuple[Program, Instruction, int, int]]:
    """Each instruction of inference and training, with FLOPs and bytes of a row by its kernel."""
    inputs = {k: np.asarray(x) for k, x in draw_inputs(model, GRAPHS).items()}
    typed = {k: x if x.dtype == np.int32 else x.astype(dtype) for k, x in inputs.items()}
    outputs = {k: np.asarray(y.data) for k, y in model(GRAPHS, **typed).items()}
    drawn = {k: y.astype(dtype) for k, y in draw_cotangents(outputs).items()}
    executor: Any = model._executor
    for cotangents in (None, drawn):
        programs, run = executor.profiled(GRAPHS, typed, RandomState(1, 1, True), cotangents)
        for direction, segment, number, kernel, *_, flops, size in run.profile_records():
            program = programs[direction]
            instruction = program.segments[segment].instructions[number]
            assert instruction.kernel == kernel
            yield program, instruction, flops, size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_and_operations_count_alike(dtype: str) -> None:
    kernels, operations = set[str](), set[str]()
    for model in models(dtype):
        for program, i, flops, size in works(model, dtype):
            assert flops == i.flops, f"{type(model.function).__name__}: {program.line(i)}"
            assert size == program.row_bytes(i, np.dtype(dtype).itemsize), program.line(i)
            kernels.add(i.kernel)
            if isinstance(i.attributes, Group):
                operations.update(call.op for call in i.attributes.calls)
    assert kernels == set(core.kernel_names())
    assert operations == {op.name for op in OPS.values() if op.elementwise}
