"""Reductions and normalisations over feature axes."""

from __future__ import annotations

from typing import Any

from cavs.core.ops._def import OpDef, Shape, apply, per_element, register, size_of
from cavs.core.ops.elementwise import equal, exp, log, rsqrt, square, stop_gradient
from cavs.core.ops.shape import broadcast, reshape
from cavs.errors import ShapeError


def _drop_last(shape: Shape, **_: Any) -> Shape:
    if not shape:
        raise ShapeError("[reduce] at least one feature axis was expected, came a scalar")
    return shape[:-1]


def _last_axis(name: str) -> Any:
    def infer(shape: Shape, **_: Any) -> Shape:
        if not shape:
            raise ShapeError(f"[{name}] at least one feature axis was expected, came a scalar")
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


def _softmax(np: Any, x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _log_softmax(np: Any, x: Any) -> Any:
    z = x - x.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


ROW_SUM = register(
    OpDef(
        "row_sum",
        arity=1,
        infer=_drop_last,
        flops=lambda shapes, out: size_of(shapes[0]),
        vjp=lambda dy, y, x: (_spread_last(dy, x.shape),),
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
        reference=_softmax,
    )
)
LOG_SOFTMAX = register(
    OpDef(
        "log_softmax",
        arity=1,
        infer=_last_axis("log_softmax"),
        flops=per_element(15),
        vjp=lambda dy, y, x: (dy - softmax(x) * _spread_last(apply(ROW_SUM, dy), x.shape),),
        reference=_log_softmax,
    )
)


def _over(x: Any, axis: int | None, keepdims: bool, op: OpDef) -> Any:
    shape: Shape = x.shape
    if axis is None:
        y = apply(op, reshape(x, (size_of(shape),)))
        return reshape(y, (1,) * len(shape)) if keepdims else y
    if axis not in (-1, len(shape) - 1):
        raise ShapeError(
            f"[{op.name}] axis None or -1 (the last of {len(shape)}) was expected, came ({axis})"
        )
    y = apply(op, x)
    return reshape(y, (*shape[:-1], 1)) if keepdims else y


def sum(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Sum over the last feature axis (``axis=-1``) or over all of them (``axis=None``)."""
    return _over(x, axis, keepdims, ROW_SUM)


def mean(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Mean over the last feature axis or over all of them."""
    count = size_of(x.shape) if axis is None else x.shape[-1]
    if count == 0:
        raise ShapeError("[mean] at least one element was expected, came an empty value")
    return sum(x, axis, keepdims) * (1.0 / count)


def max(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Maximum over the last feature axis or over all; equal maxima share the gradient evenly."""
    return _over(x, axis, keepdims, ROW_MAX)


def softmax(x: Any) -> Any:
    """exp(x) / sum(exp(x)) over the last feature axis, without overflow."""
    return apply(SOFTMAX, x)


def log_softmax(x: Any) -> Any:
    """x - log(sum(exp(x))) over the last feature axis, without overflow."""
    return apply(LOG_SOFTMAX, x)


def logsumexp(x: Any) -> Any:
    """log(sum(exp(x))) over the last feature axis, without overflow. Shapes: (..., d) -> (...)."""
    top = stop_gradient(max(x, -1))
    return log(sum(exp(x - _spread_last(top, x.shape)), -1)) + top


def layer_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """Layer normalisation over the last feature axis (Ba et al. 2016, eq. 4).

    Shapes: x (..., d), weight (d,), bias (d,) -> (..., d).
    """
    centred = x - mean(x, axis=-1, keepdims=True)
    variance = mean(square(centred), axis=-1, keepdims=True)
    return centred * rsqrt(variance + eps) * weight + bias
