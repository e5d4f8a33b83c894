"""Operations along one axis that go by places: running sums, orders, and elements by their ids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, overload

from cavs._arguments import boolean, integer
from cavs.core.attributes import OrderAttributes, PickAttributes, ScanAttributes
from cavs.core.ops._def import OpDef, Operand, Shape, apply, define, lines_along, shape_of, size_of
from cavs.core.ops._formulas import add_at
from cavs.core.ops._holding import makers
from cavs.core.ops._protocols import Applies, R, Symbolic, apply_to
from cavs.core.ops.reduce import axis_from_end, of_axis, without_axis
from cavs.core.ops.shape import reshape
from cavs.errors import ShapeError


def with_size(shape: Shape, axis: int, *sizes: int) -> Shape:
    """The shape with these sizes in place of that of an axis, which is counted from the end."""
    at = len(shape) + axis
    return (*shape[:at], *sizes, *shape[at + 1 :])


def _reference_cumsum(np: Any, x: Any, *, reverse: bool = False, axis: int = -1) -> Any:
    if not reverse:
        return np.cumsum(x, axis=axis, dtype=x.dtype)
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis, dtype=x.dtype), axis)


def _cumsum_vjp(dy: Any, y: Any, x: Any, *, reverse: bool = False, axis: int = -1) -> tuple[Any]:
    attrs = {} if reverse else {"reverse": True}
    return (apply(CUMSUM, dy, **attrs, **of_axis(axis)),)


CUMSUM = define(
    "cumsum",
    arity=1,
    infer=lambda shape, **_: shape,
    flops=lambda shapes, out: size_of(shapes[0]),
    zero_with=(0,),
    attributes=lambda shapes, out, attrs: ScanAttributes(
        *lines_along(shapes[0], attrs.get("axis", -1)), reverse=attrs.get("reverse", False)
    ),
    vjp=_cumsum_vjp,
    reference=_reference_cumsum,
)


def _reference_argsort(
    np: Any, x: Any, *, count: int, descending: bool = False, axis: int = -1
) -> Any:
    lines = np.moveaxis(x, axis, -1)
    if descending:  # of equal elements, too, the first comes first
        order = (
            lines.shape[-1]
            - 1
            - np.flip(np.argsort(np.flip(lines, -1), axis=-1, kind="stable"), -1)
        )
    else:
        order = np.argsort(lines, axis=-1, kind="stable")
    return np.moveaxis(order[..., :count], -1, axis).astype(np.int32)


ARGSORT = define(
    "argsort",
    arity=1,
    infer=lambda shape, *, count, descending=False, axis=-1: with_size(shape, axis, count),
    dtype="int32",
    constant_in=(0,),
    attributes=lambda shapes, out, attrs: OrderAttributes(
        *lines_along(shapes[0], attrs.get("axis", -1)),
        count=attrs["count"],
        descending=attrs.get("descending", False),
    ),
    reference=_reference_argsort,
)


def _infer_pick(
    x: Shape, ids: Shape, *, along: bool, ranks: tuple[int, int], axis: int = -1
) -> Shape:
    if not along:
        return with_size(x, axis, *ids)
    if len(ids) != len(x) or without_axis(ids, axis) != without_axis(x, axis):
        raise ShapeError(
            f"[take] expected ids of shape {x} but for axis {axis}, got {ids}; reshape one"
        )
    return ids


def _infer_put(
    dy: Shape, ids: Shape, *, along: bool, ranks: tuple[int, int], size: int, axis: int = -1
) -> Shape:
    if along:
        return with_size(ids, axis, size)
    at = ranks[0] + axis  # of the whole; the ids have their axes there
    return (*dy[:at], size, *dy[at + len(ids) :])


def _of_lines(
    np: Any, x: Any, ids: Any, along: bool, rank: int, ids_rank: int, axis: int
) -> tuple[Any, Any, int]:
    """`x` and `ids`, of as many axes as these ranks say, with the same rows in front, and the ids
    with an axis for each of `x`; and the number of axes of rows."""
    rows = max(x.shape[: x.ndim - rank], ids.shape[: ids.ndim - ids_rank], key=len)
    x = np.broadcast_to(x, (*rows, *x.shape[x.ndim - rank :]))
    ids = np.broadcast_to(ids, (*rows, *ids.shape[ids.ndim - ids_rank :]))
    if not along:
        count = math.prod(ids.shape[len(rows) :])
        ids = ids.reshape((*rows, *[1] * (rank + axis), count, *[1] * (-1 - axis)))
        ids = np.broadcast_to(ids, with_size(x.shape, axis, count))
    return x, ids, len(rows)


def _reference_pick(
    np: Any, x: Any, ids: Any, *, along: bool, ranks: tuple[int, int], axis: int = -1
) -> Any:
    features = ids.shape[ids.ndim - ranks[1] :]
    x, places, rows = _of_lines(np, x, ids, along, *ranks, axis)
    found = np.take_along_axis(x, np.maximum(places, 0), axis)
    found = np.where(places >= 0, found, np.zeros((), x.dtype))
    shape = _infer_pick(x.shape[rows:], features, along=along, ranks=ranks, axis=axis)
    return found.reshape((*x.shape[:rows], *shape))


def _reference_put(
    np: Any, dy: Any, ids: Any, *, along: bool, ranks: tuple[int, int], size: int, axis: int = -1
) -> Any:
    rank, ids_rank = ranks
    own = rank if along else rank - 1 + ids_rank
    if not along:  # the axes of the ids as one
        at = dy.ndim - own + rank + axis
        count = math.prod(ids.shape[ids.ndim - ids_rank :])
        dy = dy.reshape((*dy.shape[:at], count, *dy.shape[at + ids_rank :]))
    dy, places, _ = _of_lines(np, dy, ids, along, rank, ids_rank, axis)
    lines = np.moveaxis(dy, axis, -1)
    places = np.moveaxis(places, axis, -1).reshape((-1, lines.shape[-1]))
    whole = np.zeros((len(places), size + 1), dy.dtype)  # the last column: what goes nowhere
    numbers = np.broadcast_to(np.arange(len(places))[:, None], places.shape)
    add_at(np, whole, (numbers, np.where(places < 0, size, places)), lines.reshape(places.shape))
    return np.moveaxis(whole[:, :size].reshape((*lines.shape[:-1], size)), -1, axis)


def _attributes_of_lines(whole: Shape, ids: Shape, attrs: Mapping[str, Any]) -> PickAttributes:
    axis, along = attrs.get("axis", -1), attrs["along"]
    count = ids[axis] if along else size_of(ids)
    return PickAttributes(*lines_along(whole, axis), count=count, along=along)


def _put(dy: Any, ids: Any, size: int, attrs: Mapping[str, Any]) -> Any:
    return apply(PUT_ELEMENTS, dy, ids, size=size, **attrs)


PICK_ELEMENTS: OpDef = define(
    "pick_elements",
    arity=2,
    infer=_infer_pick,
    operands=(Operand.FLOAT, Operand.IDS),
    ids_within=-1,
    zero_with=(0,),
    attributes=lambda shapes, out, attrs: _attributes_of_lines(shapes[0], shapes[1], attrs),
    vjp=lambda dy, y, x, ids, **attrs: (
        _put(dy, ids, x.shape[attrs.get("axis", -1)], attrs),
        None,
    ),
    reference=_reference_pick,
)
PUT_ELEMENTS: OpDef = define(
    "put_elements",
    arity=2,
    infer=_infer_put,
    operands=(Operand.FLOAT, Operand.IDS),
    zero_with=(0,),
    flops=lambda shapes, out: size_of(shapes[0]),
    attributes=lambda shapes, out, attrs: _attributes_of_lines(out, shapes[1], attrs),
    vjp=lambda d, y, dy, ids, *, size, **attrs: (apply(PICK_ELEMENTS, d, ids, **attrs), None),
    reference=_reference_put,
)


def cumsum(x: Applies[R], axis: int = -1) -> R:
    """Running sums along one feature axis, by default the last.

    Raises ShapeError for an axis that is not there.
    """
    return apply_to(CUMSUM, x, **of_axis(axis_from_end("cumsum", x, axis)))


_WHOLE = object()


def _argsort(component: str, x: Any, axis: Any, count: Any, descending: bool) -> tuple[Any, int]:
    at = axis_from_end(component, x, axis)
    size = shape_of(component, x)[at]
    if size < 1:
        raise ShapeError(
            f"[{component}] expected at least one element, got shape {x.shape} over axis {axis}; "
            "leave it out"
        )
    count = size if count is _WHOLE else integer(component, "k", count, 1, size, ShapeError)
    attrs = {"descending": True} if descending else {}
    return apply(ARGSORT, x, count=count, **attrs, **of_axis(at)), at


def argmax(x: Applies[R], axis: int = -1) -> R:
    """The place of the greatest element along one feature axis, which goes, as int32: of equal ones
    the first, and of a NaN. No gradient flows.

    Raises ShapeError for an axis that is not there, or has no element.
    """
    places, at = _argsort("argmax", x, axis, 1, descending=True)
    y: R = reshape(places, without_axis(places.shape, at))
    return y


def argsort(x: Applies[R], axis: int = -1, descending: bool = False) -> R:
    """The places of the elements along one feature axis in ascending order, as int32: equal ones as
    they stand, NaN as the greatest. No gradient flows.

    Raises ShapeError for an axis that is not there, or has no element.
    """
    boolean("argsort", "descending", descending)
    y: R = _argsort("argsort", x, axis, _WHOLE, descending)[0]
    return y


def sort(x: Applies[R], axis: int = -1, descending: bool = False) -> R:
    """The elements along one feature axis in ascending order, NaN as the greatest.

    The gradient of an element goes to where it was.

    Raises ShapeError for an axis that is not there, or has no element.
    """
    boolean("sort", "descending", descending)
    places, at = _argsort("sort", x, axis, _WHOLE, descending)
    y: R = _along(x, places, at)
    return y


def top_k(x: Applies[R], k: int, axis: int = -1) -> tuple[R, R]:
    """The `k` greatest elements along one feature axis, in descending order, and their places.

    Shapes: x (..., n) -> (..., k) twice, the second int32. The gradient of an element goes to where
    it was.

    Raises ShapeError where the axis is not there, or has fewer than `k` elements.
    """
    places, at = _argsort("top_k", x, axis, k, descending=True)
    return _along(x, places, at), places


def _along(x: Any, ids: Any, axis: int) -> Any:
    ranks = (len(x.shape), len(x.shape))
    return apply(PICK_ELEMENTS, x, ids, along=True, ranks=ranks, **of_axis(axis))


@overload
def take(x: Symbolic[R], ids: Any, axis: int = -1) -> R: ...
@overload
def take(x: Any, ids: Symbolic[R], axis: int = -1) -> R: ...
@overload
def take(x: Applies[R], ids: Any, axis: int = -1) -> R: ...
@overload
def take(x: Any, ids: Applies[R], axis: int = -1) -> R: ...
def take(x: Any, ids: Any, axis: int = -1) -> Any:
    """The elements of `x` along one feature axis that the ids number, as NumPy's ``take``; zeros,
    with no gradient, where an id is -1.

    Shapes: x (..., n, ...), ids (k,) int32 in -1..n-1 -> (..., k, ...); ids of any shape, or one
    for each vertex, give their shape in place of the axis. The gradient of a parameter is as large
    as the parameter for each row: look up rows of a large table by :func:`embedding`.

    Raises:
        ShapeError: the axis is not there; DTypeError: the ids are not int32; InputError: an id is
            out of range.
    """
    ids = makers.ids("take", ids)
    at = axis_from_end("take", x, axis)
    ranks = (len(x.shape), len(shape_of("take", ids)))
    return apply(PICK_ELEMENTS, x, ids, along=False, ranks=ranks, **of_axis(at))


def picked(x: Any, ids: Any) -> Any:
    """The element of the last axis of `x` that each id names; ids have the shape before it."""
    return reshape(_along(x, reshape(ids, (*ids.shape, 1)), -1), ids.shape)
