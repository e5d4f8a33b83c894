"""Attention over children within levels: keys and values are states of the levels before.

The pass ``fuse_attention`` puts :data:`LEVEL_ATTENTION` in the place of operations on edges where
keys and values wait for levels. Its operands are what is gathered, of which no edge has a row. The
result is that of :data:`~cavs.core.ops.attention_rows.ATTENTION`. The gradient has three parts. The
vertex computes that of the query with, behind it, position scores, and that of the biases. Each
child adds up that of its key and value over its parents: there autodiff has a value of edges,
:data:`LEVEL_ATTENTION_EDGES`, that no program computes, and the pass ``read_parents`` puts
:data:`LEVEL_ATTENTION_CHILDREN` in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cavs.core.attributes import AttentionAttributes
from cavs.core.ops._def import Between, OpDef, Shape, apply, define, size_of
from cavs.core.ops._spaces import rows_given
from cavs.core.ops.attention_rows import ATTENTION_GRADIENTS, flops_of_edge
from cavs.core.ops.shape import reshape, slice_last

KEYS, VALUES = 1, 2
"""Numbers of the operands."""


def _infer(*_: Shape, heads: int, values: int, **__: Any) -> Shape:
    return (heads * (values + 1),)


def _by_query(*shapes: Shape, heads: int, size: int, position: bool, **_: Any) -> Shape:
    return (heads * size + (size_of(shapes[5]) if position else 0),)


def _by_children(*_: Shape, heads: int, size: int, values: int, **__: Any) -> Shape:
    return (heads * (size + values),)


def _by_bias(*shapes: Shape, **_: Any) -> Shape:
    return shapes[-1]


def _by_edges(*shapes: Shape, operand: int, **_: Any) -> Shape:
    return shapes[2 + operand]


def _vjp(dy: Any, y: Any, q: Any, k: Any, v: Any, *rest: Any, **attrs: Any) -> tuple[Any, ...]:
    # Nothing but the gradient reads the logarithms behind the means.
    operands = (slice_last(dy, 0, attrs["heads"] * attrs["values"]), y, q, k, v, *rest)
    on_edges = {**attrs, "to": attrs["edges"]}
    by_query = apply(LEVEL_ATTENTION_QUERY, *operands, **attrs)

    def of_query(start: int, like: Any) -> Any:
        return reshape(slice_last(by_query, start, start + size_of(like.shape)), like.shape)

    found = [of_query(0, q)]
    found += [
        apply(LEVEL_ATTENTION_EDGES, *operands, **on_edges, operand=operand)
        for operand in (KEYS, VALUES)
    ]
    if attrs["position"]:
        found.append(of_query(size_of(q.shape), rest[0]))
    if attrs["bias"]:
        found.append(apply(LEVEL_ATTENTION_BIAS, *operands, **on_edges))
    return tuple(found)


def level_attributes(node_shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> AttentionAttributes:
    """What the kernels are told; `node_shapes`: of all operands."""
    positions = 0
    if attrs["position"]:
        place = len(node_shapes) - 1 - bool(attrs["bias"])
        positions = size_of(node_shapes[place]) // attrs["heads"]
    biases = size_of(node_shapes[-1]) if attrs["bias"] else 0
    return AttentionAttributes(attrs["heads"], attrs["size"], attrs["values"], positions, biases)


def _of_children(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> AttentionAttributes:
    return replace(level_attributes(shapes, attrs), children=True)


_OF_CHILDREN: dict[str, Any] = {
    "arity": -1,
    "space": rows_given,
    "rows_apart": True,
    "reduces": Between.CHILDREN,
    "attributes": lambda shapes, out, attrs: level_attributes(shapes, attrs),
}
_OF_EDGES: dict[str, Any] = {
    "arity": -1,
    "space": rows_given,
    "rows_apart": True,
    "mixes_edges": True,
}

LEVEL_ATTENTION = define(
    "level_attention",
    infer=_infer,
    flops_of=lambda shapes, out, attrs: flops_of_edge(level_attributes(shapes, attrs)),
    vjp=_vjp,
    **_OF_CHILDREN,
)
LEVEL_ATTENTION_QUERY: OpDef = define("level_attention_query", infer=_by_query, **_OF_CHILDREN)
LEVEL_ATTENTION_BIAS: OpDef = define(
    "level_attention_bias",
    infer=_by_bias,
    attributes=lambda shapes, out, attrs: level_attributes(shapes, attrs),
    **_OF_EDGES,
)
LEVEL_ATTENTION_EDGES: OpDef = define("level_attention_edges", infer=_by_edges, **_OF_EDGES)
LEVEL_ATTENTION_CHILDREN: OpDef = define(
    "level_attention_children",
    infer=_by_children,
    flops_of=lambda shapes, out, attrs: flops_of_edge(_of_children(shapes, attrs)),
    **{**_OF_CHILDREN, "attributes": lambda shapes, out, attrs: _of_children(shapes, attrs)},
)
LEVEL_ATTENTIONS = (
    LEVEL_ATTENTION,
    LEVEL_ATTENTION_QUERY,
    LEVEL_ATTENTION_BIAS,
    LEVEL_ATTENTION_CHILDREN,
)
"""Those that read states where children scattered them."""
GRADIENTS_OF_ATTENTION = (*ATTENTION_GRADIENTS, LEVEL_ATTENTION_QUERY, LEVEL_ATTENTION_BIAS)
"""Those of one attention that one kernel computes, in the order in which it writes them."""
