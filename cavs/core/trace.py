"""Runs ``forward`` once, on symbols, and keeps its operations as IR."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node
from cavs.core.joins import join, joined, joined_state
from cavs.core.ops._def import Between
from cavs.core.ops._spaces import EdgeList, SpaceKind, Typed
from cavs.core.ops.structure import GATHER, PULL
from cavs.core.reads import Reads, recorded_reads
from cavs.core.traced_vertex import InputSpec, Vertex, pulled_otherwise
from cavs.core.tracing import SourceLine, recording
from cavs.core.typed_function import TypedFunction
from cavs.core.user_code import locate, user_line
from cavs.core.vertex import Module, VertexFunction, check_function
from cavs.errors import CavsError, InputError, ShapeError, TraceError


class ChildRead(NamedTuple):
    """What vertices of a type gather of their children.

    Attributes:
        edges: the list of edges.
        slot: the position of the child, below 0 from the end of the list; None: all of it.
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
    _check_reductions(scatters)
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
        locate(error)
        raise


def _check_pushes(pushes: Mapping[str, Any]) -> None:
    if not pushes:
        raise TraceError("[push] expected at least one output, got none; call v.push(...)")


def _check_reductions(scatters: Mapping[str, Any]) -> None:
    """Raises TraceError where a state depends on a sum over vertices that depends on states: it
    would be there when all vertices are done, and they wait for it."""
    for name, state in scatters.items():
        recursive: set[Node] = set()
        for node in ir.ancestors([state]):
            if node.op is not GATHER and not any(x in recursive for x in node.inputs):
                continue
            recursive.add(node)
            if node.op.reduces in (Between.ALL, Between.GRAPH):
                raise TraceError(
                    f"[scatter] expected state {name!r} to depend on no reduction over vertices "
                    f"whose values depend on states, got {node.op.name}, at {node.where}; reduce "
                    "what is pulled, or what is pushed"
                )


def _trace_types(function: TypedFunction) -> Trace:
    """The functions of all types as one, whose results are joined."""
    functions, keys = function.functions(), itertools.count()
    traced: dict[str, Vertex] = {}
    with recorded_reads() as reads:
        for name, of_type in functions.items():
            traced[name] = Vertex(name, tuple(functions))
            with recording(user_line, keys):
                _run_forward(of_type, traced[name])
    for vertex in traced.values():
        _check_reductions(vertex._scatters or {})
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
                others = [x for x, other in traced.items() if name in (other._scatters or {})]
                instead = f", or gather it of {' or '.join(map(repr, others))}" if others else ""
                raise TraceError(
                    f"[scatter] expected state {name!r}, gathered at {gathered.where}, among the "
                    f"states that {whose}, got {sorted(scattered)}; scatter it too{instead}"
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
    if first.space == SpaceKind.NONE:
        raise TraceError(
            f"[push_batch] expected output {name!r} from one type, got it at {first.where} and "
            f"{parts[1].where}; rename one"
        )
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
                raise pulled_otherwise(known, f"{spec.space}{list(spec.shape)} {spec.dtype}")
            if isinstance(spec.rows, Typed):
                found[name] = replace(known, rows=joined([known.rows, spec.rows]))
    return found


class SlotsRead(NamedTuple):
    """How many children of a vertex F reads: from the first one on, and from the last one back."""

    first: int
    last: int = 0


def slots_read(traced: Trace) -> SlotsRead | None:
    """The children of a vertex that F reads by position; None if a vertex may have any number,
    because F gathers all of them or none."""
    nodes = ir.ancestors(traced.function.roots())
    slots = {node.attrs["slot"] for node in nodes if node.op is GATHER}
    return None if not slots or None in slots else SlotsRead(1 + max(-1, *slots), -min(0, *slots))


def check_grows(traced: Trace, training: bool) -> None:
    """Raises InputError where F, traced for this mode, cannot compute vertices of graphs that grow:
    it adds up vertices, which are not all there, or has an input of the whole batch."""
    advice = ", or call model.eval() if evaluation has none" if training else ""
    for node in ir.ancestors(traced.function.roots()):
        if node.op.reduces in (Between.ALL, Between.GRAPH):
            raise InputError(
                "[unfold] expected a function without reductions over graphs and batches, whose "
                f"vertices are not all there while graphs grow, got {node.op.name}, at "
                f"{node.where}; reduce over children, or what the growth has pushed{advice}"
            )
        if node.op is PULL and node.space == SpaceKind.NONE:
            raise InputError(
                "[unfold] expected inputs of vertices, edges and graphs, got "
                f"{node.attrs['name']!r} of the batch, at {node.where}; pull it by graph"
            )
    for name, node in traced.function.pushes.items():
        if node.space == SpaceKind.NONE:
            raise InputError(
                f"[unfold] expected outputs of vertices and edges, got {str(name)!r} of the batch; "
                "ask for the others by outputs="
            )


def select_outputs(traced: Trace, outputs: Iterable[Name]) -> Trace:
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
