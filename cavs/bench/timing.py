"""Contenders side by side: warm-up, interleaved turns, medians, and the machine's product rate."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy_openblas32

from cavs.errors import CavsRuntimeError

Step = Callable[[int], object]
#: Seconds of rest before each turn, for the idle threads of the one before to stop spinning.
SETTLE = 0.05
#: A contender whose step takes longer than SLOW turns gets SLOW_ROUNDS turns only.
SLOW, SLOW_ROUNDS = 4.0, 2
_WARM_UP_STEPS = 3
_ROW_MAJOR, _NO_TRANSPOSE = 101, 111


@dataclass
class Rates:
    """The rates of a contender in each of its turns.

    Attributes:
        wall: units of work per second.
        cpu: units of work per second of processor time of all threads, spinning included.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Median, quartiles and extremes of `wall`, the median of `cpu`, and the turns."""
        low, first, middle, third, high = np.percentile(self.wall, [0, 25, 50, 75, 100]).tolist()
        return {
            "median": middle,
            "quartile_1": first,
            "quartile_3": third,
            "min": low,
            "max": high,
            "per_cpu_second": float(np.median(self.cpu)),
            "turns": len(self.wall),
        }


def interleave(
    steps: Mapping[str, Step],
    work: Mapping[str, Callable[[int], float]],
    *,
    seconds: float,
    rounds: int,
    elsewhere: Mapping[str, Callable[[], float]] | None = None,
) -> dict[str, Rates]:
    """Lets each contender work for `seconds` in each round, in an order that is reversed after each
    round.

    A turn begins with a step that is not counted. If one step of a contender is longer than a turn,
    its turn is one counted step alone; a very slow contender gets fewer turns.

    Args:
        steps: maps each name to a function that does the step of a number.
        work: maps each name to a function that gives the units of work in the step of a number.
        seconds: least length of a turn; 0 makes it one step.
        rounds: turns of each contender.
        elsewhere: maps a name to a function that gives the processor time, in seconds, of the
            contender's own processes.
    """
    others = elsewhere or {}

    def cpu_clock(name: str) -> float:
        return time.process_time() + (others[name]() if name in others else 0.0)

    lengths = {name: _warm_up(step, seconds) for name, step in steps.items()}
    rates = {name: Rates() for name in steps}
    numbers = dict.fromkeys(steps, 0)
    for turn in range(rounds):
        for name in list(steps)[:: 1 if turn % 2 == 0 else -1]:
            if turn >= SLOW_ROUNDS and lengths[name] > SLOW * seconds > 0:
                continue
            time.sleep(SETTLE)
            first = numbers[name]
            if lengths[name] <= seconds:
                steps[name](first)
                first += 1
            begin, cpu_begin = time.perf_counter(), cpu_clock(name)
            number, done, elapsed = first, 0.0, 0.0
            while elapsed < seconds or number == first:
                steps[name](number)
                done += work[name](number)
                number += 1
                elapsed = time.perf_counter() - begin
            rates[name].wall.append(done / elapsed)
            rates[name].cpu.append(done / max(cpu_clock(name) - cpu_begin, 1e-9))
            numbers[name] = number
    return rates


def _warm_up(step: Step, seconds: float) -> float:
    """Takes steps until their time is steady; returns the seconds of the last one."""
    length = 0.0
    for number in range(_WARM_UP_STEPS):
        begin = time.perf_counter()
        step(number)
        length = time.perf_counter() - begin
        if number and length > seconds > 0:
            break
    return length


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest ratio of two contenders' turns in the same round."""
    count = min(len(ours), len(theirs))
    found = np.array(ours[:count]) / np.array(theirs[:count])
    return {
        "median": float(np.median(found)),
        "min": float(found.min()),
        "max": float(found.max()),
    }


class Sgemm:
    """A product of two square matrices in OpenBLAS, the library that cavs calls."""

    def __init__(self, threads: int, size: int = 2048) -> None:
        folder = Path(scipy_openblas32.get_lib_dir())
        names = sorted(folder.glob("libscipy_openblas*.so*"))
        if not names:
            raise CavsRuntimeError(
                f"[bench] expected libscipy_openblas.so in {folder}, got none; reinstall "
                "scipy-openblas32"
            )
        self._library = ctypes.CDLL(str(names[0]))
        self._threads = threads
        self._size = size
        generator = np.random.default_rng(0)
        a, b = generator.standard_normal((2, size, size)).astype(np.float32)
        self._arrays = a, b, np.empty_like(a)

    @property
    def gflop(self) -> float:
        """Work of one product, in 10^9 operations."""
        return 2.0 * self._size**3 * 1e-9

    def __call__(self, _: int = 0) -> None:
        """Computes one product with the threads asked for."""
        # cavs calls the library from threads of its own, with one thread each.
        self._library.scipy_openblas_set_num_threads(self._threads)
        a, b, c = (ctypes.c_void_p(x.ctypes.data) for x in self._arrays)
        n, one, zero = self._size, ctypes.c_float(1.0), ctypes.c_float(0.0)
        self._library.scipy_cblas_sgemm(
            _ROW_MAJOR, _NO_TRANSPOSE, _NO_TRANSPOSE, n, n, n, one, a, n, b, n, zero, c, n
        )
        self._library.scipy_openblas_set_num_threads(1)


def machine() -> dict[str, Any]:
    """The processor, its usable cores, its memory, its system and its Python."""
    facts = {"model name": platform.processor(), "cache size": "", "MemTotal": ""}
    for path in ("/proc/cpuinfo", "/proc/meminfo"):
        try:
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                key, _, value = (part.strip() for part in line.partition(":"))
                if key in facts:
                    facts[key] = value
        except OSError:
            pass  # not Linux: the names stay as they are
    memory = facts["MemTotal"].removesuffix(" kB")
    return {
        "processor": facts["model name"],
        "cores": len(os.sched_getaffinity(0)),
        "cache": facts["cache size"],
        "memory_gb": round(int(memory) / 2**20, 1) if memory.isdigit() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
