"""What a product of the Hessian of a Tree-LSTM's loss with a direction takes, on one thread.

    python benchmarks/second_derivatives.py [--data DIR] [--trees N] [--rounds N]

DIR holds sst/; without it the trees are random. Beside a training step (forward, backward, Adagrad)
over the same trees: the gradients that are to be differentiated, and the product. Calls take turns;
times are medians of the process's own time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs.bench.workloads import find


def calls_of(directory: Path | None, trees: int, hidden: int) -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""
    workload = find("tree-lstm")
    corpus = workload.data(directory, trees)
    model = cavs.compile(workload.function(corpus, hidden), seed=1)
    graphs, inputs = next(iter(cavs.data.Loader(corpus.dataset, trees, seed=0)))
    optimizer = cavs.optim.Adagrad(model.parameters(), 0.05)
    weights = list(model.parameters())
    rng = np.random.default_rng(0)
    direction = [rng.normal(0.0, 0.1, w.shape).astype(np.float32) for w in weights]

    def step() -> None:
        model.step(graphs, optimizer, loss="loss", scale=1 / trees, **inputs)

    def gradients() -> Any:
        loss = model(graphs, outputs=["loss"], **inputs)["loss"].sum()
        return cavs.grad(loss, weights, create_graph=True)

    def product() -> Any:
        return cavs.grad(gradients(), weights, direction)

    return {
        "training step": step,
        "gradients, on the tape": gradients,
        "product, from nothing": product,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds sst/")
    parser.add_argument("--trees", type=int, default=64, metavar="N")
    parser.add_argument("--hidden", type=int, default=150, metavar="N")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    options = parser.parse_args()
    cavs.set_num_threads(1)
    place = find("tree-lstm").place(options.data)
    calls = calls_of(place, options.trees, options.hidden)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(options.rounds + 1):
        for name, call in calls.items():
            begin = time.process_time()
            call()
            if round_:  # the first compiles
                times[name].append(time.process_time() - begin)
    medians = {name: 1e3 * float(np.median(taken)) for name, taken in times.items()}
    of_step = medians["training step"]
    print(f"Tree-LSTM, hidden {options.hidden}, {options.trees} trees, one thread")
    for name, taken in medians.items():
        print(f"{name:24} {taken:8.2f} ms {taken / of_step:6.2f} steps")
    if (options.trees, options.hidden) == (64, 150):
        reached = medians["product, from nothing"] <= 4 * of_step
        print(f"goal: a product within 4 steps: {'reached' if reached else 'missed'}")


if __name__ == "__main__":
    main()
