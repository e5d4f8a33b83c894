"""Losses, of elements and with integer targets, and embedding lookup."""

from __future__ import annotations

import math
from typing import Any, overload

from cavs.core.attributes import EmbeddingAttributes
from cavs.core.ops._def import (
    Between,
    OpDef,
    Operand,
    Shape,
    SpaceKind,
    apply,
    per_element,
    register,
    rows,
    size_of,
)
from cavs.core.ops._formulas import reference_bce_with_logits
from cavs.core.ops._protocols import Applies, R, Symbolic, binary
from cavs.core.ops.elementwise import abs as abs_
from cavs.core.ops.elementwise import equal, row, sigmoid, where
from cavs.core.ops.reduce import reference_log_softmax, reference_softmax
from cavs.errors import ShapeError


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


def _infer_cross_entropy_grad(dy: Shape, logits: Shape, label: Shape) -> Shape:
    return logits


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
    values = np.broadcast_to(values, (*np.shape(label), values.shape[-1]))  # may have no rows
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
    np.add.at(grad, flat[flat >= 0], rows[flat >= 0])
    return grad


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
CROSS_ENTROPY = register(
    OpDef(
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
)
CROSS_ENTROPY_GRAD: OpDef = register(
    OpDef(
        "cross_entropy_grad",
        arity=3,
        infer=_infer_cross_entropy_grad,
        operands=(Operand.FLOAT, Operand.FLOAT, Operand.IDS),
        ranks=(0, 1, 0),
        zero_with=(0,),
        zero_without=2,
        flops=per_element(14),
        reference=_reference_cross_entropy_grad,
    )
)
EMBEDDING = register(
    OpDef(
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
)
EMBEDDING_GRAD: OpDef = register(
    OpDef(
        "embedding_grad",
        arity=2,
        infer=lambda dy, ids, *, num: (num, dy[0]),
        operands=(Operand.FLOAT, Operand.IDS),
        flops=lambda shapes, out: size_of(shapes[0]),
        space=rows(SpaceKind.NONE),
        reduces=Between.ALL,
        zero_without=1,
        reference=_reference_embedding_grad,
    )
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
