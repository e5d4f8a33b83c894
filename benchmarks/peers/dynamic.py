"""Dynamic declaration over the kernels of cavs (``benchmarks/dynamic``), batched and not."""

from __future__ import annotations

import ctypes
import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy_openblas32
from peers.protocol import Array, PeerBatch, check_known, check_plain

from cavs.bench.recipes import Recipe

VARIANTS = ("none", "depth", "agenda")
WORKLOADS = (
    "tree-lstm",
    "tree-gru",
    "tree-fc",
    "fixed-lstm",
    "var-lstm",
    "lattice-lstm",
    "bilstm-tagger",
    "mv-rnn",
    "dag-rnn",
)
EPS = 1e-10


def available(threads: int) -> str | None:
    """None if the native module is built, else a line on how to build it."""
    del threads  # any number: products use as many as OpenBLAS is given
    try:
        importlib.import_module("dynamic")
    except ImportError as error:
        return f"not built: python benchmarks/build_dynamic.py ({error})"
    return None


def make(
    workload: str,
    variant: str,
    state: dict[str, Array],
    batches: list[PeerBatch],
    recipe: Recipe,
    threads: int,
) -> DynamicPeer:
    """A contender whose graphs run by the policy `variant`."""
    check_known(workload, variant, WORKLOADS, VARIANTS)
    check_plain(recipe)
    return DynamicPeer(workload, variant, state, batches, recipe, threads)


class DynamicPeer:
    """Declares every graph of a minibatch in one computation graph, in every step anew."""

    def __init__(
        self,
        workload: str,
        variant: str,
        state: dict[str, Array],
        batches: list[PeerBatch],
        recipe: Recipe,
        threads: int,
    ) -> None:
        self.recipe = recipe
        import dynamic
        from dynamic.models import MODELS

        model = MODELS[workload]
        self._parameters = dynamic.Parameters()
        self._parts: dict[str, list[int]] = {}  # by name of the state
        numbers: dict[str, int] = {}
        for name, value in state.items():
            parts = np.split(np.asarray(value, np.float32), model.splits.get(name, 1))
            names = [f"{name}/{k}" for k in range(len(parts))] if len(parts) > 1 else [name]
            for part_name, part in zip(names, parts, strict=True):
                numbers[part_name] = self._parameters.add(part_name, part, name in model.tables)
            self._parts[name] = [numbers[part_name] for part_name in names]
        self._graph = dynamic.Graph(self._parameters, variant)
        self._declare = model.declare(self._graph, numbers, state[model.hidden].shape[1])
        self._model = model
        self._batches = batches
        self._samples = [model.samples(batch) for batch in batches]
        self._threads = _Threads(threads)
        dynamic.set_num_threads(threads)
        self._construction = self._update = 0.0

    def train_step(self, number: int) -> float:
        with self._threads.in_use():
            loss = self._loss(number)
            self._graph.backward(loss)
            begin = time.perf_counter()
            self._parameters.adagrad(self.recipe.lr, EPS)
            self._update += time.perf_counter() - begin
        return float(self._batches[number].num_graphs)

    def infer_step(self, number: int) -> float:
        self.loss(number)
        return float(self._batches[number].num_graphs)

    def loss(self, number: int) -> float:
        with self._threads.in_use():
            return float(self._graph.value(self._loss(number))[0, 0])

    def gradients(self, number: int) -> dict[str, Array]:
        with self._threads.in_use():
            self._graph.backward(self._loss(number))
        found = {}
        for name, numbers in self._parts.items():
            parts = [self._parameters.gradient(part) for part in numbers]
            ids = self._model.tables.get(name)
            found[name] = self._rows(number, ids, *parts[0]) if ids else np.concatenate(parts)
        return found

    def shares(self) -> dict[str, float]:
        """The parts of a training step since the last call: declaration in Python, batching, copies
        that bring operands together, kernels, and the update of parameters."""
        spent = self.seconds()
        total = sum(spent.values())
        self.reset()
        return {name: seconds / total for name, seconds in spent.items()}

    def seconds(self) -> dict[str, float]:
        """Seconds of each part since the last reset."""
        account = self._graph.account()
        parts = {"construction": self._construction}
        parts |= {name: account[name] for name in ("batching", "memory", "computation")}
        return parts | {"update": self._update}

    def counts(self) -> dict[str, int]:
        """Batches, launches of kernels, copies of operands and their bytes since the last reset."""
        account = self._graph.account()
        names = ("nodes", "batches", "launches", "copies", "bytes")
        return {name: account[name] for name in names}

    def reset(self) -> None:
        """Starts counting anew."""
        self._graph.reset_account()
        self._construction = self._update = 0.0

    def _loss(self, number: int) -> int:
        """Declares and computes the sum of the losses of a batch."""
        begin = time.perf_counter()
        graph, declare = self._graph, self._declare
        self._parameters.zero_gradients()
        graph.renew()
        losses: list[int] = []
        for sample in self._samples[number]:
            losses += declare(sample)
        loss = int(graph.sum(losses))
        self._construction += time.perf_counter() - begin
        graph.forward(loss)
        return loss

    def _rows(self, number: int, name: str, ids: Array, rows: Array) -> Array:
        """The rows for all ids of an input, also for ids that no loss depends on."""
        wanted = np.unique(self._batches[number].inputs[name])
        wanted = wanted[wanted >= 0]
        found = np.zeros((len(wanted), rows.shape[1]), np.float32)
        found[np.searchsorted(wanted, ids)] = rows
        return found


class _Threads:
    """Sets OpenBLAS's threads; everything else needs one thread."""

    def __init__(self, count: int) -> None:
        folder = Path(scipy_openblas32.get_lib_dir())
        library: Any = ctypes.CDLL(str(next(folder.glob("libscipy_openblas*.so*"))))
        self._set = library.scipy_openblas_set_num_threads
        self._count = count

    @contextmanager
    def in_use(self) -> Iterator[None]:
        if self._count > 1:
            self._set(self._count)
        try:
            yield
        finally:
            if self._count > 1:
                self._set(1)
