"""Contenders that take turns, and the time that a run has."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import cavs

PEER = "PyTorch"
Work = Callable[[int], object]
Wait = Callable[[], None]
TURNS = 3


def waiting_for(device: str, *contenders: str) -> Wait:
    """Waits for what cavs, and PyTorch if it is among them, have given to the device."""

    def wait() -> None:
        if device == "cpu":
            return
        cavs.cuda.synchronize(device)
        if PEER in contenders:
            import torch

            torch.cuda.synchronize(device)

    return wait


def rate_of_turn(work: Work, wait: Wait, count: int, seconds: float) -> float:
    """Steps per second of a turn over `count` batches or more; the device is idle before and
    after."""
    wait()
    begin, done = time.perf_counter(), 0
    while done < count or time.perf_counter() - begin < seconds:
        work(done % count)
        done += 1
    wait()
    return done / (time.perf_counter() - begin)


def rates(contenders: Mapping[str, Work], wait: Wait, count: int, seconds: float) -> dict[str, Any]:
    """Steps per second by turn of each contender, in an order that turns around."""
    for work in contenders.values():  # compile, allocate and capture before the clock starts
        for _ in range(2):  # a batch that comes again is captured
            for number in range(count):
                work(number)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(TURNS):
        order = list(contenders) if turn % 2 == 0 else list(contenders)[::-1]
        for name in order:
            found[name].append(rate_of_turn(contenders[name], wait, count, seconds))
    return found


def host_ms(work: Work, wait: Wait, count: int, steps: int = 16) -> float:
    """Median milliseconds of a call that finds the device idle and does not wait for it."""
    times = []
    for number in range(steps):
        wait()
        begin = time.perf_counter()
        work(number % count)
        times.append(time.perf_counter() - begin)
    wait()
    return 1e3 * float(np.median(times))


class Budget:
    """The time of a run, and what could not be done in it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds
        self.missing: dict[str, str] = {}
        self.failed = False

    def left(self) -> float:
        return self._end - time.perf_counter()

    def plan(self, name: str) -> None:
        """Until it is tried, a part is missing."""
        self.missing[name] = "the run ended before"

    def attempt(
        self, name: str, work: Callable[[], Any], least: float = 0.0, must: bool = False
    ) -> Any:
        """What `work` returns; null where fewer than `least` seconds are left or it fails, which is
        noted. With `must` the run has failed then."""
        if self.left() < least:
            self.missing[name] = f"{self.left():.0f} s left, of {least:.0f} that it needs"
            return None
        try:
            found = work()
        except Exception as error:  # a peer that is not installed, or has no such device
            lines = str(error).splitlines() or [""]
            self.missing[name] = f"{type(error).__name__}: {lines[0][:200]}"
            self.failed = self.failed or must
            return None
        self.missing.pop(name, None)
        return found
