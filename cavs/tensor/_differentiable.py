"""Gradients that are tensors on the tape: derivatives of derivatives.

The walk is the one of `run_backward`, over cotangents that are tensors: each record says its
gradient by operations on tensors, which are recorded. Records stay as they are: what is recorded
reads their operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cavs.errors import CavsRuntimeError
from cavs.tensor._gradients import cotangent_of
from cavs.tensor._nonfinite import detecting
from cavs.tensor._order import Place, in_order, leading_to, operands_of, place_of
from cavs.tensor._tape import (
    Record,
    check_start,
    note_wrong,
    recording,
    take,
)

if TYPE_CHECKING:
    from cavs.tensor._tensor import Tensor


def gradients(
    outputs: Sequence[Tensor], cotangents: Sequence[Any], inputs: Iterable[Tensor]
) -> dict[Place, Tensor]:
    """The gradients of ``sum(output * cotangent)`` over all outputs by each of the inputs that they
    depend on, by places, as tensors that can be differentiated.

    Args:
        outputs: tensors of one device.
        cotangents: for each output a tensor of its shape, which may itself be differentiated, or
            None for ones.
        inputs: computed tensors or leaves.

    Raises:
        CavsRuntimeError: a part of the graph was freed, values were written since, or a function
            between has a gradient without a derivative. NonFiniteError: as of backward.
    """
    return _walk(outputs, cotangents, in_order(outputs), set(map(place_of, inputs)))


def gradients_of_leaves(output: Tensor, cotangent: Any) -> list[tuple[Tensor, Tensor]]:
    """The leaves that a tensor depends on, each with its gradient."""
    given = type(output)._wrap(cotangent_of(output, cotangent))
    order = in_order([output])
    operands = [x for record in order for x in operands_of(record)]
    leaves = {id(x): x for x in [output, *operands] if x._record is None and x.requires_grad}
    found = _walk([output], [given], order, set(map(place_of, leaves.values())))
    return [(x, found[place_of(x)]) for x in leaves.values() if place_of(x) in found]


def _walk(
    outputs: Sequence[Tensor],
    cotangents: Sequence[Tensor | None],
    order: Sequence[Record],
    wanted: set[Place],
) -> dict[Place, Tensor]:
    leading = leading_to(wanted, order)
    found: dict[Place, Tensor] = {}

    def add(x: Tensor, dx: Tensor) -> None:
        place = place_of(x)
        if place in wanted or x._record in leading:
            found[place] = found[place] + dx if place in found else dx

    with recording():
        for y, given in zip(outputs, cotangents, strict=True):
            dy = type(y)._wrap(cotangent_of(y, None)) if given is None else given
            if detecting():
                check_start(y, dy._values)
            add(y, dy)
        for record in reversed(order):
            places = [(id(record), index) for index in range(record.outputs)]
            dys = [found.get(place) for place in places]
            if record not in leading or all(dy is None for dy in dys):
                continue
            for x, dx in _results(record, dys):
                add(x, dx)
            for place in places:
                if place not in wanted:
                    found.pop(place, None)
    return found


def _results(record: Record, dys: Sequence[Tensor | None]) -> list[tuple[Tensor, Tensor]]:
    """The operands of a record that get a cotangent, each with its own."""
    if record.derives is None:
        raise CavsRuntimeError(
            "[grad] expected functions whose gradient can be differentiated, got "
            f"{record.name!r}; leave create_graph off, or compute it by operations on tensors"
        )
    backward: Any = take(record, retain=True)[0]
    operands = operands_of(record)
    results = backward(dys, record)
    # A cotangent that nobody needs may be stale; taking the values of another one raises.
    values = [
        None if dx is None or not x.requires_grad else dx._values
        for x, dx in zip(operands, results, strict=True)
    ]
    if detecting():
        note_wrong(record, operands, values)
    for x, dx in zip(operands, values, strict=True):
        if dx is not None and (dx.shape != x.shape or dx.dtype != x.dtype):
            raise CavsRuntimeError(
                f"[grad] expected a cotangent {x.dtype} of shape {x.shape} from {record.name!r}, "
                f"got {dx.dtype} of shape {dx.shape}; return one like the input"
            )
    pairs = zip(operands, results, values, strict=True)
    return [(x, dx) for x, dx, known in pairs if known is not None]
