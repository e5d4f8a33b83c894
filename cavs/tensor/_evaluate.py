"""Eager evaluation of one operation on tensors: checks, NumPy's reference, and the tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

import numpy as np

from cavs._arguments import shown
from cavs._arrays import INT32, Array
from cavs.core.ops._def import OpDef, Shape
from cavs.core.ops.loss import EMBEDDING
from cavs.core.ops.shape import broadcast, broadcast_shapes
from cavs.device import Device, device_of, host, is_array
from cavs.device.cpu import elementwise
from cavs.device.taking import moved
from cavs.errors import CavsRuntimeError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor._row_sparse import RowSparse
from cavs.tensor._tape import Record, is_grad_enabled
from cavs.tensor._watch import Watch

if TYPE_CHECKING:
    from cavs.tensor._tensor import Tensor

_values, _stale_by = attrgetter("_values"), attrgetter("_stale_by")


def evaluate(
    kind: type[Tensor], op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]
) -> Tensor:
    """Computes `op` now, and records it where an operand requires a gradient.

    Raises:
        TraceError: the operation is about vertices; ShapeError, DTypeError, InputError: operands do
            not fit.
    """
    if op.reference is None:
        raise TraceError(
            f"[{op.name}] expected a value of a vertex function, got a cavs.Tensor, where this "
            "operation needs a graph: vertices, their children, or random numbers by vertex; use "
            "it within F, and cavs.Generator for random tensors"
        )
    if op.arity >= 0 and len(operands) != op.arity:
        raise TraceError(
            f"[{op.name}] expected {op.arity} operands, got {len(operands)}; pass as many"
        )
    dtype = _float_dtype(kind, op, operands)
    integer = op.ids
    xs = [_operand(kind, x, None if i == integer else dtype) for i, x in enumerate(operands)]
    ids = None if integer is None else _checked_ids(op, xs[0], xs[integer], attrs)
    device = _common_device(op, kind, xs, operands)
    if device is not host:
        xs = [_moved(kind, x, device) for x in xs]
        ids = None if ids is None else moved(ids, device)
    recording = is_grad_enabled() and any(
        x.requires_grad and i not in op.constant_in for i, x in enumerate(xs)
    )
    if recording and not all(map(is_, xs, operands)):
        xs = [_own(kind, x, given) for x, given in zip(xs, operands, strict=True)]
    if op.elementwise:
        xs = _broadcast(op, xs, recording)
    else:
        _check_shapes(op, xs, attrs)
    arrays: list[Any] = [x._any_values() if i != integer else ids for i, x in enumerate(xs)]
    if device is not host:  # numbers go with a call; arrays of the host would be refused
        arrays = [x[()] if device_of(x) is host else x for x in arrays]
    wanted = INT32 if op.dtype == "int32" else dtype
    native = op.beyond_numpy or (op.faster_native and dtype == np.float32)
    if native and device is host:
        result = elementwise(op.name, arrays, dtype)
    else:
        result = device.evaluate(op.reference, arrays, attrs, wanted)
    if result.base is not None or any(map(is_, arrays, repeat(result))):
        shared = [
            x._share() if is_array(array) and device.shares_memory(result, array) else array
            for x, array in zip(xs, arrays, strict=True)
        ]
        if not all(map(is_, shared, arrays)):  # without a copy: again, on the memory as it is lent
            result = device.evaluate(op.reference, shared, attrs, wanted)
    stale = next(filter(None, map(_stale_by, xs)), None)
    if stale is not None:
        return kind._wrap_stale(result, stale)
    y = kind._wrap(result)
    if recording:
        y.requires_grad = True
        y._record = _record(kind, op, xs, attrs, result, ids)
    return y


def _float_dtype(kind: type[Tensor], op: OpDef, operands: Sequence[Any]) -> np.dtype[Any]:
    """The dtype that all operands but ids, labels and Python's numbers and lists have."""
    integer = op.ids
    found: list[np.dtype[Any]] = []
    for position, x in enumerate(operands):
        if position == integer or _has_no_width(x):
            continue
        dtype = x.dtype if isinstance(x, kind) else kind(x).dtype
        if dtype == INT32 and not op.moves:  # operations that only move elements take ids as well
            raise DTypeError(
                f"[{op.name}] expected operand {position} of dtype float, got int32; convert it "
                "with astype"
            )
        if dtype not in found:
            found.append(dtype)
    if len(found) > 1:
        raise DTypeError(
            f"[{op.name}] expected operands of one dtype, got {', '.join(map(str, found))}; "
            "convert one with astype"
        )
    return found[0] if found else np.dtype(np.float32)


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.number)) and not isinstance(x, bool)


def _has_no_width(x: Any) -> bool:
    return _is_number(x) or isinstance(x, (list, tuple))


def _operand(kind: type[Tensor], x: Any, dtype: np.dtype[Any] | None) -> Tensor:
    if isinstance(x, kind):
        return x
    if dtype is None or not _is_number(x):
        return kind(x, dtype if isinstance(x, (list, tuple)) else None)
    try:
        return kind._wrap(host.asarray(x, dtype))
    except OverflowError:
        raise InputError(
            f"[tensor] expected a number, got {shown(x)}; pass one that a float holds"
        ) from None


def _common_device(
    op: OpDef, kind: type[Tensor], xs: Sequence[Tensor], operands: Sequence[Any]
) -> Device:
    """The device of all tensors among the operands. Numbers, and tensors without axes that want no
    gradient, are on any; so are arrays and lists of the host that are no tensors, and ids."""
    found = host
    for x in xs:
        own = device_of(x._any_values())
        if own is not found and own is not host:
            if found is not host:
                raise _on_several(op, [found, own])
            found = own
    if found is host:
        return host
    for position, (x, given) in enumerate(zip(xs, operands, strict=True)):
        if device_of(x._any_values()) is not host or position == op.ids:
            continue
        if isinstance(given, kind) and (x.shape or x.requires_grad):
            raise _on_several(op, [host, found])
    return found


def _on_several(op: OpDef, devices: Sequence[Device]) -> InputError:
    names = sorted(device.name for device in devices)
    return InputError(
        f"[{op.name}] expected tensors on one device, got some on {names[0]} and some on "
        f"{names[1]}; move one by x.to({names[1]!r})"
    )


def _moved(kind: type[Tensor], x: Tensor, device: Device) -> Tensor:
    """A constant on the device; numbers stay, for they go with each call."""
    if x.requires_grad or not x.shape or device_of(x._any_values()) is device:
        return x
    return kind._wrap(moved(x._any_values(), device))


def _own(kind: type[Tensor], x: Tensor, given: Any) -> Tensor:
    """`x`, whose values backward may read again; a copy if the caller gave an array, which the
    caller may change."""
    if isinstance(given, kind) or _is_number(given):
        return x
    return kind._wrap(device_of(x._values).copy(x._values))


def _checked_ids(op: OpDef, x: Tensor, given: Tensor, attrs: Mapping[str, Any]) -> Array:
    """The ids as an array of our own, since other threads may write to the caller's: int32, and
    numbers of rows or classes of `x`."""
    device = device_of(given._values)
    ids = device.copy(given._values)
    if ids.dtype != INT32:
        raise DTypeError(
            f"[{op.name}] expected operand {op.ids} of dtype int32, got "
            f"{ids.dtype}; convert it with astype"
        )
    count = op.count_of_ids(x.shape, attrs)
    if count is None or ids.size == 0:
        return ids
    position = device.first_outside(ids, -1, count)
    if position >= 0:
        at = tuple(map(int, np.unravel_index(position, ids.shape)))
        raise InputError(
            f"[{op.name}] expected ids in -1..{count - 1} as operand "
            f"{op.ids}, got {ids[at]}{f' at {list(at)}' if at else ''}; correct "
            "the ids"
        )
    return ids


def _broadcast(op: OpDef, xs: list[Tensor], recording: bool) -> list[Tensor]:
    if all(x.shape == xs[0].shape for x in xs):
        return xs
    shape = broadcast_shapes([x.shape for x in xs], op)
    # NumPy's references broadcast by themselves; only a gradient must be summed back.
    return [broadcast(x, shape) if recording and x.requires_grad else x for x in xs]


def _check_shapes(op: OpDef, xs: Sequence[Tensor], attrs: Mapping[str, Any]) -> None:
    if op.ranks is None:
        op.infer(*[x.shape for x in xs], **attrs)
        return
    rows: set[Shape] = set()
    features: list[Shape] = []
    for x, rank in zip(xs, op.ranks, strict=True):
        cut = 0 if rank is None else max(len(x.shape) - rank, 0)
        features.append(x.shape[cut:])
        if rank is not None:
            rows.add(x.shape[:cut])
    op.infer(*features, **attrs)
    if len(rows) > 1:
        raise ShapeError(
            f"[{op.name}] expected operands with equal leading axes, got shapes "
            f"{[x.shape for x in xs]}; reshape them"
        )


def _record(
    kind: type[Tensor],
    op: OpDef,
    operands: list[Tensor],
    attrs: Mapping[str, Any],
    result: Array,
    own_ids: Array | None,
) -> Record:
    # `result` and not its tensor, which would make a cycle through its own record.
    watch = Watch([*map(_values, operands), result], operands)
    integer = op.ids

    def backward(cotangents: Sequence[Any], place: Record | None = None) -> Sequence[Any]:
        dy = cotangents[0]
        if place is not None:
            return _derivative(kind, op, operands, attrs, watch, own_ids, dy, place)
        *xs, y = [
            kind._wrap_stale(x, op.name) if watch.changed(i) else kind._wrap(x)
            for i, x in enumerate(watch.arrays)
        ]
        if integer is not None and own_ids is not None and xs[integer]._stale_by is None:
            xs[integer] = kind._wrap(own_ids)
        if op is EMBEDDING:
            weight, ids = xs
            rows = dy.reshape(-1, weight.shape[1])
            return [RowSparse.from_rows(ids._values.reshape(-1), rows, weight.shape), None]
        dxs = _vjp(op)(kind._wrap(dy), y, *xs, **attrs)
        # A cotangent that nobody needs may be stale.
        return [
            dx._values if dx is not None and x.requires_grad else None
            for dx, x in zip(dxs, operands, strict=True)
        ]

    return Record(op.name, operands, backward, 1, fresh=False, derives=())


def _derivative(
    kind: type[Tensor],
    op: OpDef,
    operands: list[Tensor],
    attrs: Mapping[str, Any],
    watch: Watch,
    own_ids: Array | None,
    dy: Tensor,
    place: Record,
) -> list[Tensor | None]:
    """The cotangents of the operands as tensors on the tape, from that of the result."""
    y = kind._wrap(watch.arrays[-1])
    y.requires_grad, y._record = True, place
    *xs, y = [
        kind._wrap_stale(watch.arrays[i], op.name) if watch.changed(i) else x
        for i, x in enumerate([*operands, y])
    ]
    if op.ids is not None and own_ids is not None and xs[op.ids]._stale_by is None:
        xs[op.ids] = kind._wrap(own_ids)
    dxs = _vjp(op)(dy, y, *xs, **attrs)
    return [
        dx if dx is not None and x.requires_grad else None
        for dx, x in zip(dxs, operands, strict=True)
    ]


def _vjp(op: OpDef) -> Callable[..., tuple[Any, ...]]:
    if op.vjp is None:
        raise CavsRuntimeError(
            f"[backward] expected an operation with a gradient, got {op.name}; differentiate "
            "without it"
        )
    return op.vjp
