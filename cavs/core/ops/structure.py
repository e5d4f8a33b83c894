"""Operations between spaces of rows: a vertex and its children, a graph, the distinct ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cavs.core.attributes import FillAttributes
from cavs.core.ops._def import (
    OPS,
    Between,
    OpDef,
    Operand,
    Shape,
    SpaceKind,
    apply,
    define,
    per_element,
    rows,
    rows_given,
    rows_of_parents,
    size_of,
)
from cavs.core.ops._protocols import Applies, R, apply_to
from cavs.core.ops.elementwise import equal, maximum
from cavs.core.ops.reduce import finite_cotangent


def _same(shape: Shape, **_: Any) -> Shape:
    return shape


def _sum_cost(shapes: Sequence[Shape], out: Shape) -> int:
    return size_of(shapes[0])


def _source(name: str, **facts: Any) -> OpDef:
    """An operation without operands; its shape and space are given where it is made."""
    return define(name, arity=0, infer=lambda *, shape, **_: shape, is_source=True, **facts)


def _segment_max_vjp(dy: Any, y: Any, x: Any) -> tuple[Any]:
    # Equal maxima share the cotangent evenly. A vertex without children has no edge to give it to;
    # the maximum with 1 only keeps its division finite.
    mask = equal(x, spread(y, x))
    share = dy / maximum(segment_sum(mask), 1.0)
    return (mask * spread(share, x),)


PARAM = _source("param", recomputed=True)
CONSTANT = _source(
    "constant",
    recomputed=True,
    attributes=lambda shapes, out, attrs: FillAttributes(attrs["value"]),
)
PULL = _source("pull")
GATHER = _source("gather", is_index_load=True, without_children=0.0, recomputed=True)
# The operand only stands for the edges at hand, whose rows are the attribute `edges`; the symbol
# that is made has no operands.
NUM_CHILDREN = define(
    "num_children",
    arity=1,
    infer=lambda *_, **__: (),
    space=rows_of_parents,
    is_source=True,
    without_children=0.0,
    recomputed=True,
)
UNIQUE_IDS = _source("unique_ids", dtype="int32", recomputed=True)
# 1 where there is an id, 0 where it is -1.
PRESENT = define("present", arity=1, infer=lambda ids: (), operands=(Operand.IDS,))
REMEMBERED = _source("remembered")
PUSH_COTANGENT = _source("push_cotangent")
STATE_COTANGENT = _source(
    "state_cotangent", flops=per_element(1), reduces=Between.CHILDREN, is_sum=True
)

# What operations between rows have in common.
_OF_ROWS: dict[str, Any] = {"arity": 1, "infer": _same}
_INDEX_LOAD = {
    **_OF_ROWS,
    "operands": (Operand.EITHER,),
    "is_index_load": True,
    "zero_with": (0,),
    "recomputed": True,
}
_SUM = {**_OF_ROWS, "flops": _sum_cost, "is_sum": True}
_OF_CHILDREN: dict[str, Any] = {
    "space": rows_of_parents,
    "operand_space": SpaceKind.EDGE,
    "reduces": Between.CHILDREN,
}

SPREAD = define(
    "spread",
    **_INDEX_LOAD,
    space=rows_given,
    operand_space=SpaceKind.VERTEX,
    repeats=Between.CHILDREN,
    vjp=lambda dy, y, x, **_: (segment_sum(dy),),
)
SEGMENT_SUM = define(
    "segment_sum",
    **_SUM,
    **_OF_CHILDREN,
    zero_with=(0,),
    without_children=0.0,
    vjp=lambda dy, y, x: (spread(dy, x),),
)
SEGMENT_MAX = define(
    "segment_max",
    **_OF_ROWS,
    **_OF_CHILDREN,
    flops=_sum_cost,
    zero_with=(0,),
    without_children=0.0,
    vjp=_segment_max_vjp,
)
SEGMENT_LOGSUMEXP = define(
    "segment_logsumexp",
    **_OF_ROWS,
    **_OF_CHILDREN,
    flops=lambda shapes, out: 12 * size_of(shapes[0]),
    without_children=-math.inf,
    vjp=lambda dy, y, x: (segment_softmax(x) * spread(finite_cotangent(dy, y), x),),
)
SEGMENT_SOFTMAX = define(
    "segment_softmax",
    **_OF_ROWS,
    flops=per_element(15),
    operand_space=SpaceKind.EDGE,
    vjp=lambda dy, y, x: (y * (dy - spread(segment_sum(dy * y), x)),),
    mixes_edges=True,
)
GRAPH_SPREAD = define(
    "graph_spread",
    **_INDEX_LOAD,
    space=rows_given,
    repeats=Between.GRAPH,
    vjp=lambda dy, y, x, **_: (apply(GRAPH_SUM, dy),),
)
GRAPH_SUM: OpDef = define(
    "graph_sum", **_SUM, space=rows(SpaceKind.GRAPH), reduces=Between.GRAPH, zero_with=(0,)
)
# Between the distinct `rows` and rows that have the ids: the rows that the ids are counted among,
# or the distinct tuples that the ids are part of.
EXPAND = define(
    "expand",
    **_INDEX_LOAD,
    space=lambda spaces, attrs, parents: attrs["base"],
    repeats=Between.IDS,
    vjp=lambda dy, y, x, *, rows, base, **_: (apply(UNIQUE_SUM, dy, rows=rows, base=base),),
)
UNIQUE_SUM: OpDef = define(
    "unique_sum",
    **_SUM,
    space=lambda spaces, attrs, parents: attrs["rows"],
    reduces=Between.IDS,
    zero_with=(0,),
)
SLOTS_TO_EDGES = define(
    "slots_to_edges",
    arity=-1,
    infer=lambda *shapes, **_: shapes[0],
    space=rows_given,
    repeats=Between.CHILDREN,
)
# Rows of all its operands, each of which writes its own.
JOIN = define("join", arity=-1, infer=lambda *parts, **_: parts[-1], space=rows_given)
REDUCE_ROWS = define("reduce_rows", **_SUM, space=rows(SpaceKind.NONE), reduces=Between.ALL)


def spread(x: Any, edges: Any) -> Any:
    """A vertex value on each edge to a child of the vertex; `edges`: a value of these rows."""
    return apply(SPREAD, x, to=edges.space)


def segment_sum(x: Applies[R]) -> R:
    """Sum over the children of a vertex, of a value per edge; 0 without children."""
    return apply_to(SEGMENT_SUM, x)


def segment_mean(x: Applies[R]) -> R:
    """Mean over the children of a vertex; 0 without children."""
    y: R = apply(OPS["div"], segment_sum(x), maximum(apply(NUM_CHILDREN, x), 1.0))
    return y


def segment_max(x: Applies[R]) -> R:
    """Maximum over the children; 0 without children; equal maxima share the gradient evenly."""
    return apply_to(SEGMENT_MAX, x)


def segment_softmax(x: Applies[R]) -> R:
    """exp(x) / sum(exp(x)) over the children of a vertex, element by element, without overflow;
    infinities as in :func:`cavs.ops.softmax`."""
    return apply_to(SEGMENT_SOFTMAX, x)


def segment_logsumexp(x: Applies[R]) -> R:
    """log(sum(exp(x))) over the children of a vertex, element by element, without overflow.

    -inf without children and where all children are -inf, +inf where one is +inf; an infinite
    result gives no gradient.
    """
    return apply_to(SEGMENT_LOGSUMEXP, x)
