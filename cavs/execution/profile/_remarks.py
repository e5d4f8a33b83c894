"""What the passes and the scheduler say of their work, weighed with the rows of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cavs._arrays import Array
from cavs.core.ir import Name, ancestors
from cavs.core.ops._def import Space, SpaceKind, Unique, as_rows
from cavs.core.program import Program
from cavs.core.remarks import Missing, Remark, sum_up
from cavs.device import device_of, is_on_host
from cavs.execution.native import NativeExecutor
from cavs.execution.profile._plan import count_ids
from cavs.execution.profile._waits import (
    Wait,
    flops_of_batches,
    remark_of_batches,
    remarks_of_waits,
)
from cavs.execution.typed_rows import numbers_of, values_at
from cavs.scheduler import GraphBatch


class Remarks:
    """The remarks of a function over one batch, by mode."""

    def __init__(
        self,
        executor: NativeExecutor,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        *,
        training: bool,
    ) -> None:
        self._trace = executor.compiler.trace
        self._graphs, self._inputs = graphs, inputs
        self._counts: dict[Space | Missing, int] = {SpaceKind.NONE: 1}
        compiler = executor.compiler.in_mode(training)
        self._function, self._notes = compiler.trace.function, compiler.noted()

    def _count(self, space: Space | Missing) -> int:
        if space not in self._counts:
            if isinstance(space, Missing):
                rows = self._count_missing(space)
            elif isinstance(space, Unique):
                rows = count_ids(self._graphs, space, self._inputs, self._trace)
            else:
                rows = len(numbers_of(self._graphs, self._trace.types, space))
            self._counts[space] = rows
        return self._counts[space]

    def _count_missing(self, rows: Missing) -> int:
        given, found = as_rows(rows.space), np.False_

        def missing(name: Name) -> Array:
            spec, array = self._trace.inputs[name], self._inputs[name]
            if not is_on_host(array):
                array = device_of(array).to_host(array)
            values = values_at(self._graphs, self._trace.types, array, spec.rows, given)
            absent: Array = values.reshape(len(values)) == (-1 if spec.dtype == "int32" else 0)
            return absent

        for clause in rows.clauses:
            found = found | np.logical_and.reduce([missing(name) for name in clause])
        return int(np.sum(found))

    def whole(self) -> int:
        """FLOPs of F as typed over the batch."""
        return sum(
            x.flops * self._count(x.space) for x in ancestors(self._function.roots()) if x.flops
        )

    def of(
        self, mode: str, waits: Sequence[Wait], forward: Program
    ) -> tuple[list[Remark], list[Remark]]:
        """What was not done in the mode, whose program of F is `forward`, and what was."""
        notes = self._notes[mode]
        refused = remarks_of_waits(waits, flops_of_batches(forward))
        refused += sum_up(notes.refused, self._count)
        return refused, remark_of_batches(waits) + sum_up(notes.saved, self._count)
