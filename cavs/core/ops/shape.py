"""Operations that move elements: reshape, slice, concat, broadcast and their adjoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from cavs._arguments import INT32_MAX, integer, items
from cavs.core.attributes import PermuteAttributes, ShapeAttributes
from cavs.core.ops._def import OpDef, Operand, Shape, apply, define, shape_of, size_of
from cavs.core.ops._protocols import Applies, R, Symbolic, apply_to, itself
from cavs.errors import ShapeError, TraceError

_ALL = slice(None)


def _infer_reshape(shape: Shape, *, to: Shape, **_: Any) -> Shape:
    if size_of(shape) != size_of(to):
        raise ShapeError(
            f"[reshape] expected a shape of {size_of(shape)} elements, got {to} for {shape}; keep "
            "the number of elements"
        )
    return to


def _infer_slice(shape: Shape, *, start: int, stop: int) -> Shape:
    if not shape or not 0 <= start < stop <= shape[-1]:
        raise ShapeError(
            f"[slice] expected 0 <= start < stop <= {shape[-1] if shape else 0}, got "
            f"{start}:{stop} of shape {shape}; slice within the last axis"
        )
    return (*shape[:-1], stop - start)


def _infer_concat(*shapes: Shape, axis: int = -1) -> Shape:
    first = shapes[0] if shapes else ()
    if () in shapes:
        raise ShapeError(
            f"[concat] expected values with an axis, got shapes {list(shapes)}; reshape those of "
            "shape () to (1,)"
        )
    at = axis % len(first) if first else 0
    rest = [(len(s), s[:at], s[at + 1 :]) for s in shapes]
    if not first or any(other != rest[0] for other in rest):
        raise ShapeError(
            "[concat] expected shapes equal but for "
            f"{'the last axis' if axis == -1 else f'axis {axis}'}, got {list(shapes)}; reshape them"
        )
    return (*first[:at], sum(s[at] for s in shapes), *first[at + 1 :])


def _infer_broadcast(shape: Shape, *, to: Shape) -> Shape:
    padded = (1,) * (len(to) - len(shape)) + shape
    if len(shape) > len(to) or any(a not in (1, b) for a, b in zip(padded, to, strict=True)):
        raise ShapeError(
            f"[broadcast] expected a shape that broadcasts to {to}, got {shape}; reshape it"
        )
    return to


def _infer_sum_to(shape: Shape, *, to: Shape) -> Shape:
    _infer_broadcast(to, to=shape)
    return to


def _padded(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def _rows(x: Any, rank: int) -> tuple[int, ...]:
    return tuple(x.shape[: x.ndim - rank])


def _reference_broadcast(np: Any, x: Any, *, to: Shape, rank: int) -> Any:
    rows, shape = _rows(x, rank), tuple(x.shape[x.ndim - rank :])
    padded = (1,) * (len(to) - rank) + shape
    return np.broadcast_to(x.reshape(rows + padded), rows + to)


def _reference_sum_to(np: Any, x: Any, *, to: Shape, rank: int) -> Any:
    rows, shape = _rows(x, rank), tuple(x.shape[x.ndim - rank :])
    padded = (1,) * (rank - len(to)) + to
    axes = tuple(
        len(rows) + i for i, (a, b) in enumerate(zip(shape, padded, strict=True)) if a != b
    )
    return x.sum(axis=axes, keepdims=True).reshape(rows + to)


def _slice_vjp(dy: Any, y: Any, x: Any, *, start: int, stop: int) -> tuple[Any]:
    return (apply(SLICE_GRAD, dy, start=start, stop=stop, total=x.shape[-1]),)


def _reference_slice_grad(np: Any, dy: Any, *, start: int, stop: int, total: int) -> Any:
    x = np.zeros((*dy.shape[:-1], total), dy.dtype)
    x[..., start:stop] = dy
    return x


def _concat_vjp(dy: Any, y: Any, *xs: Any, axis: int = -1) -> tuple[Any, ...]:
    parts, start = [], 0
    for x in xs:
        stop = start + x.shape[axis]
        if axis == -1 and start < stop:
            part = slice_last(dy, start, stop)
        else:  # of tensors alone, which have an index for it
            part = dy[(*[_ALL] * (axis % len(x.shape)), slice(start, stop))]
        parts.append(part)
        start = stop
    return tuple(parts)


def _infer_permute(shape: Shape, *, axes: tuple[int, ...]) -> Shape:
    if sorted(axes) != list(range(len(shape))):
        raise ShapeError(
            f"[permute] expected each of {len(shape)} axes once, got {axes}; name them all"
        )
    return tuple(shape[axis] for axis in axes)


def _steps_of(shapes: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> PermuteAttributes:
    """Axes that stand together in operand and result are one; axes of one element are none."""
    shape = shapes[0]
    sizes: list[int] = []
    steps: list[int] = []
    for axis in attrs["axes"]:
        size, step = shape[axis], size_of(shape[axis + 1 :])
        if size == 1:
            continue
        if steps and steps[-1] == size * step:
            sizes[-1], steps[-1] = sizes[-1] * size, step
        else:
            sizes.append(size)
            steps.append(step)
    return PermuteAttributes(tuple(sizes), tuple(steps))


def _reference_permute(np: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    rows = x.ndim - len(axes)
    return x.transpose((*range(rows), *(rows + axis for axis in axes)))


RESHAPE = define(
    "reshape",
    arity=1,
    operands=(Operand.EITHER,),
    infer=_infer_reshape,
    moves=True,
    fold=lambda values, shapes, out: values[0],
    recomputed=True,
    vjp=lambda dy, y, x, *, to, rank: (reshape(dy, x.shape),),
    reference=lambda np, x, *, to, rank: x.reshape(_rows(x, rank) + to),
)
PERMUTE = define(
    "permute",
    arity=1,
    infer=_infer_permute,
    moves=True,
    fold=lambda values, shapes, out: values[0],
    attributes=_steps_of,
    vjp=lambda dy, y, x, *, axes: (permute(dy, tuple(map(axes.index, range(len(axes))))),),
    reference=_reference_permute,
)
SLICE = define(
    "slice",
    arity=1,
    operands=(Operand.EITHER,),
    infer=_infer_slice,
    moves=True,
    fold=lambda values, shapes, out: values[0],
    recomputed=True,
    vjp=_slice_vjp,
    reference=lambda np, x, *, start, stop: x[..., start:stop],
)
SLICE_GRAD = define(
    "slice_grad",
    arity=1,
    infer=lambda shape, *, start, stop, total: (*shape[:-1], total),
    zero_with=(0,),
    vjp=lambda d, _, dy, *, start, stop, total: (slice_last(d, start, stop),),
    reference=_reference_slice_grad,
)
CONCAT = define(
    "concat",
    arity=-1,
    infer=_infer_concat,
    moves=True,
    fold=lambda values, shapes, out: values[0] if len(set(values)) == 1 else None,
    vjp=_concat_vjp,
    reference=lambda np, *xs, axis=-1: np.concatenate(xs, axis=axis),
)
BROADCAST = define(
    "broadcast",
    arity=1,
    infer=lambda shape, *, to, rank: _infer_broadcast(shape, to=to),
    moves=True,
    fold=lambda values, shapes, out: values[0],
    recomputed=True,
    attributes=lambda shapes, out, attrs: ShapeAttributes(_padded(shapes[0], len(out)), out),
    vjp=lambda dy, y, x, *, to, rank: (sum_to(dy, x.shape),),
    reference=_reference_broadcast,
)
SUM_TO = define(
    "sum_to",
    arity=1,
    infer=lambda shape, *, to, rank: _infer_sum_to(shape, to=to),
    zero_with=(0,),
    fold=lambda values, shapes, out: values[0] * (size_of(shapes[0]) // max(size_of(out), 1)),
    attributes=lambda shapes, out, attrs: ShapeAttributes(shapes[0], _padded(out, len(shapes[0]))),
    flops=lambda shapes, out: size_of(shapes[0]),
    vjp=lambda dy, y, x, *, to, rank: (broadcast(dy, x.shape),),
    reference=_reference_sum_to,
)


def reshape(x: Applies[R], shape: Sequence[int] | int) -> R:
    """The same elements in feature shape `shape`, of which one axis may be -1."""
    own, to = shape_of("reshape", x), sizes("reshape", shape, -1)
    if -1 in to:
        known = size_of(tuple(n for n in to if n != -1))
        if to.count(-1) > 1 or known == 0 or size_of(own) % known:
            raise ShapeError(
                f"[reshape] expected one -1 that fits {x.shape}, got {to}; give the sizes"
            )
        to = tuple(size_of(own) // known if n == -1 else n for n in to)
    return itself(x) if to == own else apply_to(RESHAPE, x, to=to, rank=len(own))


def permute(x: Applies[R], axes: Sequence[int]) -> R:
    """The feature axes in another order: axis i of the result is axis ``axes[i]`` of `x`.

    Args:
        axes: each axis once, counted from the end where negative.

    Raises:
        ShapeError: an axis is missing, comes twice or is not there.
    """
    shape = shape_of("permute", x)
    ndim = len(shape)
    several = axes if isinstance(axes, (tuple, list, np.ndarray)) else (axes,)
    given = [integer("permute", "axis", axis, -ndim, ndim - 1, ShapeError) for axis in several]
    order = tuple(axis % ndim for axis in given)
    to = _infer_permute(shape, axes=order)
    long = [axis for axis in order if shape[axis] != 1]
    if long == sorted(long):  # no element moves
        return reshape(x, to)
    return apply_to(PERMUTE, x, axes=order)


def sizes(component: str, shape: Any, least: int) -> Shape:
    """The sizes of axes, from one number or several; raises ShapeError for any other value."""
    given = shape if isinstance(shape, (tuple, list, np.ndarray)) else (shape,)
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = (shape,)
    if type(given) is tuple and all(type(n) is int and least <= n <= INT32_MAX for n in given):
        return given
    return tuple(integer(component, "size", n, least, error=ShapeError) for n in given)


def slice_last(x: Applies[R], start: int, stop: int) -> R:
    """Elements start..stop-1 of the last feature axis."""
    shape = shape_of("slice", x)
    start = integer("slice", "start", start, 0, error=ShapeError)
    stop = integer("slice", "stop", stop, 0, error=ShapeError)
    if start == 0 and shape and stop == shape[-1]:
        return itself(x)
    return apply_to(SLICE, x, start=start, stop=stop)


def split(x: Applies[R], parts: int | Sequence[int]) -> tuple[R, ...]:
    """Cuts the last feature axis into `parts` equal parts, or into parts of the sizes given."""
    if not shape_of("split", x):
        raise ShapeError(
            "[split] expected at least one feature axis, got a scalar; reshape it to (1,)"
        )
    total = x.shape[-1]
    if isinstance(parts, int):
        if parts < 1 or total % parts:
            raise ShapeError(
                f"[split] expected a number of parts that divides {total}, got {parts}; pass the "
                "sizes of the parts instead"
            )
        parts = [total // parts] * parts
    parts = sizes("split", parts, 0)
    if sum(parts) != total:
        raise ShapeError(
            f"[split] expected sizes that sum to {total}, got {list(parts)}; correct the sizes"
        )
    pieces, start = [], 0
    for size in parts:
        pieces.append(slice_last(x, start, start + size))
        start += size
    return tuple(pieces)


@overload
def concat(values: Sequence[Symbolic[R]], axis: int = -1) -> R: ...
@overload
def concat(values: Sequence[Applies[R]], axis: int = -1) -> R: ...
def concat(values: Sequence[Any], axis: int = -1) -> Any:
    """The values side by side along a feature axis, by default the last; among values of a vertex
    function a number is one element, or one column of the last axis.

    Raises:
        ShapeError: other axes differ, or a value has no axis; TraceError: not a list of values.
    """
    values = items("concat", "values", values, object, "values", TraceError)
    if type(axis) is int and axis == -1:
        return values[0] if len(values) == 1 else apply(CONCAT, *values)
    shapes = [shape_of("concat", x) for x in values]
    at = _place("concat", axis, len(shapes[0]) if shapes else 0)
    _infer_concat(*shapes, axis=at)
    return _joined(values, shapes, at)


@overload
def stack(values: Sequence[Symbolic[R]], axis: int = 0) -> R: ...
@overload
def stack(values: Sequence[Applies[R]], axis: int = 0) -> R: ...
def stack(values: Sequence[Any], axis: int = 0) -> Any:
    """The values one after the other along a new feature axis, as NumPy's ``stack``.

    Shapes: n values (...) -> (n, ...), or with n where `axis` says in the result. Among values of
    shape () of a vertex function there may be numbers.

    Raises:
        ShapeError: shapes differ, or the axis is not there; TraceError: not a list of values.
    """
    values = items("stack", "values", values, object, "values", TraceError)
    plain = [isinstance(x, (int, float)) and not isinstance(x, bool) for x in values]
    shapes = [() if p else shape_of("stack", x) for x, p in zip(values, plain, strict=True)]
    if not values or all(plain) or any(shape != shapes[0] for shape in shapes):
        raise ShapeError(f"[stack] expected values of one shape, got shapes {shapes}; reshape them")
    at = _place("stack", axis, len(shapes[0]) + 1)
    longer = (*shapes[0][:at], 1, *shapes[0][at:])
    parts = [x if p else _shaped(x, longer) for x, p in zip(values, plain, strict=True)]
    return _joined(parts, [longer] * len(parts), at)


def _place(component: str, axis: Any, ndim: int) -> int:
    """An axis of `ndim`, counted from the front."""
    if not ndim:
        raise ShapeError(
            f"[{component}] expected values with an axis, got none or some of shape (); stack them"
        )
    return integer(component, "axis", axis, -ndim, ndim - 1, ShapeError) % ndim


def _shaped(x: Any, shape: Shape) -> Any:
    return x.reshape(shape) if isinstance(x, np.ndarray) else reshape(x, shape)


def _joined(values: Sequence[Any], shapes: Sequence[Shape], axis: int) -> Any:
    """The values along an axis that they have: what lies behind it is one with it, so that they are
    columns."""
    before, behind = shapes[0][:axis], shapes[0][axis + 1 :]
    flat = [
        _shaped(x, (*before, size_of(shape[axis:]))) if len(shape) > 1 else x
        for x, shape in zip(values, shapes, strict=True)
    ]
    whole = flat[0] if len(flat) == 1 else apply(CONCAT, *flat)
    return reshape(whole, (*before, sum(shape[axis] for shape in shapes), *behind))


def broadcast(x: Applies[R], shape: Shape) -> R:
    """`x` repeated to feature shape `shape` as NumPy broadcasts."""
    if x.shape == shape:
        return itself(x)
    return apply_to(BROADCAST, x, to=shape, rank=len(x.shape))


def sum_to(x: Applies[R], shape: Shape) -> R:
    """Sums `x` over the axes along which `shape` would broadcast to it."""
    if x.shape == shape:
        return itself(x)
    return apply_to(SUM_TO, x, to=shape, rank=len(x.shape))


def broadcast_shapes(shapes: Sequence[Shape], op: OpDef) -> Shape:
    """The shape that `shapes` broadcast to; raises ShapeError where they do not."""
    out: list[int] = []
    for axis in range(1, 1 + max(map(len, shapes), default=0)):
        sizes = {s[-axis] for s in shapes if len(s) >= axis} - {1}
        if len(sizes) > 1:
            raise ShapeError(
                f"[{op.name}] expected shapes that broadcast, got {list(shapes)}; reshape one"
            )
        out.append(sizes.pop() if sizes else 1)
    return tuple(reversed(out))
