"""One version of cavs beside another: the same steps in turns, each in processes of its own.

    python benchmarks/versions.py --old OLD/bin/python [--new NEW/bin/python] [--data DIR]

OLD and NEW are interpreters, each of which imports its version; NEW is this one by default. A row
is a workload, a batch size and a mode. The generative models (vae, iwae, lm) have one row each.
They need PyTorch, and a checkout of each version, whose own generative.py makes the step. In a
couple, one process of each version warms up, on every batch that it will meet: what memory is
touched first, at the start or in a step, is not compared.
Then both take turns, and the first one alternates. Every other couple starts the new version first.
The ratio new / old of rates is taken pair by pair, and its median has a 95 % interval from the
order statistics of the pairs. A row has *lost* if the interval lies below the least ratio that is
asked for; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

HIDDEN = 150
WORKLOADS = ("tree-lstm", "tree-fc", "fixed-lstm", "lattice-lstm", "bilstm-tagger", "mv-rnn")
#: Each with the batch size of generative.py.
GENERATIVE = {"vae": 100, "iwae": 100, "lm": 20}
_WARM_UP = 0.5  # seconds
_SAMPLES = 512  # generated, where there are no data
_BATCHES = 4  # in turns


@dataclass(frozen=True)
class Row:
    """The work of both versions: a step over batches of one size."""

    workload: str
    batch_size: int
    mode: str
    threads: int

    def __str__(self) -> str:
        return f"{self.workload} | {self.batch_size} | {self.mode} | {self.threads}"


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median of the values and a 95 % interval, the values at two ranks. The median of the
    distribution that the values come from lies between them with this probability at least, for any
    distribution.

    With fewer than six values the interval spans them all.
    """
    ordered, n = sorted(values), len(values)
    below, tail = 0, 0.0
    while below < n // 2:
        tail += math.comb(n, below) / 2**n  # at most `below` below the median
        if tail > 0.025:
            break
        below += 1
    below = max(below - 1, 0)
    middle = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
    return ordered[below], middle, ordered[n - 1 - below]


def has_lost(values: Sequence[float], least: float) -> bool:
    """Whether the interval of the median lies below `least`."""
    return median_interval(values)[2] < least


# --- One version, in a process of its own ---------------------------------------------------------


def generative_steps(row: Row) -> tuple[Callable[[int], object], int]:
    """The steps of the checkout that `cavs` is imported from."""
    import cavs

    sys.path.insert(0, str(Path(cavs.__file__).resolve().parents[1] / "benchmarks"))
    import generative

    cavs.set_num_threads(row.threads)
    name = next(name for name in generative.WORKLOADS if name.split(",")[0] == row.workload)
    ours, _ = generative.WORKLOADS[name][0]()
    return lambda number: ours(), 1


def workload_steps(row: Row, data: Path | None) -> tuple[Callable[[int], object], int]:
    """Steps of a workload of ``cavs bench``, by the number of their batch, and how many batches."""
    from cavs.bench.contenders import Contender, Weights
    from cavs.bench.corpora import choose_batches
    from cavs.bench.recipes import PLAIN, find_recipe
    from cavs.bench.workloads import find

    workload = find(row.workload)
    corpus = workload.data(data, _SAMPLES, 64 if row.workload == "tree-fc" else None)
    batches = choose_batches(corpus.dataset, row.batch_size)
    weights = Weights(workload, corpus, HIDDEN)
    contender = Contender(weights, None, batches, row.threads, find_recipe(PLAIN))
    return getattr(contender, f"{row.mode}_step"), min(_BATCHES, contender.num_batches)


def serve() -> None:
    """Reads a row, then numbers of seconds, a line each, and answers each with a rate."""
    given = json.loads(sys.stdin.readline())
    row = Row(**given["row"])
    if row.workload in GENERATIVE:
        step, count = generative_steps(row)
    else:
        step, count = workload_steps(row, Path(given["data"]) if given["data"] else None)
    for number in range(count):
        step(number)
    for turn, line in enumerate(sys.stdin):
        seconds, done = float(line), 0
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            step((turn + done) % count)  # both versions begin with the same batch
            done += 1
        print(done / (time.perf_counter() - begin), flush=True)


class Version:
    """A serving process of one version."""

    def __init__(self, python: str, row: Row, data: str) -> None:
        self._process = subprocess.Popen(
            [python, __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(python).parent,  # a folder from which no other version can be imported
        )
        self._write(json.dumps({"row": asdict(row), "data": data}))

    def _write(self, line: str) -> None:
        _stream(self._process.stdin).write(line + "\n")
        _stream(self._process.stdin).flush()

    def rate(self, seconds: float) -> float:
        """Steps per second over a turn of `seconds`."""
        self._write(str(seconds))
        answer = _stream(self._process.stdout).readline()
        if not answer:
            raise SystemExit(f"[versions] expected a rate from {self._process.args}, got none")
        return float(answer)

    def close(self) -> None:
        """Lets the process end."""
        _stream(self._process.stdin).close()
        self._process.wait()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


# --- Both, in turns -------------------------------------------------------------------------------


def couple(options: argparse.Namespace, row: Row, new_first: bool, pairs: int) -> Iterator[float]:
    """Ratios new / old of one process each."""
    order = ("new", "old") if new_first else ("old", "new")
    with contextlib.ExitStack() as stack:
        versions = {}
        for name in order:
            versions[name] = Version(getattr(options, name), row, options.data)
            stack.callback(versions[name].close)
            versions[name].rate(_WARM_UP)
        for pair in range(pairs):
            turn = order if pair % 2 else order[::-1]
            rates = {name: versions[name].rate(options.seconds) for name in turn}
            yield rates["new"] / rates["old"]


def compare(options: argparse.Namespace, row: Row) -> dict[str, Any]:
    """Measures all couples of a row."""
    each = -(-options.pairs // options.couples)
    ratios = [r for i in range(options.couples) for r in couple(options, row, i % 2 == 1, each)]
    low, middle, high = median_interval(ratios)
    lost = has_lost(ratios, options.least)
    return asdict(row) | {"ratios": ratios, "interval": [low, middle, high], "lost": lost}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--old", help="interpreter of the old version")
    parser.add_argument("--new", default=sys.executable, help="of the new one (this)")
    parser.add_argument("--data", default="", help="directory of the data; generated without")
    parser.add_argument("--workloads", nargs="+", default=[*WORKLOADS, *GENERATIVE])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 32, 256])
    parser.add_argument("--modes", nargs="+", default=["train", "infer"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--pairs", type=int, default=32, help="of turns, in all (32)")
    parser.add_argument("--couples", type=int, default=4, help="of processes (4)")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn (.1)")
    parser.add_argument("--least", type=float, default=0.97, help="ratio that is no loss (.97)")
    parser.add_argument("--output", type=Path, help="JSON file for all ratios")
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    if not options.old:
        parser.error("--old: name the interpreter of the old version")
    if options.data:
        options.data = str(Path(options.data).resolve())
    found = []
    print("| workload | batch | mode | threads | new / old | 95 % of the median | |")
    print("|---|---|---|---|---|---|---|")
    for workload in options.workloads:
        only = GENERATIVE.get(workload)
        for threads in options.threads:
            for batch_size in options.batch_sizes if only is None else [only]:
                for mode in options.modes if only is None else ["train"]:
                    row = Row(workload, batch_size, mode, threads)
                    found.append(compare(options, row))
                    low, middle, high = found[-1]["interval"]
                    word = "lost" if found[-1]["lost"] else ""
                    print(
                        f"| {row} | **{middle:.3f}** | {low:.3f} .. {high:.3f} | {word} |",
                        flush=True,
                    )
                    if options.output:
                        options.output.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return int(any(row["lost"] for row in found))


if __name__ == "__main__":
    sys.exit(main())
