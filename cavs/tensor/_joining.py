"""Tensors put together along any axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs._arguments import integer, items
from cavs.core.ir import Node
from cavs.core.ops.shape import CONCAT, reshape
from cavs.core.tracing import tracing
from cavs.errors import InputError, ShapeError, TraceError
from cavs.tensor._evaluate import evaluate
from cavs.tensor._tensor import Tensor


def concat(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors one after the other along an axis they have; rows by default.

    Args:
        tensors: one or more, alike in dtype and in all axes but this one: shapes (n_i, ...) give
            (sum of n_i, ...). Arrays among them, and nested lists of numbers, which take the dtype
            of the others, are constants.
        axis: counted from the end where negative.

    Returns:
        A new tensor, through which gradients flow to each part.

    Raises:
        ShapeError: other axes differ, or the axis is not there. DTypeError: several dtypes.
        InputError: nothing to join. TraceError: in a vertex function, where ``cavs.ops.concat``
            joins features.
    """
    parts = _parts("concat", tensors)
    ndim = len(parts[0].shape)
    if ndim == 0:
        raise ShapeError(
            "[concat] expected tensors with at least one axis, got a number; use cavs.stack"
        )
    at = integer("concat", "axis", axis, -ndim, ndim - 1, ShapeError) % ndim
    return evaluate(Tensor, CONCAT, parts, {"axis": at})


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors one after the other along a new axis; as rows by default.

    Args:
        tensors: n, one or more, of one shape and dtype: shapes (...) give (n, ...). Numbers, arrays
            and nested lists among them are constants; numbers and lists take the dtype of the
            others.
        axis: where the new axis stands in the result, counted from its end where negative.

    Returns:
        A new tensor, through which gradients flow to each part.

    Raises:
        ShapeError: shapes differ, or the axis is not there. DTypeError: several dtypes. InputError:
            nothing to join. TraceError: in a vertex function.
    """
    parts = _parts("stack", tensors)
    shapes = [x.shape for x in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(f"[stack] expected tensors of one shape, got {shapes}; reshape them")
    ndim = len(shapes[0]) + 1
    at = integer("stack", "axis", axis, -ndim, ndim - 1, ShapeError) % ndim
    longer = (*shapes[0][:at], 1, *shapes[0][at:])
    return evaluate(Tensor, CONCAT, [reshape(x, longer) for x in parts], {"axis": at})


def _parts(component: str, given: Any) -> list[Tensor]:
    """The tensors to join; constants as tensors."""
    found = items(component, "tensors", given, object, "tensors")
    if not found:
        raise InputError(f"[{component}] expected at least one tensor, got none; pass some")
    for x in found:
        learns = getattr(x, "__cavs_parameter__", False)
        if isinstance(x, Node) or (tracing() and learns):
            raise TraceError(
                f"[{component}] expected tensors, got a value of a vertex function; join features "
                "by cavs.ops.concat"
            )
    first = next((x for x in found if isinstance(x, Tensor)), None)
    return [x if isinstance(x, Tensor) else _constant(x, first) for x in found]


def _constant(given: Any, like: Tensor | None) -> Tensor:
    """An array or numbers as a tensor to be joined with `like`, on its device."""
    plain = isinstance(given, (int, float, list, tuple))
    if like is None:
        return Tensor(given)
    return Tensor(given, like.dtype if plain else None).to(like.device)
