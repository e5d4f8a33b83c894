"""The cost of `cavs.detect_nonfinite` in a training step, in turns with steps without it.

    python benchmarks/detection.py --data DIR [--batch-sizes 25 256] [--threads 1 2] [--steps 400]

DIR holds sst/. Two models train by the recipe on the same batches and take turns of one step; the
first one changes each time. Each model has its own weights, since bounds are kept with the weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import cavs
from cavs.bench.contenders import Contender, Weights
from cavs.bench.corpora import Corpus
from cavs.bench.measure import choose_batches
from cavs.bench.recipes import SST, find_recipe
from cavs.bench.workloads import find

_HIDDEN, _WARM_UP = 150, 60


def compare(corpus: Corpus, batch_size: int, threads: int, steps: int) -> str:
    """A row of the table: the time of a step without detection, and quartiles of with / without."""
    workload, recipe = find("tree-lstm"), find_recipe(SST)
    batches = choose_batches(corpus.dataset, batch_size)
    pair = [
        Contender(Weights(workload, corpus, _HIDDEN), None, batches, threads, recipe)
        for _ in range(2)
    ]
    times = np.zeros((_WARM_UP + steps, 2))
    for number in range(len(times)):
        for which in (0, 1) if number % 2 else (1, 0):
            with cavs.detect_nonfinite(bool(which)):
                begin = time.perf_counter()
                pair[which].train_step(number)
                times[number, which] = time.perf_counter() - begin
    plain, looking = times[_WARM_UP:].T
    low, middle, high = np.percentile(looking / plain, [25, 50, 75])
    return (
        f"| {batch_size} | {threads} | {1e3 * np.median(plain):.2f} ms | "
        f"**{middle:.3f}** ({low:.3f} .. {high:.3f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[25, 256])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    corpus = find("tree-lstm").data(options.data, 0)
    print("| batch | threads | a step | with / without (quartiles) |\n|---|---|---|---|")
    for batch_size in options.batch_sizes:
        for threads in options.threads:
            print(compare(corpus, batch_size, threads, options.steps), flush=True)


if __name__ == "__main__":
    main()
