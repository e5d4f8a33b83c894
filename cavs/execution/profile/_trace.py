"""A profile as a trace, in the JSON that Perfetto and Chrome read.

Trace Event Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from cavs.execution.profile._time import InstructionProfile

Event = dict[str, Any]

_SET_UP = (("ids", "distinct ids"), ("plan", "memory plan"), ("bind", "addresses"))
_PACKING = -1


@dataclass(frozen=True)
class Timeline:
    """The calls of kernels in one direction of a run, as the engine noted them.

    Attributes:
        mode: ``inference`` or ``training``.
        direction: ``inference``, ``forward`` or ``backward``.
        spent: nanoseconds by name: ids, plan, bind, walk.
        calls: int64 (calls, 7): thread, number of the instruction or -1 for packing, level or -1,
            start in the walk, nanoseconds, rows, parts that share the call.
        left_out: how many calls there was no room for.
        costs: FLOPs and bytes of a row of each instruction.
    """

    mode: str
    direction: str
    spent: Mapping[str, int]
    calls: npt.NDArray[np.int64]
    left_out: int
    costs: Sequence[tuple[int, int]]


class _Call(NamedTuple):
    thread: int
    instruction: int
    level: int
    start: int
    ns: int
    rows: int
    parts: int


def trace(
    timelines: Sequence[Timeline], records: Sequence[InstructionProfile], batch: str
) -> dict[str, Any]:
    """The trace of a profile: a process for each mode, with the engine's threads. The directions of
    a mode stand one after the other, without the time that Python takes between them."""
    events: list[Event] = []
    modes = list(dict.fromkeys(t.mode for t in timelines))
    for process, mode in enumerate(modes, 1):
        own = [t for t in timelines if t.mode == mode]
        threads = max((int(t.calls[:, 0].max(initial=0)) for t in own), default=0) + 1
        events.append(_named("process_name", mode, process, 0))
        events += [_named("thread_name", f"thread {n}", process, n) for n in range(threads)]
        begin = 0
        for timeline in own:
            of_direction = [r for r in records if r.direction == timeline.direction]
            events += _Sweep(timeline, of_direction, process, begin).events()
            begin += sum(timeline.spent.values())
    left_out = sum(t.left_out for t in timelines)
    notes = {"batch": batch, "calls_left_out": left_out}
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": notes}


def _named(what: str, name: str, process: int, thread: int) -> Event:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


class _Sweep:
    """The events of one direction, which begins at nanosecond `begin` of its process."""

    def __init__(
        self,
        timeline: Timeline,
        records: Sequence[InstructionProfile],
        process: int,
        begin: int,
    ) -> None:
        self._timeline = timeline
        self._records = records
        self._process = process
        self._begin = begin
        self._walk = begin + sum(timeline.spent[name] for name, _ in _SET_UP)

    def events(self) -> Iterator[Event]:
        spent = self._timeline.spent
        yield self._slice(
            self._timeline.direction, "sweep", 0, self._begin, sum(spent.values()), {}
        )
        at = self._begin
        for name, words in _SET_UP:
            yield self._slice(words, "set-up", 0, at, spent[name], {})
            at += spent[name]
        calls = (_Call(*row) for row in self._timeline.calls.tolist())
        for (thread, segment, level), found in groupby(calls, self._part):
            yield from self._part_events(thread, segment, level, list(found))

    def _part(self, call: _Call) -> tuple[int, int, int]:
        """The thread, segment and level that a call belongs to."""
        packing = call.instruction == _PACKING
        segment = _PACKING if packing else self._records[call.instruction].segment
        return call.thread, segment, call.level

    def _part_events(
        self, thread: int, segment: int, level: int, calls: Sequence[_Call]
    ) -> Iterator[Event]:
        start, end = calls[0].start, calls[-1].start + calls[-1].ns
        inner = [self._call_event(call) for call in calls]
        args: dict[str, Any] = {}
        name = "packing"
        if segment != _PACKING:
            name = self._records[calls[0].instruction].place
            first = calls[0].instruction  # a segment goes through its rows in chunks
            rows = sum(call.rows for call in calls if call.instruction == first)
            args = {"segment": segment, "rows": rows, "flops": _sum(inner, "flops")}
        if level >= 0:
            name, args = f"{name}, level {level}", {"level": level, **args}
        yield self._slice(name, "segment", thread, self._walk + start, end - start, args)
        yield from inner

    def _call_event(self, call: _Call) -> Event:
        args: dict[str, Any] = {}
        name, kind = "pack weight", "packing"
        if call.instruction != _PACKING:
            record = self._records[call.instruction]
            flops, size = self._timeline.costs[call.instruction]
            name, kind = record.kernel, "moves" if record.moves else "computes"
            args = {
                "instruction": record.text,
                "rows": call.rows,
                "flops": call.rows * flops // call.parts,
                "bytes": call.rows * size // call.parts,
            }
            if record.where:
                args["where"] = record.where
            if call.level >= 0:
                args["level"] = call.level
        if call.parts > 1:
            args["parts"] = call.parts
        return self._slice(name, kind, call.thread, self._walk + call.start, call.ns, args)

    def _slice(
        self, name: str, kind: str, thread: int, start: int, ns: int, args: dict[str, Any]
    ) -> Event:
        """A complete event; the format counts in microseconds."""
        return {
            "ph": "X",
            "name": name,
            "cat": kind,
            "pid": self._process,
            "tid": thread,
            "ts": start / 1e3,
            "dur": ns / 1e3,
            "args": args,
        }


def _sum(events: Iterable[Event], key: str) -> int:
    return sum(event["args"].get(key, 0) for event in events)
