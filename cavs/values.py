"""The values that a vertex function has at one vertex, in the order of its lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from cavs._arrays import Array
from cavs.core.ir import Node
from cavs.core.ops._spaces import SpaceKind

if TYPE_CHECKING:
    from cavs.execution.reference import ReferenceRun

_FEW = 8  # elements that are shown as they are
_WIDEST = 100  # characters of a value


class LineValue(NamedTuple):
    """A value that a line of ``forward`` computes.

    Attributes:
        where: the line, as ``FILE:LINE``; empty for what cavs added.
        text: its text.
        op: the operation, such as ``linear``, ``pull``, ``gather`` or ``param``.
        name: of the input, the state or the parameter that is read; else empty.
        used_as: what is made of the value: ``scatter NAME`` and ``push NAME``.
        space: the rows that the value has in a batch: ``vertex``, ``edge``, ``graph`` or ``none``.
        value: float32, float64 or int32, of the feature shape; of ``edge`` (children, *shape).
    """

    where: str
    text: str
    op: str
    name: str
    used_as: tuple[str, ...]
    space: str
    value: Array


class VertexValues(Sequence[LineValue]):
    """The values of one vertex; ``print`` shows them by lines, large arrays abbreviated.

    It is a sequence of :class:`LineValue`, in the order in which ``forward`` ran.

    Attributes:
        place: the vertex in words.
        children: numbers in the graph of the vertices that it gathers from, in order.
    """

    def __init__(self, place: str, children: Sequence[int], values: Sequence[LineValue]) -> None:
        self.place = place
        self.children = tuple(children)
        self._values = tuple(values)

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> LineValue: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[LineValue, ...]: ...

    def __getitem__(self, index: int | slice) -> LineValue | tuple[LineValue, ...]:
        return self._values[index]

    def __repr__(self) -> str:
        return f"<VertexValues of {self.place}: {len(self)} values>"

    def __str__(self) -> str:
        children = ", ".join(map(str, self.children))
        below = f"children {children}" if children else "no children"
        return "\n".join([f"{self.place}: {below}", *self._lines()])

    def _lines(self) -> Iterator[str]:
        labels = [_label(x) for x in self]
        shapes = [_shape(x.value) for x in self]
        widest = max(map(len, labels), default=0), max(map(len, shapes), default=0)
        above = None
        for x, label, shape in zip(self, labels, shapes, strict=True):
            if (x.where, x.text) != above:
                above = x.where, x.text
                yield f"{x.where}  {x.text}" if x.where else "added by cavs"
            yield f"  {label:<{widest[0]}}  {shape:<{widest[1]}}  {_shown(x.value)}"


def values_of(
    run: ReferenceRun, vertex: int, place: str, name_of: Callable[[Any], str]
) -> VertexValues:
    """The values of one vertex of a run of the reference.

    Args:
        run: after its forward.
        vertex: its number in the run's batch, which is of one graph.
        place: the vertex in words.
        name_of: gives the name of a parameter.
    """
    used: dict[Node, list[str]] = {}
    own = run.of(vertex)
    for verb, sinks in (("scatter", own.function.scatters), ("push", own.function.pushes)):
        for name, node in sinks.items():
            used.setdefault(node, []).append(f"{verb} {name}")
    found = []
    for node in sorted(own.nodes, key=lambda n: n.number):
        where, parameter = node.where, node.attrs.get("parameter")
        value = run.values[vertex][node]
        found.append(
            LineValue(
                f"{where.file}:{where.line}" if where else "",
                where.text if where else "",
                node.op.name,
                str(node.attrs.get("name", "")) if parameter is None else name_of(parameter),
                tuple(used.get(node, ())),
                str(node.space.kind),
                value[0] if node.space.kind in (SpaceKind.VERTEX, SpaceKind.GRAPH) else value,
            )
        )
    ptr = run.graphs.child_ptr
    children = run.graphs.children[ptr[vertex] : ptr[vertex + 1]]
    return VertexValues(place, children.tolist(), found)


def _label(x: LineValue) -> str:
    name = f" {x.name}" if x.name else ""
    return f"{x.op}{name}" + (f" ({', '.join(x.used_as)})" if x.used_as else "")


def _shape(value: Array) -> str:
    return f"[{', '.join(map(str, value.shape))}]" if value.ndim else ""


def _shown(value: Array) -> str:
    """The elements in one line; of a large array the first and last, and what they range over."""
    text = np.array2string(value, precision=4, threshold=_FEW, edgeitems=3, max_line_width=10**6)
    line = " ".join(text.split())
    if len(line) > _WIDEST:
        line = f"{line[: _WIDEST - 4]} ..."
    if value.size <= _FEW:
        return line
    finite = value[np.isfinite(value)]
    parts = [f"{finite.min():.4g} to {finite.max():.4g}"] if finite.size else []
    for word, count in (("NaN", np.isnan(value).sum()), ("infinite", np.isinf(value).sum())):
        parts += [f"{count} {word}"] if count else []
    return f"{line}  {', '.join(parts)}"
