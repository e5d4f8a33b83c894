"""Batches in a repeatable order, which can be left and taken up again at any batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import boolean, instance, integer, printed
from cavs._arrays import Array
from cavs.data.dataset import Dataset
from cavs.errors import InputError
from cavs.scheduler import GraphBatch

Batch = tuple[GraphBatch, dict[str, Array]]


class Loader:
    """Iterates over the batches of one epoch; each finished iteration goes on to the next epoch.

    The order depends on the seed and the number of the epoch alone. `for graphs, inputs in loader`
    gives a `GraphBatch` whose keys are the numbers of its samples, and a dict of flat arrays.

    Args:
      dataset: the samples.
      batch_size: samples in a batch; the last batch of an epoch may have fewer.
      shuffle: a new order in each epoch; else the order of the data set.
      seed: the seed of the shuffling; non-negative.
      drop_last: leave out the last batch if it has fewer than batch_size samples.
      size_window: batch samples of like size: the samples of each `size_window` consecutive
        batches are sorted by their number of vertices before they are cut into batches, and with
        `shuffle` the batches are then shuffled. 0: off.
      cache: keep the batches (and with them their schedules) after they were made; only without
        `shuffle`. For evaluation, where the same batches come again and again. The arrays are then
        the same ones in each epoch: do not write to them.

    Raises:
      InputError: an argument out of range, or `cache` with `shuffle`.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        size_window: int = 0,
        cache: bool = False,
    ) -> None:
        instance("loader", "dataset", dataset, Dataset, "a cavs.data.Dataset")
        batch_size = integer("loader", "batch_size", batch_size, 1)
        seed = integer("loader", "seed", seed, 0, 2**64 - 1)
        size_window = integer("loader", "size_window", size_window, 0)
        for name, flag in (("shuffle", shuffle), ("drop_last", drop_last), ("cache", cache)):
            boolean("loader", name, flag)
        if cache and shuffle:
            raise InputError(
                "[loader] expected cache without shuffle, since it keeps a fixed order of "
                "batches, got both; leave one out"
            )
        self._dataset = dataset
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._seed = seed
        self._drop_last = drop_last
        self._size_window = size_window
        self._cache: dict[int, Batch] | None = {} if cache else None
        self._epoch = 0
        self._position = 0  # batches of this epoch handed out so far
        self._start = 0  # where the next iteration begins
        self._generation = 0  # iterations begun, to refuse two at a time

    @property
    def dataset(self) -> Dataset:
        return self._dataset

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def epoch(self) -> int:
        """The number of the epoch that is under way or comes next, from 0."""
        return self._epoch

    @property
    def position(self) -> int:
        """The number of batches of the epoch that have been handed out."""
        return self._position

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        count = len(self._dataset)
        return count // self._batch_size if self._drop_last else -(-count // self._batch_size)

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Make the next iteration run over this epoch, from its batch number `start` on."""
        epoch = integer("loader", "epoch", epoch, 0, 2**63)
        start = integer("loader", "start", start, 0)
        if start > len(self):
            raise InputError(
                f"[loader] expected an epoch from 0 and a start in [0, {len(self)}], got epoch "
                f"{epoch} and start {start}; pass a place within the data"
            )
        self._epoch = epoch
        self._position = self._start = start
        self._generation += 1

    def state_dict(self) -> dict[str, Any]:
        """The place of the loader, behind the batch handed out last, as values for JSON."""
        return {"epoch": self._epoch, "batch": self._position, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Make the next iteration give the batches that follow the place of `state_dict`.

        Raises `InputError`, naming the difference, if the state is of another loader.
        """
        if not isinstance(state, Mapping):
            raise InputError(
                f"[loader] expected the dictionary that state_dict gave, got "
                f"{type(state).__name__}; pass that"
            )
        for name in ("epoch", "batch"):
            if isinstance(state.get(name), bool) or not isinstance(state.get(name), int):
                raise InputError(
                    f"[loader] expected an integer {name} in the saved order, got "
                    f"{printed(state.get(name))}; pass what state_dict gave"
                )
        for name, mine in self._identity().items():
            if state.get(name) != mine:
                raise InputError(
                    f"[loader] expected a saved order with {name} {mine}, as this loader has, got "
                    f"{printed(state.get(name))}; resume with the same data and arguments"
                )
        self.set_epoch(state["epoch"], state["batch"])

    def _identity(self) -> dict[str, Any]:
        """The settings that the order of the batches depends on."""
        return {
            "num_samples": len(self._dataset),
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "seed": self._seed,
            "drop_last": self._drop_last,
            "size_window": self._size_window,
        }

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the current epoch. An iteration that was left begins the epoch anew,
        unless `load_state_dict` or `set_epoch` said where to begin."""
        self._generation += 1
        self._position, self._start = self._start, 0
        return self._run(self._generation)

    def _run(self, generation: int) -> Iterator[Batch]:
        batches = self.batch_indices(self._epoch)
        while self._position < len(batches):
            index = self._position
            self._position += 1
            yield self._make(index, batches[index])
            if generation != self._generation:
                raise InputError(
                    "[loader] expected one iteration at a time, got another that was begun, or a "
                    "loader set to another place; use one loader for each"
                )
        self._epoch += 1
        self._position = 0

    def _make(self, index: int, indices: npt.NDArray[np.int64]) -> Batch:
        if self._cache is None:
            return self._dataset.batch(indices)
        if index not in self._cache:
            self._cache[index] = self._dataset.batch(indices)
        return self._cache[index]

    def batch_indices(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """The numbers of the samples of each batch of an epoch."""
        epoch = integer("loader", "epoch", epoch, 0, 2**63)
        count, size = len(self._dataset), self._batch_size
        # A checkpoint must find the same order again. NumPy keeps raw bits the same between
        # versions, but not the numbers that its generators make of them.
        bits = np.random.PCG64([self._seed, epoch])
        order = (
            np.argsort(bits.random_raw(count), kind="stable") if self._shuffle else np.arange(count)
        )
        if self._drop_last:
            order = order[: count - count % size]
        if self._size_window:
            sizes = self._dataset.sizes
            for begin in range(0, len(order), size * self._size_window):
                window = order[begin : begin + size * self._size_window]
                window[:] = window[np.argsort(sizes[window], kind="stable")]
        batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
        if self._size_window and self._shuffle:
            ranks = np.argsort(bits.random_raw(len(batches)), kind="stable")
            batches = [batches[rank] for rank in ranks.tolist()]
        return batches
