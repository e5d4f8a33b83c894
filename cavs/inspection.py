"""What a compiled vertex function says of itself: inputs, programs, their time and memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn, overload

import numpy as np

from cavs._arguments import boolean, integer, is_among, shown
from cavs.call import Call, in_words
from cavs.compiled import Compiled
from cavs.core import report
from cavs.core.compiler import Compiler
from cavs.core.ir import Name
from cavs.core.remarks_text import MOST
from cavs.core.traced_vertex import InputSpec
from cavs.errors import CavsRuntimeError, InputError
from cavs.execution.executor import Executor, RandomState
from cavs.execution.native import NativeExecutor
from cavs.execution.profile import (
    CallMemory,
    MemoryBytes,
    Profile,
    call_memory,
    measure,
    outputs_of_loss,
    with_remarks,
)
from cavs.inputs import InputChecker
from cavs.scheduler import GraphBatch, InputGraph
from cavs.tensor import Stream
from cavs.values import VertexValues, values_of


class Inspectable(Compiled):
    """A compiled vertex function as far as it can be looked at; :class:`cavs.Model` runs it."""

    training: bool
    _compiler: Compiler
    _executor: Executor
    _checker: InputChecker
    _stream: Stream

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: of parameters, inputs and outputs."""
        return self._executor.dtype

    @property
    def device(self) -> str:
        """The device that it runs on, and that its parameters and outputs are on: ``cpu``,
        ``cuda:0`` and so on."""
        return self._executor.device.name

    @property
    def inputs(self) -> dict[Name, InputSpec]:
        """The inputs that F pulls, by name."""
        return dict(self._compiler.trace.inputs)

    @property
    def children_read(self) -> int | None:
        """How many children a vertex may have: the number of those that F gathers from the first
        slot on, and from the last child back. None if it may have any number: F gathers all
        children or none, was compiled with ``extra_children="ignore"``, or has types, each of which
        reads children of its own."""
        read = self._checker.slots_read
        return None if self._compiler.types is not None or read is None else sum(read)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that F scatters."""
        return tuple(self._compiler.trace.function.scatters)

    @abstractmethod
    def _asked(self, outputs: Iterable[str] | str | None) -> Inspectable:
        """The model of these outputs alone."""

    @property
    def program(self) -> str:
        """The compiled programs of the mode, as text: inference, training forward, and backward."""
        self._structure.check()
        return report.programs(self._compiler.in_mode(self.training))

    @overload
    def explain(self, /, *, outputs: Iterable[str] | None = None, why: str = "most") -> str: ...

    @overload
    def explain(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        /,
        *unnamed: NoReturn,
        loss: str | None = None,
        outputs: Iterable[str] | None = None,
        repeats: int = 5,
        why: str = "most",
        **inputs: Any,
    ) -> Profile: ...

    def explain(
        self,
        graphs: Any = None,
        /,
        *unnamed: NoReturn,
        loss: str | None = None,
        outputs: Iterable[str] | None = None,
        repeats: int = 5,
        why: str = "most",
        **inputs: Any,
    ) -> str | Profile:
        """Describes the compiled programs; over a batch, measures where their time and memory go.

        Both are of the model's mode: in evaluation there is no dropout.
        Both end with what each pass saved and what it did not do, for which line of F, and why.
        Without a batch: F after each pass and the programs, with FLOPs and bytes per row. With one,
        inference and training are run `repeats` times each with the engine's clocks on, and the
        fastest run of each is shown. Training is forward, and backward from cotangents of ones of
        the output `loss`, or of all outputs; there is none where nothing learns. The model stays as
        it is, its gradients and the step of its random operations too.

        Args:
            graphs: as for a call.
            loss: name of an output.
            outputs: as for a call.
            repeats: 1 or more.
            why: "most" shows five reasons of each pass, those with the most work, "all" all.
            inputs: as for a call; tensors get no gradients.

        Raises:
            InputError: no such output, or no such `why`; CavsRuntimeError: the executor is the
            reference; and the errors of a call.
        """
        self._checker.refuse_unnamed(unnamed)
        if not is_among(why, ("most", "all")):
            raise InputError(
                f"[explain] expected why 'most' or 'all', got {shown(why)}; pass one of these"
            )
        asked = self._asked(outputs)
        if asked is not self:
            inputs = self._checker.needed(inputs, asked._checker)
            return asked.explain(graphs, loss=loss, repeats=repeats, why=why, **inputs)
        self._structure.check()
        most = None if why == "all" else MOST
        if graphs is None:
            compiler = self._compiler.in_mode(self.training)
            return report.explain(compiler, self._executor.dtype.itemsize, most)
        executor = self._native_executor("explain")
        pushes = self._compiler.function.pushes
        if loss is not None and not is_among(loss, pushes):
            raise InputError(
                f"[explain] expected an output among {sorted(pushes)}, got {shown(loss)}; name one "
                "of these"
            )
        repeats = integer("explain", "repeats", repeats, 1)
        graphs = self._checker.batch(graphs)
        losses = frozenset(pushes) if loss is None else frozenset([loss])
        profile, known = self._measured(executor, graphs, inputs, losses, repeats)
        return with_remarks(profile, executor, graphs, known, self.training, most)

    def _measured(
        self,
        executor: NativeExecutor,
        graphs: GraphBatch,
        inputs: Mapping[Name, Any],
        losses: frozenset[Name],
        repeats: int,
    ) -> tuple[Profile, Mapping[Name, Any]]:
        """The profile, without remarks, and the inputs as the engine takes them."""
        known = self._checker.check(graphs, dict(inputs))
        random = RandomState(*self._stream.peek(), self.training)
        learnt = losses if self._learns() else None
        return measure(executor, graphs, known, random, learnt, repeats), known

    def values(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        /,
        *unnamed: NoReturn,
        vertex: tuple[int, int],
        outputs: Iterable[str] | None = None,
        **inputs: Any,
    ) -> VertexValues:
        """The value of each line of ``forward`` at one vertex, by the reference executor.

        ``print(model.values(graphs, vertex=(0, 2), **inputs))`` shows them. They are of the model's
        mode, and random numbers are those that the next call would draw; the model stays as it is.
        The native engine computes the same to rounding. Lines of which no output and no gathered
        state is made are not there. To look into a call that gave NaN, see
        :meth:`cavs.NonFiniteError.values`.

        Args:
            graphs: as for a call.
            vertex: the number of the graph in the batch, and of the vertex in the graph, from 0.
            outputs, inputs: as for a call.

        Returns:
            A sequence of ``(where, text, op, name, used_as, space, value)``, one for each operation
            in the order in which ``forward`` ran; values are arrays of the feature shape, those of
            edges with a row for each child.

        Raises:
            InputError: no such vertex; and the errors of a call.
        """
        # Not with cavs: few programs ever need the reference executor.
        from cavs.replay import replay

        self._checker.refuse_unnamed(unnamed)
        asked = self._asked(outputs)
        if asked is not self:
            inputs = self._checker.needed(inputs, asked._checker)
            return asked.values(graphs, vertex=vertex, **inputs)
        self._structure.check()
        batched = self._checker.batch(graphs)
        graph, local = _checked_vertex(batched, vertex)
        arrays = self._checker.check(batched, inputs)
        random = RandomState(*self._stream.peek(), self.training)
        name_of = self._compiler.param_names.__getitem__
        call = Call(self._executor, batched, arrays, random, None, name_of)
        return values_of(replay(call, graph), local, in_words(graph, local), name_of)

    def summary(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph] | None = None,
        /,
        *unnamed: NoReturn,
        outputs: Iterable[str] | None = None,
        **inputs: Any,
    ) -> str:
        """A table of the modules and their parameters, with shapes and numbers of elements, and the
        inputs, states and outputs of F. ``print(model)`` shows it.

        With a batch, also what a call over it in the model's mode costs: floating-point operations,
        counted in a run of inference and, where anything learns, in one of training, and bytes as
        :meth:`memory` gives them. What inference keeps by id from earlier calls is not computed
        again. The model stays as it is.

        Args:
            graphs, outputs: as for a call.
            inputs: as for a call; tensors get no gradients.

        Raises:
            CavsRuntimeError: with a batch, the executor is the reference; and the errors of a call.
        """
        from cavs.summary import parts_of  # not with cavs, as all that prints

        self._checker.refuse_unnamed(unnamed)
        asked = self._asked(outputs)
        given = self._checker.needed(inputs, asked._checker) if asked is not self else inputs
        mode = "training mode" if self.training else "evaluation mode"
        mode += "" if self.device == "cpu" else f", {self.device}"
        lines = parts_of(self.function, self.dtype, mode)
        if graphs is None:
            self._checker.check_names(inputs)
        return "\n".join(lines + asked._own_summary(graphs, given))

    def _own_summary(self, graphs: Any, inputs: dict[Name, Any]) -> list[str]:
        """The part of a summary that is not about parameters."""
        from cavs.summary import cost_of, interface_of

        traced = self._compiler.trace
        lines = interface_of(traced)
        if graphs is None:
            return lines
        executor = self._native_executor("summary")
        graphs = self._checker.batch(graphs)
        pushes = frozenset(self._compiler.function.pushes)
        profile, _ = self._measured(executor, graphs, inputs, pushes, 1)
        memory = {"inference": self.memory(graphs, gradients=False, **inputs)}
        if self._learns():
            memory["training"] = self.memory(graphs, **inputs)
        return lines + cost_of(graphs, profile, memory)

    def __repr__(self) -> str:
        from cavs.core.outline import block

        pushes = self._compiler.trace.function.pushes
        where = "" if self.device == "cpu" else f", device={self.device}"
        facts = f"dtype={self.dtype}{where}, training={self.training}, outputs={list(pushes)}"
        return block(type(self).__name__, [f"(function): {self.function!r}", facts])

    def __str__(self) -> str:
        return self.summary()

    def memory(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        /,
        *unnamed: NoReturn,
        gradients: bool | str | Iterable[str] = True,
        retain: bool = False,
        outputs: Iterable[str] | None = None,
        **ids: Any,
    ) -> MemoryBytes:
        """Bytes that a call over `graphs` in the model's mode allocates, without running it.

        It counts all bytes that are there at once beside parameters and inputs: the values of the
        call and the threads' scratch, its outputs, weights in the layout that products read and,
        with `gradients`, the memory of backward, cotangents of the outputs and gradients; without,
        the results that inference keeps by id. It is the need of a first call: later calls use
        again the memory that this one leaves (arenas, weights, results by id, and with
        ``zero_grad`` gradients). It does not count the schedule, which is kept with `graphs`, and
        values that are computed from the outputs outside of F.

        Args:
            graphs: as for a call.
            gradients: whether backward comes, or names of the outputs that the loss is made of.
                True stands for the outputs of shape () by which anything learns, or for all outputs
                if there are none.
            retain: whether backward comes with ``retain_graph=True``: then it writes over no value
                of the call. Later backwards take the memory of this one, and arrays for their
                gradients until these are added.
            outputs: as for a call.
            ids: the integer inputs, to count distinct ids. The ids of an input that is not given
                count as all distinct, which takes more, but for the gaps that the planner leaves. A
                float input that is a tensor with `requires_grad` gets a gradient too.

        Returns:
            An int whose attribute `parts`, a dict, says what it is made of: ``arena``, ``packed``,
            ``kept``, ``outputs``, ``cotangents`` and ``gradients``.

        Raises:
            InputError: no such output; CavsRuntimeError: the executor is the reference; and the
            errors of a call.
        """
        self._checker.refuse_unnamed(unnamed)
        asked = self._asked(outputs)
        if asked is not self:
            ids = self._checker.needed(ids, asked._checker)
        return asked._memory(graphs, gradients, ids, retain=retain).total

    def _memory(
        self,
        graphs: Any,
        gradients: Any,
        ids: Mapping[Name, Any],
        wanted: Collection[Name] = (),
        *,
        read_on: bool = False,
        retain: bool = False,
    ) -> CallMemory:
        """The memory that a call allocates.

        Args:
            graphs, gradients, ids, retain: see :meth:`memory`.
            wanted: float inputs that get gradients, beside those with `requires_grad`.
            read_on: whether later calls read the outputs, so that all get cotangents.
        """
        executor = self._native_executor("memory")
        boolean("memory", "retain", retain)
        graphs = self._checker.batch(graphs)
        known = self._checker.check(graphs, dict(ids), partial=True)
        inputs = frozenset([*wanted, *self._checker.learning(ids)])
        pushes = self._compiler.trace.function.pushes
        losses = outputs_of_loss(pushes, gradients, read_on=read_on)
        if not (inputs or self._learns()):
            losses = None
        return call_memory(
            executor, graphs, known, losses, inputs, training=self.training, retain=retain
        )

    def _learns(self) -> bool:
        """Whether a parameter wants a gradient."""
        return True in self._compiler.learning()

    def _native_executor(self, asked: str) -> NativeExecutor:
        self._structure.check()
        if not isinstance(self._executor, NativeExecutor):
            raise CavsRuntimeError(
                f"[{asked}] expected the native executor, got the reference; compile with "
                "executor='native'"
            )
        return self._executor


def _checked_vertex(graphs: GraphBatch, vertex: Any) -> tuple[int, int]:
    """The numbers of a graph and of a vertex in it."""
    if not isinstance(vertex, (tuple, list)) or len(vertex) != 2:
        raise InputError(
            f"[values] expected a pair (graph, vertex) as vertex, got {shown(vertex)}; pass their "
            "numbers"
        )
    sizes = np.diff(graphs.ptr)
    if not sizes.any():
        raise InputError("[values] expected graphs with a vertex, got none; pass some")
    graph = integer("values", "graph", vertex[0], 0, len(sizes) - 1)
    if sizes[graph] == 0:
        raise InputError(
            f"[values] expected a graph with vertices, got graph {graph}, which has none; name "
            "another one"
        )
    return graph, integer("values", "vertex", vertex[1], 0, int(sizes[graph]) - 1)
