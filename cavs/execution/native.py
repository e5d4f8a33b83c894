"""Runs compiled vertex functions over batches of graphs in C++: one call for all levels forward,
one for all levels backward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cavs._locks import new_lock
from cavs._native import core as _core
from cavs.core.compiler import Compiler
from cavs.core.ir import Name
from cavs.core.program import Program
from cavs.device import device_of, find_device, host, is_on_host
from cavs.errors import CavsRuntimeError, ShapeError
from cavs.execution.executor import (
    Array,
    Gradients,
    NanState,
    RandomState,
    Updates,
    Weights,
    read_parameters,
)
from cavs.execution.remembered import Memory, id_rows_of
from cavs.execution.settings import get_flush_denormals, get_num_threads
from cavs.kernels.native_form import NativeForm
from cavs.memory import SweepMemory, plan_run
from cavs.scheduler import GraphBatch, Policy, Schedule

_lock = new_lock()  # held while a native program is made


class NativeExecutor:
    """Runs programs in C++: one call for all levels forward, one for all levels backward."""

    def __init__(
        self, compiler: Compiler, dtype: str, policy: str | Policy, device: str = "cpu"
    ) -> None:
        self.compiler = compiler
        self.dtype = np.dtype(dtype)
        self.policy = policy
        self.device = find_device(device)
        self._loaded: dict[tuple[Program, bool], Any] = {}
        self._kept: dict[Compiler, tuple[Program, list[tuple[Memory, Program]]]] = {}

    def of(self, compiler: Compiler) -> NativeExecutor:
        """The executor of another function, with the same settings."""
        return NativeExecutor(compiler, self.dtype.name, self.policy, self.device.name)

    def load(self, program: Program, *, hold_states: bool = False) -> Any:
        """The native program, made once; with `hold_states` for a growth."""
        which = program, hold_states
        found = self._loaded.get(which)
        if found is None:
            forward = None if program.forward is None else self.load(program.forward)
            with _lock:
                found = self._loaded.get(which)
                if found is None:
                    found = self._loaded[which] = self._make(program, forward, hold_states)
        return found

    def _make(self, program: Program, forward: Any, hold_states: bool) -> Any:
        form = NativeForm(program, self.dtype.name)
        states = program.states if hold_states else self._looked_at(program)
        return _core.Program(
            form.dtype,
            [form.value(value) for value in program.values],
            [form.segment(segment) for segment in program.segments],
            [form.unique(unique) for unique in program.uniques],
            program.saved,
            forward,
            self.device.name,
            [form.output(output) for output in program.outputs],
            [program.states[name] for name in states],
            "stream" in self.compiler.passes,
            form.types,
            hold_states,
        )

    def schedule(self, graphs: GraphBatch, program: Program | None = None) -> Schedule:
        """The schedule by which the program runs over a batch; None: those of the function."""
        types = self.compiler.types if program is None else program.types
        return graphs.schedule(self.policy, None if types is None else types.numbers())

    def of_training(self, compiler: Compiler, graphs: GraphBatch, training: bool) -> Compiler:
        """The compiler of calls over a batch that a backward call may follow, in a mode;
        `compiler`: the function's, or that of some of its outputs."""
        compiler = compiler.in_mode(training)
        if compiler.types is None and self.schedule(graphs).has_few_leaves:
            return compiler.with_few_leaves()
        return compiler

    def _looked_at(self, program: Program) -> list[Name]:
        """The states in which runs look for NaN: those that F scatters, or all states of the
        program if a pass replaced any of them."""
        own = self.compiler.trace.function.scatters
        if own.keys() <= program.states.keys():
            return list(own)
        return list(program.states)

    def forward(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        wanted: frozenset[Name] | None,
        *,
        check_states: bool = False,
        weights: Weights | None = None,
    ) -> tuple[dict[Name, Array], NativeRun | None, Updates]:
        """See :class:`cavs.execution.executor.Executor`. `weights`: stand in place of the
        parameters' values, in this call and its backward."""
        if weights is None:
            weights = read_parameters(self.compiler.params)
        if wanted is None:
            program, known = self._inference(graphs, inputs, random, weights)
            outputs, _, updates = self._run(
                program, graphs, known, random, weights, keep=False, check_states=check_states
            )
            return outputs, None, updates
        compiler = self.of_training(self.compiler, graphs, random.training)
        program = compiler.training(wanted)
        outputs, native, updates = self._run(
            program,
            *(graphs, inputs, random, self._held(weights)),
            keep=True,
            check_states=check_states,
        )
        return outputs, NativeRun(self, compiler, native, program, wanted), updates

    def _held(self, weights: Weights) -> Weights:
        """The weights, with copies of the buffers that calls write: backward may read them when
        they have other values."""
        first = len(self.compiler.unwritten)
        if first == len(weights.values):
            return weights
        copies = [device_of(x).copy(x) for x in weights.values[first:]]
        versions = [*weights.versions[:first], *[-1] * len(copies)]
        return Weights([*weights.values[:first], *copies], versions)

    def _inference(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        weights: Weights,
    ) -> tuple[Program, Mapping[Name, Array]]:
        """The program of a call that no backward call follows, and its inputs: the given ones, and
        the results that earlier calls left (see Memory)."""
        known: dict[Name, Array] = dict(inputs)
        compiler = self.compiler.in_mode(random.training)
        whole, memories = self.remembering(compiler)
        versions = [*weights.versions, int(get_flush_denormals())]
        schedule = None if compiler.types is None else self.schedule(graphs, whole)
        for memory, part_program in memories:

            def compute(
                vertices: GraphBatch, ids: Array, program: Program = part_program
            ) -> dict[Name, Array]:
                named = dict.fromkeys(program.inputs, ids)
                return self._run(program, vertices, named, random, weights, keep=False)[0]

            results = memory.results(inputs[memory.part.pull], schedule, versions, compute)
            if results is None:
                return compiler.inference(), inputs
            known.update(results)
        return whole, known

    def remembering(self, compiler: Compiler) -> tuple[Program, list[tuple[Memory, Program]]]:
        """The program that reads remembered results, and for each part its memory and program."""
        kept = self._kept.get(compiler)
        if kept is None:
            numbers = {id(p): number for number, p in enumerate(compiler.params)}
            kind = self.dtype, self.device
            whole, parts = compiler.remembering()
            memories = [
                (
                    Memory(
                        part,
                        [*(numbers[id(p)] for p in part.params), -1],
                        *kind,
                        id_rows_of(part, compiler.trace, compiler.types),
                    ),
                    program,
                )
                for part, program in parts
            ]
            kept = self._kept.setdefault(compiler, (whole, memories))
        return kept

    def _run(
        self,
        program: Program,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        weights: Weights,
        *,
        keep: bool,
        profile: bool = False,
        check_states: bool = False,
    ) -> tuple[dict[Name, Array], Any, Updates]:
        """Outputs by name, the native run, and the values for buffers."""
        native = _core.Run(
            self.load(program),
            self.schedule(graphs, program),
            graphs.keys,
            random.seed,
            random.step,
            random.training,
            keep,
        )
        if profile:
            native.profile = True
        if check_states:
            native.check_states = True
        arrays = self.placed(list(map(inputs.__getitem__, program.inputs)))
        self.device.begin_native()
        try:
            outputs = native.forward(weights.values, arrays, versions=weights.versions)
        except ShapeError:
            self.check_parameters(weights)
            raise
        if check_states and native.nan_state is not None:
            number, vertex = native.nan_state
            raise NanState(self._looked_at(program)[number], vertex)
        results = program.results
        updates = [(buffer, outputs[number]) for buffer, number in results.updates]
        return {name: outputs[number] for name, number in results.pushes}, native, updates

    def placed(self, arrays: list[Array]) -> list[Array]:
        """Inputs of a program where it reads them: floats on the device, ids on the host."""
        if self.device is host:
            return arrays
        return [
            self.device.asarray(x) if x.dtype.kind == "f" and is_on_host(x) else x for x in arrays
        ]

    def profiled(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        cotangents: Mapping[Name, Array] | None,
    ) -> tuple[dict[str, Program], Any]:
        """A call with the engine's clocks on: inference, or, with `cotangents`, forward and
        backward. Gives the programs by direction and the native run, which has the times."""
        weights = read_parameters(self.compiler.params)
        if cotangents is None:
            program, known = self._inference(graphs, inputs, random, weights)
            native = self._run(program, graphs, known, random, weights, keep=False, profile=True)[1]
            return {"forward": program}, native
        compiler = self.of_training(self.compiler, graphs, random.training)
        wanted = frozenset[Name]()
        program = compiler.training(wanted)
        native = self._run(program, graphs, inputs, random, weights, keep=True, profile=True)[1]
        NativeRun(self, compiler, native, program, wanted).backward(cotangents)
        return {"forward": program, "backward": compiler.backward(cotangents, wanted)}, native

    def check_parameters(self, weights: Weights) -> None:
        """Raises CavsRuntimeError where a parameter is on another device than the programs, or of
        another dtype: another model of the same function has changed it."""
        for parameter, values in zip(self.compiler.params, weights.values, strict=True):
            name, there = self.compiler.param_names[parameter], device_of(values).name
            if values.dtype != self.dtype and values.dtype != "int32":
                raise CavsRuntimeError(
                    f"[dtype] expected parameter {name!r} as {self.dtype}, for which this model "
                    f"was compiled, got {values.dtype}, to which another model of the same "
                    "function, or new data, changed it; compile the function again, make one for "
                    f"each dtype, or convert the data by astype({str(self.dtype)!r})"
                )
            if there != self.device.name:
                raise CavsRuntimeError(
                    f"[device] expected parameter {name!r} on {self.device.name}, for which this "
                    f"model was compiled, got it on {there}, where another model of the same "
                    "function or to() moved it; compile the function again, or make one for each "
                    "device"
                )

    def levels_choices(
        self, program: Program, graphs: GraphBatch, *, keep: bool
    ) -> list[tuple[int, int, int, str]]:
        """For each levels segment of a program for a GPU: its number, how many levels of `graphs`
        it has rows in, how many of these go together in launches, and why the others do not. On
        the CPU none. `keep`: whether backward follows."""
        if self.device.name == "cpu":
            return []
        schedule = self.schedule(graphs, program)
        return list(_core.cuda.levels_choices(self.load(program), schedule, keep))

    def plan(
        self,
        forward: Program,
        backward: Program | None,
        graphs: GraphBatch,
        distinct: Sequence[int],
        retain: bool,
    ) -> list[SweepMemory]:
        """Memory of forward and backward over `graphs`, without a run.

        Args:
            forward, backward: the programs.
            graphs: the batch.
            distinct: how many rows each of the distinct ids of `forward` has.
            retain: whether another backward may follow.
        """
        second = None if backward is None else self.load(backward)
        schedule, threads = self.schedule(graphs, forward), get_num_threads()
        return plan_run(self.load(forward), second, schedule, distinct, threads, retain=retain)


class NativeRun:
    """A native forward call whose kept values wait for backward calls."""

    def __init__(
        self,
        executor: NativeExecutor,
        compiler: Compiler,
        native: Any,
        program: Program,
        wanted: frozenset[Name],
    ) -> None:
        self.executor = executor
        self.compiler = compiler  # of the call's mode: the model's may have changed
        self.native = native
        self.program = program
        self.wanted = wanted

    def backward(self, cotangents: Mapping[Name, Array], *, retain: bool = False) -> Gradients:
        """See :class:`cavs.execution.executor.Run`."""
        program = self.compiler.backward(cotangents, self.wanted)
        if program.forward is not self.program:
            raise CavsRuntimeError(
                "[backward] expected requires_grad of the parameters as in the forward call, got "
                "a change in between; change it before the call"
            )
        results, params = program.results, program.params
        buffers: list[Array | None] = [None] * len(program.outputs)
        for parameter, output in results.whole:
            buffers[output] = params[parameter].take_grad_buffer()
        given = self.executor.placed([cotangents[name] for name in program.inputs])
        self.executor.device.begin_native()
        outputs = self.native.backward(self.executor.load(program), given, buffers, retain=retain)
        gradients = Gradients(
            [(parameter, outputs[output]) for parameter, output in results.whole],
            {name: outputs[output] for name, output in results.inputs},
        )
        for parameter, ids, rows in results.by_rows:
            known = outputs[ids]
            first = 1 if len(known) and known[0] < 0 else 0  # "no input" has no row
            gradients.params.append((parameter, (known[first:], outputs[rows][first:])))
        return gradients
