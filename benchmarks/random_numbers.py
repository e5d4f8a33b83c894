"""Nanoseconds an element of the kernels that draw random numbers, on one thread.

    python benchmarks/random_numbers.py [--rows N] [--rounds N]

Dropout's backward is the same kernel, which draws its mask again. `copy` moves as many bytes and
draws nothing. The environment variable CAVS_ISA names a lesser instruction set than the machine's.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import cavs
from cavs._native import core

KERNELS = {"copy": {}, "uniform": {"key": 1}, "dropout": {"key": 1, "rate": 0.5}}


def nanoseconds(name: str, dtype: str, rows: int, width: int, rounds: int) -> float:
    """The median over rounds, an element, of one kernel on a (rows, width) value."""
    x = np.random.default_rng(0).normal(size=(rows, width)).astype(dtype)
    y = np.zeros_like(x)
    random = {
        "seed": 1,
        "graph_key": np.arange(rows // 16 + 1, dtype=np.int64),
        "vertex_graph": np.arange(rows, dtype=np.int32) // 16,
        "vertex_local": np.arange(rows, dtype=np.int32) % 16,
    }
    native = core.DType[dtype.upper()]
    inputs = [] if name == "uniform" else [x]
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        core.call_kernel(name, native, inputs, [y], KERNELS[name], [], (0, rows), random)
        times.append(time.perf_counter() - begin)
    return float(np.median(times)) * 1e9 / x.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"ns an element, {options.rows} rows, {cavs.instruction_set()}")
    print(f"{'dtype':8} {'width':>5}" + "".join(f" {name:>8}" for name in KERNELS))
    for dtype in ("float32", "float64"):
        for width in (1, 20, 50, 150, 300, 784):
            found = [nanoseconds(n, dtype, options.rows, width, options.rounds) for n in KERNELS]
            print(f"{dtype:8} {width:5}" + "".join(f" {ns:8.2f}" for ns in found))


if __name__ == "__main__":
    main()
