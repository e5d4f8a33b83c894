"""What the passes and the scheduler say of their work, weighed with the rows of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cavs._arrays import Array
from cavs.core.ir import Name, ancestors
from cavs.core.ops._spaces import Space, SpaceKind, Unique, as_rows
from cavs.core.remarks import Missing, Remark, sum_up
from cavs.device import device_of, is_on_host
from cavs.execution.native import NativeExecutor
from cavs.execution.profile._plan import count_ids
from cavs.execution.profile._time import Profile
from cavs.execution.profile._waits import (
    Wait,
    find_waits,
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
        self._compiler = executor.compiler.in_mode(training)
        self._of_training = executor.of_training(executor.compiler, graphs, training)
        self._notes = {
            "inference": self._compiler.noted()["inference"],
            "training": self._of_training.noted()["training"],
        }

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
            x.flops * self._count(x.space)
            for x in ancestors(self._compiler.trace.function.roots())
            if x.flops
        )

    def of(self, mode: str, waits: Sequence[Wait]) -> tuple[list[Remark], list[Remark]]:
        """What was not done in the mode, and what was."""
        notes = self._notes[mode]
        inference = mode == "inference"
        forward = self._compiler.remembering()[0] if inference else self._of_training.training(())
        refused = remarks_of_waits(waits, flops_of_batches(forward))
        refused += sum_up(notes.refused, self._count)
        return refused, remark_of_batches(waits) + sum_up(notes.saved, self._count)


def with_remarks(
    profile: Profile,
    executor: NativeExecutor,
    graphs: GraphBatch,
    inputs: Mapping[Name, Array],
    training: bool,
    most: int | None,
) -> Profile:
    """The profile of a call over `graphs` with the remarks of its modes; `most`: how many of each
    pass its text has, None for all."""
    remarks = Remarks(executor, graphs, inputs, training=training)
    waits = find_waits(executor, graphs)
    refused, saved = {}, {}
    for mode in profile.seconds:
        refused[mode], saved[mode] = remarks.of(mode, waits)
    return replace(
        profile, refused=refused, saved=saved, waits=waits, flops=remarks.whole(), most=most
    )
