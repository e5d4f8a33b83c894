"""Graphs that grow: microseconds a level, beside a compiled call over what grew.

    python benchmarks/growing.py [--quick]

Chains draw a bit at each vertex (hidden size 64), one thread pinned to a core. A call over all of
the grown graphs draws the same bits, which is checked. Growth has to open vertices, ask Python what
comes next and run a level for itself, so its goal is 25 us a level with one chain, and what the
call takes and 40 us with 64, at any length. `image`: a chain of 784 bits as a whole.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

import cavs
from cavs import nn, ops

HIDDEN = 64
LENGTHS = {1: (50, 200, 10_000), 64: (50, 200, 784, 10_000)}
ONE_GOAL, MORE_GOAL, IMAGE_GOAL = 25.0, 40.0, 22.0  # us a level, us beside the call, ms


class Bits(cavs.VertexFunction):
    """A chain of bits, each drawn by what came before it."""

    def __init__(self) -> None:
        self.cell = nn.Linear(HIDDEN + 1, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, v: cavs.Vertex) -> None:
        before = v.gather(0, h=HIDDEN, x=1)
        h = ops.tanh(self.cell(ops.concat([before.h, before.x])))
        x = ops.bernoulli(ops.sigmoid(self.out(h)))
        v.scatter(h=h, x=x)
        v.push(x=x)


def grow(model: cavs.Model, count: int, length: int) -> cavs.Unfolded:
    """So many chains of this length; of the same step at each call."""
    model.set_random_state({"seed": 1, "step": 0})

    def expand(frontier: cavs.Frontier) -> cavs.Growth | None:
        return cavs.Growth(frontier.vertices) if frontier.level < length - 1 else None

    roots = cavs.Growth([[]] * count, graph=np.arange(count))
    most = count * length
    return cavs.unfold(model, roots, expand, num_graphs=count, max_levels=length, max_vertices=most)


def measure(model: cavs.Model, count: int, length: int, rounds: int) -> tuple[float, float]:
    """Medians of us a level: of growth and of a call over what grew.

    Raises:
        RuntimeError: the call drew other bits.
    """
    grown = grow(model, count, length)
    model.set_random_state({"seed": 1, "step": 0})
    with cavs.no_grad():
        again = model(grown.graphs)["x"].numpy()
    if not np.array_equal(again, grown.outputs["x"]):
        raise RuntimeError("[growing] expected a call to draw the bits of the growth, got others")
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        grow(model, count, length)
        middle = time.perf_counter()
        with cavs.no_grad():
            model(grown.graphs)
        times.append((middle - begin, time.perf_counter() - middle))
    growth, call = 1e6 * np.median(times, axis=0) / length
    return float(growth), float(call)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="short chains; figures of no use")
    options = parser.parse_args()
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    cavs.set_num_threads(1)
    cavs.nn.init.manual_seed(0)
    model = cavs.compile(Bits()).eval()
    print("| chains | levels | growth: us a level | call: us a level | goal | |")
    print("|---|---|---|---|---|---|")
    for count, lengths in LENGTHS.items():
        for length in (5,) if options.quick else lengths:
            growth, call = measure(model, count, length, 1 if options.quick else options.rounds)
            goal = ONE_GOAL if count == 1 else call + MORE_GOAL
            reached = "yes" if growth <= goal else "no"
            found = f"{growth:.1f} | {call:.1f} | <= {goal:.1f}"
            print(f"| {count} | {length:,} | {found} | {reached} |")
    length = 5 if options.quick else 784
    growth, _ = measure(model, 1, length, 1 if options.quick else options.rounds)
    whole = growth * length / 1e3
    reached = "yes" if whole <= IMAGE_GOAL else "no"
    print(f"\nAn image of {length} bits: {whole:.1f} ms, goal <= {IMAGE_GOAL:g} ms: {reached}")


if __name__ == "__main__":
    main()
