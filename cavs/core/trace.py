"""Runs ``forward`` once, on symbols, and keeps its operations as IR."""

from __future__ import annotations

import itertools
import linecache
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

import numpy as np

from cavs._arguments import dtype_name, is_among, printed, shown
from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node
from cavs.core.joins import join, joined, joined_state
from cavs.core.making import vertex_value
from cavs.core.names import check_name, check_pull, check_state
from cavs.core.ops._def import EdgeList, Rows, Shape, SpaceKind, Typed
from cavs.core.ops.random import UNIFORM, standard_normal
from cavs.core.ops.structure import GATHER, PULL
from cavs.core.reads import Reads, recorded_reads
from cavs.core.tracing import SourceLine, new_random_key, recording
from cavs.core.typed_function import TypedFunction
from cavs.core.vertex import Module, VertexFunction, check_function
from cavs.errors import CavsError, DTypeError, InputError, ShapeError, TraceError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INTERNAL = tuple(
    os.path.join(_PACKAGE, part)
    for part in ("_arguments", "_arrays", "core", "nn", "tensor", "execution", "program")
)


def _is_users(frame: FrameType) -> bool:
    """Whether it runs outside of this package's own layers and of PyTorch, whose modules call
    functions on values of F that its users give them."""
    if frame.f_code.co_filename.startswith(_INTERNAL):
        return False
    return not str(frame.f_globals.get("__name__")).startswith("torch.")


def user_line() -> SourceLine | None:
    """The innermost line that runs outside of this package's own layers."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if _is_users(frame):
            text = linecache.getline(file, frame.f_lineno).strip()
            return SourceLine(file, frame.f_lineno, text)
        frame = frame.f_back
    return None


def _locate(error: CavsError) -> None:
    """Adds the innermost line of the user's code to an error that does not name it yet."""
    where: SourceLine | None = None
    trail = error.__traceback__
    while trail is not None:
        file, line = trail.tb_frame.f_code.co_filename, trail.tb_lineno
        if _is_users(trail.tb_frame):
            where = SourceLine(file, line, linecache.getline(file, line).strip())
        trail = trail.tb_next
    if where is not None and f"{where.file}:{where.line}" not in str(error):
        message, semicolon, remedy = str(error).rpartition("; ")
        if not semicolon:
            message, remedy = remedy, ""
        error.args = (f"{message}, at {where}{semicolon}{remedy}", *error.args[1:])


InputSpace = Literal["vertex", "edge", "graph"]
_INPUT_SPACES: dict[SpaceKind, InputSpace] = {
    SpaceKind.VERTEX: "vertex",
    SpaceKind.EDGE: "edge",
    SpaceKind.GRAPH: "graph",
}


_MOST_POSITIONS = 4096
"""Each position is an operand of its own; a number in a damaged file may ask for very many."""


@dataclass(frozen=True)
class InputSpec:
    """An external input that F pulls.

    Attributes:
        name: keyword under which the caller gives it.
        shape: feature shape; the array given has shape (rows, *shape).
        dtype: ``float`` or ``int32``.
        space: its rows: ``vertex``, ``edge`` or ``graph``.
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
                f"[vertex] expected one of pull, pull_edge, pull_graph, gather, scatter, push, "
                f"uniform, normal of the vertex, got {name!r}; read what children scattered by "
                "gather, and everything else by pull"
            )

    def pull(self, name: str, shape: int | Sequence[int] = (), dtype: Any = "float32") -> Node:
        """The input `name` of this vertex; the caller gives an array of shape (vertices, *shape).

        `dtype` is ``int32``, or ``float32``, which stands for the model's own precision: by name,
        or as NumPy's or PyTorch's.
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
        if kind == "int32" and sizes != ():
            raise ShapeError(
                f"[pull] expected one id per row for int32, got shape {sizes}; pull each id by a "
                "name of its own"
            )
        known = self._inputs.get(name)
        if known is None:
            spec = InputSpec(name, sizes, kind, _INPUT_SPACES[rows.kind], user_line(), rows)
            node = ir.source(PULL, sizes, rows, kind, name=name)
            self._inputs[name] = (spec, node)
            return node
        spec, node = known
        if (spec.shape, spec.dtype, spec.rows) != (sizes, kind, rows):
            raise _pulled_otherwise(spec, f"{rows}{list(sizes)} {kind}")
        return node

    def uniform(self, shape: int | Sequence[int] = ()) -> Node:
        """Uniform numbers in [0, 1), of 24 random bits each. They differ from vertex to vertex and
        from call to call of the model, and do not depend on the batching."""
        sizes = _feature_shape("uniform", shape)
        return ir.source(UNIFORM, sizes, self._rows, key=new_random_key())

    def normal(self, shape: int | Sequence[int] = ()) -> Node:
        """Standard normal numbers; for the rest as :meth:`uniform`."""
        result: Node = standard_normal(self.uniform(shape))
        return result

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
        child at this position, zeros where the vertex has no such child. In a function of types,
        `of` names the type of the children that are meant and counted; without it, all are.
        """
        first = (slot,) if isinstance(slot, str) else unnamed
        _refuse_unnamed("gather", "states by name, behind a child's position if any", first)
        slot = int(slot) if isinstance(slot, np.integer) else slot
        if slot is not None and (type(slot) is not int or slot < 0):
            raise TraceError(
                f"[gather] expected a child position >= 0, got {shown(slot)}; count children from 0"
            )
        if slot is not None and slot >= _MOST_POSITIONS:
            raise TraceError(
                f"[gather] expected a child position below {_MOST_POSITIONS}, got {slot}; gather "
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
        _refuse_unnamed("push", "outputs by name", unnamed)
        for name, x in outputs.items():
            check_name("push", "outputs", name)
            if name in self._pushes:
                raise TraceError(
                    f"[push] expected a new output, got {name!r} a second time; rename one"
                )
            edge = isinstance(x, Node) and x.space.kind is SpaceKind.EDGE
            self._pushes[name] = x if edge else vertex_value("push", name, x, (), self._rows)


class ChildRead(NamedTuple):
    """What vertices of a type gather of their children.

    Attributes:
        edges: the list of edges.
        slot: the position of the child; None: all of the list.
        states: the states that are gathered.
        types: the types that scatter all of them.
        where: line of the first gather.
    """

    edges: EdgeList
    slot: int | None
    states: tuple[str, ...]
    types: frozenset[str]
    where: SourceLine | None


@dataclass(frozen=True)
class Trace:
    """F as traced: its IR, the inputs that it pulls by name and the attributes that it read. If it
    has types, their names as the user gave them, and what each gathers of children."""

    function: FunctionIR
    inputs: dict[Name, InputSpec]
    name: str
    reads: Reads = field(default_factory=Reads)
    types: tuple[str, ...] = ()
    children: tuple[ChildRead, ...] = ()


def trace(function: VertexFunction) -> Trace:
    """Traces ``function.forward``.

    Raises:
        TraceError: ``forward`` used a symbol as a value, gathered a state that it does not scatter,
            or pushed nothing; ShapeError, DTypeError: operands do not fit. Each names the line.
    """
    check_function("compile", "a cavs.VertexFunction", function)
    if isinstance(function, TypedFunction):
        return _trace_types(function)
    vertex = Vertex()
    with recording(user_line), recorded_reads() as reads:
        _run_forward(function, vertex)
    scatters = vertex._scatters or {}
    for (name, *_), gathered in vertex._gathers.items():
        if name not in scatters:
            raise TraceError(
                f"[scatter] expected state {name!r}, gathered at {gathered.where}, among the "
                f"scattered states, got {sorted(scatters)}; scatter it too"
            )
        if scatters[name].shape != gathered.shape:
            raise ShapeError(
                f"[scatter] expected state {name!r} of shape {gathered.shape}, as gathered at "
                f"{gathered.where}, got {scatters[name].shape}; gather and scatter one shape"
            )
    _check_pushes(vertex._pushes)
    return Trace(
        FunctionIR(dict(scatters), dict(vertex._pushes)),
        {name: spec for name, (spec, _) in vertex._inputs.items()},
        type(function).__name__,
        reads,
    )


def _run_forward(function: VertexFunction, vertex: Vertex) -> None:
    forward: Any = function.forward
    if isinstance(forward, Module) or not callable(forward):
        raise TraceError(
            f"[trace] expected {type(function).__name__}.forward as a method, got "
            f"{type(forward).__name__} under this name; give the attribute another one"
        )
    try:
        forward(vertex)
    except CavsError as error:
        _locate(error)
        raise


def _check_pushes(pushes: Mapping[str, Any]) -> None:
    if not pushes:
        raise TraceError("[push] expected at least one output, got none; call v.push(...)")


def _trace_types(function: TypedFunction) -> Trace:
    """The functions of all types as one, whose results are joined."""
    functions, keys = function.functions(), itertools.count()
    traced: dict[str, Vertex] = {}
    with recorded_reads() as reads:
        for name, of_type in functions.items():
            traced[name] = Vertex(name, tuple(functions))
            with recording(user_line, keys):
                _run_forward(of_type, traced[name])
    states = _states_of_types(traced)
    pushes: dict[str, list[Node]] = {}
    for vertex in traced.values():
        for name, node in vertex._pushes.items():
            pushes.setdefault(name, []).append(node)
    _check_pushes(pushes)
    function_ir = FunctionIR(
        {name: joined_state(name, parts) for name, parts in states.items()},
        {name: _joined_push(name, parts) for name, parts in pushes.items()},
    )
    inputs, children = _inputs_of_types(traced.values()), _children_of_types(traced)
    return Trace(function_ir, inputs, type(function).__name__, reads, tuple(functions), children)


def _children_of_types(traced: Mapping[str, Vertex]) -> tuple[ChildRead, ...]:
    found: dict[tuple[EdgeList, int | None], dict[str, Node]] = {}
    for type, vertex in traced.items():
        for (name, slot, of), node in vertex._gathers.items():
            found.setdefault((EdgeList(type, of), slot), {})[name] = node
    scattered = {type: vertex._scatters or {} for type, vertex in traced.items()}
    reads = []
    for (edges, slot), nodes in found.items():
        types = frozenset(t for t, states in scattered.items() if states.keys() >= nodes.keys())
        first = next(iter(nodes.values()))
        reads.append(ChildRead(edges, slot, tuple(nodes), types, first.where))
    return tuple(reads)


def _states_of_types(traced: Mapping[str, Vertex]) -> dict[str, list[Node]]:
    """The parts of each state, by the types that scatter it."""
    found: dict[str, list[Node]] = {}
    for vertex in traced.values():
        for name, node in (vertex._scatters or {}).items():
            parts = found.setdefault(name, [])
            if parts and parts[0].shape != node.shape:
                raise ShapeError(
                    f"[scatter] expected state {name!r} of one shape, {parts[0].shape}, as at "
                    f"{parts[0].where}, got {node.shape}, at {node.where}; scatter one shape, or "
                    "rename one"
                )
            parts.append(node)
    for vertex in traced.values():
        for (name, _, of), gathered in vertex._gathers.items():
            scattered = (traced[of]._scatters or {}) if of is not None else found
            if name not in scattered:
                whose = "a type scatters" if of is None else f"type {of!r} scatters"
                raise TraceError(
                    f"[scatter] expected state {name!r}, gathered at {gathered.where}, among the "
                    f"states that {whose}, got {sorted(scattered)}; scatter it too"
                )
            if found[name][0].shape != gathered.shape:
                raise ShapeError(
                    f"[scatter] expected state {name!r} of shape {gathered.shape}, as gathered at "
                    f"{gathered.where}, got {found[name][0].shape}, at {found[name][0].where}; "
                    "gather and scatter one shape"
                )
    return found


def _joined_push(name: str, parts: Sequence[Node]) -> Node:
    first = parts[0]
    if len(parts) == 1:
        return first
    for x in parts:
        if (x.shape, x.space.kind) != (first.shape, first.space.kind):
            raise ShapeError(
                f"[push] expected output {name!r} alike from all types, {first.space.kind}"
                f"{list(first.shape)}, as at {first.where}, got {x.space.kind}{list(x.shape)}, at "
                f"{x.where}; push one shape, or rename one"
            )
    return join(name, first.shape, {x.space: x for x in parts}, joined(x.space for x in parts))


def _inputs_of_types(traced: Iterable[Vertex]) -> dict[Name, InputSpec]:
    """Each input with the rows of all types that pull it."""
    found: dict[Name, InputSpec] = {}
    for vertex in traced:
        for name, (spec, _) in vertex._inputs.items():
            known = found.setdefault(name, spec)
            if (known.shape, known.dtype, known.space) != (spec.shape, spec.dtype, spec.space):
                raise _pulled_otherwise(known, f"{spec.space}{list(spec.shape)} {spec.dtype}")
            if isinstance(spec.rows, Typed):
                found[name] = replace(known, rows=joined([known.rows, spec.rows]))
    return found


def _pulled_otherwise(known: InputSpec, got: str) -> TraceError:
    return TraceError(
        f"[pull] expected input {known.name!r} as before ({known.rows}{list(known.shape)} "
        f"{known.dtype}, {known.where}), got {got}; pull it alike, or by another name"
    )


def children_read(traced: Trace) -> int | None:
    """How many children of a vertex F reads, from the first one on; None if it takes any number,
    because it gathers all of them or none."""
    nodes = ir.ancestors(traced.function.roots())
    slots = {node.attrs["slot"] for node in nodes if node.op is GATHER}
    return None if not slots or None in slots else 1 + max(slots)


def select_outputs(traced: Trace, outputs: Iterable[str]) -> Trace:
    """The trace with `outputs` alone, and with the inputs that they depend on.

    Raises:
        InputError: F pushes no such output, or there is none at all.
    """
    pushes, wanted = traced.function.pushes, list(dict.fromkeys(outputs))
    if not wanted or any(name not in pushes for name in wanted):
        raise InputError(
            f"[compile] expected outputs among {sorted(pushes)}, one or more, got {wanted}; "
            "choose some of these"
        )
    chosen = {name: pushes[name] for name in wanted}
    # States that nothing asked for gathers, not even by way of other states, are left out.
    scatters, states = traced.function.scatters, _gathered(chosen.values())
    while not states >= (more := _gathered(scatters[name] for name in states)):
        states |= more
    function = FunctionIR({k: x for k, x in scatters.items() if k in states}, chosen)
    pulled = {n.attrs["name"] for n in ir.ancestors(function.roots()) if n.op is PULL}
    inputs = {name: spec for name, spec in traced.inputs.items() if name in pulled}
    return replace(traced, function=function, inputs=inputs)


def _gathered(nodes: Iterable[Node]) -> set[Name]:
    """Names of the states that values of F gather."""
    return {node.attrs["name"] for node in ir.ancestors(nodes) if node.op is GATHER}
