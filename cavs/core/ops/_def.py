"""What one operation is: a row with its shape rule, cost, gradient, formula and reference.

The same row serves traced symbols (:class:`cavs.core.ir.Node`) and eager outer tensors
(:class:`cavs.tensor.Tensor`): :func:`apply` hands it to whichever class the operands are of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cavs._arguments import shown
from cavs.errors import ShapeError, TraceError

Shape = tuple[int, ...]


class SpaceKind(Enum):
    """What the rows of a value are, by its word in texts."""

    NONE = "none"
    """It has none: a parameter or a constant."""
    GRAPH = "graph"
    VERTEX = "vertex"
    LEAF = "leaf"
    """Vertices without children."""
    INNER = "inner"
    """Vertices with children."""
    EDGE = "edge"

    __hash__ = object.__hash__  # members are what they are: no need to hash their words

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Unique:
    """Rows that are the distinct ids of an integer pull among other rows, or the distinct tuples of
    ids of several.

    Attributes:
        pulls: names of the pulls, sorted.
        base: the rows that have the ids.
    """

    pulls: tuple[str, ...]
    base: SpaceKind

    @property
    def name(self) -> str:
        """For people to read."""
        names = "+".join(self.pulls)
        return f"{names}@{self.base}" if self.base in PARTS_OF_VERTICES else names

    def __str__(self) -> str:
        return f"unique:{self.name}"


PARTS_OF_VERTICES = (SpaceKind.LEAF, SpaceKind.INNER)

Space = SpaceKind | Unique
"""What the rows of a value are."""

_FINENESS = {
    SpaceKind.NONE: 0,
    SpaceKind.GRAPH: 1,
    SpaceKind.VERTEX: 2,
    SpaceKind.LEAF: 3,
    SpaceKind.INNER: 3,
    SpaceKind.EDGE: 4,
}


def join_spaces(spaces: Sequence[Space]) -> Space:
    """The finest of `spaces`: what an operation over these operands has for rows."""
    named = [space for space in spaces if isinstance(space, SpaceKind)]
    unique = {space for space in spaces if isinstance(space, Unique)}
    if unique:
        if len(unique) > 1 or any(space != SpaceKind.NONE for space in named):
            given = ", ".join(map(str, spaces))
            raise TraceError(
                f"[ops] expected operands with the same rows, got {given}; combine values of the "
                "same ids only"
            )
        return unique.pop()
    return max(named, key=_FINENESS.__getitem__, default=SpaceKind.NONE)


@dataclass(frozen=True)
class OpDef:
    """One row of the ops table.

    Attributes:
        name: name in the table, in printed programs, and of the native kernel where it has one.
        arity: number of operands, -1 for any.
        infer: feature shapes and attributes to the result's feature shape; raises
            :class:`~cavs.errors.ShapeError`.
        reference: ``reference(np, *arrays, **attrs)`` in NumPy. Arrays carry any number of leading
            row axes before the feature axes; operands without rows carry none. None for operations
            that need a graph, which the executors define.
        vjp: ``vjp(dy, y, *operands, **attrs)`` gives a cotangent (or None) per operand, in terms of
            these same operations, and so is IR for symbols and eager arithmetic for tensors.
        scalar: formula of one element in terms of x0, x1, ...; present exactly where the operation
            is elementwise, hence fusible.
        flops: floating-point operations per row, from the operands' and the result's shapes.
        space: rows of the result from the rows of the operands.
        dtype: ``float`` or ``int32``.
        mixes_edges: whether the result, a value per edge, depends on all edges of the vertex.
    """

    name: str
    arity: int
    infer: Callable[..., Shape]
    reference: Callable[..., Any] | None = None
    vjp: Callable[..., tuple[Any, ...]] | None = None
    scalar: str | None = None
    flops: Callable[[Sequence[Shape], Shape], int] = lambda shapes, out: 0
    space: Callable[[Sequence[Space]], Space] = join_spaces
    dtype: str = "float"
    mixes_edges: bool = False

    @property
    def elementwise(self) -> bool:
        """Whether each element of the result depends on the same element of the operands alone."""
        return self.scalar is not None

    def __repr__(self) -> str:
        return f"OpDef({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _row_of, (self.name,)  # of which there are no copies


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
    """The shape of an operand; raises TraceError for what has none."""
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
    both worlds.
    """
    kind: Any = None
    for operand in operands:
        priority = getattr(type(operand), "__cavs_priority__", 0)
        if priority > getattr(kind, "__cavs_priority__", 0):
            kind = type(operand)
    if kind is None:
        raise TraceError(
            f"[{op.name}] expected a vertex value or a cavs.Tensor among the operands, got "
            f"{[type(o).__name__ for o in operands]}; wrap arrays in cavs.Tensor"
        )
    return kind.__cavs_apply__(op, operands, attrs)
