"""cavs on a GPU beside PyTorch, JAX and a hand-written program: rates, launches, copies, ablation.

    python benchmarks/gpu.py --output OUT.json [--data DIR] [--limit-table FILE ...]
    python benchmarks/gpu.py --table OUT.json [--limit-table FILE ...]   # nothing is measured

DIR holds sst/; without it trees of its sizes are generated. Child-sum Tree-LSTM, embedding 300,
five classes on every vertex, Adagrad; LSTM language model and autoencoder of `generative.py`;
single layers of attention and of convolution, for which no goal is set.
"kept" batches are on the device with their schedules before the clock starts; "fresh" ones are
assembled, scheduled and copied in each step. Nothing waits for the device before a turn ends.
Contenders take turns in one process; figures are medians of turns. FILE is a table or a log of a
hand-written CUDA Tree-LSTM, which runs on the same card in the same minutes. Parts that the time
does not reach are said to be missing, as is what is not installed. The exit status is 1 where cavs
itself failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gpu_parts import ablation, layers, sequence
from gpu_parts.goals import read_limits
from gpu_parts.tables import text_of
from gpu_parts.trees import SCAN, CavsTrees, TreePart
from gpu_parts.turns import Budget

import cavs
from cavs._native import core
from cavs.bench.corpora import Corpus, choose_batches, treebank

EPOCHS, WORKERS = 3, 2


class Run:
    """Does parts one after another, and writes what there is after each."""

    def __init__(self, corpus: Corpus, options: argparse.Namespace) -> None:
        self._corpus, self._options = corpus, options
        self.budget = Budget(options.limit)
        self.result: dict[str, Any] = {
            "data": corpus.what,
            "device": options.device,
            "card": "the CPU" if options.device == "cpu" else card(options.device),
            "versions": {**core.cuda.versions(), "cavs": cavs.__version__},
        }
        self.result |= {"rows": [], "epochs": [], "ablation": [], "memory": {}, "tried": []}
        self.result["layers"] = []
        self._parts: list[tuple[str, Callable[[], None], float, bool]] = []
        self._plan()
        if options.go_on is not None:
            self.result = json.loads(options.output.read_text())
            self.budget.missing, self.budget.failed = self.result["missing"], True

    def _plan(self) -> None:
        """What must be shown comes first."""
        widths, sizes = self._options.hidden, self._options.batch
        by_size = sorted(sizes, reverse=True)
        self._trees(widths[:1], by_size)
        for size in by_size[:1]:
            self._add("epoch", lambda size=size: self._epoch(widths[0], size), 6)
        for model in sequence.MODELS:
            self._add(model.name, lambda model=model: self._sequence(model), 3)
        for layer in layers.QUICK if self._options.quick else layers.LAYERS:
            self._add(str(layer), lambda layer=layer: self._layer(layer), 3)
        for size in by_size:
            name = f"ablation, hidden {widths[0]}, batch {size}"
            self._add(name, lambda size=size: self._ablation(widths[0], size), 5)
        self._trees(widths[1:], by_size)
        for size in [size for size in by_size if size > 1]:  # compiles for seconds
            name = f"tree-lstm, hidden {widths[0]}, batch {size}, {SCAN}"
            self._add(name, lambda size=size: self._scan(widths[0], size), 18, must=False)

    def _add(self, name: str, work: Callable[[], None], least: float, must: bool = True) -> None:
        least *= 0 if self._options.quick else 1
        self._parts.append((name, work, least, must))
        self.budget.plan(name)

    def _trees(self, widths: list[int], sizes: list[int]) -> None:
        for hidden in widths:
            for size in sizes:
                name = f"tree-lstm, hidden {hidden}, batch {size}"
                self._add(name, lambda hidden=hidden, size=size: self._tree(hidden, size), 8)

    def do(self) -> None:
        for name, work, least, must in self._parts:
            if name in self.result["tried"]:
                continue
            begin = time.perf_counter()
            self.budget.attempt(name, work, least, must)
            spent = time.perf_counter() - begin
            print(f"{name}: {self.budget.missing.get(name, f'{spent:.1f} s')}", flush=True)
            self.result["tried"].append(name)
            self.write()
            if name in self.budget.missing and not works(self._options.device):
                # Each call of this process would fail now: another one does the rest.
                rest = [*sys.argv, "--go-on", str(self.budget.left())]
                os.execv(sys.executable, [sys.executable, *rest])

    def write(self) -> None:
        self.result["missing"] = dict(self.budget.missing)
        self._options.output.write_text(json.dumps(self.result, indent=1) + "\n")

    def _keep(self, where: str, rows: Iterator[dict[str, Any]]) -> None:
        for row in rows:
            self.result[where].append(row)

    def _tree(self, hidden: int, size: int) -> None:
        part = TreePart(self._corpus, hidden, size, self._options, self.budget)
        self.result["memory"][part.name] = part.memory
        self._keep("rows", part.rows())

    def _scan(self, hidden: int, size: int) -> None:
        part = TreePart(self._corpus, hidden, size, self._options, self.budget)
        found = [row for row in part.rows([SCAN]) if row["contender"] == SCAN]
        if not found:
            raise RuntimeError(self.budget.missing[f"{part.name}, {SCAN}"])
        self.result["rows"] += found

    def _epoch(self, hidden: int, size: int) -> None:
        options = self._options
        batches = choose_batches(self._corpus.dataset, size)[:1]
        ours = CavsTrees(self._corpus, (options.embedding, hidden), batches, options.device)
        times = []
        for _ in range(1 + EPOCHS):
            begin = time.perf_counter()
            ours.epoch(size, WORKERS)
            times.append(time.perf_counter() - begin)
        found = {"hidden": hidden, "batch": size, "samples": len(self._corpus.dataset)}
        self.result["epochs"].append(found | {"seconds": float(np.median(times[1:]))})

    def _sequence(self, model: Any) -> None:
        self._keep("rows", sequence.rows(model, self._options, self.budget))

    def _layer(self, layer: Any) -> None:
        self._keep("layers", layers.figures(layer, self._options, self.budget))

    def _ablation(self, hidden: int, size: int) -> None:
        self._keep("ablation", ablation.rows(self._corpus, hidden, size, self._options))


def works(device: str) -> bool:
    """Whether the device can still be used in this process."""
    try:
        if device != "cpu":
            cavs.cuda.synchronize(device)
    except cavs.errors.DeviceError:
        return False
    return True


def card(device: str) -> str:
    """The name of a GPU."""
    name = core.cuda.device_info(int(device.partition(":")[2] or 0))["name"]
    return f"{name}, emulated" if core.cuda.emulated() else str(name)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, help="gets all figures")
    parser.add_argument("--table", type=Path, help="prints the tables of this file of figures")
    parser.add_argument("--limit-table", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--embedding", type=int, default=300)
    parser.add_argument("--hidden", nargs="+", type=int, default=[150, 256, 512])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32, 256])
    parser.add_argument("--samples", type=int, default=8544)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn")
    parser.add_argument("--limit", type=float, default=135, help="seconds in all")
    parser.add_argument(
        "--go-on",
        type=float,
        metavar="SECONDS",
        help="what is left of a run whose figures are in the output's file; in so much time",
    )
    parser.add_argument("--quick", action="store_true", help="does it all run? Figures of no use")
    options = parser.parse_args()
    if options.go_on is not None:
        options.limit = options.go_on
    if (options.output is None) == (options.table is None):
        parser.error("expected either --output or --table")
    try:
        limits, why = read_limits(options.limit_table), None
    except ValueError as error:  # the rest is measured all the same
        limits, why = [], str(error)
    if options.table is not None:
        if not options.table.is_file():
            print(
                f"[gpu] expected figures in {options.table}, got no such file: the run was stopped "
                "before its first part; give it more time, or less to do"
            )
            return 1
        result = json.loads(options.table.read_text())
        if why is not None:
            result["missing"]["table of the limit"] = why
        print(text_of(result, limits), end="")
        return 0
    place = options.data
    if place is not None and (place / "sst").is_dir():
        place = place / "sst"
    run = Run(treebank(place, options.samples), options)
    run.do()
    if why is not None:
        run.budget.missing["table of the limit"] = why
        run.write()
    print(f"\n{text_of(run.result, limits)}", end="")
    return 1 if run.budget.failed else 0


if __name__ == "__main__":
    sys.exit(main())
