"""Attention over children without rows for edges: a pass puts these operations in the place of
those that :func:`cavs.ops.attention` is made of.

Keys and values are read at the rows of the children themselves. The result has the means of all
heads and, behind them, for each head the logarithm of its sum of exponentials, from which the
gradient makes the weights again. The gradient has rows of three kinds: by the query and, behind it,
by position; by keys and, behind them, values; by bias.

Dropout sets weights to zero, and leaves the others as they are: what they are scaled by is a factor
of the result. The gradient drops the same weights, by numbers that it draws again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cavs.core.attributes import AttentionAttributes
from cavs.core.ops._def import OpDef, Shape, apply, define, size_of
from cavs.core.ops._spaces import rows_given
from cavs.core.ops.shape import reshape, slice_last

_EXPONENTIAL = 15  # FLOPs, as of a softmax
_NUMBERS = 2**24  # that are drawn
_GIVEN = 2  # operands of the gradient before those of the operation: its cotangent and result


def _infer(q: Shape, k: Shape, v: Shape, *_: Shape, heads: int, **__: Any) -> Shape:
    return (size_of(v) + heads,)


def _by_query(dy: Shape, y: Shape, q: Shape, *rest: Shape, position: bool, **_: Any) -> Shape:
    return (size_of(q) + (size_of(rest[2]) if position else 0),)


def _by_children(dy: Shape, y: Shape, q: Shape, k: Shape, v: Shape, *_: Shape, **__: Any) -> Shape:
    return (size_of(k) + size_of(v),)


def _by_bias(*shapes: Shape, **_: Any) -> Shape:
    return shapes[-1]


def flops_of_edge(told: AttentionAttributes) -> int:
    """FLOPs of an edge in a kernel: scores, a product with values, or how the loss changes with a
    weight, and a product for each gradient."""
    both = told.size + told.values
    products = both + told.query * told.size + told.children * both
    return told.heads * (2 * products + _EXPONENTIAL)


def _vjp(dy: Any, y: Any, q: Any, k: Any, v: Any, *rest: Any, **attrs: Any) -> tuple[Any, ...]:
    # Nothing but the gradient reads the logarithms, and takes them for functions of its operands.
    operands = (slice_last(dy, 0, size_of(v.shape)), y, q, k, v, *rest)

    def part(row: Any, start: int, like: Any) -> Any:
        return reshape(slice_last(row, start, start + size_of(like.shape)), like.shape)

    by_query = apply(ATTENTION_GRAD_QUERY, *operands, **attrs)
    by_children = apply(ATTENTION_GRAD_CHILDREN, *operands, **{**attrs, "to": k.space})
    found = [part(by_query, 0, q), part(by_children, 0, k), part(by_children, size_of(k.shape), v)]
    if attrs["position"]:
        found.append(part(by_query, size_of(q.shape), rest[0]))
    if attrs["bias"]:
        by_bias = apply(ATTENTION_GRAD_BIAS, *operands, **{**attrs, "to": attrs["edges"]})
        found.append(reshape(by_bias, rest[-1].shape))
    return tuple(found)


def attributes_of(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> AttentionAttributes:
    """What the kernel is told; `shapes`: of q, k, v and what is added to scores."""
    heads, sizes = attrs["heads"], [size_of(shape) for shape in shapes]
    positions = sizes[3] // heads if attrs["position"] else 0
    biases = sizes[-1] if attrs["bias"] else 0
    rate, key = attrs["dropout"] or (0.0, 0)
    return AttentionAttributes(
        heads,
        sizes[0] // heads,
        sizes[2] // heads,
        positions,
        biases,
        zeroed=math.ceil(rate * _NUMBERS),
        key=key,
    )


ATTENTION = define(
    "attention",
    arity=-1,
    infer=_infer,
    flops_of=lambda shapes, out, attrs: flops_of_edge(attributes_of(shapes, attrs)),
    space=rows_given,
    over_graphs=True,
    vjp=_vjp,
    attributes=lambda shapes, out, attrs: attributes_of(shapes, attrs),
)
_OF_GRADIENT: dict[str, Any] = {
    "arity": -1,
    "space": rows_given,
    "over_graphs": True,
    "attributes": lambda shapes, out, attrs: attributes_of(shapes[_GIVEN:], attrs),
}
ATTENTION_GRAD_QUERY: OpDef = define("attention_grad_query", infer=_by_query, **_OF_GRADIENT)
ATTENTION_GRAD_CHILDREN: OpDef = define(
    "attention_grad_children", infer=_by_children, **_OF_GRADIENT
)
ATTENTION_GRAD_BIAS: OpDef = define("attention_grad_bias", infer=_by_bias, **_OF_GRADIENT)
ATTENTION_GRADIENTS = (ATTENTION_GRAD_QUERY, ATTENTION_GRAD_CHILDREN, ATTENTION_GRAD_BIAS)
"""In the order in which the kernel that computes them writes them."""
