"""The memory that a call will take, planned without a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cavs.core.ir import Name
from cavs.core.ops._spaces import Space, Unique
from cavs.core.program import Program
from cavs.core.trace import Trace
from cavs.execution.executor import Array
from cavs.execution.native import NativeExecutor
from cavs.execution.remembered import MOST_AT_ONCE, vertices
from cavs.execution.typed_rows import numbers_of, values_at
from cavs.memory import SweepMemory
from cavs.scheduler import GraphBatch


@dataclass(frozen=True)
class Plan:
    """The programs of a call, and the engine's plans for them.

    Attributes:
        graphs: the batch that they run over.
        sweeps: each program with its memory: the one of inference, or forward and backward.
        distinct: how many distinct ids there are, by their space.
    """

    graphs: GraphBatch
    sweeps: Sequence[tuple[Program, SweepMemory]]
    distinct: Mapping[Space, int]

    @property
    def arena(self) -> int:
        """Bytes that the run works in, at most."""
        return max(sweep.total for _, sweep in self.sweeps)

    @property
    def packed(self) -> int:
        """Bytes of weights in the layout that products read."""
        return sum(sweep.packed for _, sweep in self.sweeps)


def plan_call(
    executor: NativeExecutor,
    graphs: GraphBatch,
    ids: Mapping[Name, Array],
    losses: frozenset[Name] | None,
    wanted: frozenset[Name] = frozenset(),
    *,
    training: bool,
    retain: bool = False,
) -> Plan:
    """The plan of inference or, with cotangents of the outputs `losses`, of forward and backward.

    Args:
        executor: the function's executor.
        graphs: as for a call.
        ids: the integer inputs, as far as they are known; others count as all distinct.
        losses: the outputs that backward begins with; None if no backward call comes.
        wanted: the float inputs that get cotangents.
        training: the mode of the model.
        retain: whether another backward may follow.
    """
    compiler = executor.compiler.in_mode(training)
    if losses is None:
        return _plan(executor, [executor.remembering(compiler)[0]], graphs, ids)
    compiler = executor.of_training(executor.compiler, graphs, training)
    programs = [compiler.training(wanted), compiler.backward(losses, wanted)]
    return _plan(executor, programs, graphs, ids, retain)


def plan_parts(
    executor: NativeExecutor, graphs: GraphBatch, ids: Mapping[Name, Array], *, training: bool
) -> Iterator[tuple[int, Plan]]:
    """For each part of inference whose results are kept by id: the bytes of these results, and the
    plan of the program that computes them if no id came before."""
    for memory, program in executor.remembering(executor.compiler.in_mode(training))[1]:
        part = memory.part
        known = ids.get(part.pull)
        # Row `count` belongs to "no input".
        there = numbers_of(graphs, executor.compiler.trace.types, part.base)
        rows = np.arange(min(part.count + 1, len(there)))
        if known is not None:
            trace = executor.compiler.trace
            if trace.types:
                known = values_at(
                    graphs, trace.types, known, trace.inputs[part.pull].rows, part.base
                )
            rows = np.unique(np.where(known < 0, part.count, known))
        given = dict.fromkeys(program.inputs, rows[:MOST_AT_ONCE])
        at_once = vertices(min(len(rows), MOST_AT_ONCE))
        yield memory.bytes(rows), _plan(executor, [program], at_once, given)


def _plan(
    executor: NativeExecutor,
    programs: Sequence[Program],
    graphs: GraphBatch,
    ids: Mapping[Name, Array],
    retain: bool = False,
) -> Plan:
    forward, backward = programs[0], programs[1] if len(programs) > 1 else None
    distinct: dict[Space, int] = {}
    for space, base, _, rows in forward.uniques:
        if not isinstance(base, Unique):
            distinct[space] = rows or count_ids(graphs, space, ids, executor.compiler.trace)
    counts = [distinct[unique.space] for unique in forward.uniques]
    sweeps = executor.plan(forward, backward, graphs, counts, retain)
    return Plan(graphs, list(zip(programs, sweeps, strict=True)), distinct)


def count_ids(graphs: GraphBatch, space: Unique, ids: Mapping[Name, Array], trace: Trace) -> int:
    """How many distinct ids, or tuples of them, there are. If an input is not known, they count as
    many as the rows that have them."""
    if not all(pull in ids for pull in space.pulls):
        return len(numbers_of(graphs, trace.types, space.base))
    specs = trace.inputs
    arrays = [
        values_at(graphs, trace.types, ids[pull], specs[pull].rows, space.base)
        for pull in space.pulls
    ]
    if len(arrays) == 1:
        return len(np.unique(arrays[0]))
    return len(np.unique(np.stack(arrays), axis=1).T)
