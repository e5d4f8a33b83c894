"""The order of the records behind tensors, and which of them lead to given ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cavs.errors import CavsRuntimeError

if TYPE_CHECKING:
    from cavs.tensor._tape import Record
    from cavs.tensor._tensor import Tensor

Place = tuple[int, int]


def place_of(x: Tensor) -> Place:
    """What tells a tensor's value from others: of a computed one its place on the tape, which
    several tensors may have."""
    return (id(x), -1) if x._record is None else (id(x._record), x._index)


def operands_of(record: Record) -> Sequence[Tensor]:
    """The operands of a record, with the leaves that it gives gradients by itself."""
    return [*record.inputs, *record.derives] if record.derives else record.inputs


def in_order(outputs: Sequence[Tensor]) -> list[Record]:
    """The records that tensors come from, each after those of its operands.

    Raises:
        CavsRuntimeError: one of them was freed.
    """
    order: list[Record] = []
    done: dict[Record, bool] = {}
    stack = [y._record for y in outputs if y._record is not None]
    while stack:
        record = stack[-1]
        if record in done:
            stack.pop()
            if not done[record]:
                done[record] = True
                order.append(record)
            continue
        if record.backward is None:
            raise freed(record)
        done[record] = False
        for x in record.inputs:
            before = x._record
            if before is not None and before not in done:
                stack.append(before)
    return order


def leading_to(wanted: Collection[Place], order: Sequence[Record]) -> set[Record]:
    """Those of the records in order from which one of the wanted tensors can be reached."""
    leading: set[Record] = set()
    for record in order:
        for x in operands_of(record):
            if x._record in leading or place_of(x) in wanted:
                leading.add(record)
                break
    return leading


def freed(record: Record) -> CavsRuntimeError:
    """The error of a record that a backward has used up."""
    return CavsRuntimeError(
        "[backward] expected a graph that backward has not used yet, got the record of "
        f"{record.name!r}, which was freed; add the losses up and call backward once, call all but "
        "the last with retain_graph=True, grad with create_graph=True, or compute the outputs "
        "again"
    )
