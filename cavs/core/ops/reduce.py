"""Reductions and normalisations over feature axes."""

from __future__ import annotations

import math
from typing import Any

from cavs._arguments import boolean, integer, number
from cavs.core.ops._def import (
    OpDef,
    Shape,
    along_last_axis,
    apply,
    per_element,
    register,
    shape_of,
    size_of,
)
from cavs.core.ops.elementwise import abs as abs_
from cavs.core.ops.elementwise import equal, exp, rsqrt, square, where
from cavs.core.ops.shape import broadcast, reshape
from cavs.errors import ShapeError

Axis = int | tuple[int, ...] | None
"""One axis, several, or all."""


def _drop_last(shape: Shape, **_: Any) -> Shape:
    if not shape:
        raise ShapeError(
            "[reduce] expected at least one feature axis, got a scalar; leave the reduction out"
        )
    return shape[:-1]


def _last_axis(name: str) -> Any:
    def infer(shape: Shape, **_: Any) -> Shape:
        if not shape:
            raise ShapeError(
                f"[{name}] expected at least one feature axis, got a scalar; reshape it to (1,)"
            )
        return shape

    return infer


def _spread_last(value: Any, shape: Shape) -> Any:
    """Repeats `value` (shape[:-1]) along a new last axis."""
    return broadcast(reshape(value, (*shape[:-1], 1)), shape)


def _row_max_vjp(dy: Any, y: Any, x: Any) -> tuple[Any]:
    # Equal maxima share the cotangent evenly.
    mask = equal(x, _spread_last(y, x.shape))
    share = dy / apply(ROW_SUM, mask)
    return (mask * _spread_last(share, x.shape),)


def _centred(np: Any, x: Any, axis: int) -> tuple[Any, Any, Any]:
    """(x - max x, sum of its exp, max x), along `axis`, which stays. Infinities count as limits:
    where the maximum is +inf, the difference is 0 for elements of +inf and -inf for all others."""
    top = x.max(axis=axis, keepdims=True, initial=-np.inf)
    shift = np.where(top == -np.inf, np.zeros((), x.dtype), top)
    finite = x - np.where(top == np.inf, np.zeros((), x.dtype), shift)
    limit = np.where(x == np.inf, np.zeros((), x.dtype), -np.inf).astype(x.dtype)
    z = np.where(top == np.inf, limit, finite)
    return z, np.exp(z).sum(axis=axis, keepdims=True), top


def reference_softmax(np: Any, x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis; zeros where all elements are -inf."""
    z, total, _ = _centred(np, x, axis)
    return np.exp(z) / np.where(total == 0, np.ones((), x.dtype), total)


def reference_log_softmax(np: Any, x: Any) -> Any:
    """log softmax over the last axis; -inf where all elements are."""
    z, total, _ = _centred(np, x, -1)
    return z - np.log(np.where(total == 0, np.ones((), x.dtype), total))


def reference_logsumexp(np: Any, x: Any, axis: int = -1) -> Any:
    """log(sum(exp(x))) along an axis, which goes; -inf over no elements."""
    _, total, top = _centred(np, x, axis)
    return (np.log(total) + top).squeeze(axis)


def _reference_logsumexp_grad(np: Any, dy: Any, y: Any, x: Any) -> Any:
    finite = np.where(np.isinf(y), np.zeros((), x.dtype), dy)
    return reference_softmax(np, x) * finite[..., None]


def _infer_logsumexp_grad(dy: Shape, y: Shape, x: Shape) -> Shape:
    if dy != x[:-1] or y != dy:
        raise ShapeError(
            f"[logsumexp_grad] expected results of {x[:-1]}, got {(dy, y)}; pass those of x"
        )
    return x


def _logsumexp_grad_vjp(d: Any, _: Any, dy: Any, y: Any, x: Any) -> tuple[Any, ...]:
    # As a function of dy and x, since y is itself a function of x.
    p = apply(LOGSUMEXP_GRAD, equal(dy, dy), y, x)
    mean = apply(ROW_SUM, p * d)
    return mean, None, p * _spread_last(dy, x.shape) * (d - _spread_last(mean, x.shape))


def finite_cotangent(dy: Any, y: Any) -> Any:
    """The cotangent of `y` in log space: 0 where `y` is infinite."""
    return where(equal(abs_(y), math.inf), 0.0, dy)


def _log_softmax_vjp(dy: Any, y: Any, x: Any) -> tuple[Any]:
    possible = finite_cotangent(dy, y)
    total = _spread_last(apply(ROW_SUM, possible), x.shape)
    return (possible - exp(y) * total,)


ROW_SUM = register(
    OpDef(
        "row_sum",
        arity=1,
        infer=_drop_last,
        flops=lambda shapes, out: size_of(shapes[0]),
        vjp=lambda dy, y, x: (_spread_last(dy, x.shape),),
        zero_with=(0,),
        fold=lambda values, shapes, out: values[0] * shapes[0][-1],
        attributes=along_last_axis,
        reference=lambda np, x: x.sum(axis=-1),
    )
)
ROW_MAX = register(
    OpDef(
        "row_max",
        arity=1,
        infer=_drop_last,
        flops=lambda shapes, out: size_of(shapes[0]),
        vjp=_row_max_vjp,
        attributes=along_last_axis,
        reference=lambda np, x: x.max(axis=-1),
    )
)
SOFTMAX = register(
    OpDef(
        "softmax",
        arity=1,
        infer=_last_axis("softmax"),
        flops=per_element(15),
        vjp=lambda dy, y, x: (y * (dy - _spread_last(apply(ROW_SUM, dy * y), x.shape)),),
        attributes=along_last_axis,
        reference=reference_softmax,
    )
)
LOG_SOFTMAX = register(
    OpDef(
        "log_softmax",
        arity=1,
        infer=_last_axis("log_softmax"),
        flops=per_element(15),
        vjp=_log_softmax_vjp,
        attributes=along_last_axis,
        reference=reference_log_softmax,
    )
)
LOGSUMEXP = register(
    OpDef(
        "logsumexp",
        arity=1,
        infer=_drop_last,
        flops=lambda shapes, out: 12 * size_of(shapes[0]),
        vjp=lambda dy, y, x: (apply(LOGSUMEXP_GRAD, dy, y, x),),
        attributes=along_last_axis,
        reference=reference_logsumexp,
    )
)
LOGSUMEXP_GRAD: OpDef = register(
    OpDef(
        "logsumexp_grad",
        arity=3,
        infer=_infer_logsumexp_grad,
        flops=per_element(15),
        vjp=_logsumexp_grad_vjp,
        zero_with=(0,),
        attributes=along_last_axis,
        reference=_reference_logsumexp_grad,
    )
)


def axes_of(component: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` means, ascending, among `ndim`: one, several, or with None all.

    Raises ShapeError for an axis that is not there or comes twice.
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = [integer(component, "axis", a, -ndim, ndim - 1, ShapeError) % ndim for a in given]
    if len(set(axes)) < len(axes):
        raise ShapeError(
            f"[{component}] expected each axis once, got {tuple(given)}; leave one out"
        )
    return tuple(sorted(axes))


def _over(x: Any, axis: Axis, keepdims: bool, op: OpDef) -> Any:
    shape = shape_of(op.name, x)
    boolean(op.name, "keepdims", keepdims)
    axes = axes_of(op.name, axis, len(shape))
    if len(axes) == len(shape) and not (axis is not None and len(axes) == 1):
        y = apply(op, reshape(x, (size_of(shape),)))
        return reshape(y, (1,) * len(shape)) if keepdims else y
    if axes != (len(shape) - 1,):
        raise ShapeError(
            f"[{op.name}] expected axis None or -1 (the last of {len(shape)}), got {axis}; reduce "
            "over one of these"
        )
    y = apply(op, x)
    return reshape(y, (*shape[:-1], 1)) if keepdims else y


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over the last feature axis (``axis=-1``) or over all of them (``axis=None``)."""
    return _over(x, axis, keepdims, ROW_SUM)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Mean over the last feature axis or over all of them."""
    shape = shape_of("mean", x)
    count = size_of(tuple(shape[axis] for axis in axes_of("mean", axis, len(shape))))
    if count == 0:
        raise ShapeError(
            "[mean] expected at least one element, got an empty value; leave the mean out"
        )
    return sum(x, axis, keepdims) * (1.0 / count)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Maximum over the last feature axis or over all; equal maxima share the gradient evenly."""
    return _over(x, axis, keepdims, ROW_MAX)


def softmax(x: Any) -> Any:
    """exp(x) / sum(exp(x)) over the last feature axis, without overflow.

    Elements of -inf get exactly 0, also where all elements are -inf; elements of +inf share 1
    evenly.
    """
    return apply(SOFTMAX, x)


def log_softmax(x: Any) -> Any:
    """x - log(sum(exp(x))) over the last feature axis, without overflow: log of :func:`softmax`,
    infinities included. An element of the result that is -inf gives no gradient."""
    return apply(LOG_SOFTMAX, x)


def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), without overflow, over the last feature axis or, with ``axis=None``, over
    all of them. Shapes: (..., d) -> (...).

    -inf where all elements are -inf, +inf where one is +inf; an infinite result gives no gradient.
    """
    return _over(x, axis, keepdims, LOGSUMEXP)


def layer_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """Layer normalisation over the last feature axis (Ba et al. 2016, eq. 4).

    Shapes: x (..., d), weight (d,), bias (d,) -> (..., d).
    """
    shape_of("layer_norm", x)
    number("layer_norm", "eps", eps)
    centred = x - mean(x, axis=-1, keepdims=True)
    variance = mean(square(centred), axis=-1, keepdims=True)
    return centred * rsqrt(variance + eps) * weight + bias
