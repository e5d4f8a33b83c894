"""Makes nodes of operations on symbols: converts and checks operands, and brings them to common
rows and shapes."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cavs._arguments import of_pytorch, shown
from cavs.core.constants import array_operand, ids_operand, is_of_ids
from cavs.core.ir import Node, ancestors, constant, param, source
from cavs.core.ops._def import OpDef, Operand, Shape
from cavs.core.ops._spaces import Rows, Space, SpaceKind, Typed, Unique, join_spaces
from cavs.core.ops.elementwise import IDENTITY
from cavs.core.ops.loss import EMBEDDING
from cavs.core.ops.mode import BY_MODE
from cavs.core.ops.random import DROPOUT_BY_ID, UNIFORM
from cavs.core.ops.shape import CONCAT, SLICE, broadcast, broadcast_shapes
from cavs.core.ops.structure import (
    CHILD_COLUMNS,
    CONSTANT,
    GRAPH_SPREAD,
    PARAM,
    PULL,
    REDUCE_ROWS,
    SPREAD,
)
from cavs.core.tracing import here, kind_of_parents, new_random_key
from cavs.core.vertex import is_buffer
from cavs.errors import DTypeError, InputError, ShapeError, TraceError

MOST_IN_ROW = 2**28
"""Elements of a value of one vertex, edge or graph that kernels can count."""


def make(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Node:
    """A checked node: operands converted, spread to common rows and broadcast to common shapes.

    Raises:
        TraceError, ShapeError, DTypeError, InputError: operands do not fit.
    """
    return _make(op, [_operand(x, op, i) for i, x in enumerate(operands)], dict(attrs))


def _make(op: OpDef, inputs: list[Node], attrs: dict[str, Any]) -> Node:
    _check_operands(op, inputs)
    if op.random and attrs.get("key") is None:
        return _make_random(op, inputs, attrs)
    if op.is_source:
        (x,) = inputs
        attrs["edges"] = x.space
        return Node(op, (), attrs, op.infer(x.shape), _rows_of(op, inputs, attrs))
    if op.over_graphs or op.rows_apart:
        shape = op.infer(*[x.shape for x in inputs], **attrs)
        return Node(op, inputs, attrs, shape, _rows_of(op, inputs, attrs))
    if op.operand_space is not None:
        (x,) = inputs
        if op is SPREAD and x.space in (SpaceKind.NONE, attrs["to"]):
            return x
        inputs = [_in_space(op, x, op.operand_space, attrs.get("to"))]
    elif op is REDUCE_ROWS and inputs[0].space == SpaceKind.NONE:
        return inputs[0]
    elif op is CHILD_COLUMNS and inputs[0].space == SpaceKind.GRAPH:
        inputs = [to_space(inputs[0], attrs["to"].of_kind(SpaceKind.VERTEX))]
    elif op is EMBEDDING or op is SLICE:
        _check_ids(op, inputs)
    rows = join_spaces([x.space for x in inputs])
    inputs = [to_space(x, rows) for x in inputs]
    if (op.elementwise or op is BY_MODE) and len({x.shape for x in inputs}) > 1:
        shape = broadcast_shapes([x.shape for x in inputs], op)
        inputs = [
            constant(x.attrs["value"], shape) if x.op is CONSTANT else broadcast(x, shape)
            for x in inputs
        ]
    elif op is CONCAT:
        inputs = _with_columns(inputs)
    shape = op.infer(*[x.shape for x in inputs], **attrs)
    _check_range(op, inputs, attrs)
    either = op.operands[0] is Operand.EITHER
    space = _rows_of(op, inputs, attrs)
    if math.prod(shape) > MOST_IN_ROW and space != SpaceKind.NONE:
        raise ShapeError(
            f"[{op.name}] expected at most {MOST_IN_ROW:,} elements in a row, got shape {shape}; "
            "make it smaller"
        )
    return Node(op, inputs, attrs, shape, space, inputs[0].dtype if either else None)


def _rows_of(op: OpDef, inputs: Sequence[Node], attrs: Mapping[str, Any]) -> Space:
    spaces = [x.space for x in inputs]
    parents = kind_of_parents(spaces[0]) if spaces else SpaceKind.VERTEX
    return op.space(spaces, attrs, parents)


def _with_columns(inputs: list[Node]) -> list[Node]:
    """The operands of a concatenation, of which numbers are columns: one element beside vectors."""
    column = next(((*x.shape[:-1], 1) for x in inputs if x.shape), ())
    return [
        constant(x.attrs["value"], column) if x.op is CONSTANT and not x.shape else x
        for x in inputs
    ]


def _check_range(op: OpDef, inputs: Sequence[Node], attrs: Mapping[str, Any]) -> None:
    """Ids that stand in F; those that are pulled are checked by each call."""
    if op.ids is None:
        return
    ids, count = inputs[op.ids], op.count_of_ids(inputs[0].shape, attrs)
    while ids.inputs and ids.inputs[0].dtype == "int32":
        ids = ids.inputs[0]
    if ids.op is not PARAM or count is None:
        return
    found = ids.attrs["parameter"].exact
    if found.size and found.max() >= count:
        raise InputError(
            f"[{op.name}] expected ids below {count}, as many as there are to choose from, got "
            f"{found.max()}; correct the array"
        )


_REMEDY_OF_FLOATS = "pull it as int32, or pass an array of integers"
_REMEDY_OF_IDS = (
    "pull it as float32, or look it up: ops.take(array, ids), ops.one_hot or an embedding"
)


def _check_operands(op: OpDef, inputs: Sequence[Node]) -> None:
    if op.arity >= 0 and len(inputs) != op.arity:
        raise TraceError(
            f"[{op.name}] expected {op.arity} operands, got {len(inputs)}; pass as many"
        )
    for position, x in enumerate(inputs):
        kind = op.operand(position)
        if kind is not Operand.EITHER and (kind is Operand.IDS) != (x.dtype == "int32"):
            raise DTypeError(
                f"[{op.name}] expected operand {position} of dtype {kind.value}, got {x.dtype}; "
                f"{_REMEDY_OF_FLOATS if kind is Operand.IDS else _REMEDY_OF_IDS}"
            )


def _check_ids(op: OpDef, inputs: Sequence[Node]) -> None:
    """Ids that are computed, or one of several, have no table of rows with one id; and only what
    stands together is cut out of them."""
    ids = inputs[-1]
    if op is SLICE and ids.dtype == "int32" and ids.size > ids.shape[-1]:
        raise ShapeError(
            f"[index] expected ids of one axis, got shape {ids.shape}; take whole rows, x[i], and "
            "pull what is read apart by names of its own"
        )
    if op is not EMBEDDING or inputs[0].op is not PARAM:
        return
    if ids.op is PARAM and not is_buffer(inputs[0].attrs["parameter"]):
        raise TraceError(
            "[embedding] expected ids as they are pulled, got an array; take rows of a parameter "
            "by ops.take(weight, ids, axis=0)"
        )
    while ids.op.is_index_load and ids.inputs:
        ids = ids.inputs[0]
    if ids.inputs and not is_buffer(inputs[0].attrs["parameter"]):
        raise TraceError(
            f"[embedding] expected ids as they are pulled, got those of {ids.op.name}; pull each "
            "by a name of its own, or use ops.take(weight, ids, axis=0)"
        )


def _make_random(op: OpDef, inputs: list[Node], attrs: dict[str, Any]) -> Node:
    """A new random operation, with a number of its own."""
    attrs["key"] = new_random_key()
    rows = join_spaces([x.space for x in inputs])
    if rows == SpaceKind.NONE and "by" not in attrs:
        raise ShapeError(
            f"[{op.name}] expected a value per vertex, edge or graph, got one without rows; "
            "add 0.0 * v.uniform() to it, and each vertex draws"
        )
    if op is UNIFORM:
        return source(UNIFORM, inputs[0].shape, rows, key=attrs["key"])
    if attrs.pop("by", "vertex") == "id":
        return _make(DROPOUT_BY_ID, [*inputs, *_ids_of(inputs[0])], attrs)
    return _make(op, inputs, attrs)


def _float(component: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InputError(
            f"[{component}] expected a number, got {shown(value)}; pass one that a float holds"
        ) from None


def _operand(value: Any, op: OpDef, position: int) -> Node:
    if isinstance(value, Node):
        return value
    if op.operand(position) is Operand.IDS and is_of_ids(value):
        return ids_operand(op.name, value)
    if type(value) is not bool and isinstance(value, numbers.Real):
        return constant(_float(op.name, value))
    if getattr(value, "__cavs_parameter__", False):
        return param(value)
    if isinstance(value, np.ndarray):
        return array_operand(op.name, value)
    whose = "PyTorch's " if of_pytorch(value) else ""
    raise TraceError(
        f"[{op.name}] expected a vertex value, a parameter, an array or a number, got {whose}"
        f"{type(value).__name__}; bring data that differs from vertex to vertex through v.pull, "
        "keep what is learned as cavs.Parameter(data), and pass what stays as an array of NumPy"
    )


def to_space(x: Node, space: Space) -> Node:
    """Repeats a coarser value on the rows of `space`; values without rows stay as they are."""
    if x.space == space or x.space == SpaceKind.NONE or isinstance(space, Unique):
        return x
    if x.space == SpaceKind.GRAPH:
        x = repeated(GRAPH_SPREAD, x, space.of_kind(SpaceKind.VERTEX))
    if space.kind is SpaceKind.EDGE and x.space.kind in (SpaceKind.VERTEX, SpaceKind.INNER):
        x = repeated(SPREAD, x, space)
    return x


def on_rows_of(x: Node, like: Node) -> Node:
    """`x` on the rows of another value, which are the same or finer."""
    if x.space == SpaceKind.NONE and like.space != SpaceKind.NONE:
        return Node(IDENTITY, (x,), {"to": like.space}, x.shape, like.space)
    return to_space(x, like.space)


def repeated(op: OpDef, x: Node, space: Space) -> Node:
    """The rows of a vertex on its edges, or of a graph on its vertices, which are `space`."""
    return Node(op, (x,), {"to": space}, x.shape, space, x.dtype)


def vertex_value(what: str, name: str, value: Any, shape: Shape, vertices: Rows) -> Node:
    """What a vertex scatters or pushes by this name: a float value for each of the `vertices`.

    What has no rows, such as a number, which is of `shape`, or a parameter, is the same for each.

    Raises:
        TraceError, DTypeError, InputError: it is none.
    """
    value = _value(what, value, shape)
    rows = (vertices, SpaceKind.GRAPH, SpaceKind.NONE)
    if not isinstance(value, Node) or value.space not in rows:
        given = f"one per {value.space.kind}" if isinstance(value, Node) else type(value).__name__
        remedy = "reduce it over the children first"
        if given != "one per edge":
            remedy = "compute it from what is pulled or gathered, or pass an array of NumPy"
        raise TraceError(
            f"[{what}] expected a value per vertex for {name!r}, got {given}; {remedy}"
        )
    _check_floats(what, name, value)
    if value.space == SpaceKind.NONE:
        return Node(IDENTITY, (value,), {}, value.shape, vertices)
    return to_space(value, vertices)


def batch_value(what: str, name: str, value: Any) -> Node:
    """What a function pushes without rows by this name.

    Raises:
        TraceError, InputError: it is none.
    """
    value = _value(what, value, ())
    if not isinstance(value, Node) or value.space != SpaceKind.NONE:
        given = f"one per {value.space.kind}" if isinstance(value, Node) else type(value).__name__
        raise TraceError(
            f"[{what}] expected a value without rows for {name!r}, got {given}; reduce it, as by "
            "x.batch_mean(), or push it by v.push"
        )
    return value


def _value(what: str, value: Any, shape: Shape) -> Any:
    """A number, of `shape`, a parameter or an array as a node; other values as they are."""
    if type(value) is not bool and isinstance(value, numbers.Real):
        return constant(_float(what, value), shape)
    if getattr(value, "__cavs_parameter__", False):
        return param(value)
    return array_operand(what, value) if isinstance(value, np.ndarray) else value


def _check_floats(what: str, name: str, value: Node) -> None:
    if value.dtype != "float":
        raise DTypeError(
            f"[{what}] expected a float value for {name!r}, got {value.dtype}; push "
            "ops.one_hot(ids, size), or what an embedding has of them"
        )


def _in_space(op: OpDef, x: Node, kind: SpaceKind, to: Space | None) -> Node:
    """`x` in the rows of the kind that `op` takes: inner vertices are vertices with children.
    `to`: the edges that it is repeated on, if it is."""
    if op is SPREAD:
        if x.space.kind is SpaceKind.INNER:
            return x
        if x.space == SpaceKind.GRAPH and to is not None and not isinstance(to, Unique):
            x = to_space(x, to.of_kind(kind))
    elif not isinstance(x.space, Typed) and not here.typed:  # else there may be several lists
        x = to_space(x, kind)
    if x.space.kind is not kind:
        raise ShapeError(
            f"[{op.name}] expected a value per {kind}, got one per {x.space.kind or x.space}; pass "
            "one of those rows"
        )
    return x


def _ids_of(x: Node) -> list[Node]:
    """The integer pulls that `x` is a function of, in order of their names.

    Raises TraceError where it depends on anything else that has rows, or on no pull.
    """
    ids: dict[str, Node] = {}
    for node in ancestors([x]):
        if node.op is PULL and node.dtype == "int32" and not node.shape:
            ids[node.attrs["name"]] = node
        elif node.space != SpaceKind.NONE and (not node.inputs or node.op.reads_other_rows):
            name = f" {node.attrs['name']!r}" if "name" in node.attrs else ""
            raise TraceError(
                "[dropout] expected a value of integer pulls and parameters alone with by='id', "
                "got one that depends on "
                f"{node.op.name}{name}{f', at {node.where}' if node.where else ''}; drop it "
                "by='vertex'"
            )
    if not ids:
        raise TraceError(
            "[dropout] expected a value of integer pulls with by='id', got one without any; drop "
            "it by='vertex'"
        )
    return [ids[name] for name in sorted(ids)]
