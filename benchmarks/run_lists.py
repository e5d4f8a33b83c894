"""What graphs of consecutive children take to make, batch and schedule: as runs and as lists.

    python benchmarks/run_lists.py [--graphs N] [--length N] [--rounds N]

Causal chains, chains with a window, and layers of which each reads the one below. Graphs are made
anew in each round, batched, and scheduled by level, layers by type. Times are medians of the
process's own time, in milliseconds; memory is what the process held more at its peak, while batch
and schedule were made once.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

import cavs
from cavs.core.ops._spaces import EdgeList
from cavs.core.type_order import TypeOrder

HEAD = ["graphs", "edges", "lists", "make", "batch", "schedule", "batch and schedule", "MiB"]
LAYERS = 4
Make = Callable[[], list[cavs.InputGraph]]
Types = tuple[object, ...] | None


def layered(length: int) -> cavs.InputGraph:
    """Layers of vertices, each of which reads those of the layer below up to its own place."""
    place = np.tile(np.arange(length), LAYERS)
    layer = np.repeat(np.arange(LAYERS), length)
    count = np.where(layer > 0, place + 1, 0)
    first = np.maximum(layer - 1, 0) * length
    return cavs.InputGraph.windows(first, count, types=[f"layer{i}" for i in layer.tolist()])


def order() -> TypeOrder:
    """The types of layers, as a function of types has them."""
    names = tuple(f"layer{i}" for i in range(LAYERS))
    lists = tuple(EdgeList(a, b) for b, a in pairwise(names))
    return TypeOrder(names, names, lists, frozenset(names), frozenset())


def written_out(graph: cavs.InputGraph) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """What a graph with lists is made of."""
    types: list[str] | None = graph.types  # type: ignore[assignment]
    return np.array(graph.child_ptr), np.array(graph.child_index), types


def cases(graphs: int, length: int) -> Iterator[tuple[str, Make, Types]]:
    """(name, what makes the graphs, types), as runs."""
    chain = cavs.InputGraph.chain
    yield f"{graphs} x {length} causal", lambda: [chain(length) for _ in range(graphs)], None
    window, memory = length // 8, length // 8
    yield (
        f"the same, window and memory {window}",
        lambda: [chain(length - memory, window=window, memory=memory) for _ in range(graphs)],
        None,
    )
    own = length // LAYERS
    yield (
        f"{graphs} x {LAYERS} layers of {own}",
        lambda: [layered(own) for _ in range(graphs)],
        order().numbers(),
    )


def row(name: str, kind: str, make: Make, types: Types, rounds: int) -> list[str]:
    """A line of the table."""
    times = []
    graphs = make()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    before = status("VmHWM")
    batch = cavs.batch(graphs)
    schedule = batch.schedule("bound" if types else "depth", types)
    held = (status("VmHWM") - before) / 2**20
    for _ in range(rounds):
        marks = [time.process_time()]
        graphs = make()
        marks.append(time.process_time())
        batch = cavs.batch(graphs)
        marks.append(time.process_time())
        schedule = batch.schedule("bound" if types else "depth", types)
        marks.append(time.process_time())
        times.append(np.diff(marks))
    made, batched, scheduled = (1000 * statistics.median(part) for part in zip(*times, strict=True))
    figures = [f"{x:.2f}" for x in (made, batched, scheduled, batched + scheduled, held)]
    return [name, f"{schedule.num_edges:,}", kind, *figures]


def status(name: str) -> int:
    """Bytes, as Linux counts them."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=8)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    print(" | ".join(HEAD))
    for name, make, types in cases(options.graphs, options.length):
        print(" | ".join(row(name, "runs", make, types, options.rounds)), flush=True)
        arrays = [written_out(graph) for graph in make()]

        def lists(arrays: list[tuple[object, ...]] = arrays) -> list[cavs.InputGraph]:
            return [cavs.InputGraph.from_csr(ptr, child, types=own) for ptr, child, own in arrays]

        print(" | ".join(row(name, "lists", lists, types, max(3, options.rounds // 5))), flush=True)


if __name__ == "__main__":
    main()
