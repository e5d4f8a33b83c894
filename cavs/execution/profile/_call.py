"""Bytes that calls allocate, from their plans."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cavs._arguments import items
from cavs.core.ir import Name, Node, ancestors
from cavs.core.ops._spaces import Space, SpaceKind, Unique
from cavs.core.ops.structure import PARAM, PULL
from cavs.core.program import Output, OutputKind, Program
from cavs.errors import InputError
from cavs.execution.executor import Array
from cavs.execution.native import NativeExecutor
from cavs.execution.profile._plan import Plan, plan_call, plan_parts
from cavs.execution.typed_rows import numbers_of
from cavs.scheduler import GraphBatch


class MemoryBytes(int):
    """A number of bytes that says what it is made of.

    Attributes:
        parts: maps each part to its bytes, which add up to the number: ``arena``, ``packed``,
            ``kept``, ``outputs``, ``cotangents`` and ``gradients``, see :class:`CallMemory`.
    """

    parts: dict[str, int]

    @classmethod
    def of(cls, parts: dict[str, int]) -> MemoryBytes:
        """The sum of parts."""
        total = cls(sum(parts.values()))
        total.parts = parts
        return total


@dataclass(frozen=True)
class CallMemory:
    """Bytes that a first call allocates; parameters and inputs are the caller's.

    Attributes:
        arena: the greatest size of the arena in forward and backward.
        packed: weights in the layout that products read, kept for later calls.
        kept: results that inference keeps by id, for later calls.
        outputs: the pushed values.
        cotangents: of the outputs that the loss is made of.
        gradients: of parameters and inputs.
        waits: whether the arena is held until backward.
    """

    arena: int
    packed: int = 0
    kept: int = 0
    outputs: int = 0
    cotangents: int = 0
    gradients: int = 0
    waits: bool = False

    @property
    def total(self) -> MemoryBytes:
        """All bytes: they are there together when backward, or a call without one, ends."""
        return together([self])


_BESIDE = ("packed", "kept", "outputs", "cotangents", "gradients")


def together(calls: Sequence[CallMemory]) -> MemoryBytes:
    """Bytes of calls one after the other whose outputs and gradients all stay until the end."""
    waiting = sum(call.arena for call in calls if call.waits)
    # An arena that no backward waits for serves the next call too.
    at_once = max((call.arena for call in calls if not call.waits), default=0)
    beside = {name: sum(getattr(call, name) for call in calls) for name in _BESIDE}
    return MemoryBytes.of({"arena": waiting + at_once, **beside})


def outputs_of_loss(
    pushes: Mapping[Name, Node], gradients: Any, *, read_on: bool
) -> frozenset[Name] | None:
    """The outputs that get cotangents; None if no backward call comes.

    Args:
        pushes: the outputs of F.
        gradients: see :meth:`cavs.Model.memory`.
        read_on: whether later calls read the outputs, so that all get cotangents.

    Raises:
        InputError: no such output.
    """
    if gradients is False:
        return None
    if gradients is True:
        learned = {n: node for n, node in pushes.items() if _learned(node)} or pushes
        scalars = [name for name, node in learned.items() if node.shape == ()]
        return frozenset(learned if read_on or not scalars else scalars)
    given = [gradients] if isinstance(gradients, str) else gradients
    names = frozenset(items("memory", "gradients", given, str, "names of outputs"))
    if not names or not names <= pushes.keys():
        raise InputError(
            f"[memory] expected outputs among {sorted(map(str, pushes))}, got {sorted(names)}; "
            "name some of these"
        )
    return names


def _learned(output: Node) -> bool:
    """Whether it depends on a parameter or on an input that may get a gradient."""
    return any(x.op is PARAM or (x.op is PULL and x.dtype == "float") for x in ancestors([output]))


def call_memory(
    executor: NativeExecutor,
    graphs: GraphBatch,
    ids: Mapping[Name, Array],
    losses: frozenset[Name] | None,
    wanted: frozenset[Name],
    *,
    training: bool,
    retain: bool = False,
) -> CallMemory:
    """Memory of inference or, with cotangents of the outputs `losses`, of forward and backward.

    The arguments are those of `plan_call`.
    """
    if losses is None:
        return _inference(executor, graphs, ids, training)
    plan = plan_call(executor, graphs, ids, losses, wanted, training=training, retain=retain)
    rows = _Rows(executor, plan)
    forward, backward = (program for program, _ in plan.sweeps)
    return CallMemory(
        plan.arena,
        plan.packed,
        outputs=rows.bytes(forward.outputs),
        cotangents=rows.bytes([o for o in forward.outputs if o.name in losses]),
        gradients=rows.bytes(backward.outputs) + rows.sums(backward),
        waits=True,
    )


def _inference(
    executor: NativeExecutor, graphs: GraphBatch, ids: Mapping[Name, Array], training: bool
) -> CallMemory:
    plan = plan_call(executor, graphs, ids, None, training=training)
    outputs = _pushed(executor, plan)
    arena, packed, kept = plan.arena, plan.packed, 0
    for results, part in plan_parts(executor, graphs, ids, training=training):
        kept += results
        packed += part.packed
        computed = _pushed(executor, part)
        # The results for new ids are copied, and gone before the call goes on.
        arena = max(arena, part.arena + computed - outputs)
    return CallMemory(arena, packed, kept, outputs)


def _pushed(executor: NativeExecutor, plan: Plan) -> int:
    return _Rows(executor, plan).bytes(plan.sweeps[0][0].outputs)


class _Rows:
    """How many rows outputs have, and how many bytes they take."""

    def __init__(self, executor: NativeExecutor, plan: Plan) -> None:
        self._item_size = executor.dtype.itemsize
        self._graphs = plan.graphs
        self._types = executor.compiler.trace.types
        self._distinct = plan.distinct

    def _rows(self, space: Space) -> int:
        if space == SpaceKind.NONE:
            return 1
        if isinstance(space, Unique):
            return self._distinct[space]
        return len(numbers_of(self._graphs, self._types, space))

    def _bytes(self, output: Output) -> int:
        item_size = 4 if output.kind is OutputKind.IDS else self._item_size
        return self._rows(output.space) * math.prod(output.shape) * item_size

    def bytes(self, outputs: Sequence[Output]) -> int:
        return sum(map(self._bytes, outputs))

    def sums(self, backward: Program) -> int:
        """Bytes, at most, of gradients by rows that come in several parts and are added up."""
        parts = defaultdict(list)
        for output in backward.outputs:
            if output.kind is OutputKind.SPARSE:
                parts[output.parameter].append(self._bytes(output))
        return sum(sum(p) + max(p) for p in parts.values() if len(p) > 1)
