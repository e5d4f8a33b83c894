"""Reverse-mode differentiation over NumPy in float64, written for the fuzzer alone.

It shares nothing with cavs, so that it does not share a mistake of cavs. The first axis of a value
are its rows (the edges of a vertex; one row for anything else), the others its features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_order: list[int] = [0]
_margins: list[float] = []


class Value:
    """An array, with functions that turn its cotangent into those of the arrays that it was made
    of."""

    def __init__(
        self, data: Array, parents: Iterable[tuple[Value, Callable[[Array], Array]]] = ()
    ) -> None:
        self.data = np.asarray(data, np.float64)
        self.parents = tuple(parents)
        self.grad: Array | None = None
        _order[0] += 1
        self.number = _order[0]

    @property
    def features(self) -> int:
        """The number of axes of a row."""
        return self.data.ndim - 1


def backward(roots: Iterable[tuple[Value, Array]]) -> None:
    """Adds to the `grad` of all values that the roots were made of; each root has its cotangent."""
    found: dict[int, Value] = {}
    waiting = []
    for root, cotangent in roots:
        _add(root, cotangent)
        waiting.append(root)
    while waiting:
        value = waiting.pop()
        if value.number not in found:
            found[value.number] = value
            waiting.extend(parent for parent, _ in value.parents)
    for number in sorted(found, reverse=True):
        value = found[number]
        if value.grad is not None:
            for parent, pull_back in value.parents:
                _add(parent, pull_back(value.grad))


def _add(value: Value, cotangent: Array) -> None:
    cotangent = _sum_to(np.asarray(cotangent, np.float64), value.data.shape)
    value.grad = cotangent if value.grad is None else value.grad + cotangent


def _sum_to(array: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting `shape` to the shape of `array`."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and array.shape[i] != 1)
    return array.sum(axis=axes, keepdims=True) if axes else array


def forget_margins() -> None:
    """Begins a new evaluation for `least_margin`."""
    _margins.clear()


def least_margin() -> float:
    """The least distance of an operand from a point where its operation's value or slope jumps,
    relative to the operand. An operand nearer than the rounding of float32 may lie on the other
    side in float32. A zero at the point itself, such as the zero for a missing child, stays there
    in any precision. Equal numbers may not: a leaf and an inner vertex may round the same product
    differently."""
    return min(_margins, default=np.inf)


def jumps_where(distance: Array, size: Array) -> None:
    """Notes an operation that jumps where `distance` is 0; its operands have this size."""
    size = np.abs(np.broadcast_to(size, distance.shape))
    unsafe = (distance != 0) | (size != 0)
    if unsafe.any():
        _margins.append(float((np.abs(distance) / (1 + size))[unsafe].min()))


# The operations that all others are made of


def aligned(*values: Value) -> list[Value]:
    """The values with axes of one inserted behind the rows, so that features align at the end."""
    most = max(x.features for x in values)
    return [
        x if x.features == most else reshape(x, (1,) * (most - x.features) + x.data.shape[1:])
        for x in values
    ]


def constant(number: float) -> Value:
    return Value(np.full(1, number))


def detach(x: Value) -> Value:
    return Value(x.data)


def unary(x: Value, value: Array, slope: Array) -> Value:
    return Value(value, [(x, lambda dy: dy * slope)])


def add(x: Value, y: Value) -> Value:
    x, y = aligned(x, y)
    return Value(x.data + y.data, [(x, lambda dy: dy), (y, lambda dy: dy)])


def mul(x: Value, y: Value) -> Value:
    x, y = aligned(x, y)
    return Value(x.data * y.data, [(x, lambda dy: dy * y.data), (y, lambda dy: dy * x.data)])


def select(mask: Array, x: Value, y: Value) -> Value:
    """x where the mask is true, else y; both aligned with it."""
    return Value(
        np.where(mask, x.data, y.data),
        [(x, lambda dy: np.where(mask, dy, 0)), (y, lambda dy: np.where(mask, 0, dy))],
    )


def matmul(x: Value, y: Value) -> Value:
    """The product of the matrices of each row; a single row serves all rows."""
    return Value(
        x.data @ y.data,
        [
            (x, lambda dy: dy @ np.swapaxes(y.data, -1, -2)),
            (y, lambda dy: np.swapaxes(x.data, -1, -2) @ dy),
        ],
    )


def transpose(x: Value) -> Value:
    return Value(np.swapaxes(x.data, -1, -2), [(x, lambda dy: np.swapaxes(dy, -1, -2))])


def reshape(x: Value, features: Sequence[int]) -> Value:
    rows, before = x.data.shape[0], x.data.shape
    return Value(
        x.data.reshape(rows, *features), [(x, lambda dy: dy.reshape(len(dy), *before[1:]))]
    )


def repeat_rows(x: Value, count: int) -> Value:
    """One row `count` times; other values as they are."""
    return x if x.data.shape[0] == count else mul(x, Value(np.ones((count, *[1] * x.features))))


def sum_axes(x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    axes = tuple(axis % x.data.ndim for axis in axes)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.data.shape))
    result = x.data.sum(axis=axes, keepdims=keep)
    shape = x.data.shape
    return Value(result, [(x, lambda dy: np.broadcast_to(dy.reshape(kept), shape))])


def max_axes(x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    """The maximum over axes; equal maxima share the cotangent, and it is 0 over no rows."""
    axes = tuple(axis % x.data.ndim for axis in axes)
    if x.data.shape[0] == 0 and 0 in axes:
        return sum_axes(x, axes, keep)
    top = x.data.max(axis=axes, keepdims=True)
    is_top = x.data == top
    count = is_top.sum(axis=axes, keepdims=True)
    jumps_where(np.where(is_top & (count == 1), np.inf, top - x.data), x.data)
    share = is_top / count
    result = top if keep else top.reshape(x.data.max(axis=axes).shape)
    return Value(result, [(x, lambda dy: dy.reshape(top.shape) * share)])


def concat(parts: Sequence[Value]) -> Value:
    """Joins values along the last axis."""
    rows = np.broadcast_shapes(*(x.data.shape[:-1] for x in parts))
    wide = [np.broadcast_to(x.data, (*rows, x.data.shape[-1])) for x in parts]
    ends = np.cumsum([x.data.shape[-1] for x in parts])

    def piece(place: int) -> Callable[[Array], Array]:
        begin = int(ends[place]) - parts[place].data.shape[-1]
        return lambda dy: dy[..., begin : int(ends[place])]

    return Value(np.concatenate(wide, -1), [(x, piece(i)) for i, x in enumerate(parts)])


def take_last(x: Value, start: int, stop: int) -> Value:
    def pull_back(dy: Array) -> Array:
        whole = np.zeros(x.data.shape)
        whole[..., start:stop] = dy
        return whole

    return Value(x.data[..., start:stop], [(x, pull_back)])


def take_rows(table: Value, ids: Array) -> Value:
    """Rows of a table (1, num, size), zeros for the id -1."""
    found = ids >= 0

    def pull_back(dy: Array) -> Array:
        whole = np.zeros(table.data.shape)
        np.add.at(whole[0], ids[found], dy[found])
        return whole

    rows = np.where(found[:, None], table.data[0][np.maximum(ids, 0)], 0)
    return Value(rows, [(table, pull_back)])


def pick(x: Value, ids: Array) -> Value:
    """The element of its id from each row of (rows, classes); 0 for the id -1."""
    chosen = (np.arange(x.data.shape[-1]) == ids[:, None]).astype(np.float64)
    return sum_axes(mul(x, Value(chosen)), (-1,), False)


def stack_rows(values: Sequence[Value], features: tuple[int, ...]) -> Value:
    """Values of one row each as the rows of one value."""
    if not values:
        return Value(np.zeros((0, *features)))
    data = np.concatenate([x.data for x in values])

    def row(place: int) -> Callable[[Array], Array]:
        return lambda dy: dy[place : place + 1]

    return Value(data, [(x, row(i)) for i, x in enumerate(values)])


def inverse_error_function(x: Array) -> Array:
    """The inverse error function, by the quantile of the normal distribution (Wichura 1988, AS
    241)."""
    quantile = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
    return quantile((x + 1) / 2) / np.sqrt(2) if x.size else x
