"""One operation as a row: its shape and row rules, cost, gradient, reference and facts.

The same row serves traced symbols (:class:`cavs.core.ir.Node`) and eager outer tensors
(:class:`cavs.tensor.Tensor`): :func:`apply` hands it to the class of the operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ParamSpec

import numpy as np

from cavs._arguments import shown
from cavs.core.attributes import Attributes, AxisAttributes
from cavs.core.ops._holding import makers
from cavs.core.ops._spaces import RowRule, SpaceKind, rows_of_operands
from cavs.errors import ShapeError, TraceError

_P = ParamSpec("_P")

Shape = tuple[int, ...]


class Operand(Enum):
    """The kind of an operand."""

    FLOAT = "float"
    IDS = "int32"
    """Ids or labels, -1 for none."""
    EITHER = "either"
    """Floats or ids; the result is of the operand's kind."""


class Between(Enum):
    """Coarse rows and the finer rows that belong to them, which an operation goes between."""

    CHILDREN = "children"
    """A vertex and the edges to its children, or a child and its parents."""
    GRAPH = "graph"
    """A graph and its vertices."""
    IDS = "ids"
    """Distinct ids and the rows that have them."""
    ALL = "all"
    """No rows, and all rows that there are."""


Fold = Callable[[Sequence[float], Sequence[Shape], Shape], "float | None"]
"""The number that all elements of a result are if each operand is one number throughout; None if
there is none. From the operands' numbers and shapes and the result's shape."""

AttributesRule = Callable[[Sequence[Shape], Shape, Mapping[str, Any]], Attributes]
"""The attributes of a kernel, from the operands' and the result's shapes and the operation's
attributes."""


def along_last_axis(
    shapes: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]
) -> AxisAttributes:
    """Attributes of a kernel that goes along the last axis of its last operand."""
    *outer, length = shapes[-1]
    return AxisAttributes(math.prod(outer), length)


def along_axis(shapes: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> AxisAttributes:
    """Attributes of a kernel that goes along the axis ``axis`` of its first operand, counted from
    the end, or the last one."""
    return AxisAttributes(*lines_along(shapes[0], attrs.get("axis", -1)))


def lines_along(shape: Shape, axis: int) -> tuple[int, int, int]:
    """How many elements a row has before an axis, along it, and behind it."""
    at = len(shape) + axis
    return math.prod(shape[:at]), shape[at], math.prod(shape[at + 1 :])


def no_operand(values: Sequence[float | None]) -> int | None:
    """The result equals no operand."""
    return None


@dataclass(frozen=True, eq=False)
class OpDef:
    """One row of the ops table: all that is known of an operation. Compared by identity.

    Attributes:
        name: name in the table, in printed programs, and of the native kernel where it has one.
        arity: number of operands, -1 for any.
        infer: gives the result's feature shape from the operands' feature shapes and the
            attributes; raises :class:`~cavs.errors.ShapeError`.
        reference: ``reference(np, *arrays, **attrs)`` in NumPy. Arrays carry any number of leading
            row axes before the feature axes; operands without rows carry none. None for operations
            that need a graph, which the executors define.
        vjp: ``vjp(dy, y, *operands, **attrs)`` gives a cotangent (or None) per operand. It uses
            the same operations, so it gives IR for symbols and eager arithmetic for tensors.
        elementwise: whether each element of the result depends on the same element of the operands
            alone, hence fusible; the native formula stands in scalar_ops.h.
        beyond_numpy: whether NumPy has no such function, so that the reference is slow: tensors on
            the host take the native formula.
        faster_native: whether that formula is faster than NumPy in float32, and taken there.
        flops: floating-point operations per row, from the operands' and the result's shapes: of F,
            and of each instruction that computes it. The kernel that does so counts as many.
        flops_of: the same from these shapes and the attributes, where those matter.
        dtype: ``float`` or ``int32``.
        operands: the kind of each operand; the last kind holds for all further ones.
        ids: the first operand of ids or labels.
        ids_within: the axis of the first operand whose elements the ids number, unless the
            attribute ``axis`` says another.
        ranks: feature axes of each operand, where it takes tensors with rows in front of them; None
            for an operand that has no rows, a table.
        space: rows of the result.
        operand_space: kind of the rows that the operand must have, if they must be of a certain
            one; a value of coarser rows is repeated on them.
        is_source: whether its symbols have no operands; a given operand only names the rows.
        may_add_rows: whether it may have rows where its operand has none.
        repeats: between which rows, if the result has the finer ones.
        reduces: between which rows, if the result has the coarser ones.
        is_sum: whether it adds up the rows that it reduces.
        is_index_load: whether it does nothing but find rows by an index.
        moves: whether it does nothing but move elements within a row.
        over_graphs: whether it reads any rows of a graph, each operand having rows of its own, and
            is computed for all graphs at once.
        rows_apart: whether each operand has rows of its own, of vertices or of edges.
        mixes_edges: whether the result, a value per edge, depends on all edges of the vertex.
        random: whether its value depends on which row it is of.
        drops: whether it does nothing in evaluation, where it equals its first operand.
        zero_with: operands any of which makes the result zero where it is zero; the other operands
            are not read there.
        constant_in: operands to which no gradient flows from the result; ids get none anyway.
        zero_without: the operand of ids that makes the result zero where it is -1.
        without_children: the value where there are no edges to children.
        equals: from the operands that are one number throughout, None for others, the position of
            the operand that the result equals.
        fold: see :data:`Fold`; for elementwise operations the reference gives it.
        attributes: see :data:`AttributesRule`; None where its kernel has no attributes.
        recomputed: whether backward computes it again, at next to no cost, instead of reading it.
    """

    name: str
    arity: int
    infer: Callable[..., Shape]
    reference: Callable[..., Any] | None = None
    vjp: Callable[..., tuple[Any, ...]] | None = None
    elementwise: bool = False
    beyond_numpy: bool = False
    faster_native: bool = False
    flops: Callable[[Sequence[Shape], Shape], int] = lambda shapes, out: 0
    flops_of: Callable[[Sequence[Shape], Shape, Mapping[str, Any]], int] | None = None
    dtype: str = "float"
    operands: tuple[Operand, ...] = (Operand.FLOAT,)
    ids_within: int | None = None
    ranks: tuple[int | None, ...] | None = None
    space: RowRule = rows_of_operands
    operand_space: SpaceKind | None = None
    is_source: bool = False
    may_add_rows: bool = False
    repeats: Between | None = None
    reduces: Between | None = None
    is_sum: bool = False
    is_index_load: bool = False
    moves: bool = False
    over_graphs: bool = False
    rows_apart: bool = False
    mixes_edges: bool = False
    random: bool = False
    drops: bool = False
    zero_with: tuple[int, ...] = ()
    constant_in: tuple[int, ...] = ()
    zero_without: int | None = None
    without_children: float | None = None
    equals: Callable[[Sequence[float | None]], int | None] = no_operand
    fold: Fold | None = None
    attributes: AttributesRule | None = None
    recomputed: bool = False
    ids: int | None = field(init=False)

    def __post_init__(self) -> None:
        known = Operand.IDS in self.operands
        object.__setattr__(self, "ids", self.operands.index(Operand.IDS) if known else None)

    def operand(self, position: int) -> Operand:
        """The kind of the operand at `position`."""
        return self.operands[min(position, len(self.operands) - 1)]

    def count_of_ids(self, shape: Shape, attrs: Mapping[str, Any]) -> int | None:
        """How many elements the ids number, of a first operand of this shape; None: any number."""
        if self.ids_within is None or not shape:
            return None
        axis: int = attrs.get("axis", self.ids_within)
        return shape[axis]

    def count_flops(self, shapes: Sequence[Shape], out: Shape, attrs: Mapping[str, Any]) -> int:
        """Floating-point operations per row."""
        return (
            self.flops(shapes, out) if self.flops_of is None else self.flops_of(shapes, out, attrs)
        )

    @property
    def sums_lists(self) -> bool:
        """Whether it adds up lists of rows, which an elementwise group can do while it reads."""
        return self.is_sum and self.reduces is not Between.ALL

    @property
    def reads_other_rows(self) -> bool:
        """Whether a result depends on more than its own row's operands: on random numbers or on
        other rows."""
        others = self.random or self.mixes_edges or self.over_graphs
        return others or self.reduces in _OF_EDGES_AND_GRAPHS

    @property
    def crosses(self) -> bool:
        """Whether it reads rows that do not go with the rows of its result. Edges go with their
        vertex; the rows of a graph or of an id lie anywhere."""
        return self.over_graphs or self.reduces in _ACROSS or self.repeats in _ACROSS

    def constant(
        self, values: Sequence[float], shapes: Sequence[Shape], out: Shape
    ) -> float | None:
        """The number that all elements of the result are if all elements of each operand are one
        number; None if it is not known."""
        if self.fold is not None:
            return self.fold(values, shapes, out)
        if not self.elementwise or self.reference is None:
            return None
        with np.errstate(all="ignore"):
            return float(self.reference(np, *map(np.float64, values)))

    def __repr__(self) -> str:
        return f"OpDef({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _row_of, (self.name,)  # the row itself: there are no copies of it


_ACROSS = (Between.GRAPH, Between.IDS, Between.ALL)
_OF_EDGES_AND_GRAPHS = (Between.CHILDREN, Between.GRAPH)

OPS: dict[str, OpDef] = {}


def _row_of(name: str) -> OpDef:
    return OPS[name]


def register(op: OpDef) -> OpDef:
    """Adds a row to the table."""
    if op.name in OPS:
        raise ValueError(
            f"[ops] expected a new name, got {op.name!r}, which is taken; choose another"
        )
    OPS[op.name] = op
    return op


def _registered(make: Callable[_P, OpDef]) -> Callable[_P, OpDef]:
    return lambda *args, **facts: register(make(*args, **facts))


define = _registered(OpDef)
"""Makes a row of these facts, and adds it to the table."""


def size_of(shape: Shape) -> int:
    """Number of elements of a feature shape."""
    return math.prod(shape)


def per_element(count: int) -> Callable[[Sequence[Shape], Shape], int]:
    """FLOPs of an elementwise operation: `count` for each element of the result."""
    return lambda shapes, out: count * size_of(out)


def same_shape(*shapes: Shape, op: str = "elementwise", **_: Any) -> Shape:
    """Shape rule of elementwise operations: all operands alike."""
    if any(shape != shapes[0] for shape in shapes):
        raise ShapeError(f"[{op}] expected operands of one shape, got {list(shapes)}; reshape one")
    return shapes[0]


def shape_of(component: str, x: Any) -> Shape:
    """The shape of an operand; raises TraceError for an operand without one."""
    shape = getattr(x, "shape", None)
    if not isinstance(shape, tuple):
        raise TraceError(
            f"[{component}] expected a vertex value or a cavs.Tensor, got {shown(x)}; wrap "
            "arrays in cavs.Tensor"
        )
    return shape


def apply(op: OpDef, *operands: Any, **attrs: Any) -> Any:
    """Applies `op` to symbols (giving a symbol) or to tensors and arrays (giving a tensor).

    The operand class with the greatest ``__cavs_priority__`` decides; parameters are operands of
    both worlds, and arrays alone are those of the vertex function that is traced.
    """
    kind: Any = None
    for operand in operands:
        priority = getattr(type(operand), "__cavs_priority__", 0)
        if priority > getattr(kind, "__cavs_priority__", 0):
            kind = type(operand)
    if kind is None and makers.tracing():
        for position, operand in enumerate(operands):
            if isinstance(operand, np.ndarray) and op.operand(position) is not Operand.IDS:
                value = makers.value(operand)
                operands = (*operands[:position], value, *operands[position + 1 :])
                kind = type(value)
                break
    if kind is None:
        raise TraceError(
            f"[{op.name}] expected a vertex value or a cavs.Tensor among the operands, got "
            f"{[type(o).__name__ for o in operands]}; wrap arrays in cavs.Tensor"
        )
    return kind.__cavs_apply__(op, operands, attrs)
