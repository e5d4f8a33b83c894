"""Tree-LSTM on a GPU, training and inference, beside PyTorch level by level: trees per second.

    python benchmarks/gpu.py --output OUT.json [--data DIR] [--device cuda] [--hidden 150 256 512]

DIR holds sst/; without it trees of its sizes are generated. Child-sum Tree-LSTM, embedding 300,
five classes on every vertex, Adagrad. "kept" batches are on the device with their schedules before
the clock starts; "fresh" ones are assembled, scheduled and copied in each step. Nothing waits for
the device before a turn ends. Contenders take turns in one process; figures are medians of turns.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import cavs
from cavs.bench.corpora import Corpus, choose_batches, treebank
from cavs.models import ChildSumTreeLSTM

Array = npt.NDArray[Any]
EMBEDDING, CLASSES, RATE, TURNS = 300, 5, 0.05, 3
MOST_BATCHES = 32


class CavsContender:
    """The model as users write it."""

    name = "cavs"

    def __init__(
        self, corpus: Corpus, hidden: int, batches: Sequence[Array], device: str, fresh: bool
    ) -> None:
        cavs.nn.init.manual_seed(0)
        function = ChildSumTreeLSTM(
            embedding_size=EMBEDDING, hidden_size=hidden, **dict(corpus.sizes)
        )
        self._model = cavs.compile(function, device=device, seed=0)
        self._optimizer = cavs.optim.Adagrad(self._model.parameters(), lr=RATE)
        self._device, self._corpus, self._batches = device, corpus, batches
        self._kept = None if fresh else [corpus.dataset.batch(indices) for indices in batches]

    def _batch(self, number: int) -> tuple[cavs.GraphBatch, dict[str, Any]]:
        if self._kept is not None:
            return self._kept[number]
        return self._corpus.dataset.batch(self._batches[number])

    def train(self, number: int) -> None:
        graphs, inputs = self._batch(number)
        self._model.step(graphs, self._optimizer, **inputs)

    def infer(self, number: int) -> None:
        graphs, inputs = self._batch(number)
        with cavs.no_grad():
            self._model(graphs, **inputs)

    def synchronize(self) -> None:
        if self._device != "cpu":
            cavs.cuda.synchronize(self._device)


class Levels:
    """A batch for PyTorch: rows by level, deepest vertices first."""

    def __init__(self, graphs: cavs.GraphBatch, inputs: dict[str, Any]) -> None:
        rows = np.split(np.asarray(graphs.children), np.asarray(graphs.child_ptr)[1:-1])
        children = [row.tolist() for row in rows]  # vertices of the whole batch
        height = np.zeros(len(children), np.int64)
        for vertex, row in enumerate(children):  # children come first
            height[vertex] = 1 + max((height[child] for child in row), default=-1)
        order = np.argsort(height, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self.words = np.asarray(inputs["word"], np.int64)[order]
        self.labels = np.asarray(inputs["label"], np.int64)[order]
        self.levels: list[tuple[int, Array, Array]] = []  # rows, children, parents in the level
        for level in range(int(height.max()) + 1):
            vertices = order[height[order] == level]
            pairs = [(place[child], i) for i, v in enumerate(vertices) for child in children[v]]
            below = np.array(pairs, np.int64).reshape(-1, 2)
            self.levels.append((len(vertices), below[:, 0], below[:, 1]))


class TorchContender:
    """PyTorch with autograd: the cells of a level at once."""

    name = "PyTorch by level"

    def __init__(
        self, corpus: Corpus, hidden: int, batches: Sequence[Array], device: str, fresh: bool
    ) -> None:
        import torch

        self._torch, self._device, self._hidden = torch, device, hidden
        torch.manual_seed(0)
        nn = torch.nn
        self._embedding = nn.Embedding(corpus.sizes["vocab_size"], EMBEDDING, sparse=True)
        self._w, self._u = nn.Linear(EMBEDDING, 4 * hidden), nn.Linear(hidden, 3 * hidden, False)
        self._uf, self._out = nn.Linear(hidden, hidden, False), nn.Linear(hidden, CLASSES)
        self._net = nn.ModuleList([self._embedding, self._w, self._u, self._uf, self._out])
        self._net.to(device)
        self._optimizer = torch.optim.Adagrad(self._net.parameters(), lr=RATE)
        self._corpus, self._batches = corpus, batches
        self._kept = None if fresh else [self._upload(number) for number in range(len(batches))]

    def _upload(self, number: int) -> tuple[Any, Any, list[Any]]:
        levels = Levels(*self._corpus.dataset.batch(self._batches[number]))
        to = lambda array: self._torch.from_numpy(array).to(self._device)  # noqa: E731
        steps = [(count, to(below), to(above)) for count, below, above in levels.levels]
        return to(levels.words), to(levels.labels), steps

    def _forward(self, number: int) -> Any:
        torch, hidden = self._torch, self._hidden
        words, labels, steps = self._upload(number) if self._kept is None else self._kept[number]
        known = (words >= 0).unsqueeze(1)
        given = self._w(self._embedding(words.clamp(min=0)) * known)
        h = given.new_zeros(0, hidden)
        c, first = h, 0
        for count, below, above in steps:
            x_iou, x_f = given[first : first + count].split([3 * hidden, hidden], 1)
            sums, kept = given.new_zeros(count, hidden), given.new_zeros(count, hidden)
            if len(below):
                states = h[below]
                sums = sums.index_add(0, above, states)
                gate = torch.sigmoid(x_f[above] + self._uf(states))
                kept = kept.index_add(0, above, gate * c[below])
            i, o, u = (x_iou + self._u(sums)).chunk(3, 1)
            cells = torch.sigmoid(i) * torch.tanh(u) + kept
            h = torch.cat([h, torch.sigmoid(o) * torch.tanh(cells)])
            c = torch.cat([c, cells])
            first += count
        return torch.nn.functional.cross_entropy(
            self._out(h), labels, ignore_index=-1, reduction="sum"
        )

    def train(self, number: int) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._forward(number).backward()
        self._optimizer.step()

    def infer(self, number: int) -> None:
        with self._torch.no_grad():
            self._forward(number)

    def synchronize(self) -> None:
        if self._device != "cpu":
            self._torch.cuda.synchronize()


def measure(contender: Any, work: Callable[[int], None], count: int, seconds: float) -> float:
    """Batches per second of a turn that begins and ends with an idle device."""
    contender.synchronize()
    begin, done = time.perf_counter(), 0
    while done < count or time.perf_counter() - begin < seconds:
        work(done % count)
        done += 1
    contender.synchronize()
    return done / (time.perf_counter() - begin)


def contenders_of(*arguments: Any) -> list[Any]:
    """cavs, and PyTorch where it can use the device."""
    found: list[Any] = [CavsContender(*arguments)]
    try:
        found.append(TorchContender(*arguments))
    except Exception as error:  # not installed, or without CUDA: said, not hidden
        print(f"PyTorch is missing: {type(error).__name__}: {str(error).splitlines()[0]}")
    return found


def rows_of(corpus: Corpus, hidden: int, size: int, options: argparse.Namespace) -> list[Any]:
    """The figures of one width and batch size."""
    batches = choose_batches(corpus.dataset, size)[:MOST_BATCHES]
    rows = []
    for fresh in (False, True):
        contenders = contenders_of(corpus, hidden, batches, options.device, fresh)
        for mode in ("train", "infer"):
            for contender in contenders:  # compile, allocate and capture before the clock starts
                for number in range(len(batches)):
                    getattr(contender, mode)(number)
            rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
            for _ in range(TURNS):
                for contender in contenders:
                    work = getattr(contender, mode)
                    rate = measure(contender, work, len(batches), options.seconds)
                    rates[contender.name].append(rate)
            for name, found in rates.items():
                rows.append(
                    {
                        "contender": name,
                        "hidden": hidden,
                        "batch": size,
                        "mode": mode,
                        "batches": "fresh" if fresh else "kept",
                        "trees_per_second": size * float(np.median(found)),
                        "ms_per_step": 1e3 / float(np.median(found)),
                    }
                )
                print_row(rows[-1])
    return rows


def print_row(row: dict[str, Any]) -> None:
    print(
        f"| {row['contender']} | {row['hidden']} | {row['batch']} | {row['mode']} | "
        f"{row['batches']} | {row['trees_per_second']:,.0f} | {row['ms_per_step']:.3f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--hidden", nargs="+", type=int, default=[150, 256, 512])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32, 256])
    parser.add_argument("--samples", type=int, default=8544)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn")
    options = parser.parse_args()
    place = options.data
    if place is not None and (place / "sst").is_dir():
        place = place / "sst"
    corpus = treebank(place, options.samples)
    versions = dict(cavs._native.core.cuda.versions())
    print(f"{corpus.what}; {options.device}; {versions}")
    print("| | hidden | batch | | batches | trees/s | ms a step |\n|---|---|---|---|---|---|---|")
    result: dict[str, Any] = {"data": corpus.what, "device": options.device, "versions": versions}
    result["rows"] = []
    for hidden in options.hidden:
        for size in options.batch:
            result["rows"] += rows_of(corpus, hidden, size, options)
            options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
