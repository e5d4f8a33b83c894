"""The Tree-LSTM as users of cavs write it, and the turns that it takes with its peers."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from peers.tree_levels import TreeLevels, tree_levels

import cavs
from cavs._native import core
from cavs.bench.corpora import Corpus, choose_batches
from cavs.data import Loader
from cavs.models import ChildSumTreeLSTM
from gpu_parts.turns import Budget, Wait, host_ms, rates

Array = npt.NDArray[Any]
RATE = 0.05  # of Adagrad
MOST_BATCHES = 16  # two sweeps each: what the cache of graphs holds
TOLERANCE = 1e-3
EAGER, GRAPH, SCAN = "PyTorch by level", "PyTorch by level, CUDA graph", "JAX scan"


class CavsTrees:
    """cavs; its losses are sums over the vertices of a batch."""

    def __init__(
        self,
        corpus: Corpus,
        sizes: tuple[int, int],
        batches: Sequence[Array],
        device: str,
        passes: Sequence[str] | None = None,
    ) -> None:
        cavs.nn.init.manual_seed(0)
        embedding, hidden = sizes
        function = ChildSumTreeLSTM(
            embedding_size=embedding, hidden_size=hidden, **dict(corpus.sizes)
        )
        self.state: dict[str, Array] = {
            name: np.array(parameter.data) for name, parameter in function.named_parameters()
        }
        self.model = cavs.compile(function, device=device, seed=0, passes=passes)
        self._optimizer = cavs.optim.Adagrad(self.model.parameters(), lr=RATE)
        self._device, self._corpus, self._batches = device, corpus, batches
        self.kept = [corpus.dataset.batch(indices) for indices in batches]

    def _batch(self, number: int, fresh: bool) -> tuple[cavs.GraphBatch, dict[str, Any]]:
        return self._corpus.dataset.batch(self._batches[number]) if fresh else self.kept[number]

    def train(self, number: int, fresh: bool = False) -> None:
        graphs, inputs = self._batch(number, fresh)
        self.model.step(graphs, self._optimizer, **inputs)

    def infer(self, number: int, fresh: bool = False) -> None:
        graphs, inputs = self._batch(number, fresh)
        with cavs.no_grad():
            self.model(graphs, **inputs)

    def loss(self, number: int) -> float:
        graphs, inputs = self._batch(number, False)
        with cavs.no_grad():
            return float(self.model(graphs, **inputs)["loss"].numpy().sum(dtype=np.float64))

    def epoch(self, size: int, workers: int) -> None:
        """All samples once in a new order, batches made by threads while others run."""
        for graphs, inputs in Loader(self._corpus.dataset, size, shuffle=True, workers=workers):
            self.model.step(graphs, self._optimizer, **inputs)
        self.synchronize()

    def predicted_bytes(self) -> int:
        """What :meth:`cavs.Model.memory` says of a training step over the largest batch."""
        return max(int(self.model.memory(graphs, **inputs)) for graphs, inputs in self.kept)

    def synchronize(self) -> None:
        if self._device != "cpu":
            cavs.cuda.synchronize(self._device)


def planned(batch: tuple[cavs.GraphBatch, dict[str, Any]], classes: int) -> TreeLevels:
    """A batch for peers that work by level: leaves with one word are one row."""
    graphs, inputs = batch
    return tree_levels(
        np.asarray(graphs.child_ptr),
        np.asarray(graphs.children),
        np.asarray(inputs["word"]),
        np.asarray(inputs["label"]),
        classes,
    )


def peers_of(
    cavs_trees: CavsTrees, plans: Callable[[], list[TreeLevels]], device: str, wanted: str
) -> Any:
    """The contender `wanted`, from the weights of cavs and checked against its loss."""
    if wanted == SCAN:
        from gpu_parts.jax_scan import JaxTrees

        peer: Any = JaxTrees(cavs_trees.state, plans(), device, RATE)
    else:
        from gpu_parts.torch_levels import TorchTrees

        peer = TorchTrees(cavs_trees.state, plans(), device, RATE)
    ours, theirs = cavs_trees.loss(0), peer.loss(0)
    if not abs(ours - theirs) <= TOLERANCE * abs(ours):
        raise ArithmeticError(f"expected a loss of {ours}, as cavs, got {theirs}")
    return peer


def counted(work: Callable[[], object]) -> dict[str, int]:
    """What the engine asks the driver for while `work` is done."""
    before: dict[str, int] = core.cuda.counts()
    work()
    return {name: value - before[name] for name, value in core.cuda.counts().items()}


def per_step(wait: Wait, work: Callable[[int], object], count: int) -> dict[str, float]:
    """Launches, copies and host time of a step of cavs."""
    grown = counted(lambda: [work(number) for number in range(count)])
    found = {name: value / count for name, value in grown.items()}
    return found | {"host_ms": host_ms(work, wait, count)}


def used_bytes(device: str) -> int:
    """Bytes of the GPU that are taken, by whomever."""
    info = core.cuda.device_info(int(device.partition(":")[2] or 0))
    return int(info["total_bytes"] - info["free_bytes"])


class TreePart:
    """All figures of one width and batch size."""

    def __init__(
        self, corpus: Corpus, hidden: int, size: int, options: argparse.Namespace, budget: Budget
    ) -> None:
        self.name = f"tree-lstm, hidden {hidden}, batch {size}"
        self._corpus, self._options, self._budget = corpus, options, budget
        self._keys = {"model": "tree-lstm", "hidden": hidden, "batch": size}
        batches = choose_batches(corpus.dataset, size)[:MOST_BATCHES]
        self._count, self._size = len(batches), size
        gc.collect()  # what an earlier part left is not to be given back meanwhile
        before = 0 if options.device == "cpu" else used_bytes(options.device)
        sizes = options.embedding, hidden
        self.ours = CavsTrees(corpus, sizes, batches, options.device)
        for number in range(self._count):
            self.ours.train(number)
        self.ours.synchronize()
        after = 0 if options.device == "cpu" else used_bytes(options.device)
        self.memory = {"predicted": self.ours.predicted_bytes(), "grown": after - before}

    def _plans(self) -> list[TreeLevels]:
        return [planned(batch, self._corpus.sizes["num_classes"]) for batch in self.ours.kept]

    def _fresh_plan(self, number: int) -> TreeLevels:
        return planned(self.ours._batch(number, True), self._corpus.sizes["num_classes"])

    def _works(self, peers: Mapping[str, Any], mode: str, fresh: bool) -> dict[str, Any]:
        ours = getattr(self.ours, mode)
        works: dict[str, Any] = {"cavs": lambda number: ours(number, fresh)}
        if EAGER in peers:
            theirs = getattr(peers[EAGER], mode)
            plan = self._fresh_plan
            works[EAGER] = (lambda n: theirs(n, plan(n))) if fresh else theirs
        if GRAPH in peers and not fresh:
            works[GRAPH] = getattr(peers[GRAPH], mode)
        if SCAN in peers and not fresh:
            works[SCAN] = getattr(peers[SCAN], mode)
        return works

    def rows(self, contenders: Sequence[str] = (EAGER, GRAPH)) -> Iterator[dict[str, Any]]:
        """Figures of cavs and of those contenders that can take part."""
        peers: dict[str, Any] = {}
        for wanted in contenders:
            name = f"{self.name}, {wanted}"
            make = lambda wanted=wanted: self._peer(wanted, peers)  # noqa: E731
            self._budget.attempt(name, make)
        if SCAN in contenders and SCAN not in peers:
            return
        for fresh in (False,) if SCAN in contenders else (False, True):
            for mode in ("train", "infer"):
                works = self._works(peers, mode, fresh)
                found = rates(works, self._wait(peers), self._count, self._options.seconds)
                for contender, turns in found.items():
                    rate = float(np.median(turns))
                    row = self._keys | {
                        "contender": contender,
                        "mode": mode,
                        "batches": "fresh" if fresh else "kept",
                        "per_second": self._size * rate,
                        "ms_per_step": 1e3 / rate,
                    }
                    if contender == "cavs":
                        row |= per_step(self.ours.synchronize, works[contender], self._count)
                    yield row

    def _peer(self, wanted: str, peers: dict[str, Any]) -> None:
        if wanted != GRAPH:
            peers[wanted] = peers_of(self.ours, self._plans, self._options.device, wanted)
        elif EAGER in peers:
            peers[wanted] = peers[EAGER].as_graphs()
        else:
            raise RuntimeError("PyTorch is missing")

    def _wait(self, peers: Mapping[str, Any]) -> Callable[[], None]:
        waits = [self.ours.synchronize, *(peer.synchronize for peer in peers.values())]

        def wait_for_all() -> None:
            for wait in waits:
                wait()

        return wait_for_all
