"""Where F and G meet: runs compiled vertex functions over batches of graphs.

`NativeExecutor` runs all levels in one native call; `ReferenceExecutor` (cavs/reference.py) runs
one vertex at a time in NumPy and is what the native one is tested against.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cavs._locks import new_lock
from cavs._native import core as _core
from cavs.core.compiler import Compiler
from cavs.core.ir import Name
from cavs.core.ops._def import Space, Unique
from cavs.core.program import Instruction, Output, Program, Segment, TableName, UniqueIds, Value
from cavs.errors import CavsRuntimeError, InputError
from cavs.remembered import Memory
from cavs.scheduler import GraphBatch

Array = npt.NDArray[Any]

_lock = new_lock()  # of native programs while one is made


def _load_blas() -> None:
    # To import it would load the library, with a thread for each core.
    found = find_spec("scipy_openblas32")
    if found is None or found.origin is None:
        raise ImportError("[cavs] expected scipy-openblas32, got none; install it with pip")
    folder = os.path.join(os.path.dirname(found.origin), "lib")
    for name in sorted(os.listdir(folder)):
        if name.startswith("libscipy_openblas") and ".so" in name:
            _core.load_blas(os.path.join(folder, name))
            return
    raise ImportError(
        f"[cavs] expected libscipy_openblas.so in {folder}, got none; reinstall scipy-openblas32"
    )


_load_blas()


def set_num_threads(count: int) -> None:
    """Threads that native calls use from now on; at first the cores that the process may use.

    Raises:
        InputError: `count` is not in 1..1024.
    """
    given: Any = count
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 1024:
        raise InputError(
            f"[threads] expected a number of threads in 1..1024, got {count!r}; pass such an "
            "integer"
        )
    _core.set_num_threads(count)


def get_num_threads() -> int:
    """Threads that native calls use."""
    return int(_core.num_threads())


def set_flush_denormals(enabled: bool) -> None:
    """Whether native calls in float32 take denormal numbers, those below 1.2e-38 in magnitude, for
    zero from now on, as operands and as results of arithmetic. On at first.

    Processors need a hundred cycles and more for one, and L2 decay brings weights there that no
    gradient holds, so that a training step takes several times as long. Off, float32 follows IEEE
    754 to its last number. Of the whole process: runs of programs, optimisers, norms and sums of
    tensors, in all threads that they use, matrix products of OpenBLAS included. Calls in float64
    always follow IEEE 754. A call leaves the caller's own mode as it was and takes no notice of it;
    NumPy, of which the other operations on tensors are made, is not concerned.

    Raises:
        InputError: `enabled` is no bool; CavsRuntimeError: True on a machine that cannot (neither
        x86-64 nor arm64), where the setting is off.
    """
    if not isinstance(enabled, bool):
        raise InputError(f"[denormals] expected True or False, got {enabled!r}; pass one of these")
    _core.set_flush_denormals(enabled)


def get_flush_denormals() -> bool:
    """Whether native calls in float32 take denormals for zero; see :func:`set_flush_denormals`."""
    return bool(_core.flush_denormals())


def compiles_groups() -> bool:
    """Whether elementwise groups of float32 run as machine code; they are interpreted where the
    processor is another or the system lets no memory be executable."""
    return bool(_core.can_compile_groups())


def instruction_set() -> str:
    """Instruction set of the kernels, chosen at start-up: ``avx512``, ``avx2`` or ``generic``."""
    return str(_core.instruction_set())


class RandomState(NamedTuple):
    """What random operations draw from, with the keys of graph and vertex."""

    seed: int
    step: int
    training: bool


class Gradients(NamedTuple):
    """What a backward call gives.

    Attributes:
        params: (parameter number, gradient); a gradient by rows is (ids, rows), ids ascending and
            distinct, int32. A parameter may come several times, to be added.
        inputs: cotangents by input name.
    """

    params: list[tuple[int, Array | tuple[Array, Array]]]
    inputs: dict[Name, Array]


class Weights(NamedTuple):
    """Values of the parameters, by number, and of each a number that changes with them or -1 (see
    Parameter.read): what was made of a weight serves until it changes."""

    values: list[Array]
    versions: list[int]


class NanState(Exception):  # noqa: N818
    """What a forward call that looks for NaN in states raises: the state that has one.

    Attributes:
        name: of the state.
        vertex: the user's number of the first vertex that scattered it, children first.
    """

    def __init__(self, name: Name, vertex: int) -> None:
        super().__init__(f"NaN in state {name} of vertex {vertex}")
        self.name = name
        self.vertex = vertex


class Run(Protocol):
    """A forward call that waits for its backward."""

    def backward(self, cotangents: Mapping[Name, Array]) -> Gradients:
        """Gradients, from cotangents of outputs in the user's order, C-contiguous. Once."""


class Executor(Protocol):
    """Runs one compiled function."""

    compiler: Compiler
    dtype: np.dtype[Any]

    def forward(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        wanted: frozenset[Name] | None,
        *,
        check_states: bool = False,
    ) -> tuple[dict[Name, Array], Run | None]:
        """Outputs in the user's order. `wanted`: inputs whose cotangents a backward will give; None
        where no backward comes. `check_states`: whether NaN in a state raises :class:`NanState`."""


class NativeExecutor:
    """Runs programs in C++: one call for all levels forward, one for all levels backward."""

    def __init__(self, compiler: Compiler, dtype: str, policy: str, device: str = "cpu") -> None:
        self.compiler = compiler
        self.dtype = np.dtype(dtype)
        self.policy = policy
        self.device = device
        self._loaded: dict[Program, Any] = {}
        self._kept: dict[Compiler, tuple[Program, list[tuple[Memory, Program]]]] = {}

    def load(self, program: Program) -> Any:
        """The native program, made once."""
        found = self._loaded.get(program)
        if found is None:
            forward = None if program.forward is None else self.load(program.forward)
            with _lock:
                found = self._loaded.get(program)
                if found is None:
                    found = self._loaded[program] = self._make(program, forward)
        return found

    def _make(self, program: Program, forward: Any) -> Any:
        form = _NativeForm(program)
        return _core.Program(
            self.dtype.name,
            [form.value(value) for value in program.values],
            [form.segment(segment) for segment in program.segments],
            [form.unique(unique) for unique in program.uniques],
            program.saved,
            forward,
            self.device,
            [form.output(output) for output in program.outputs],
            [program.states[name] for name in self._looked_at(program)],
        )

    def _looked_at(self, program: Program) -> list[Name]:
        """The states in which runs look for NaN: those of F, and where a pass put others in their
        place, these too."""
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
    ) -> tuple[dict[Name, Array], NativeRun | None]:
        """See :class:`Executor`."""
        weights = read_parameters(self.compiler.params)
        if wanted is None:
            program, known = self._inference(graphs, inputs, random, weights)
            outputs, _ = self._run(
                program, graphs, known, random, weights, keep=False, check_states=check_states
            )
            return outputs, None
        compiler = self.compiler.in_mode(random.training)
        program = compiler.training(wanted)
        outputs, native = self._run(
            program, graphs, inputs, random, weights, keep=True, check_states=check_states
        )
        return outputs, NativeRun(self, compiler, native, program, wanted)

    def _inference(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        weights: Weights,
    ) -> tuple[Program, Mapping[Name, Array]]:
        """The program of a call after which no backward comes, and its inputs: those given, and
        what earlier calls left (see Memory)."""
        known: dict[Name, Array] = dict(inputs)
        compiler = self.compiler.in_mode(random.training)
        whole, memories = self.remembering(compiler)
        versions = [*weights.versions, int(get_flush_denormals())]
        for memory, part_program in memories:

            def compute(
                vertices: GraphBatch, ids: Array, program: Program = part_program
            ) -> dict[Name, Array]:
                named = dict.fromkeys(program.inputs, ids)
                return self._run(program, vertices, named, random, weights, keep=False)[0]

            results = memory.results(inputs[memory.part.pull], versions, compute)
            if results is None:
                return compiler.inference(), inputs
            known.update(results)
        return whole, known

    def remembering(self, compiler: Compiler) -> tuple[Program, list[tuple[Memory, Program]]]:
        """The program that reads what is remembered, and what computes and keeps it."""
        kept = self._kept.get(compiler)
        if kept is None:
            numbers = {id(p): number for number, p in enumerate(compiler.params)}
            whole, parts = compiler.remembering()
            memories = [
                (Memory(part, [*(numbers[id(p)] for p in part.params), -1], self.dtype), program)
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
    ) -> tuple[dict[Name, Array], Any]:
        """Outputs by name, and the native run."""
        native = _core.Run(
            self.load(program),
            graphs.schedule(self.policy),
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
        arrays = [inputs[name] for name in program.inputs]
        outputs = native.forward(weights.values, arrays, versions=weights.versions)
        if check_states and native.nan_state is not None:
            number, vertex = native.nan_state
            raise NanState(self._looked_at(program)[number], vertex)
        return {o.name: y for o, y in zip(program.outputs, outputs, strict=True)}, native

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
            _, native = self._run(program, graphs, known, random, weights, keep=False, profile=True)
            return {"forward": program}, native
        compiler, wanted = self.compiler.in_mode(random.training), frozenset[Name]()
        program = compiler.training(wanted)
        _, native = self._run(program, graphs, inputs, random, weights, keep=True, profile=True)
        NativeRun(self, compiler, native, program, wanted).backward(cotangents)
        return {"forward": program, "backward": compiler.backward(cotangents, wanted)}, native

    def plan(
        self,
        forward: Program,
        backward: Program | None,
        graphs: GraphBatch,
        distinct: Sequence[int],
    ) -> list[Any]:
        """Memory of forward and backward over `graphs`, each a _core.PhaseMemory, without a run.

        `distinct`: how many rows each of the distinct ids of `forward` has.
        """
        second = None if backward is None else self.load(backward)
        schedule, threads = graphs.schedule(self.policy), get_num_threads()
        phases: list[Any] = _core.plan_phases(
            self.load(forward), second, schedule, distinct, backward is not None, threads
        )
        return phases


class NativeRun:
    """A native forward call whose kept values wait for the backward."""

    def __init__(
        self,
        executor: NativeExecutor,
        compiler: Compiler,
        native: Any,
        program: Program,
        wanted: frozenset[Name],
    ) -> None:
        self.executor = executor
        self.compiler = compiler  # of the call's mode, whatever the model's is by now
        self.native = native
        self.program = program
        self.wanted = wanted

    def backward(self, cotangents: Mapping[Name, Array]) -> Gradients:
        """See :class:`Run`."""
        program = self.compiler.backward(cotangents, self.wanted)
        if program.forward is not self.program:
            raise CavsRuntimeError(
                "[backward] expected requires_grad of the parameters as in the forward call, got "
                "a change in between; change it before the call"
            )
        params, dense = program.params, program.dense
        rest = program.outputs[len(dense) :]
        outputs = self.native.backward(
            self.executor.load(program),
            [cotangents[name] for name in program.inputs],
            [params[number].take_grad_buffer() for number in dense] + [None] * len(rest),
        )
        gradients = Gradients(list(zip(dense, outputs, strict=False)), {})
        ids = {}
        for output, array in zip(rest, outputs[len(dense) :], strict=True):
            if output.kind == "input":
                gradients.inputs[output.name] = array
            elif output.kind == "ids":
                ids[output.space] = array
            else:
                known = ids[output.space]
                first = 1 if len(known) and known[0] < 0 else 0  # "no input" has no row
                gradients.params.append((output.parameter, (known[first:], array[first:])))
        return gradients


def read_parameters(params: Sequence[Any]) -> Weights:
    """Their values and versions, to be read only."""
    values, versions = [], []
    for parameter in params:
        array, version = parameter.read()
        values.append(array)
        versions.append(version)
    return Weights(values, versions)


class _NativeForm:
    """Parts of a program as the native Program takes them: distinct ids by their number."""

    def __init__(self, program: Program) -> None:
        tables = enumerate(program.uniques)
        self._numbers = {(unique.space, unique.base): number for number, unique in tables}

    def unique(self, u: UniqueIds) -> tuple[Any, ...]:
        among = isinstance(u.base, Unique)
        of = self._space(u.space) if among else -1
        return (u.space.name, u.inputs, self._space(u.base), u.rows, of)

    def value(self, v: Value) -> tuple[Any, ...]:
        space = self._space(v.space)
        return (v.name, space, v.size, v.dtype, v.role, v.index, v.base, v.column, v.constant)

    def segment(self, s: Segment) -> tuple[Any, ...]:
        return (s.kind, self._space(s.space), [self._instruction(i) for i in s.instructions])

    def output(self, o: Output) -> tuple[Any, ...]:
        return (self._space(o.space), "int32" if o.kind == "ids" else "float", o.shape)

    def _instruction(self, i: Instruction) -> tuple[Any, ...]:
        ints = _fused_code(i) if i.ops else list(i.ints)
        tables = [self._table(table) for table in i.tables]
        return (i.kernel, i.inputs, i.outputs, tables, ints, i.floats, self._space(i.space))

    def _space(self, space: Space) -> str | int:
        return self._numbers[space, space.base] if isinstance(space, Unique) else space

    def _table(self, table: TableName) -> str | tuple[str, int]:
        if isinstance(table, str):
            return table
        of = table.argument
        if isinstance(of, Unique):
            of = self._numbers[of, table.base or of.base]
        return table.kind, of


def _fused_code(i: Instruction) -> list[int]:
    """[width, registers, ops, (opcode, destination, a, b, c)..., results, register...]"""
    opcodes = _core.scalar_opcodes()
    registers = 1 + max(destination for _, destination, _ in i.ops)
    code = [i.width, registers, len(i.ops)]
    for name, destination, refs in i.ops:
        if name not in opcodes:
            raise CavsRuntimeError(
                f"[executor] expected a native form of {name!r}, got none; leave this operation out"
            )
        code += [opcodes[name], destination, *refs, *[-1] * (3 - len(refs))]
    return [*code, len(i.out_registers), *i.out_registers]
