"""Graphs that grow in the engine: a level runs over its new vertices alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cavs._arrays import Array
from cavs._native import core as _core
from cavs.core.ir import Name
from cavs.core.trace import ChildRead, SlotsRead
from cavs.core.type_order import TypeOrder
from cavs.execution.executor import RandomState, read_parameters
from cavs.execution.native import NativeExecutor


class GrowthRules(NamedTuple):
    """What vertices may gather, and how far graphs may grow.

    Attributes:
        reads: what the function reads of children; used in a function of types.
        extra_children: whether a vertex of a function of types may have children that nothing
            reads.
        slots_read: the children that a vertex may have in a function without types; None: any
            number.
        max_vertices: vertices that a graph may have.
    """

    reads: Sequence[ChildRead]
    extra_children: bool
    slots_read: SlotsRead | None
    max_vertices: int


ANY_NUMBER = SlotsRead(-1)
"""As the engine says that a vertex may have any number of children."""


def native_reads(reads: Sequence[ChildRead], types: TypeOrder) -> tuple[tuple[Any, ...], ...]:
    """What a function of types reads of children, by the numbers of the types."""
    number = {name: i for i, name in enumerate(types.names)}
    return tuple(
        (
            number[read.edges.parents],
            -1 if read.edges.children is None else number[read.edges.children],
            read.slot,
            tuple(number[name] for name in read.types),
        )
        for read in reads
    )


class NativeGrowth:
    """All vertices so far, and their states; computes those that are opened.

    Attributes:
        types: the order of the function's types; None in a function without types.
    """

    def __init__(
        self, executor: NativeExecutor, keys: Array, random: RandomState, rules: GrowthRules
    ) -> None:
        """`keys`: int64 [graphs]; `random`: of all levels."""
        self._executor = executor
        compiler = executor.compiler.in_mode(random.training).growing()
        self.types = compiler.types
        self._program = compiler.inference()
        self._weights = read_parameters(compiler.params)
        executor.check_parameters(self._weights)
        reads = () if self.types is None else native_reads(rules.reads, self.types)
        self._native = _core.Growth(
            executor.load(self._program, hold_states=True),
            None if self.types is None else self.types.numbers(),
            reads,
            rules.extra_children,
            rules.slots_read or ANY_NUMBER,
            rules.max_vertices,
            keys,
            random.seed,
            random.step,
            random.training,
            self._weights.values,
            self._weights.versions,
        )

    @property
    def structure(self) -> Any:
        """The vertices that are there: see ``_core.Growth``."""
        return self._native

    def compute(self, inputs: Mapping[Name, Array]) -> dict[Name, Array]:
        """The outputs of the vertices that were opened last, by name; `inputs` have rows for these,
        and for all graphs."""
        executor = self._executor
        arrays = executor.placed(list(map(inputs.__getitem__, self._program.inputs)))
        executor.device.begin_native()
        outputs = self._native.run(arrays)
        return {name: outputs[number] for name, number in self._program.results.pushes}
