"""Operations along axes, of windows, of special functions: see `operations`, which has the others.

They stand apart, since a seed of `operations` draws from those lists as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tape
from operations import (
    Operation,
    _difference,
    _elementwise,
    _jumping,
    _log_softmax,
    _log_sum_exp,
    _sigmoid,
    _softmax,
)
from tape import Array, Value

from cavs import ops

# Special functions


def _each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    vectorised = np.vectorize(function, otypes=[np.float64])
    return lambda x: vectorised(x) if x.size else x


def _polygamma(order: int) -> Callable[[Array], Array]:
    """Digamma, or its first or second derivative, by its recurrence and its asymptotic series
    (Abramowitz and Stegun, 6.3.18, 6.4.12, 6.4.13), for x > 0."""

    def f(x: Array) -> Array:
        x, below = np.array(x, np.float64), np.zeros(np.shape(x))
        for _ in range(20):
            below = below + (-1 / x, 1 / x**2, -2 / x**3)[order]
            x = x + 1
        bernoulli = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66)
        if order == 0:
            series = np.log(x) - 1 / (2 * x)
            series = series - sum(b / (2 * k * x ** (2 * k)) for k, b in enumerate(bernoulli, 1))
        elif order == 1:
            series = 1 / x + 1 / (2 * x**2)
            series = series + sum(b / x ** (2 * k + 1) for k, b in enumerate(bernoulli, 1))
        else:
            series = -1 / x**2 - 1 / x**3
            series = series - sum(
                (2 * k + 1) * b / x ** (2 * k + 2) for k, b in enumerate(bernoulli, 1)
            )
        return below + series

    return f


_erf = _each(math.erf)
_density = lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi)  # noqa: E731
_normal = lambda x: (1 + _erf(x / np.sqrt(2))) / 2  # noqa: E731
_digamma, _trigamma, _tetragamma = map(_polygamma, range(3))

#: Of numbers; of those in -1..1 and of positive ones alone, see `drawing`.
UNARY: dict[str, Operation] = {
    "erf": Operation(ops.erf, _elementwise(_erf, lambda x, y: 2 / np.sqrt(np.pi) * np.exp(-x * x))),
    "gelu": Operation(
        ops.gelu,
        _elementwise(lambda x: x * _normal(x), lambda x, y: _normal(x) + x * _density(x)),
    ),
    "silu": Operation(
        ops.silu,
        _elementwise(
            lambda x: x * _sigmoid(x),
            lambda x, y: _sigmoid(x) * (1 + x * (1 - _sigmoid(x))),
        ),
    ),
    "sin": Operation(ops.sin, _elementwise(np.sin, lambda x, y: np.cos(x))),
    "cos": Operation(ops.cos, _elementwise(np.cos, lambda x, y: -np.sin(x))),
    "elu": Operation(
        lambda x: ops.elu(x, 0.7),
        _jumping(
            [0],
            lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
            lambda x, y: np.where(x > 0, 1.0, 0.7 * np.exp(np.minimum(x, 0))),
        ),
    ),
    "leaky_relu": Operation(
        lambda x: ops.leaky_relu(x, 0.2),
        _jumping(
            [0], lambda x: np.where(x > 0, x, 0.2 * x), lambda x, y: np.where(x > 0, 1.0, 0.2)
        ),
    ),
    "expm1": Operation(ops.expm1, _elementwise(np.expm1, lambda x, y: y + 1)),
    "log1p": Operation(ops.log1p, _elementwise(np.log1p, lambda x, y: 1 / (1 + x))),
    "lgamma": Operation(ops.lgamma, _elementwise(_each(math.lgamma), lambda x, y: _digamma(x))),
    "digamma": Operation(ops.digamma, _elementwise(_digamma, lambda x, y: _trigamma(x))),
    "trigamma": Operation(ops.trigamma, _elementwise(_trigamma, lambda x, y: _tetragamma(x))),
}
WITHIN_ONE, POSITIVE = ("expm1", "log1p"), ("lgamma", "digamma", "trigamma")

# Elements that are moved


def picked(x: Value, source: Array, fill: float = 0.0) -> Value:
    """Elements of a row by their numbers in it, `fill` for -1: the same of all rows, or, as
    `_ByRow`, of each its own."""
    features = x.data.shape[1:]
    own = isinstance(source, _ByRow)
    rows = max(x.data.shape[0], source.shape[0]) if own else x.data.shape[0]
    shape, size = source.shape[1:] if own else source.shape, math.prod(features)
    flat = np.broadcast_to(x.data, (rows, *features)).reshape(rows, size)
    numbers = np.asarray(source).reshape(-1, math.prod(shape))
    numbers = np.broadcast_to(numbers, (rows, math.prod(shape)))
    there, row = numbers >= 0, np.arange(rows)[:, None]
    y = np.where(there, flat[row, np.maximum(numbers, 0)], fill)

    def pull_back(dy: Array) -> Array:
        whole = np.zeros(flat.shape)
        given = dy.reshape(rows, math.prod(shape))
        np.add.at(whole, (row, np.maximum(numbers, 0)), np.where(there, given, 0))
        return whole.reshape(rows, *features)

    return Value(y.reshape(rows, *shape), [(x, pull_back)])


class _ByRow(np.ndarray[Any, Any]):
    """Numbers with the axis of rows in front."""


def _numbers(x: Value) -> Array:
    """The number of each element of a row."""
    features = x.data.shape[1:]
    return np.arange(math.prod(features)).reshape(features)


def _moving(move: Callable[..., Array]) -> Callable[..., Value]:
    """An operation that does to values what `move` does to their numbers."""
    return lambda x, **attrs: picked(x, move(_numbers(x), **attrs))


def _take(x: Value, ids: Array, axis: int) -> Value:
    """Along an axis by the ids of each row."""
    numbers = np.broadcast_to(_numbers(x), (len(ids), *x.data.shape[1:]))
    moved = np.moveaxis(numbers, axis, 1)
    row = np.arange(len(ids)).reshape(-1, *[1] * (ids.ndim - 1))
    found = moved[row, np.maximum(ids, 0)]
    found = np.where(ids.reshape(*ids.shape, *[1] * (moved.ndim - 2)) >= 0, found, -1)
    order = list(range(1, ids.ndim))
    to = numbers.ndim + axis + np.arange(len(order))
    return picked(x, np.ascontiguousarray(np.moveaxis(found, order, to)).view(_ByRow))


def _ordered(x: Value, axis: int, descending: bool, count: int | None = None) -> Value:
    """The elements along an axis in order; which is which jumps where two are equal."""
    keys = -x.data if descending else x.data
    order = np.argsort(keys, axis, kind="stable")
    sorted_ = np.take_along_axis(x.data, order, axis)
    tape.jumps_where(np.diff(sorted_, axis=axis), np.delete(sorted_, 0, axis))
    numbers = np.broadcast_to(_numbers(x), x.data.shape)
    source = np.take_along_axis(numbers, order, axis)
    if count is not None:
        source = np.take(source, range(count), axis)
    return picked(x, np.ascontiguousarray(source).view(_ByRow))


def _one_hot_of_greatest(x: Value, axis: int) -> Value:
    n = x.data.shape[axis]
    two = np.sort(x.data, axis)
    if n > 1:
        top, next_ = (np.take(two, i, axis) for i in (-1, -2))
        tape.jumps_where(top - next_, top)
    return Value(np.eye(n)[x.data.argmax(axis)])


def _rows(parts: Sequence[Value]) -> int:
    """Those of values of which some may have one for all."""
    (rows,) = np.broadcast_shapes(*(x.data.shape[:1] for x in parts))
    return int(rows)


def _stack(*parts: Value, axis: int) -> Value:
    rows = _rows(parts)
    whole = [np.broadcast_to(x.data, (rows, *x.data.shape[1:])) for x in parts]

    def piece(place: int) -> Callable[[Array], Array]:
        return lambda dy: np.take(dy, place, axis)

    return Value(np.stack(whole, axis), [(x, piece(i)) for i, x in enumerate(parts)])


def _concat(*parts: Value, axis: int) -> Value:
    rows = _rows(parts)
    whole = [np.broadcast_to(x.data, (rows, *x.data.shape[1:])) for x in parts]
    ends = np.cumsum([x.data.shape[axis] for x in parts])

    def piece(place: int) -> Callable[[Array], Array]:
        begin = int(ends[place]) - parts[place].data.shape[axis]
        return lambda dy: np.take(dy, range(begin, int(ends[place])), axis)

    return Value(np.concatenate(whole, axis), [(x, piece(i)) for i, x in enumerate(parts)])


def _cumsum(x: Value, axis: int) -> Value:
    return Value(
        np.cumsum(x.data, axis),
        [(x, lambda dy: np.flip(np.cumsum(np.flip(dy, axis), axis), axis))],
    )


# Over axes


def _merged(x: Value, axes: Sequence[int]) -> tuple[Value, tuple[int, ...]]:
    """These axes, counted from the end, as one, the last; and the shape of a row with ones for
    them."""
    features = x.data.shape[1:]
    over = sorted(axis % len(features) for axis in axes)
    kept = [i for i in range(len(features)) if i not in over]
    turned = picked(x, np.transpose(_numbers(x), [*kept, *over]))
    size = math.prod(features[i] for i in over)
    ones = tuple(1 if i in over else n for i, n in enumerate(features))
    return tape.reshape(turned, (*(features[i] for i in kept), size)), ones


def _over_axes(reduce: Callable[[Value], Value]) -> Callable[..., Value]:
    def mean(x: Value, axis: tuple[int, ...], keepdims: bool) -> Value:
        merged, ones = _merged(x, axis)
        y = reduce(merged)
        return tape.reshape(y, ones) if keepdims else y

    return mean


def _least(x: Value) -> Value:
    negative = tape.unary(x, -x.data, -np.ones_like(x.data))
    y = tape.max_axes(negative, (-1,), False)
    return tape.unary(y, -y.data, -np.ones_like(y.data))


def _log_softmax_along(x: Value, axis: int) -> Value:
    return _log_softmax(x, axis)


def _normalised(x: Value, eps: float = 1e-5) -> Value:
    """Along the last axis."""
    scale = tape.constant(1 / x.data.shape[-1])
    centred = _difference(x, tape.mul(tape.sum_axes(x, (-1,), True), scale))
    variance = tape.mul(tape.sum_axes(tape.mul(centred, centred), (-1,), True), scale)
    v = variance.data + eps
    return tape.mul(centred, tape.unary(variance, v**-0.5, -0.5 * v**-1.5))


def _layer_norm(x: Value, weight: Value, bias: Value, eps: float, axis: tuple[int, ...]) -> Value:
    features = x.data.shape[1:]
    merged, _ = _merged(x, axis)
    y = _normalised(merged, eps)
    over = sorted(a % len(features) for a in axis)
    sizes = [n if i in over else 1 for i, n in enumerate(features)]
    order = [*(i for i in range(len(features)) if i not in over), *over]
    shape = [features[i] for i in order]
    back = np.transpose(np.arange(math.prod(shape)).reshape(shape), np.argsort(order))
    y = picked(tape.reshape(y, shape), back)
    return tape.add(tape.mul(y, tape.reshape(weight, sizes)), tape.reshape(bias, sizes))


def _group_norm(x: Value, groups: int, weight: Value, bias: Value) -> Value:
    features = x.data.shape[1:]
    parts = tape.reshape(x, (groups, math.prod(features) // groups))
    y = tape.reshape(_normalised(parts), features)
    column = (features[0], *[1] * (len(features) - 1))
    return tape.add(tape.mul(y, tape.reshape(weight, column)), tape.reshape(bias, column))


def _windows(x: Value, size: Sequence[int], stride: Sequence[int], pad: Any, fill: float) -> Value:
    """All windows of the last axes, of the elements of each made one axis; `fill` outside."""
    numbers, rank = _numbers(x), len(size)
    edges = [(0, 0)] * (numbers.ndim - rank) + [tuple(p) for p in pad]
    numbers = np.pad(numbers, edges, constant_values=-1)
    views = np.lib.stride_tricks.sliding_window_view(
        numbers, tuple(size), axis=tuple(range(-rank, 0))
    )
    every = (..., *(slice(None, None, s) for s in stride), *[slice(None)] * rank)
    views = views[every]
    return picked(x, views.reshape(*views.shape[: views.ndim - rank], math.prod(size)), fill)


def _max_pool(x: Value, size: Any, stride: Any, padding: Any) -> Value:
    return tape.max_axes(_windows(x, size, stride, padding, -1e30), (-1,), False)


def _avg_pool(x: Value, size: Any, stride: Any, padding: Any, counts: bool) -> Value:
    total = tape.sum_axes(_windows(x, size, stride, padding, 0.0), (-1,), False)
    ones = Value(np.ones((1, *x.data.shape[1:])))
    count = _windows(ones, size, stride, padding, 0.0).data.sum(-1)
    return tape.mul(total, Value(1 / (math.prod(size) + 0 * count if counts else count)))


def _upsample(numbers: Array, scale: Sequence[int]) -> Array:
    for axis, n in zip(range(-len(scale), 0), scale, strict=True):
        numbers = np.repeat(numbers, n, axis)
    return numbers


OTHER: dict[str, Operation] = {
    "permute": Operation(ops.permute, _moving(np.transpose)),
    "index": Operation(lambda x, key: x[key], _moving(lambda numbers, key: numbers[key])),
    "upsample": Operation(ops.upsample, _moving(_upsample)),
    "take": Operation(lambda x, ids, axis: ops.take(x, ids, axis), _take),
    "stack": Operation(
        lambda *given: ops.stack(given[:-1], given[-1]), lambda *x, axis: _stack(*x, axis=axis)
    ),
    "concat_along": Operation(
        lambda *given: ops.concat(given[:-1], given[-1]), lambda *x, axis: _concat(*x, axis=axis)
    ),
    "cumsum": Operation(ops.cumsum, _cumsum),
    "sort": Operation(ops.sort, _ordered),
    "top_k": Operation(
        lambda x, k, axis: ops.top_k(x, k, axis)[0],
        lambda x, k, axis: _ordered(x, axis, True, k),
    ),
    "one_hot_of_greatest": Operation(
        lambda x, axis: ops.one_hot(ops.argmax(x, axis), x.shape[axis]), _one_hot_of_greatest
    ),
    "softmax_along": Operation(ops.softmax, _softmax),
    "log_softmax_along": Operation(ops.log_softmax, _log_softmax_along),
    "sum_over": Operation(ops.sum, _over_axes(lambda x: tape.sum_axes(x, (-1,), False))),
    "max_over": Operation(ops.max, _over_axes(lambda x: tape.max_axes(x, (-1,), False))),
    "min_over": Operation(ops.min, _over_axes(_least)),
    "logsumexp_over": Operation(ops.logsumexp, _over_axes(lambda x: _log_sum_exp(x, -1, False))),
    "matmul_of_many": Operation(ops.matmul, lambda x, y: tape.matmul(*tape.aligned(x, y))),
    "layer_norm_over": Operation(ops.layer_norm, _layer_norm),
    "group_norm": Operation(
        lambda x, weight, bias, groups: ops.group_norm(x, groups, weight, bias),
        lambda x, weight, bias, groups: _group_norm(x, groups, weight, bias),
    ),
    "max_pool": Operation(ops.max_pool, _max_pool),
    "avg_pool": Operation(ops.avg_pool, _avg_pool),
    "children_log_softmax": Operation(
        lambda x: x.log_softmax(),
        lambda x: x if x.data.shape[0] == 0 else _log_softmax(x, 0),
    ),
}
