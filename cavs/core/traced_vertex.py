"""The vertex that ``forward`` is given: what it pulls, gathers, scatters and pushes, on symbols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from cavs._arguments import dtype_name, is_among, printed, shown
from cavs.core import ir
from cavs.core.ir import Name, Node
from cavs.core.making import batch_value, vertex_value
from cavs.core.names import check_name, check_pull, check_state
from cavs.core.ops._def import Shape
from cavs.core.ops._spaces import EdgeList, Rows, SpaceKind, Typed
from cavs.core.ops.random import UNIFORM, standard_normal
from cavs.core.ops.structure import GATHER, PULL
from cavs.core.tracing import SourceLine, new_random_key
from cavs.core.user_code import user_line
from cavs.errors import DTypeError, ShapeError, TraceError

InputSpace = Literal["vertex", "edge", "graph", "batch"]
_INPUT_SPACES: dict[SpaceKind, InputSpace] = {
    SpaceKind.VERTEX: "vertex",
    SpaceKind.EDGE: "edge",
    SpaceKind.GRAPH: "graph",
    SpaceKind.NONE: "batch",
}

_MOST_POSITIONS = 4096
"""Each position is an operand of its own; a number in a damaged file may ask for very many."""


@dataclass(frozen=True)
class InputSpec:
    """An external input that F pulls.

    Attributes:
        name: keyword under which the caller gives it.
        shape: feature shape; the array given has shape (rows, *shape), of ``batch`` this shape.
        dtype: ``float`` or ``int32``.
        space: its rows: ``vertex``, ``edge``, ``graph`` or ``batch``, which is one value.
        where: line of the first pull.
        rows: the same, in a function of types with the types that pull it.
    """

    name: Name
    shape: Shape
    dtype: str
    space: InputSpace
    where: SourceLine | None
    rows: Rows


class States:
    """The gathered states: one attribute per name."""

    def __init__(self, states: dict[str, Node]) -> None:
        self.__dict__.update(states)

    def __iter__(self) -> Iterator[Node]:
        return iter(vars(self).values())

    def __getattr__(self, name: str) -> Node:
        # Names in underscores are those that an operation asks its operands for.
        self._refuse("all of them as one value" if name.startswith("__") else repr(name))

    def __getitem__(self, key: Any) -> Node:
        self._refuse(f"[{shown(key)}]")

    def _refuse(self, got: str) -> NoReturn:
        names = sorted(vars(self))
        raise TraceError(
            f"[gather] expected one of the gathered states {names}, got {got}; take one by its "
            f"name, as in v.gather(...).{names[0]}, or gather this one too"
        )


def _feature_shape(what: str, shape: int | Sequence[int]) -> Shape:
    sizes: tuple[Any, ...] = shape if isinstance(shape, tuple) else (shape,)
    if isinstance(shape, (list, np.ndarray)):
        sizes = tuple(shape)
    sizes = tuple(int(n) if isinstance(n, np.integer) else n for n in sizes)
    if any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in sizes):
        named = printed(shape, str)
        instead = (
            f"pass dtype={named!r} by name" if named in _DTYPES else "pass integers of 1 or more"
        )
        raise ShapeError(f"[{what}] expected positive sizes, got {printed(shape)}; {instead}")
    return sizes


_DTYPES = {"float": "float", "float32": "float", "float64": "float", "int32": "int32"}


def _refuse_unnamed(call: str, what: str, given: Sequence[Any]) -> None:
    if given:
        raise TraceError(
            f"[{call}] expected {what}, got {shown(given[0])} without a name; name it, as in "
            f"v.{call}({'h=150' if call == 'gather' else 'h=h'})"
        )


class Vertex:
    """The vertex that ``forward`` describes: the four calls of the paper, on symbols."""

    def __init__(self, type: str | None = None, types: Sequence[str] = ()) -> None:
        """`type`: of the vertex, among `types`; None in a function without types."""
        self._type, self._types = type, types
        self._rows: Rows = SpaceKind.VERTEX
        if type is not None:
            self._rows = Typed(SpaceKind.VERTEX, (type,))
        self._inputs: dict[str, tuple[InputSpec, Node]] = {}
        self._gathers: dict[tuple[str, int | None, str | None], Node] = {}
        self._state_shapes: dict[str, Shape] = {}
        self._scatters: dict[str, Node] | None = None
        self._pushes: dict[str, Node] = {}

    if not TYPE_CHECKING:  # type checkers would take it for attributes of any kind

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                "[vertex] expected one of pull, pull_edge, pull_graph, pull_batch, gather, "
                f"scatter, push, push_batch, uniform, normal of the vertex, got {name!r}; read "
                "what children scattered by gather, everything else by pull, and draw by uniform, "
                "normal and cavs.ops"
            )

    def pull(self, name: str, shape: int | Sequence[int] = (), dtype: Any = "float32") -> Node:
        """The input `name` of this vertex; the caller gives an array of shape (vertices, *shape).

        `dtype` is ``int32``, or ``float32``, which stands for the model's own precision: by name,
        or as NumPy's or PyTorch's. Ids may have a shape; :func:`cavs.ops.take`, ``pick`` and
        ``one_hot`` take them, and ``embedding`` takes one id for each row.
        """
        return self._pull(name, shape, dtype, self._rows)

    def pull_edge(
        self,
        name: str,
        shape: int | Sequence[int] = (),
        dtype: Any = "float32",
        *,
        of: str | None = None,
    ) -> Node:
        """The input `name` on each edge to a child, with `of` to a child of this type; an array of
        shape (edges, *shape)."""
        return self._pull(name, shape, dtype, self._edges("pull_edge", of))

    def pull_graph(
        self, name: str, shape: int | Sequence[int] = (), dtype: Any = "float32"
    ) -> Node:
        """The input `name` of the whole graph; an array of shape (graphs, *shape)."""
        return self._pull(name, shape, dtype, SpaceKind.GRAPH)

    def pull_batch(
        self, name: str, shape: int | Sequence[int] = (), dtype: Any = "float32"
    ) -> Node:
        """The input `name` of the whole call, such as a temperature or a mask of weights: a value
        without rows, which gets a gradient; an array of `shape`. It holds floats: ids have rows."""
        named = dtype_name(dtype)
        if _DTYPES.get(named, "") == "int32":
            raise DTypeError(
                f"[pull_batch] expected floats for {printed(name)}, got dtype {named!r}; pull ids "
                "by vertex, edge or graph"
            )
        return self._pull(name, shape, dtype, SpaceKind.NONE)

    def _edges(self, call: str, of: Any) -> Rows:
        """The edges to children of this type, or to all."""
        if self._type is None:
            if of is not None:
                raise TraceError(
                    f"[{call}] expected of= in a function of types alone, got {shown(of)} in one "
                    "without; make a cavs.TypedFunction of functions by type, or leave it out"
                )
            return SpaceKind.EDGE
        if of is not None and not is_among(of, self._types):
            raise TraceError(
                f"[{call}] expected of= among the types {list(self._types)}, got {shown(of)}; "
                "name one of these, or leave it out for children of any type"
            )
        return Typed(SpaceKind.EDGE, (EdgeList(self._type, of),))

    def _pull(self, name: str, shape: int | Sequence[int], dtype: Any, rows: Rows) -> Node:
        check_pull(name)
        named = dtype_name(dtype)
        if named not in _DTYPES:
            raise DTypeError(
                f"[pull] expected dtype among {', '.join(_DTYPES)}, got {named!r}; pass int32 for "
                "ids, float32 for anything else"
            )
        sizes = _feature_shape("pull", shape)
        kind = _DTYPES[named]
        known = self._inputs.get(name)
        if known is None:
            spec = InputSpec(name, sizes, kind, _INPUT_SPACES[rows.kind], user_line(), rows)
            node = ir.source(PULL, sizes, rows, kind, name=name)
            self._inputs[name] = (spec, node)
            return node
        spec, node = known
        if (spec.shape, spec.dtype, spec.rows) != (sizes, kind, rows):
            raise pulled_otherwise(spec, f"{rows}{list(sizes)} {kind}")
        return node

    def uniform(self, shape: int | Sequence[int] = (), *, rows: str = "vertex") -> Node:
        """Uniform numbers in [0, 1), of 24 random bits each. They differ from vertex to vertex and
        from call to call of the model, and do not depend on the batching.

        With ``rows="batch"`` a value without rows: the same numbers for all vertices of a call.
        """
        return self._uniform("uniform", shape, rows)

    def normal(self, shape: int | Sequence[int] = (), *, rows: str = "vertex") -> Node:
        """Standard normal numbers; for the rest as :meth:`uniform`."""
        result: Node = standard_normal(self._uniform("normal", shape, rows))
        return result

    def _uniform(self, call: str, shape: int | Sequence[int], rows: str) -> Node:
        sizes = _feature_shape(call, shape)
        if not is_among(rows, ("vertex", "batch")):
            raise TraceError(
                f"[{call}] expected rows 'vertex' or 'batch', got {shown(rows)}; pass one of these"
                ", or draw for what has other rows, as by ops.normal(mean, std)"
            )
        space = SpaceKind.NONE if rows == "batch" else self._rows
        return ir.source(UNIFORM, sizes, space, key=new_random_key())

    def gather(
        self,
        slot: Any = None,
        /,
        *unnamed: NoReturn,
        of: Any = None,
        **sizes: int | Sequence[int],
    ) -> States:
        """The states that the children scattered, by name and size.

        Without `slot`: all children, as edge values, one row per child. With it: the state of the
        child at this position, zeros where the vertex has no such child. Below 0 positions count
        the children that are there, without holes, from the last one, -1, back. In a function of
        types, `of` names the type of the children that are meant and counted; without it, all are.
        """
        first = (slot,) if isinstance(slot, str) else unnamed
        _refuse_unnamed("gather", "states by name, behind a child's position if any", first)
        slot = int(slot) if isinstance(slot, np.integer) else slot
        if slot is not None and type(slot) is not int:
            raise TraceError(
                f"[gather] expected an integer as the child's position, got {shown(slot)}; count "
                "children from 0, or by -1 from the last one back"
            )
        if slot is not None and not -_MOST_POSITIONS <= slot < _MOST_POSITIONS:
            bound = f"below {_MOST_POSITIONS}" if slot > 0 else f"of -{_MOST_POSITIONS} or more"
            raise TraceError(
                f"[gather] expected a child position {bound}, got {slot}; gather "
                "all children, without a position"
            )
        if of is not None and self._type is None and not isinstance(of, str):
            check_state("gather", "of")  # a size: the name of a state
        if not sizes:
            raise TraceError(
                "[gather] expected at least one state, got none; name it and its size, as in "
                "gather(h=150)"
            )
        edges, states = self._edges("gather", of), {}
        for name, size in sizes.items():
            check_state("gather", name)
            shape = _feature_shape("gather", size)
            if self._state_shapes.setdefault(name, shape) != shape:
                raise ShapeError(
                    f"[gather] expected state {name!r} of shape "
                    f"{self._state_shapes[name]} as before, got {shape}; gather one shape"
                )
            key = (name, slot, of)
            if key not in self._gathers:
                space = edges if slot is None else self._rows
                attrs: dict[str, Any] = {"name": name, "slot": slot, "edges": edges}
                self._gathers[key] = ir.source(GATHER, shape, space, **attrs)
            states[name] = self._gathers[key]
        return States(states)

    def scatter(self, /, *unnamed: NoReturn, **states: Any) -> None:
        """Hands the states to all parents of this vertex. At most once.

        A number, which takes the shape that was gathered, or a parameter is the state of every
        vertex alike.
        """
        _refuse_unnamed("scatter", "states by name", unnamed)
        if self._scatters is not None:
            raise TraceError(
                "[scatter] expected one call, got a second; scatter all states at once"
            )
        for name in states:
            check_state("scatter", name)
        self._scatters = {
            name: vertex_value("scatter", name, x, self._state_shapes.get(name, ()), self._rows)
            for name, x in states.items()
        }

    def push(self, /, *unnamed: NoReturn, **outputs: Any) -> None:
        """Gives outputs to the caller: arrays of shape (vertices, *shape), (edges, *shape) for
        values per child. A number or a parameter is the output of every vertex alike."""
        for name, x in self._new_outputs("push", unnamed, outputs):
            edge = isinstance(x, Node) and x.space.kind is SpaceKind.EDGE
            self._pushes[name] = x if edge else vertex_value("push", name, x, (), self._rows)

    def push_batch(self, /, *unnamed: NoReturn, **outputs: Any) -> None:
        """Gives values without rows, such as the mean over a batch, to the caller: arrays of
        `shape`."""
        for name, x in self._new_outputs("push_batch", unnamed, outputs):
            self._pushes[name] = batch_value("push_batch", name, x)

    def _new_outputs(
        self, call: str, unnamed: Sequence[Any], outputs: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """Checks the names of the outputs, each before it is pushed."""
        _refuse_unnamed(call, "outputs by name", unnamed)
        for name, x in outputs.items():
            check_name(call, "outputs", name)
            if name in self._pushes:
                raise TraceError(
                    f"[{call}] expected a new output, got {name!r} a second time; rename one"
                )
            yield name, x


def pulled_otherwise(known: InputSpec, got: str) -> TraceError:
    return TraceError(
        f"[pull] expected input {known.name!r} as before ({known.rows}{list(known.shape)} "
        f"{known.dtype}, {known.where}), got {got}; pull it alike, or by another name"
    )
