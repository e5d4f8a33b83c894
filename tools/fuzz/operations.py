"""Operations of random functions: the way to write each in cavs, and its meaning in NumPy.

The second column is the meaning that cavs documents, written once more; see `tape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tape
from tape import Array, Value

from cavs import ops

Attrs = Mapping[str, Any]


class Operation(NamedTuple):
    """An operation on values of vertices.

    Attributes:
        write: a function that takes operands (symbols, parameters, numbers) and attributes and
            returns a symbol.
        mean: a function that takes operands and returns the value; None if it is drawn at random.
    """

    write: Callable[..., Any]
    mean: Callable[..., Value] | None


def _elementwise(f: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> Any:
    def mean(x: Value) -> Value:
        y = f(x.data)
        return tape.unary(x, y, slope(x.data, y))

    return mean


def _jumping(
    at: Sequence[float], f: Callable[[Array], Array], slope: Callable[[Array, Array], Array]
) -> Any:
    """An elementwise operation, with jumps of the value or slope at the operands `at`."""
    smooth = _elementwise(f, slope)

    def mean(x: Value) -> Value:
        for point in at:
            tape.jumps_where(x.data - point, x.data)
        value: Value = smooth(x)
        return value

    return mean


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


UNARY: dict[str, Operation] = {
    "neg": Operation(lambda x: -x, _elementwise(np.negative, lambda x, y: -np.ones_like(x))),
    "exp": Operation(ops.exp, _elementwise(np.exp, lambda x, y: y)),
    "log": Operation(ops.log, _elementwise(np.log, lambda x, y: 1 / x)),
    "sqrt": Operation(ops.sqrt, _elementwise(np.sqrt, lambda x, y: 0.5 / y)),
    "rsqrt": Operation(ops.rsqrt, _elementwise(lambda x: x**-0.5, lambda x, y: -0.5 * y / x)),
    "reciprocal": Operation(ops.reciprocal, _elementwise(lambda x: 1 / x, lambda x, y: -y * y)),
    "square": Operation(ops.square, _elementwise(np.square, lambda x, y: 2 * x)),
    "abs": Operation(ops.abs, _jumping([0], np.abs, lambda x, y: np.sign(x))),
    "sign": Operation(ops.sign, _jumping([0], np.sign, lambda x, y: np.zeros_like(x))),
    "sigmoid": Operation(ops.sigmoid, _elementwise(_sigmoid, lambda x, y: y * (1 - y))),
    "tanh": Operation(ops.tanh, _elementwise(np.tanh, lambda x, y: 1 - y * y)),
    "relu": Operation(
        ops.relu, _jumping([0], lambda x: np.maximum(x, 0), lambda x, y: (x > 0) * 1.0)
    ),
    "softplus": Operation(
        ops.softplus, _elementwise(lambda x: np.logaddexp(0, x), lambda x, y: _sigmoid(x))
    ),
    "erfinv": Operation(
        ops.erfinv,
        _elementwise(tape.inverse_error_function, lambda x, y: np.sqrt(np.pi) / 2 * np.exp(y * y)),
    ),
    "stop_gradient": Operation(ops.stop_gradient, tape.detach),
    "clip": Operation(
        lambda x: ops.clip(x, -0.7, 0.6),
        _jumping(
            (-0.7, 0.6),
            lambda x: np.clip(x, -0.7, 0.6),
            lambda x, y: ((x > -0.7) & (x < 0.6)) * 1.0,
        ),
    ),
    "power": Operation(lambda x: x**1.7, _elementwise(lambda x: x**1.7, lambda x, y: 1.7 * y / x)),
    "inverse_square": Operation(
        lambda x: x**-2, _elementwise(lambda x: x**-2.0, lambda x, y: -2 * y / x)
    ),
    "cube": Operation(lambda x: x**3, _elementwise(lambda x: x**3, lambda x, y: 3 * x**2)),
    "fifth": Operation(lambda x: x**5, _elementwise(lambda x: x**5, lambda x, y: 5 * x**4)),
    "shift": Operation(
        lambda x: x + 0.5, _elementwise(lambda x: x + 0.5, lambda x, y: np.ones_like(x))
    ),
    "shrink": Operation(
        lambda x: 0.9 * x, _elementwise(lambda x: 0.9 * x, lambda x, y: np.full_like(x, 0.9))
    ),
}


def _negative(x: Value) -> Value:
    return tape.unary(x, -x.data, -np.ones_like(x.data))


def _difference(x: Value, y: Value) -> Value:
    return tape.add(x, _negative(y))


def _inverse(x: Value) -> Value:
    return tape.unary(x, 1 / x.data, -1 / x.data**2)


def _compare(f: Callable[[Array, Array], Array]) -> Callable[[Value, Value], Value]:
    def mean(x: Value, y: Value) -> Value:
        x, y = tape.aligned(x, y)
        tape.jumps_where(x.data - y.data, x.data)
        return Value(f(x.data, y.data) * 1.0)

    return mean


def _extreme(f: Callable[[Array, Array], Array]) -> Callable[[Value, Value], Value]:
    def mean(x: Value, y: Value) -> Value:
        x, y = tape.aligned(x, y)
        tape.jumps_where(x.data - y.data, x.data)
        return tape.select(f(x.data, y.data), x, y)

    return mean


def _where(mask: Value, x: Value, y: Value) -> Value:
    mask, x, y = tape.aligned(mask, x, y)
    tape.jumps_where(mask.data, mask.data)
    return tape.select(mask.data != 0, x, y)


def _pow(x: Value, y: Value) -> Value:
    """x ** y for x > 0."""
    x, y = tape.aligned(x, y)
    z = x.data**y.data
    slopes = y.data * z / x.data, z * np.log(x.data)
    return Value(z, [(x, lambda dz: dz * slopes[0]), (y, lambda dz: dz * slopes[1])])


def _softplus(x: Value) -> Value:
    return tape.unary(x, np.logaddexp(0, x.data), _sigmoid(x.data))


BINARY: dict[str, Operation] = {
    "add": Operation(lambda x, y: x + y, tape.add),
    "sub": Operation(lambda x, y: x - y, _difference),
    "mul": Operation(lambda x, y: x * y, tape.mul),
    "div": Operation(lambda x, y: x / y, lambda x, y: tape.mul(x, _inverse(y))),
    "pow": Operation(ops.pow, _pow),
    "maximum": Operation(ops.maximum, _extreme(lambda x, y: x > y)),
    "minimum": Operation(ops.minimum, _extreme(lambda x, y: x < y)),
    "greater": Operation(ops.greater, _compare(np.greater)),
    "less": Operation(ops.less, _compare(np.less)),
    "greater_equal": Operation(ops.greater_equal, _compare(np.greater_equal)),
    "less_equal": Operation(ops.less_equal, _compare(np.less_equal)),
    "equal": Operation(ops.equal, _compare(np.equal)),
    "binary_cross_entropy": Operation(
        ops.binary_cross_entropy_with_logits,
        lambda x, y: _difference(_softplus(x), tape.mul(x, y)),
    ),
    "squared_error": Operation(
        ops.squared_error, lambda x, y: tape.mul(_difference(x, y), _difference(x, y))
    ),
}


def _linear(x: Value, weight: Value, bias: Value | None = None) -> Value:
    vector = x.features == 1
    rows = tape.reshape(x, (1, *x.data.shape[1:])) if vector else x
    y = tape.matmul(rows, tape.transpose(weight))
    y = tape.reshape(y, y.data.shape[2:]) if vector else y
    return y if bias is None else tape.add(y, bias)


def _matmul(x: Value, y: Value) -> Value:
    left = tape.reshape(x, (1, *x.data.shape[1:])) if x.features == 1 else x
    right = tape.reshape(y, (*y.data.shape[1:], 1)) if y.features == 1 else y
    z = tape.matmul(left, right)
    shape = z.data.shape[1:]
    kept = (shape[:1] if x.features == 2 else ()) + (shape[1:] if y.features == 2 else ())
    return tape.reshape(z, kept)


def _axes(x: Value, axis: int | None) -> tuple[int, ...]:
    return (-1,) if axis == -1 else tuple(range(1, x.data.ndim))


def _mean(x: Value, axis: int | None, keepdims: bool) -> Value:
    axes = _axes(x, axis)
    count = int(np.prod([x.data.shape[a] for a in axes]))
    return tape.mul(tape.sum_axes(x, axes, keepdims), tape.constant(1 / count))


def _log_sum_exp(x: Value, axis: int, keep: bool) -> Value:
    if x.data.shape[axis] == 0:  # of no children
        shape = tape.sum_axes(x, (axis,), keep).data.shape
        return Value(np.full(shape, -np.inf))
    top = x.data.max(axis=axis, keepdims=True)
    e = np.exp(x.data - top)
    total = e.sum(axis=axis, keepdims=True)
    y = np.log(total) + top
    result = y if keep else y.reshape(x.data.max(axis=axis).shape)
    return Value(result, [(x, lambda dy: dy.reshape(y.shape) * e / total)])


def _log_softmax(x: Value, axis: int = -1) -> Value:
    return _difference(x, _log_sum_exp(x, axis, True))


def _softmax(x: Value, axis: int = -1) -> Value:
    if x.data.shape[axis] == 0:
        return x
    z = _log_softmax(x, axis)
    return tape.unary(z, np.exp(z.data), np.exp(z.data))


def _layer_norm(x: Value, weight: Value, bias: Value) -> Value:
    centred = _difference(x, _mean(x, -1, True))
    variance = _mean(tape.mul(centred, centred), -1, True)
    scale = tape.unary(
        variance, (variance.data + 1e-5) ** -0.5, -0.5 * (variance.data + 1e-5) ** -1.5
    )
    return tape.add(tape.mul(tape.mul(centred, scale), weight), bias)


def _cross_entropy(x: Value, ids: Array) -> Value:
    return _negative(tape.pick(_log_softmax(x), ids))


def _concat(*parts: Value) -> Value:
    return tape.concat(tape.aligned(*parts))


def _tanh(x: Value) -> Value:
    y = np.tanh(x.data)
    return tape.unary(x, y, 1 - y * y)


def _over_children(reduce: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """A reduction of all rows to one row of the vertex."""

    def mean(x: Value) -> Value:
        y = reduce(x)
        return (
            y
            if y.data.ndim == x.data.ndim
            else tape.reshape(Value(y.data[None], [(y, lambda dy: dy[0])]), y.data.shape)
        )

    return mean


OTHER: dict[str, Operation] = {
    "where": Operation(ops.where, _where),
    "linear": Operation(ops.linear, _linear),
    "matmul": Operation(ops.matmul, _matmul),
    "concat": Operation(lambda *parts: ops.concat(parts), _concat),
    "slice": Operation(ops.slice_last, tape.take_last),
    "reshape": Operation(ops.reshape, tape.reshape),
    "sum": Operation(ops.sum, lambda x, axis, keepdims: tape.sum_axes(x, _axes(x, axis), keepdims)),
    "mean": Operation(ops.mean, _mean),
    "max": Operation(ops.max, lambda x, axis, keepdims: tape.max_axes(x, _axes(x, axis), keepdims)),
    "softmax": Operation(ops.softmax, _softmax),
    "log_softmax": Operation(ops.log_softmax, _log_softmax),
    "logsumexp": Operation(ops.logsumexp, lambda x: _log_sum_exp(x, -1, False)),
    "layer_norm": Operation(ops.layer_norm, _layer_norm),
    "embedding": Operation(ops.embedding, tape.take_rows),
    "cross_entropy": Operation(ops.cross_entropy, _cross_entropy),
    "children_sum": Operation(
        lambda x: x.sum(), _over_children(lambda x: tape.sum_axes(x, (0,), True))
    ),
    "children_mean": Operation(
        lambda x: x.mean(),
        _over_children(
            lambda x: tape.mul(
                tape.sum_axes(x, (0,), True), tape.constant(1 / max(1, x.data.shape[0]))
            )
        ),
    ),
    "children_max": Operation(
        lambda x: x.max(), _over_children(lambda x: tape.max_axes(x, (0,), True))
    ),
    "children_tanh_logsumexp": Operation(  # logsumexp is -inf of no children
        lambda x: ops.tanh(x.logsumexp()), lambda x: _tanh(_log_sum_exp(x, 0, True))
    ),
    "children_softmax": Operation(lambda x: x.softmax(), lambda x: _softmax(x, 0)),
}

RANDOM: dict[str, Operation] = {
    "dropout": Operation(lambda x: ops.dropout(x, 0.3), None),
    "dropout_by_id": Operation(lambda x: ops.dropout(x, 0.4, by="id"), None),
    "normal": Operation(lambda x: ops.normal(x, 0.3), None),
    "bernoulli": Operation(lambda x: ops.bernoulli(ops.sigmoid(x)), None),
    "gumbel_softmax": Operation(lambda x: ops.gumbel_softmax(x, 0.7), None),
    "uniform_like": Operation(ops.uniform_like, None),
}
