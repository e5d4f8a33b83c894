"""Traces, optimises, differentiates, lowers: once per function, per set of wanted gradients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import wraps
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar

from cavs._locks import new_lock
from cavs.core.autodiff import Gradient, differentiate
from cavs.core.ir import FunctionIR, Name, Node, ancestors, is_read, reading_of
from cavs.core.lowering import Lowered, Sinks, distinct_tables, find_masks, lower, read_from_forward
from cavs.core.lowering.nodes import parts
from cavs.core.lowering.zeros import RowIds
from cavs.core.modes import buffers_written, evaluation, in_training
from cavs.core.ops._spaces import Space, SpaceKind, Typed
from cavs.core.ops.structure import (
    GATHER,
    PARAM,
    PULL,
)
from cavs.core.passes import (
    OF_FUNCTIONS,
    OF_GRADIENTS,
    PASSES,
    Context,
    remember_pulls,
    run,
    say_switches,
)
from cavs.core.passes.remember_pulls import Remembered, refuse_in_training
from cavs.core.program import Output, OutputKind, Program
from cavs.core.remarks import Notes
from cavs.core.tangents import WithTangents, with_tangents
from cavs.core.trace import Trace, select_outputs, trace
from cavs.core.tracing import apart_from_traces, leaves_apart
from cavs.core.type_order import order_of, read_states
from cavs.core.verify import verify
from cavs.core.vertex import VertexFunction, is_buffer, is_constant, named_values
from cavs.errors import InputError, TraceError

_Names = frozenset[Name]
_Learning = tuple[bool, ...]


# If several threads ask for programs, one program is made at a time. Tracing, which runs code of
# the user, and the other work of making a new compiler need no lock.
_lock = new_lock()
_OF_WHOLE_BATCHES = ("specialize_leaves", "fuse_attention", "unique_pulls", "remember_pulls")
_FEW_LEAVES = {
    "specialize_leaves": "few vertices of the batch are leaves: run apart in training, they would "
    "read all weights once more"
}
_requires_grad = attrgetter("requires_grad")  # read of each parameter at each call, without Python
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _one_at_a_time(method: Callable[_P, _T]) -> Callable[_P, _T]:
    @wraps(method)
    def locked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with _lock, apart_from_traces():
            return method(*args, **kwargs)

    return locked


class Compiler:
    """F's IR and the programs made from it, each lowered when first asked for.

    The programs are of training mode; :meth:`in_mode` gives the compiler of evaluation.

    Attributes:
        trace: F as traced; in evaluation without dropout.
        params: the parameters, buffers and arrays that F uses, in order of their numbers; last, the
            buffers that calls in training mode write.
        unwritten: those that no call writes.
        param_names: attribute paths of the function's parameters.
        function: F after the passes.
        types: the order of the types of F, if it has any.
    """

    def __init__(
        self,
        function: VertexFunction,
        passes: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
        rewrite: Callable[[Trace], Trace] | None = None,
    ) -> None:
        self.passes = _checked(PASSES if passes is None else tuple(passes))
        traced = trace(function)
        with apart_from_traces():
            if outputs is not None:
                traced = select_outputs(traced, outputs)
            traced = traced if rewrite is None else rewrite(traced)
            self.params: list[Any] = _used_parameters(function, traced.function)
            written = buffers_written(traced)
            self.params.sort(key=lambda p: id(p) in written)
            self.unwritten = self.params[: len(self.params) - len(written)]
            self.param_names = {p: name for name, p in named_values(function)}
            arrays = filter(is_constant, self.params)
            self.param_names |= {p: f"array {i}{_at(p)}" for i, p in enumerate(arrays)}
            self._evaluation: Compiler | None = None
            self._updates = True  # whether calls in training mode write to buffers
            self._reasons: Mapping[str, str] = {}  # of passes that are off, if not by the user
            self._begin(traced)

    def _begin(self, traced: Trace, notes: Notes | None = None) -> None:
        """Sets up everything that follows from the trace."""
        verify(traced.function.roots(), "trace")
        self._traced = traced
        self.trace = traced = in_training(traced, self._updates)
        self._context = Context(self.passes, notes)
        function = read_states(traced.function) if traced.types else traced.function
        self.function = run(OF_FUNCTIONS, function, self._context)
        moved = {"hoist", "defer"}.issubset(self.passes)
        self.types = order_of(traced, function, self._context.leaves_apart, not moved)
        self._gradients: dict[tuple[_Names, _Names, _Learning], Gradient] = {}
        self._inference: Lowered | None = None
        self._growing: Compiler | None = None
        self._together: Compiler | None = None
        self._remembering: tuple[Program, list[tuple[Remembered, Program]]] | None = None
        self._forwards: dict[tuple[_Names, _Learning], Lowered] = {}
        self._backwards: dict[tuple[_Names, _Names, _Learning], Program] = {}
        self._differentiable: dict[tuple[_Names, _Learning], _Names] = {}

    def in_mode(self, training: bool) -> Compiler:
        """The same function in training mode, which is this one, or in evaluation."""
        return self if training else self._evaluation or self._evaluating()

    def noted(self) -> dict[str, Notes]:
        """What the passes say when they do all of their work once more: for ``inference``, and for
        ``training`` with cotangents of all outputs."""
        with _lock, apart_from_traces():
            made, of_function = copy(self), Notes()
            made._begin(self._traced, of_function)
            say_switches(made._context, self._reasons)
            found = {}
            for mode in ("inference", "training"):
                notes = made._context.notes = of_function.copy()
                if mode == "inference":
                    made.remembering()
                else:
                    made.backward(made.function.pushes, ())
                    if "remember_pulls" in self.passes:
                        refuse_in_training(made.function, notes)
                found[mode] = notes
        return found

    def only(self, outputs: Iterable[str]) -> Compiler:
        """The same function with these outputs alone, and with the inputs that they depend on. The
        numbers of parameters and of random operations are as here.

        Raises:
            InputError: F pushes no such output, or there is none at all.
        """
        traced = select_outputs(self._traced, outputs)
        with apart_from_traces():
            made = copy(self)
            made._evaluation = None
            made._begin(traced)
        return made

    def with_tangents(
        self,
        outputs: Collection[Name],
        inputs: Collection[Name],
        params: Collection[int],
        by_rows: bool,
    ) -> tuple[Compiler, WithTangents]:
        """The function of the tangents of outputs, from those of the float inputs named and of
        parameters, by their numbers; see :func:`cavs.core.tangents.with_tangents`."""
        with apart_from_traces():
            numbers = {id(self.params[i]): i for i in params}
            first = len(self.unwritten)
            written = {id(buffer): i for i, buffer in enumerate(self.params) if i >= first}
            found = with_tangents(self._traced, outputs, inputs, numbers, written, by_rows)
            made = copy(self)
            made._evaluation = None
            made._begin(found.trace)
        return made, found

    @_one_at_a_time
    def _evaluating(self) -> Compiler:
        if self._evaluation is None:
            traced = evaluation(self._traced)
            made = self
            if traced is not self._traced:
                made = copy(self)
                made._begin(traced)
            self._evaluation = made
        return self._evaluation

    @_one_at_a_time
    def growing(self) -> Compiler:
        """The same function for graphs that grow: new vertices are computed alone, neither leaves
        nor distinct ids among them are told apart, and buffers stay as they are."""
        if not set(_OF_WHOLE_BATCHES).intersection(self.passes) and not self.trace.function.updates:
            return self
        if self._growing is None:
            self._growing = self._without(_OF_WHOLE_BATCHES, updates=False)
        return self._growing

    def with_few_leaves(self) -> Compiler:
        """The same function, in this mode, for training over batches with few leaves, which are not
        told apart if the bits of their values stay."""
        if "specialize_leaves" not in self.passes or self._context.leaves_round:
            return self
        return self._together or self._telling_no_leaves()

    @_one_at_a_time
    def _telling_no_leaves(self) -> Compiler:
        if self._together is None:
            made = self._without(_FEW_LEAVES)
            made._reasons = _FEW_LEAVES
            self._together = made
        return self._together

    def _without(self, passes: Collection[str], *, updates: bool = True) -> Compiler:
        made = copy(self)
        made._updates = self._updates and updates
        made.passes = tuple(name for name in self.passes if name not in passes)
        made._evaluation = None
        made._begin(self._traced)
        return made

    def _masks(self, roots: Iterable[Node], notes: Notes | None = None) -> dict[Node, Node]:
        """Maps a product that may leave out rows to its mask."""
        return find_masks(roots, self._context.shared(RowIds), self.passes, notes)

    def gradient(self, pushes: Iterable[Name], inputs: Iterable[Name]) -> Gradient:
        """∂F after the passes, with embedding gradients by distinct ids."""
        key = (frozenset(pushes), frozenset(inputs), self.learning())
        if key not in self._gradients:
            inputs = {name: self.trace.inputs[name].rows for name in key[1]}
            with leaves_apart(self._context.leaves_apart):
                gradient = differentiate(self.function, key[0], inputs)
            # Of some outputs it must read what that of all reads: F keeps nothing else.
            if key[0] != frozenset(self.function.pushes):
                self._context.kept = self._read_by(self.gradient(self.function.pushes, key[1]))
            self._gradients[key] = run(OF_GRADIENTS, gradient, self._context)
            self._context.kept = frozenset()
        return self._gradients[key]

    def _read_by(self, gradient: Gradient) -> frozenset[Node]:
        nodes = set(ancestors(self.function.roots()))
        return read_from_forward(gradient.roots(), nodes, self.function.scatters)

    def inference(self) -> Program:
        """The program of a forward call that no backward call follows."""
        return (self._inference or self._make_inference()).program

    @_one_at_a_time
    def _make_inference(self) -> Lowered:
        if self._inference is None:
            self._inference = self._without_backward(self.function, self._context.notes)
        return self._inference

    def _named(self) -> dict[str, Any]:
        return {self.param_names[p]: p for p in self.params}

    def _without_backward(self, function: FunctionIR, notes: Notes | None) -> Lowered:
        masks = self._masks(function.roots(), notes)
        sinks = self._sinks(frozenset(), function)
        types = self.types
        if types is not None and not any(isinstance(n.space, Typed) for n in sinks.nodes()):
            types = None  # a part of ids alone
        return self._lower(sinks, None, masks=masks, types=types, notes=notes)

    def _lower(self, sinks: Sinks, forward: Lowered | None, **options: Any) -> Lowered:
        options = {"types": self.types, "notes": self._context.notes, **options}
        if options["types"] is not None:
            options["given"] = {name: spec.rows for name, spec in self.trace.inputs.items()}
            if forward is not None:
                rows = {name: node.space for name, node in self.function.pushes.items()}
                options["given"] |= rows
        return lower(sinks, forward, self._named(), self.passes, **options)

    @_one_at_a_time
    def remembering(self) -> tuple[Program, list[tuple[Remembered, Program]]]:
        """Inference in parts: the program that reads remembered results of pulls, and each part
        with the program that computes it; no parts where there is nothing to remember."""
        if self._remembering is None:
            rest = self.function
            parts: list[Remembered] = []
            if "remember_pulls" in self.passes:
                rest, parts = remember_pulls(self.function, self._context.notes)
                verify(rest.roots(), "remember_pulls")
            programs = []
            for part in parts:
                verify(part.function.roots(), "remember_pulls")
                programs.append((part, self._without_backward(part.function, None).program))
            program = (
                self._without_backward(rest, self._context.notes).program
                if parts
                else self.inference()
            )
            self._remembering = program, programs
        return self._remembering

    def learning(self) -> _Learning:
        """Which parameters want gradients now: freezing one makes other programs."""
        return tuple(map(_requires_grad, self.params))

    def _sinks(self, saved: frozenset[Node], function: FunctionIR | None = None) -> Sinks:
        function = self.function if function is None else function
        outputs = tuple(
            (Output(OutputKind.PUSH, node.space, node.shape, name), node)
            for name, node in function.pushes.items()
        )
        numbers = {id(p): i for i, p in enumerate(self.params)} if function.updates else {}
        outputs += tuple(
            (Output(OutputKind.UPDATE, node.space, node.shape, parameter=numbers[id(buffer)]), node)
            for buffer, node in function.updates.items()
        )
        gathered = {n.attrs["name"] for n in ancestors(function.roots()) if n.op is GATHER}
        states = {k: v for k, v in function.scatters.items() if k in gathered}
        return Sinks(states, outputs, saved)

    @_one_at_a_time
    def _forward(self, inputs: _Names) -> Lowered:
        """F that keeps all values that any gradient needs, whichever outputs get cotangents."""
        key = (inputs, self.learning())
        if key not in self._forwards:
            gradient = self.gradient(self.function.pushes, inputs)
            # Backward reads values of F too: F need not compute the rows that it does not read.
            # And backward leaves out rows by masks that F computes.
            masks = self._masks([*self.function.roots(), *gradient.roots()])
            nodes = set(ancestors([*self.function.roots(), *masks.values()]))
            read = [*gradient.roots(), *(m for node, m in masks.items() if node not in nodes)]
            saved = read_from_forward(read, nodes, self.function.scatters)
            order = ancestors([*gradient.roots(), *masks.values()])
            counted = [table for node in order for table in distinct_tables(node)]
            sinks = self._sinks(saved)
            self._forwards[key] = self._lower(sinks, None, counted=counted, masks=masks)
        return self._forwards[key]

    def training(self, inputs: Iterable[Name]) -> Program:
        """The program of a forward call that a backward call may follow; `inputs` as in
        :meth:`backward`."""
        names = frozenset(inputs)
        lowered = self._forwards.get((names, self.learning()))
        return (lowered or self._forward(names)).program

    def differentiable(self, inputs: _Names) -> _Names:
        """The outputs whose cotangents lead to a parameter that learns or to one of the float
        inputs named."""
        key = (inputs, self.learning())
        found = self._differentiable.get(key)
        return self._find_differentiable(key) if found is None else found

    def _find_differentiable(self, key: tuple[_Names, _Learning]) -> _Names:
        learning = {id(p) for p, learns in zip(self.params, key[1], strict=True) if learns}

        def learns(roots: Iterable[Node], readings: frozenset[Name] = frozenset()) -> bool:
            for node in ancestors(roots):
                if node.op is PARAM and id(node.attrs["parameter"]) in learning:
                    return True
                if node.op is PULL and node.attrs["name"] in key[0]:
                    return True
                if node.op is GATHER and (reading := reading_of(node)) not in readings:
                    scattered = parts(self.function.scatters[node.attrs["name"]])
                    read = [x for x in scattered if is_read(reading, x.space)]
                    if learns(read, readings | {reading}):
                        return True
            return False

        found = frozenset(name for name, node in self.function.pushes.items() if learns([node]))
        self._differentiable[key] = found
        return found

    def backward(self, pushes: Iterable[Name], inputs: Iterable[Name]) -> Program:
        """The program that computes gradients of the parameters and of the float inputs named from
        cotangents of the outputs `pushes`."""
        key = (frozenset(pushes), frozenset(inputs), self.learning())
        return self._backwards.get(key) or self._backward(key)

    @_one_at_a_time
    def _backward(self, key: tuple[_Names, _Names, _Learning]) -> Program:
        if key not in self._backwards:
            forward = self._forward(key[1])
            gradient = self.gradient(key[0], key[1])
            outputs = tuple(self._gradient_outputs(gradient))
            sinks = Sinks(gradient.edges, outputs, slots=gradient.slots)
            masks = self._masks([*self.function.roots(), *gradient.roots()], self._context.notes)
            masks = {node: mask for node, mask in masks.items() if forward.gives(mask)}
            self._backwards[key] = self._lower(sinks, forward, masks=masks).program
        return self._backwards[key]

    def _gradient_outputs(self, gradient: Gradient) -> list[tuple[Output, Node]]:
        """Whole gradients, then ids, then gradient rows for the ids, then cotangents of inputs."""
        numbers = {id(p): i for i, p in enumerate(self.params)}
        outputs: list[tuple[Output, Node]] = []
        by_rows: list[tuple[int, Node]] = []
        ids: dict[Space, Node] = {}
        for parameter, dense, sparse in gradient.params:
            number, shape = numbers[id(parameter)], tuple(parameter.shape)
            if dense is not None:
                whole = Output(OutputKind.PARAM, SpaceKind.NONE, shape, parameter=number)
                outputs.append((whole, dense))
            for node in sparse:
                rows, own = node.inputs
                ids[rows.space] = own
                by_rows.append((number, rows))
        places = {space: len(outputs) + i for i, space in enumerate(ids)}
        outputs += [(Output(OutputKind.IDS, space, ()), node) for space, node in ids.items()]
        for number, rows in by_rows:
            space, shape = rows.space, rows.shape
            of = Output(OutputKind.SPARSE, space, shape, parameter=number, ids=places[space])
            outputs.append((of, rows))
        for name, node in gradient.inputs.items():
            outputs.append((Output(OutputKind.INPUT, node.space, node.shape, name), node))
        return outputs


def _used_parameters(function: VertexFunction, traced: FunctionIR) -> list[Any]:
    """The parameters that F uses, in order of assignment, then its buffers, then the arrays that
    stand in it."""
    used = {id(n.attrs["parameter"]): n for n in ancestors(traced.roots()) if n.op is PARAM}
    known = [p for _, p in named_values(function) if id(p) in used]
    known.sort(key=is_buffer)
    known += [p for p in (n.attrs["parameter"] for n in used.values()) if is_constant(p)]
    strange = set(used) - {id(p) for p in known}
    if strange:
        node = used[strange.pop()]
        raise TraceError(
            f"[compile] expected parameters among the attributes of {type(function).__name__}, "
            f"got another one of shape {node.shape}, at {node.where}; assign it in __init__"
        )
    return known


def _at(array: Any) -> str:
    return "" if array.where is None else f" at {array.where.file}:{array.where.line}"


def _checked(passes: Sequence[str]) -> tuple[str, ...]:
    unknown = [p for p in passes if p not in PASSES]
    if unknown:
        raise InputError(
            f"[compile] expected passes among {list(PASSES)}, got {unknown}; leave out the others"
        )
    return tuple(passes)
