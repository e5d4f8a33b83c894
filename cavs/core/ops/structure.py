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
    apply,
    define,
    per_element,
    size_of,
)
from cavs.core.ops._protocols import Applies, R, apply_to
from cavs.core.ops._spaces import SpaceKind, rows, rows_given, rows_of_parents
from cavs.core.ops.elementwise import IDENTITY, equal, exp, maximum
from cavs.core.ops.reduce import finite_cotangent
from cavs.errors import ShapeError


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


def _segment_log_softmax_vjp(dy: Any, y: Any, x: Any) -> tuple[Any]:
    possible = finite_cotangent(dy, y)
    return (possible - exp(y) * spread(segment_sum(possible), x),)


def _graph_max_vjp(dy: Any, y: Any, x: Any) -> tuple[Any]:
    # Equal maxima share the cotangent evenly. A graph without vertices has no row to give it to.
    mask = equal(x, apply(GRAPH_SPREAD, y, to=x.space))
    share = dy / maximum(apply(GRAPH_SUM, mask), 1.0)
    return (mask * apply(GRAPH_SPREAD, share, to=x.space),)


def _max_rows_vjp(dy: Any, y: Any, x: Any) -> tuple[Any]:
    # Equal maxima share the cotangent evenly.
    mask = equal(x, _on_rows(y, x))
    share = dy / maximum(apply(REDUCE_ROWS, mask), 1.0)
    return (mask * _on_rows(share, x),)


def _on_rows(value: Any, like: Any) -> Any:
    """A value without rows, or a number, for each row of another value."""
    return like.__cavs_apply__(IDENTITY, (value,), {"to": like.space})


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
SEGMENT_LOG_SOFTMAX = define(
    "segment_log_softmax",
    **_OF_ROWS,
    flops=per_element(15),
    operand_space=SpaceKind.EDGE,
    vjp=_segment_log_softmax_vjp,
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
    "graph_sum",
    **_SUM,
    space=rows(SpaceKind.GRAPH),
    reduces=Between.GRAPH,
    zero_with=(0,),
    vjp=lambda dy, y, x: (apply(GRAPH_SPREAD, dy, to=x.space),),
)
GRAPH_MAX = define(
    "graph_max",
    **_OF_ROWS,
    flops=_sum_cost,
    space=rows(SpaceKind.GRAPH),
    reduces=Between.GRAPH,
    vjp=_graph_max_vjp,
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
# Of a matrix of a vertex one column for each child, the last one for the last child; and the
# columns of the children as a matrix, zeros where there are fewer children than columns.
CHILD_COLUMNS = define(
    "child_columns",
    arity=1,
    infer=lambda shape, **_: shape[:-1],
    space=rows_given,
    repeats=Between.CHILDREN,
    vjp=lambda dy, y, x, **_: (apply(CHILD_COLUMNS_GRAD, dy, count=x.shape[-1]),),
)
CHILD_COLUMNS_GRAD: OpDef = define(
    "child_columns_grad",
    arity=1,
    infer=lambda shape, *, count: (*shape, count),
    **_OF_CHILDREN,
    without_children=0.0,
    vjp=lambda d, _, dy, *, count: (apply(CHILD_COLUMNS, d, to=dy.space),),
)
# Rows of all its operands, each of which writes its own.
JOIN = define("join", arity=-1, infer=lambda *parts, **_: parts[-1], space=rows_given)
REDUCE_ROWS = define(
    "reduce_rows",
    **_SUM,
    space=rows(SpaceKind.NONE),
    reduces=Between.ALL,
    vjp=lambda dy, y, x: (_on_rows(dy, x),),
)
MAX_ROWS = define(
    "max_rows",
    **_OF_ROWS,
    flops=_sum_cost,
    space=rows(SpaceKind.NONE),
    reduces=Between.ALL,
    vjp=_max_rows_vjp,
)


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


def segment_log_softmax(x: Applies[R]) -> R:
    """x - log(sum(exp(x))) over the children of a vertex, element by element, without overflow: log
    of :func:`segment_softmax`; an element of -inf gives no gradient, as in
    :func:`cavs.ops.log_softmax`."""
    return apply_to(SEGMENT_LOG_SOFTMAX, x)


def segment_logsumexp(x: Applies[R]) -> R:
    """log(sum(exp(x))) over the children of a vertex, element by element, without overflow.

    -inf without children and where all children are -inf, +inf where one is +inf; an infinite
    result gives no gradient.
    """
    return apply_to(SEGMENT_LOGSUMEXP, x)


# Over the vertices of a graph, and over all rows of a batch


def graph_sum(x: Applies[R]) -> R:
    """Sum over the vertices of a graph, or over its edges, a value per graph; 0 without any.

    In a function of types it is over the vertices, or edges, of the type at hand.
    """
    y: R = apply(GRAPH_SUM, _of_vertices("graph_sum", x))
    return y


def graph_mean(x: Applies[R]) -> R:
    """Mean over the vertices of a graph, or over its edges, a value per graph; 0 without any."""
    value: Any = x
    of_edges = value.space.kind is SpaceKind.EDGE
    ones = apply(NUM_CHILDREN, x) if of_edges else _on_rows(1.0, value)
    y: R = apply(OPS["div"], graph_sum(x), maximum(apply(GRAPH_SUM, ones), 1.0))
    return y


def graph_max(x: Applies[R]) -> R:
    """Maximum over the vertices of a graph, a value per graph; equal maxima share the gradient
    evenly."""
    value: Any = x
    if value.space.kind is SpaceKind.EDGE:
        raise ShapeError(
            "[graph_max] expected a value per vertex, got one per edge; take the maximum over the "
            "children first, x.max()"
        )
    return apply_to(GRAPH_MAX, x)


def batch_sum(x: Applies[R]) -> R:
    """Sum over all rows of the batch, vertices, edges or graphs: a value without rows.

    In a function of types it is over the rows of the type at hand. The result depends on the other
    graphs of the batch.
    """
    y: R = apply(REDUCE_ROWS, _with_rows("batch_sum", x))
    return y


def batch_mean(x: Applies[R]) -> R:
    """Mean over all rows of the batch, a value without rows; 0 of none. See :func:`batch_sum`."""
    count: Any = batch_count(x)
    y: R = apply(OPS["div"], batch_sum(x), maximum(count, 1.0))
    return y


def batch_count(x: Applies[R]) -> R:
    """How many rows of the batch `x` has, a value without rows of shape (). See
    :func:`batch_sum`."""
    y: R = apply(REDUCE_ROWS, _on_rows(1.0, _with_rows("batch_count", x)))
    return y


def batch_max(x: Applies[R]) -> R:
    """Maximum over all rows of the batch, a value without rows; 0 of none; equal maxima share the
    gradient evenly. See :func:`batch_sum`."""
    y: R = apply(MAX_ROWS, _with_rows("batch_max", x))
    return y


def _of_vertices(name: str, x: Any) -> Any:
    """A sum over the children of an edge value; else the value, which must be of vertices."""
    if x.space.kind is SpaceKind.EDGE:
        return segment_sum(x)
    if x.space.kind is not SpaceKind.VERTEX:
        raise ShapeError(
            f"[{name}] expected a value per vertex or edge, got one per {x.space}; multiply it by "
            "a value of vertices first, if it is to count for each"
        )
    return x


def _with_rows(name: str, x: Any) -> Any:
    if x.space.kind is SpaceKind.NONE:
        raise ShapeError(
            f"[{name}] expected a value per vertex, edge or graph, got one without rows; multiply "
            "it by a value that has rows, if it is to count for each"
        )
    return x
