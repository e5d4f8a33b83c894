"""Which values share memory, decided by the lifetimes of the values."""

from collections.abc import Sequence
from dataclasses import dataclass

from cavs._native import core

__all__ = ["Lifetime", "Plan", "plan"]


@dataclass(frozen=True)
class Lifetime:
    """A value that is alive at the steps `first` to `last`, both included.

    Attributes:
        nbytes: its size, 0 or more.
        first, last: steps; with `last` before `first` it takes no room.
        offset: where it stands already, in bytes, or None where the plan may choose.
    """

    nbytes: int
    first: int
    last: int
    offset: int | None = None


@dataclass(frozen=True)
class Plan:
    """Offsets in bytes, one per value and each a multiple of 64, and the size of the whole."""

    offsets: tuple[int, ...]
    total: int


def plan(values: Sequence[Lifetime]) -> Plan:
    """Places `values` so that those that are alive together share no byte.

    The same plan that a run makes: greedy, from the largest value to the smallest, each into the
    narrowest gap that it fits.

    Raises:
        InputError: for a size below 0.
    """
    fields = [(v.nbytes, v.first, v.last, -1 if v.offset is None else v.offset) for v in values]
    offsets, total = core.plan_memory(fields)
    return Plan(tuple(offsets), total)
