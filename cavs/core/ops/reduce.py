"""Reductions and normalisations over feature axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cavs._arguments import boolean, integer, number
from cavs.core.ops._def import (
    OpDef,
    Shape,
    along_last_axis,
    apply,
    define,
    per_element,
    shape_of,
    size_of,
)
from cavs.core.ops._protocols import Applies, R, apply_to
from cavs.core.ops.elementwise import MUL, NEG, equal, exp, rsqrt, square, where
from cavs.core.ops.elementwise import abs as abs_
from cavs.core.ops.shape import broadcast, reshape, sum_to
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
    if x.shape[axis]:
        top = x.max(axis=axis, keepdims=True)
    else:  # not by `initial`, which CuPy does not have
        top = np.full((*x.shape[:axis], 1, *x.shape[axis:][1:]), -np.inf, x.dtype)
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


ROW_SUM = define(
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
ROW_MAX = define(
    "row_max",
    arity=1,
    infer=_drop_last,
    flops=lambda shapes, out: size_of(shapes[0]),
    vjp=_row_max_vjp,
    attributes=along_last_axis,
    reference=lambda np, x: x.max(axis=-1),
)
SOFTMAX = define(
    "softmax",
    arity=1,
    infer=_last_axis("softmax"),
    flops=per_element(15),
    vjp=lambda dy, y, x: (y * (dy - _spread_last(apply(ROW_SUM, dy * y), x.shape)),),
    attributes=along_last_axis,
    reference=reference_softmax,
)
LOG_SOFTMAX = define(
    "log_softmax",
    arity=1,
    infer=_last_axis("log_softmax"),
    flops=per_element(15),
    vjp=_log_softmax_vjp,
    attributes=along_last_axis,
    reference=reference_log_softmax,
)
LOGSUMEXP = define(
    "logsumexp",
    arity=1,
    infer=_drop_last,
    flops=lambda shapes, out: 12 * size_of(shapes[0]),
    vjp=lambda dy, y, x: (apply(LOGSUMEXP_GRAD, dy, y, x),),
    attributes=along_last_axis,
    reference=reference_logsumexp,
)
LOGSUMEXP_GRAD: OpDef = define(
    "logsumexp_grad",
    arity=3,
    infer=_infer_logsumexp_grad,
    flops=per_element(15),
    vjp=_logsumexp_grad_vjp,
    constant_in=(1,),
    zero_with=(0,),
    attributes=along_last_axis,
    reference=_reference_logsumexp_grad,
)


def axes_of(component: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` means, ascending, among `ndim`: one, several, or with None all.

    Raises ShapeError for an axis that is not there or comes twice.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = axis_numbers(component, axis, ndim)
    if len(set(axes)) < len(axes):
        raise ShapeError(f"[{component}] expected each axis once, got {axis}; leave one out")
    return tuple(sorted(axes))


def axis_numbers(component: str, axis: int | Sequence[int], ndim: int) -> list[int]:
    """The number, from 0 on, of each axis that is given, one or several; raises ShapeError."""
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    return [integer(component, "axis", a, -ndim, ndim - 1, ShapeError) % ndim for a in given]


def _over(component: str, x: Any, axis: Axis, keepdims: bool, op: OpDef) -> Any:
    """`op`, which goes along the last axis, over any axes: those come last, as one."""
    shape = shape_of(component, x)
    boolean(component, "keepdims", keepdims)
    axes = axes_of(component, axis, len(shape))
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    if axis is not None and axes == (len(shape) - 1,):
        y = apply(op, x)
    else:
        # In this order they come last already if they are the last axes, or all.
        if (*kept, *axes) != tuple(range(len(shape))):
            if hasattr(x, "__cavs_symbol__"):  # nothing moves axes in a vertex function
                raise ShapeError(
                    f"[{component}] expected axis None or the last ones of {len(shape)}, got "
                    f"{axis}; reduce over these"
                )
            x = x.permute(*kept, *axes)
        merged = size_of(tuple(shape[i] for i in axes))
        y = apply(op, reshape(x, (*(shape[i] for i in kept), merged)))
    return reshape(y, kept_sizes(shape, axes)) if keepdims else y


def kept_sizes(shape: Shape, axes: Sequence[int]) -> Shape:
    """The shape with 1 in place of the sizes of these axes."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def sum(x: Applies[R], axis: Axis = None, keepdims: bool = False) -> R:
    """Sum over one feature axis, several (a tuple), or all of them (None).

    With `keepdims` the axes stay, of size 1.
    """
    shape = shape_of("sum", x)
    boolean("sum", "keepdims", keepdims)
    axes = axes_of("sum", axis, len(shape))
    if axis is None or axes == (len(shape) - 1,):
        y: R = _over("sum", x, axis, keepdims, ROW_SUM)
        return y
    kept = kept_sizes(shape, axes)
    total: Any = sum_to(x, kept)
    if not keepdims:
        total = reshape(total, tuple(n for i, n in enumerate(kept) if i not in axes))
    over_axes: R = total
    return over_axes


def mean(x: Applies[R], axis: Axis = None, keepdims: bool = False) -> R:
    """Mean over one feature axis, several, or all, which are not empty; see :func:`sum`."""
    shape = shape_of("mean", x)
    count = size_of(tuple(shape[axis] for axis in axes_of("mean", axis, len(shape))))
    if count == 0:
        raise ShapeError(
            "[mean] expected at least one element, got an empty value; leave the mean out"
        )
    y: R = apply(MUL, sum(x, axis, keepdims), 1.0 / count)
    return y


def max(x: Applies[R], axis: Axis = None, keepdims: bool = False) -> R:
    """Maximum over the last feature axes or over all, and of a tensor over any axes, which are not
    empty; equal maxima share the gradient evenly. See :func:`sum`."""
    y: R = _over("max", _not_empty("max", x, axis), axis, keepdims, ROW_MAX)
    return y


def min(x: Applies[R], axis: Axis = None, keepdims: bool = False) -> R:
    """Minimum, as :func:`max`; equal minima share the gradient evenly."""
    y: R = -_over("min", apply(NEG, _not_empty("min", x, axis)), axis, keepdims, ROW_MAX)
    return y


def _not_empty(component: str, x: Any, axis: Axis) -> Any:
    shape = shape_of(component, x)
    if 0 in [shape[i] for i in axes_of(component, axis, len(shape))]:
        raise ShapeError(
            f"[{component}] expected at least one element, got shape {shape} over axis {axis}; "
            "leave it out"
        )
    return x


def softmax(x: Applies[R]) -> R:
    """exp(x) / sum(exp(x)) over the last feature axis, without overflow.

    Elements of -inf get exactly 0, also where all elements are -inf; elements of +inf share 1
    evenly.
    """
    return apply_to(SOFTMAX, x)


def log_softmax(x: Applies[R]) -> R:
    """x - log(sum(exp(x))) over the last feature axis, without overflow: log of :func:`softmax`,
    infinities included. An element of the result that is -inf gives no gradient."""
    return apply_to(LOG_SOFTMAX, x)


def logsumexp(x: Applies[R], axis: Axis = -1, keepdims: bool = False) -> R:
    """log(sum(exp(x))), without overflow, over the last feature axis, the last ones or, with
    ``axis=None``, all of them, and of a tensor over any axes. Shapes: (..., d) -> (...).

    -inf where all elements are -inf, +inf where one is +inf; an infinite result gives no gradient.
    """
    y: R = _over("logsumexp", x, axis, keepdims, LOGSUMEXP)
    return y


def layer_norm(x: Applies[R], weight: Any, bias: Any, eps: float = 1e-5) -> R:
    """Layer normalisation over the last feature axis (Ba et al. 2016, eq. 4).

    Shapes: x (..., d), weight (d,), bias (d,) -> (..., d).
    """
    shape_of("layer_norm", x)
    number("layer_norm", "eps", eps)
    given: Any = x
    centred = given - mean(given, axis=-1, keepdims=True)
    variance = mean(square(centred), axis=-1, keepdims=True)
    y: R = centred * rsqrt(variance + eps) * weight + bias
    return y
