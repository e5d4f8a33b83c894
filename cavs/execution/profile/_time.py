"""Runs a batch with the engine's clocks on, and adds up their times."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from cavs._arguments import shown
from cavs._arrays import Array
from cavs._files import write_atomically
from cavs.core.ops._spaces import SpaceKind, as_rows
from cavs.core.program import Program
from cavs.core.remarks import Remark
from cavs.core.remarks_text import MOST, remarks_lines
from cavs.errors import InputError
from cavs.execution.executor import RandomState
from cavs.execution.native import NativeExecutor
from cavs.execution.profile._launches import launches
from cavs.execution.profile._memory import MemoryUse, memory_use
from cavs.execution.profile._plan import plan_call
from cavs.execution.profile._trace import Timeline, trace
from cavs.execution.profile._waits import Wait
from cavs.execution.settings import get_num_threads, instruction_set
from cavs.execution.typed_rows import numbers_of
from cavs.scheduler import GraphBatch, batch, unbatch

# It adds each row that it reads to one of fewer rows: its time goes into moving rows.
_MOVING_SUMS = frozenset({"segment_sum"})
PARTS = ("scheduling", "set-up", "packing", "memory", "computation", "waiting", "walking")


@dataclass(frozen=True)
class InstructionProfile:
    """The work and time of one instruction of a program, over all levels and chunks of rows.

    Attributes:
        direction: ``inference``, ``forward`` or ``backward``.
        segment: number of its segment.
        place: its segment in words: once over which rows, level by level, or as sums over rows.
        kernel: the kernel that computes it.
        text: the instruction as the printed program has it.
        where: source line it came from, or empty.
        calls: how often the kernel was called.
        rows: how many rows it ran over.
        flops: floating-point operations, by the count of a row in the kernel's row.
        bytes: bytes read and written, each operand and result once a row, without parameters.
        seconds: of all threads together.
        moves: whether it only moves memory: it has no FLOPs, or sums rows up as it moves them.
    """

    direction: str
    segment: int
    place: str
    kernel: str
    text: str
    where: str
    calls: int
    rows: int
    flops: int
    bytes: int
    seconds: float
    moves: bool

    @property
    def gflops(self) -> float:
        """GFLOP/s of one thread."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """GB/s of one thread."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


@dataclass(frozen=True)
class Profile:
    """Where the time and the memory of a call over one batch go; as text, a table.

    Attributes:
        records: a row per instruction, in order of execution, for inference, forward and backward.
        seconds: of ``inference`` and ``training`` (forward and backward), by part. The parts add up
            to the call with the batch made and scheduled before it: ``scheduling`` (batch and
            levels), ``set-up`` (checks, distinct ids, memory plan, addresses, outputs, Python),
            ``packing`` (weights, where they have changed), ``memory`` (instructions that move),
            ``computation`` (the others), ``waiting`` (threads for each other) and ``walking``
            (between kernels). The parts within the engine are averages over the threads.
        details: the parts of ``scheduling`` and ``set-up``, in seconds.
        threads: by direction, for each thread its seconds of kernels, packing, waiting, walking.
        memory: of inference and training.
        batch: the function and its batch, in words.
        item_size: bytes of a number.
        refused: of inference and training, what the passes and the scheduler did not do and why:
            a :class:`Remark` for each pass, reason and line of F, most work first.
        saved: of inference and training, what they did.
        waits: what each batch of the schedule waits for, in the order in which they run.
        launches: on a GPU, for each direction and number of a segment that goes level by level,
            how many levels go together in one launch without the clocks, and why others do not.
        num_batches, num_steps: how many batches run one after the other, of one type each, and how
            many of them must wait for one before. Without types both are the number of levels.
        flops: of F as typed over the batch, with no pass: `refused` and `saved` are shares of it.
        most: how many of `refused` are shown of each pass; None: all.
        timelines: the calls of kernels one by one; see :meth:`to_trace`.
    """

    records: list[InstructionProfile]
    seconds: dict[str, dict[str, float]]
    details: dict[str, dict[str, float]]
    threads: dict[str, list[dict[str, float]]]
    memory: dict[str, MemoryUse]
    batch: str
    item_size: int
    refused: dict[str, list[Remark]] = field(default_factory=dict)
    saved: dict[str, list[Remark]] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)
    launches: dict[tuple[str, int], str] = field(default_factory=dict)
    num_batches: int = 0
    num_steps: int = 0
    flops: int = 0
    most: int | None = field(default=MOST, repr=False)
    timelines: list[Timeline] = field(default_factory=list, compare=False, repr=False)

    def to_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the runs as a timeline that https://ui.perfetto.dev and chrome://tracing open.

        It is JSON of the Trace Event Format: a process for inference and one for training, in each
        the engine's threads, and on a thread nested slices of direction, segment (one for each
        level), and instruction. Arguments are the printed instruction, its source line, level,
        rows, FLOPs and bytes, and in how many parts threads share a call. Of a thread the first
        524,288 calls of each direction are kept; ``otherData`` counts the others.

        Args:
            path: of the file, which is written anew.

        Raises:
            InputError: `path` is no path, or cannot be written to.
        """
        try:
            file = Path(path)
        except Exception:  # an object's own __fspath__ may raise anything
            raise InputError(
                f"[profile] expected a path, got {shown(path)}; pass the name of a file"
            ) from None
        text = json.dumps(trace(self.timelines, self.records, self.batch))
        try:
            write_atomically(file, text.encode())
        except (OSError, ValueError) as error:  # ValueError: the path has a null character
            raise InputError(
                f"[profile] expected a file that can be written, got {shown(str(file))}: {error}; "
                "name another one"
            ) from None

    @property
    def shares(self) -> dict[str, dict[str, float]]:
        """`seconds` as parts of their sum, by mode."""
        return {
            mode: {part: spent / sum(parts.values()) for part, spent in parts.items()}
            for mode, parts in self.seconds.items()
        }

    def __str__(self) -> str:
        lines = [self.batch]
        for mode in self.seconds:
            lines.extend(self._mode_lines(mode))
        for direction, threads in self.threads.items():
            lines.extend(self._direction_lines(direction, threads))
        for mode, use in self.memory.items():
            lines.append(f"=== {mode}: memory")
            lines.extend(use.lines())
        if self.refused:
            lines.extend(remarks_lines(self.refused, self.saved, self.most, self.flops))
        return "\n".join(lines)

    def _mode_lines(self, mode: str) -> Iterator[str]:
        yield f"=== {mode}: {sum(self.seconds[mode].values()) * 1e6:,.1f} us"
        for part, share in self.shares[mode].items():
            yield f"  {part:12} {share:6.1%} {self.seconds[mode][part] * 1e6:12,.1f} us"
        yield "  of which " + ", ".join(
            f"{name} {spent * 1e6:,.1f}" for name, spent in self.details[mode].items()
        )

    def _direction_lines(self, direction: str, threads: list[dict[str, float]]) -> Iterator[str]:
        records = [r for r in self.records if r.direction == direction]
        total = sum(r.seconds for r in records) or 1.0
        yield f"=== {direction}: {len(records)} instructions"
        for number, parts in enumerate(threads):
            spent = ", ".join(f"{name} {value * 1e6:,.1f} us" for name, value in parts.items())
            yield f"  thread {number}: {spent}"
        yield (
            "   share           us    calls       rows     MFLOP GFLOP/s        MB    GB/s  "
            "instruction"
        )
        place, segment = "", -1
        for r in records:
            if r.place != place:
                place = r.place
                yield f"  {place}:"
            if r.segment != segment:
                segment = r.segment
                if (direction, segment) in self.launches:
                    yield f"    {self.launches[direction, segment]}"
            yield (
                f"  {r.seconds / total:6.1%} {r.seconds * 1e6:12,.1f} {r.calls:8,} {r.rows:10,} "
                f"{r.flops / 1e6:9,.2f} {r.gflops:7.1f} {r.bytes / 1e6:9,.2f} {r.gbytes:7.1f}  "
                f"{'moves ' if r.moves else ''}{r.text}"
            )


def measure(
    executor: NativeExecutor,
    graphs: GraphBatch,
    inputs: Mapping[str, Array],
    random: RandomState,
    losses: frozenset[str] | None,
    repeats: int,
) -> Profile:
    """The profile of the fastest of several runs: of inference and, with `losses`, of training."""
    modes: dict[str, frozenset[str] | None] = {"inference": None}
    if losses is not None:
        modes["training"] = losses
    words, size = _describe(executor, graphs), executor.dtype.itemsize
    schedule = executor.schedule(graphs)
    profile = Profile(
        *([], {}, {}, {}, {}, words, size),
        num_batches=schedule.num_batches,
        num_steps=schedule.num_steps,
    )
    scheduling = _fastest(repeats, lambda: _schedule(executor, graphs))
    for mode, outputs in modes.items():
        cotangents = None if outputs is None else _ones(executor, graphs, outputs)

        def run(cotangents: dict[str, Array] | None = cotangents) -> _Timed:
            return _run(executor, graphs, inputs, random, cotangents)

        timed = _fastest(repeats, run)
        _add(profile, mode, timed, scheduling)
        for direction, program in timed.programs.items():
            name = mode if mode == "inference" else direction
            for segment, line in launches(executor, program, graphs, keep=mode != "inference"):
                profile.launches[name, segment] = line
        plan = plan_call(executor, graphs, inputs, outputs, training=random.training)
        profile.memory[mode] = memory_use(plan.sweeps, graphs, profile.item_size)
    return profile


@dataclass(frozen=True)
class _Timed:
    """Seconds by name, and the engine's notes of a run: its profile_sweeps and profile_records. The
    run itself would hold the parameters, and so keep the next run from trusting anything that was
    made of them."""

    seconds: dict[str, float]
    programs: dict[str, Program] = field(default_factory=dict)
    sweeps: list[dict[str, Any]] = field(default_factory=list)
    records: list[tuple[Any, ...]] = field(default_factory=list)


def _fastest(repeats: int, run: Callable[[], _Timed]) -> _Timed:
    return min((run() for _ in range(repeats)), key=lambda timed: sum(timed.seconds.values()))


def _schedule(executor: NativeExecutor, graphs: GraphBatch) -> _Timed:
    parts = unbatch(graphs)
    start = perf_counter()
    made = batch(parts, graphs.keys)
    middle = perf_counter()
    executor.schedule(made)
    return _Timed({"batch": middle - start, "levels": perf_counter() - middle})


def _run(
    executor: NativeExecutor,
    graphs: GraphBatch,
    inputs: Mapping[str, Array],
    random: RandomState,
    cotangents: dict[str, Array] | None,
) -> _Timed:
    executor.schedule(graphs)
    start = perf_counter()
    programs, native = executor.profiled(graphs, inputs, random, cotangents)
    wall = perf_counter() - start
    sweeps = native.profile_sweeps()
    seconds = {name: sum(p[name] for p in sweeps) / 1e9 for name in ("ids", "plan", "bind")}
    seconds["walk"] = sum(p["walk"] for p in sweeps) / 1e9
    seconds["calls"] = wall - sum(seconds.values())
    return _Timed(seconds, programs, sweeps, native.profile_records())


def _add(profile: Profile, mode: str, timed: _Timed, scheduling: _Timed) -> None:
    parts = dict.fromkeys(PARTS, 0.0)
    details = {**scheduling.seconds, **timed.seconds}
    walk = details.pop("walk")
    parts["scheduling"] = sum(scheduling.seconds.values())
    parts["set-up"] = sum(timed.seconds.values()) - walk
    for sweep in timed.sweeps:
        direction = sweep["direction"]
        name = "inference" if mode == "inference" else direction
        threads = [{k: ns / 1e9 for k, ns in thread.items()} for thread in sweep["threads"]]
        records = list(_records(timed, direction, name))
        for part in ("packing", "waiting", "walking"):
            parts[part] += sum(thread[part] for thread in threads) / len(threads)
        for r in records:
            parts["memory" if r.moves else "computation"] += r.seconds / len(threads)
        costs = [tuple(r[-2:]) for r in timed.records if r[0] == direction]
        spent = {part: sweep[part] for part in ("ids", "plan", "bind", "walk")}
        timeline = Timeline(mode, name, spent, sweep["events"], sweep["left_out"], costs)
        profile.timelines.append(timeline)
        profile.threads[name] = threads
        profile.records.extend(records)
    profile.seconds[mode] = parts
    profile.details[mode] = details


def _records(timed: _Timed, direction: str, name: str) -> Iterator[InstructionProfile]:
    program = timed.programs[direction]
    for given, segment, number, kernel, calls, rows, ns, flops, size in timed.records:
        if given != direction:
            continue
        i = program.segments[segment].instructions[number]
        yield InstructionProfile(
            name,
            segment,
            str(program.segments[segment]),
            kernel,
            program.line(i),
            i.where,
            calls,
            rows,
            rows * flops,
            rows * size,
            ns / 1e9,
            flops == 0 or kernel in _MOVING_SUMS,
        )


def _ones(
    executor: NativeExecutor, graphs: GraphBatch, outputs: frozenset[str]
) -> dict[str, Array]:
    traced, ones = executor.compiler.trace, {}
    for name in outputs:
        node = traced.function.pushes[name]
        rows: tuple[int, ...] = ()
        if node.space != SpaceKind.NONE:
            rows = (len(numbers_of(graphs, traced.types, as_rows(node.space))),)
        ones[name] = np.ones((*rows, *node.shape), executor.dtype)
    return ones


def _describe(executor: NativeExecutor, graphs: GraphBatch) -> str:
    where = f"threads: {get_num_threads()}, {instruction_set()}"
    if executor.device.name != "cpu":
        where = executor.device.name
    schedule = executor.schedule(graphs)
    order = f"{schedule.num_batches} levels"
    if executor.compiler.types is not None:
        order = f"{schedule.num_batches} batches, {schedule.num_steps} steps"
    return (
        f"{executor.compiler.trace.name} over {graphs.num_graphs} graphs, {graphs.num_vertices} "
        f"vertices, {graphs.num_edges} edges in {order}; {executor.dtype}, {where}"
    )
