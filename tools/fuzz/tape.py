"""Reverse-mode differentiation over NumPy in float64, written for the fuzzer alone.

It shares nothing with cavs, so that a mistake of cavs is none of this. The first axis of a value
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
    """An array and how a cotangent of it is one of each array that it was made of."""

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
        """How many axes a row has."""
        return self.data.ndim - 1


def backward(roots: Iterable[tuple[Value, Array]]) -> None:
    """Adds to the `grad` of all values that the roots, with their cotangents, were made of."""
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
    """How near an operation came to a point where its value or slope jumps, relative to its
    operand: what is nearer than the rounding of float32 may fall on the other side there. Zeros at
    such a point, as those for no child are, stay there in any precision; equal numbers may not: a
    leaf and an inner vertex may round the same product otherwise."""
    return min(_margins, default=np.inf)


def jumps_where(distance: Array, size: Array) -> None:
    """An operation that jumps where `distance` is 0, of operands of this size."""
    size = np.abs(np.broadcast_to(size, distance.shape))
    unsafe = (distance != 0) | (size != 0)
    if unsafe.any():
        _margins.append(float((np.abs(distance) / (1 + size))[unsafe].min()))


# Of which everything else is made


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
    """Of matrices per row; one row serves all."""
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
    return Value(x.data.reshape(rows, *features), [(x, lambda dy: dy.reshape(-1, *before[1:]))])


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
    """Equal maxima share the cotangent; 0 over no rows."""
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
    """Along the last axis."""
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
    """Of each row (rows, classes) the element of its id; 0 for the id -1."""
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
    """By the quantile of the normal distribution (Wichura 1988, AS 241)."""
    quantile = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
    return quantile((x + 1) / 2) / np.sqrt(2) if x.size else x
