"""Losses, of elements and with integer targets, and what ids look up or pick."""

from __future__ import annotations

import math
from typing import Any, overload

from cavs._arguments import integer, shown
from cavs.core.attributes import EmbeddingAttributes
from cavs.core.ops._def import (
    Between,
    OpDef,
    Operand,
    Shape,
    apply,
    define,
    per_element,
    shape_of,
    size_of,
)
from cavs.core.ops._formulas import add_at, reference_bce_with_logits
from cavs.core.ops._holding import makers
from cavs.core.ops._protocols import Applies, R, Symbolic, binary
from cavs.core.ops._spaces import SpaceKind, rows
from cavs.core.ops.elementwise import abs as abs_
from cavs.core.ops.elementwise import equal, greater, row, sigmoid, where
from cavs.core.ops.lines import picked, take
from cavs.core.ops.reduce import reference_log_softmax, reference_softmax, softmax, sum
from cavs.core.ops.shape import reshape
from cavs.errors import DTypeError, ShapeError, TraceError


def _bce_with_logits_vjp(dy: Any, y: Any, x: Any, t: Any) -> tuple[Any, Any]:
    # The loss of an infinite logit is 0, or infinite and without a gradient.
    certain = equal(abs_(x), math.inf)
    return where(certain, 0.0, dy * (sigmoid(x) - t)), where(certain, 0.0, -dy * x)


def _infer_cross_entropy(logits: Shape, label: Shape) -> Shape:
    if len(logits) != 1 or label != ():
        raise ShapeError(
            "[cross_entropy] expected logits of shape (classes,) and a scalar label, got "
            f"{logits} and {label}; reshape them"
        )
    return ()


def _reference_cross_entropy(np: Any, logits: Any, label: Any) -> Any:
    loss = -_picked(np, reference_log_softmax(np, logits), label)
    return np.where(label >= 0, loss, np.zeros((), logits.dtype))


def _reference_cross_entropy_grad(np: Any, dy: Any, logits: Any, label: Any) -> Any:
    onehot = np.arange(logits.shape[-1]) == label[..., None]
    grad = dy[..., None] * (reference_softmax(np, logits) - onehot)
    # An impossible label, whose loss is infinite, gives no gradient.
    impossible = _picked(np, reference_log_softmax(np, logits), label) == -np.inf
    return np.where(((label < 0) | impossible)[..., None], 0, grad).astype(logits.dtype)


def _picked(np: Any, values: Any, label: Any) -> Any:
    """The element of each row at the position of the label."""
    # Either may have no rows.
    rows = max(np.shape(label), values.shape[:-1], key=len)
    values, label = np.broadcast_to(values, (*rows, values.shape[-1])), np.broadcast_to(label, rows)
    return np.take_along_axis(values, np.maximum(label, 0)[..., None], axis=-1)[..., 0]


def _infer_embedding(weight: Shape, ids: Shape) -> Shape:
    if len(weight) != 2 or ids != ():
        raise ShapeError(
            f"[embedding] expected a weight of shape (num, size) and scalar ids, got {weight} and "
            f"{ids}; reshape them"
        )
    return weight[1:]


def _reference_embedding(np: Any, weight: Any, ids: Any) -> Any:
    rows = weight[np.maximum(ids, 0)]
    return np.where((ids >= 0)[..., None], rows, np.zeros((), weight.dtype))


def _reference_embedding_grad(np: Any, dy: Any, ids: Any, *, num: int) -> Any:
    grad = np.zeros((num, dy.shape[-1]), dy.dtype)
    flat, rows = np.ravel(ids), dy.reshape(-1, dy.shape[-1])
    add_at(np, grad, flat[flat >= 0], rows[flat >= 0])
    return grad


def _cross_entropy_grad_vjp(dx: Any, dy: Any, logits: Any, label: Any) -> tuple[Any, Any, None]:
    # It is dy (p - one_hot(label)): linear in dy; by the logits (diag(p) - p p') dy, but zeros
    # where there is no label.
    p = softmax(logits)
    slope = apply(CROSS_ENTROPY_GRAD, equal(dy, dy), logits, label)
    some = apply(CROSS_ENTROPY, equal(logits, logits), label)  # 0 where there is no label
    factor = dy * greater(some, 0.0)
    centred = p * (dx - sum(p * dx, axis=-1, keepdims=True))
    return sum(dx * slope, axis=-1), centred * reshape(factor, (*factor.shape, 1)), None


BCE_WITH_LOGITS = row(
    "bce_with_logits",
    2,
    22,
    _bce_with_logits_vjp,
    reference_bce_with_logits,
)
SQUARED_ERROR = row(
    "squared_error",
    2,
    2,
    lambda dy, y, a, b: (dy * 2.0 * (a - b), dy * 2.0 * (b - a)),
    lambda np, a, b: (a - b) * (a - b),
)
CROSS_ENTROPY = define(
    "cross_entropy",
    arity=2,
    infer=_infer_cross_entropy,
    operands=(Operand.FLOAT, Operand.IDS),
    ids_within=-1,
    ranks=(1, 0),
    zero_without=1,
    flops=lambda shapes, out: 12 * size_of(shapes[0]),
    vjp=lambda dy, y, logits, label: (
        apply(CROSS_ENTROPY_GRAD, dy, logits, label),
        None,
    ),
    reference=_reference_cross_entropy,
)
CROSS_ENTROPY_GRAD: OpDef = define(
    "cross_entropy_grad",
    arity=3,
    infer=lambda dy, logits, label: logits,
    operands=(Operand.FLOAT, Operand.FLOAT, Operand.IDS),
    ranks=(0, 1, 0),
    zero_with=(0,),
    zero_without=2,
    flops=per_element(14),
    vjp=lambda dx, y, dy, logits, label: _cross_entropy_grad_vjp(dx, dy, logits, label),
    reference=_reference_cross_entropy_grad,
)
EMBEDDING = define(
    "embedding",
    arity=2,
    infer=_infer_embedding,
    operands=(Operand.FLOAT, Operand.IDS),
    ids_within=0,
    ranks=(None, 0),
    zero_without=1,
    attributes=lambda shapes, out, attrs: EmbeddingAttributes(*shapes[0]),
    vjp=lambda dy, y, weight, ids: (
        apply(EMBEDDING_GRAD, dy, ids, num=weight.shape[0]),
        None,
    ),
    reference=_reference_embedding,
)
EMBEDDING_GRAD: OpDef = define(
    "embedding_grad",
    arity=2,
    infer=lambda dy, ids, *, num: (num, dy[0]),
    operands=(Operand.FLOAT, Operand.IDS),
    flops=lambda shapes, out: size_of(shapes[0]),
    space=rows(SpaceKind.NONE),
    reduces=Between.ALL,
    zero_without=1,
    vjp=lambda d, y, dy, ids, *, num: (apply(EMBEDDING, d, ids), None),
    reference=_reference_embedding_grad,
)


@overload
def cross_entropy(logits: Symbolic[R], label: Any) -> R: ...
@overload
def cross_entropy(logits: Any, label: Symbolic[R]) -> R: ...
@overload
def cross_entropy(logits: Applies[R], label: Any) -> R: ...
@overload
def cross_entropy(logits: Any, label: Applies[R]) -> R: ...
def cross_entropy(logits: Any, label: Any) -> Any:
    """-log softmax(logits)[label]; 0, with no gradient, where the label is -1.

    +inf, with no gradient either, where the label is impossible: its logit is -inf, or another
    logit is +inf and its own is not.

    Shapes: logits (classes,), label () int32 in -1..classes-1 -> ().
    """
    return apply(CROSS_ENTROPY, logits, label)


@overload
def embedding(weight: Symbolic[R], ids: Any) -> R: ...
@overload
def embedding(weight: Any, ids: Symbolic[R]) -> R: ...
@overload
def embedding(weight: Applies[R], ids: Any) -> R: ...
@overload
def embedding(weight: Any, ids: Applies[R]) -> R: ...
def embedding(weight: Any, ids: Any) -> Any:
    """Row `ids` of `weight`; zeros where the id is -1.

    Shapes: weight (num, size), ids () int32 in -1..num-1 -> (size,). Gradient row-sparse.
    """
    return apply(EMBEDDING, weight, ids)


@overload
def binary_cross_entropy_with_logits(logits: Symbolic[R], targets: Any) -> R: ...
@overload
def binary_cross_entropy_with_logits(logits: Any, targets: Symbolic[R]) -> R: ...
@overload
def binary_cross_entropy_with_logits(logits: Applies[R], targets: Any) -> R: ...
@overload
def binary_cross_entropy_with_logits(logits: Any, targets: Applies[R]) -> R: ...
def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Any:
    """Elementwise -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)), without overflow.

    An infinite logit gives 0 for the target that it makes certain, else +inf; its gradient is 0.
    """
    return apply(BCE_WITH_LOGITS, logits, targets)


@binary
def squared_error(a: Any, b: Any) -> Any:
    """Elementwise (a - b) ** 2."""
    return apply(SQUARED_ERROR, a, b)


_COUNTED = 2**24  # how far float32 counts exactly


@overload
def one_hot(ids: Symbolic[R], size: int) -> R: ...
@overload
def one_hot(ids: Applies[R], size: int) -> R: ...
def one_hot(ids: Any, size: int) -> Any:
    """1.0 at the place of the id, else 0.0; zeros where the id is -1; no gradient.

    Shapes: ids (...) int32 in -1..size-1 -> (..., size), of tensors float32.

    Raises:
        ShapeError: `size` is not in 1..2**24; DTypeError: `ids` are not int32; InputError: an id is
            out of range.
    """
    ids = makers.ids("one_hot", ids)
    return _found("one_hot", ids, ids, integer("one_hot", "size", size, 1, _COUNTED, ShapeError))


@overload
def pick(x: Symbolic[R], ids: Any) -> R: ...
@overload
def pick(x: Any, ids: Symbolic[R]) -> R: ...
@overload
def pick(x: Applies[R], ids: Any) -> R: ...
@overload
def pick(x: Any, ids: Applies[R]) -> R: ...
def pick(x: Any, ids: Any) -> Any:
    """Element `ids` of the last axis of `x`, as ``torch.gather`` and ``x[arange, ids]`` pick; 0,
    with no gradient, where the id is -1.

    Shapes: x (..., n), ids (...) int32 in -1..n-1 -> (...); in a vertex function ids may be (), one
    for all of a row.

    Raises:
        ShapeError: `x` has no axis, more than 2**24 elements along it, or other axes than `ids`
            before it; DTypeError: `ids` are not int32; InputError: an id is out of
            range.
    """
    shape = shape_of("pick", x)
    if not shape or not 1 <= shape[-1] <= _COUNTED:
        raise ShapeError(
            f"[pick] expected a last axis of 1..{_COUNTED} elements, got shape {shape}; pick from "
            "a vector"
        )
    ids = makers.ids("pick", ids)
    among = shape_of("pick", ids)
    symbol = hasattr(ids, "__cavs_symbol__")
    if among != shape[:-1] and (among or not symbol):
        raise ShapeError(
            f"[pick] expected ids of shape {shape[:-1]} for a value of shape {shape}, got {among}; "
            "pass one for each row"
        )
    if among and symbol:
        return picked(x, ids)
    return sum(where(_found("pick", x, ids, shape[-1]), x, 0.0), axis=-1)


def _found(component: str, x: Any, ids: Any, size: int) -> Any:
    """1.0 where the number 0..size-1 of the last axis is the id; of the world of `x` and `ids`."""
    dtype = getattr(ids, "dtype", None)
    if dtype != "int32":
        raise DTypeError(
            f"[{component}] expected ids of dtype int32, got {dtype or shown(ids)}; pull them as "
            "int32, or take one element by x[i]"
        )
    world = max(type(x), type(ids), key=lambda kind: getattr(kind, "__cavs_priority__", 0))
    if not hasattr(world, "__cavs_count__"):
        raise TraceError(
            f"[{component}] expected a vertex value or a cavs.Tensor, got {shown(ids)}; wrap "
            "arrays in cavs.Tensor"
        )
    # Numbers from 1 on, since the id -1 finds 0.
    numbers = world.__cavs_count__(size, x)
    if ids.shape and hasattr(ids, "__cavs_symbol__"):
        return equal(numbers, reshape(take(numbers, ids), (*ids.shape, 1)))
    return equal(numbers, embedding(reshape(numbers, (size, 1)), ids))
