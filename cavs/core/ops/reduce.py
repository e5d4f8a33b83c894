"""Reductions and normalisations over feature axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs._arguments import boolean, integer, number, shown
from cavs.core.ops._def import (
    OpDef,
    Shape,
    along_axis,
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
from cavs.core.ops.shape import broadcast, permute, reshape, sum_to
from cavs.errors import ShapeError, TraceError

Axis = int | tuple[int, ...] | None
"""One axis, several, or all."""


def _drop_axis(shape: Shape, *, axis: int = -1) -> Shape:
    if not shape:
        raise ShapeError(
            "[reduce] expected at least one feature axis, got a scalar; leave the reduction out"
        )
    return without_axis(shape, axis)


def without_axis(shape: Shape, axis: int) -> Shape:
    """The shape without an axis, which is counted from the end."""
    at = len(shape) + axis
    return (*shape[:at], *shape[at + 1 :])


def _with_axis(name: str) -> Any:
    def infer(shape: Shape, *, axis: int = -1) -> Shape:
        if not shape:
            raise ShapeError(
                f"[{name}] expected at least one feature axis, got a scalar; reshape it to (1,)"
            )
        return shape

    return infer


def spread_along(value: Any, shape: Shape, axis: int = -1) -> Any:
    """Repeats `value`, which lacks an axis of `shape`, along it."""
    return broadcast(reshape(value, kept_sizes(shape, [len(shape) + axis])), shape)


def total_along(x: Any, axis: int = -1) -> Any:
    """The sum along an axis, which goes; it is counted from the end."""
    return apply(ROW_SUM, x) if axis == -1 else sum(x, axis)


def _row_max_vjp(dy: Any, y: Any, x: Any, *, axis: int = -1) -> tuple[Any]:
    # Equal maxima share the cotangent evenly.
    mask = equal(x, spread_along(y, x.shape, axis))
    share = dy / total_along(mask, axis)
    return (mask * spread_along(share, x.shape, axis),)


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


def reference_log_softmax(np: Any, x: Any, axis: int = -1) -> Any:
    """log softmax along an axis; -inf where all elements are."""
    z, total, _ = _centred(np, x, axis)
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
    return mean, None, p * spread_along(dy, x.shape) * (d - spread_along(mean, x.shape))


def finite_cotangent(dy: Any, y: Any) -> Any:
    """The cotangent of `y` in log space: 0 where `y` is infinite."""
    return where(equal(abs_(y), math.inf), 0.0, dy)


def _log_softmax_vjp(dy: Any, y: Any, x: Any, *, axis: int = -1) -> tuple[Any]:
    possible = finite_cotangent(dy, y)
    total = spread_along(total_along(possible, axis), x.shape, axis)
    return (possible - exp(y) * total,)


def _softmax_vjp(dy: Any, y: Any, x: Any, *, axis: int = -1) -> tuple[Any]:
    return (y * (dy - spread_along(total_along(dy * y, axis), x.shape, axis)),)


def _logsumexp_vjp(dy: Any, y: Any, x: Any, *, axis: int = -1) -> tuple[Any]:
    if axis == -1:
        return (apply(LOGSUMEXP_GRAD, dy, y, x),)
    share = apply(SOFTMAX, x, axis=axis)
    return (share * spread_along(finite_cotangent(dy, y), x.shape, axis),)


ROW_SUM = define(
    "row_sum",
    arity=1,
    infer=_drop_axis,
    flops=lambda shapes, out: size_of(shapes[0]),
    vjp=lambda dy, y, x: (spread_along(dy, x.shape),),
    zero_with=(0,),
    fold=lambda values, shapes, out: values[0] * shapes[0][-1],
    attributes=along_last_axis,
    reference=lambda np, x: x.sum(axis=-1),
)
ROW_MAX = define(
    "row_max",
    arity=1,
    infer=_drop_axis,
    flops=lambda shapes, out: size_of(shapes[0]),
    vjp=_row_max_vjp,
    attributes=along_axis,
    reference=lambda np, x, axis=-1: x.max(axis=axis),
)
SOFTMAX = define(
    "softmax",
    arity=1,
    infer=_with_axis("softmax"),
    flops=per_element(15),
    vjp=_softmax_vjp,
    attributes=along_axis,
    reference=reference_softmax,
)
LOG_SOFTMAX = define(
    "log_softmax",
    arity=1,
    infer=_with_axis("log_softmax"),
    flops=per_element(15),
    vjp=_log_softmax_vjp,
    attributes=along_axis,
    reference=reference_log_softmax,
)
LOGSUMEXP = define(
    "logsumexp",
    arity=1,
    infer=_drop_axis,
    flops=lambda shapes, out: 12 * size_of(shapes[0]),
    vjp=_logsumexp_vjp,
    attributes=along_axis,
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


def axis_from_end(component: str, x: Any, axis: int) -> int:
    """One axis, counted from the end; raises ShapeError where it is not there."""
    ndim = len(shape_of(component, x))
    if not ndim:
        raise ShapeError(
            f"[{component}] expected at least one feature axis, got a scalar; reshape it to (1,)"
        )
    return integer(component, "axis", axis, -ndim, ndim - 1, ShapeError) % ndim - ndim


def of_axis(axis: int) -> dict[str, int]:
    """The axis as an attribute of an operation along it, which goes along the last one without."""
    return {} if axis == -1 else {"axis": axis}


def _over(component: str, x: Any, axis: Axis, keepdims: bool, op: OpDef) -> Any:
    """`op`, which goes along one axis, over any axes, which are made one."""
    shape = shape_of(component, x)
    boolean(component, "keepdims", keepdims)
    axes = axes_of(component, axis, len(shape))
    if len(axes) == 1 and axis is not None:
        y = apply(op, x, **of_axis(axes[0] - len(shape)))
    else:
        kept = tuple(i for i in range(len(shape)) if i not in axes)
        first = axes[0] if axes else len(shape)
        if axes != tuple(range(first, first + len(axes))):  # they do not stand together
            first, x = len(kept), permute(x, (*kept, *axes))
        before, behind = (tuple(shape[i] for i in part) for part in (kept[:first], kept[first:]))
        merged = size_of(tuple(shape[i] for i in axes))
        one = reshape(x, (*before, merged, *behind))
        y = apply(op, one, **of_axis(-1 - len(behind)))
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
    """Maximum over one feature axis, several (a tuple), or all of them, which are not empty; equal
    maxima share the gradient evenly. See :func:`sum`."""
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


def softmax(x: Applies[R], axis: int = -1) -> R:
    """exp(x) / sum(exp(x)) over one feature axis, by default the last, without overflow.

    Elements of -inf get exactly 0, also where all elements are -inf; elements of +inf share 1
    evenly. Raises ShapeError for an axis that is not there.
    """
    return apply_to(SOFTMAX, x, **of_axis(axis_from_end("softmax", x, axis)))


def log_softmax(x: Applies[R], axis: int = -1) -> R:
    """x - log(sum(exp(x))) over one feature axis, by default the last, without overflow: log of
    :func:`softmax`, infinities included. An element of the result that is -inf gives no
    gradient. Raises ShapeError for an axis that is not there."""
    return apply_to(LOG_SOFTMAX, x, **of_axis(axis_from_end("log_softmax", x, axis)))


def logsumexp(x: Applies[R], axis: Axis = -1, keepdims: bool = False) -> R:
    """log(sum(exp(x))), without overflow, over one feature axis, by default the last, several (a
    tuple) or, with ``axis=None``, all of them. See :func:`sum`.

    -inf where all elements are -inf, +inf where one is +inf; an infinite result gives no gradient.
    """
    y: R = _over("logsumexp", x, axis, keepdims, LOGSUMEXP)
    return y


def _normalised(x: Any, axis: Axis, eps: float) -> Any:
    """(x - mean x) / sqrt(var x + eps) over these axes."""
    centred = x - mean(x, axis=axis, keepdims=True)
    variance = mean(square(centred), axis=axis, keepdims=True)
    return centred * rsqrt(variance + eps)


def _shape(component: str, name: str, weight: Any) -> Shape:
    """Of a value of F, a tensor, an array or a list."""
    try:
        shape = getattr(weight, "shape", None)
        return np.shape(weight) if shape is None else tuple(shape)
    except Exception as error:  # whatever a class of the user's raises
        raise TraceError(
            f"[{component}] expected a {name} that has a shape, got {shown(weight)}; pass a "
            "parameter, a tensor or an array"
        ) from error


def _in_shape(weight: Any, shape: Shape) -> Any:
    if hasattr(type(weight), "__cavs_apply__"):
        return reshape(weight, shape)
    return np.reshape(weight, shape)


def layer_norm(x: Applies[R], weight: Any, bias: Any, eps: float = 1e-5, axis: Axis = -1) -> R:
    """Layer normalisation over one feature axis, by default the last, several (a tuple), or with
    ``axis=None`` all of them (Ba et al. 2016, eq. 4).

    Shapes: x (..., d), weight (d,), bias (d,) -> (..., d). Over several axes weight and bias have
    their sizes, in the order in which `x` has the axes.

    Raises ShapeError for an axis that is not there, and for a weight or a bias of another shape.
    """
    shape = shape_of("layer_norm", x)
    number("layer_norm", "eps", eps)
    given: Any = x
    if isinstance(axis, int) and axis == -1:
        y: R = _normalised(given, -1, eps) * weight + bias
        return y
    axes = axes_of("layer_norm", axis, len(shape))
    sizes = tuple(shape[i] for i in axes)
    for name, value in (("weight", weight), ("bias", bias)):
        own = _shape("layer_norm", name, value)
        if own != sizes:
            raise ShapeError(
                f"[layer_norm] expected a {name} of shape {sizes}, as axes {axes} of x have, got "
                f"{own}; pass one of that shape"
            )
    if axes == tuple(range(len(shape) - len(axes), len(shape))):  # as one axis, the last
        flat = (size_of(sizes),)
        rows = reshape(given, (*shape[: len(shape) - len(axes)], *flat))
        rows = _normalised(rows, -1, eps) * _in_shape(weight, flat) + _in_shape(bias, flat)
        z: R = reshape(rows, shape)
        return z
    kept = tuple(n if i in axes else 1 for i, n in enumerate(shape))
    normal = _normalised(given, axes, eps)
    over_axes: R = normal * _in_shape(weight, kept) + _in_shape(bias, kept)
    return over_axes


def group_norm(
    x: Applies[R], groups: int, weight: Any, bias: Any, eps: float = 1e-5, axis: int = 0
) -> R:
    """Group normalisation (Wu and He 2018, eq. 7): the channels go into `groups` of neighbours, and
    each group is normalised over its channels and all positions.

    Shapes: x (channels, ...), whose further axes are positions, such as those of an image; weight
    and bias (channels,) -> that of x. `axis`: of the channels, where other axes stand before them,
    such as the rows of a tensor.

    Raises ShapeError for an axis that is not there, channels that do not divide into the groups,
    and a weight or a bias of another shape.
    """
    shape = shape_of("group_norm", x)
    number("group_norm", "eps", eps)
    at = len(shape) + axis_from_end("group_norm", x, axis)
    channels = shape[at]
    groups = integer("group_norm", "groups", groups, 1, error=ShapeError)
    if channels % groups or 0 in shape[at:]:
        raise ShapeError(
            f"[group_norm] expected channels in {groups} groups of one size, got {channels} of "
            f"shape {shape[at:]}; choose a divisor of {channels}"
        )
    for name, value in (("weight", weight), ("bias", bias)):
        own = _shape("group_norm", name, value)
        if own != (channels,):
            raise ShapeError(
                f"[group_norm] expected a {name} of shape {(channels,)}, got {own}; pass one "
                "number for each channel"
            )
    rows, positions = shape[:at], size_of(shape[at + 1 :])
    parts = reshape(x, (*rows, groups, channels // groups * positions))
    normal = reshape(_normalised(parts, -1, eps), (*rows, channels, positions))
    scaled = normal * _in_shape(weight, (channels, 1)) + _in_shape(bias, (channels, 1))
    y: R = reshape(scaled, shape)
    return y
