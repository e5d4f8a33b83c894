"""Measuring contenders side by side: interleaved rounds, medians, the machine's product rate."""

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

#: Seconds of rest before each turn, for the idle threads of the one before to stop spinning.
SETTLE = 0.25
_ROW_MAJOR, _NO_TRANSPOSE = 101, 111


@dataclass
class Rates:
    """What a contender did in each of its turns.

    Attributes:
        wall: units of work per second.
        cpu: units of work per second of processor time of all threads, spinning included.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return float(np.median(self.wall))

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
    steps: Mapping[str, Callable[[int], float]], *, seconds: float, rounds: int
) -> dict[str, Rates]:
    """Lets each contender work for `seconds` in each round, in an order that turns around.

    Args:
        steps: by name, a function of the number of the step that does one step and returns the
            units of work in it. Each turn begins with a step that is not counted.
        seconds: least length of a turn; 0 makes it one step.
        rounds: turns of each contender.
    """
    rates = {name: Rates() for name in steps}
    counters = dict.fromkeys(steps, 0)
    for number in range(rounds):
        names = list(steps) if number % 2 == 0 else list(reversed(steps))
        for name in names:
            time.sleep(SETTLE)
            steps[name](counters[name])
            work = 0.0
            begin, cpu_begin = time.perf_counter(), time.process_time()
            while True:
                counters[name] += 1
                work += steps[name](counters[name])
                elapsed = time.perf_counter() - begin
                if elapsed >= seconds:
                    break
            rates[name].wall.append(work / elapsed)
            rates[name].cpu.append(work / max(time.process_time() - cpu_begin, 1e-9))
    return rates


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest ratio of turns of one round, which stood next to each other."""
    found = np.array(ours) / np.array(theirs)
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
            raise FileNotFoundError(f"expected libscipy_openblas.so in {folder}, came none")
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

    def __call__(self, _: int = 0) -> float:
        """Computes one product with the threads asked for; returns its work."""
        # cavs calls the library from threads of its own, with one thread each.
        self._library.scipy_openblas_set_num_threads(self._threads)
        a, b, c = (ctypes.c_void_p(x.ctypes.data) for x in self._arrays)
        n, one, zero = self._size, ctypes.c_float(1.0), ctypes.c_float(0.0)
        self._library.scipy_cblas_sgemm(
            _ROW_MAJOR, _NO_TRANSPOSE, _NO_TRANSPOSE, n, n, n, one, a, n, b, n, zero, c, n
        )
        self._library.scipy_openblas_set_num_threads(1)
        return self.gflop


def machine() -> dict[str, Any]:
    """The processor, what of it may be used, and how busy it is at the moment."""
    model = platform.processor()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }
