"""Batches in a repeatable order, which can be left and taken up again at any batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import boolean, instance, integer, items, printed
from cavs._arrays import Array
from cavs._seed import seed_or_default
from cavs.data._repr import Printed
from cavs.data.dataset import Dataset
from cavs.data.samplers import Sampler, as_sampler, described, numbers_of
from cavs.errors import InputError
from cavs.scheduler import GraphBatch

# (graphs, inputs), or (graphs, inputs, targets) of a loader with targets.
Batch = Any
Numbers = npt.NDArray[np.int64]


class Loader(Printed):
    """Iterates over the batches of one epoch; each finished iteration goes on to the next epoch.

    The order depends on the seed and the number of the epoch alone. `for graphs, inputs in loader`
    gives a `GraphBatch` whose keys are the numbers of its samples, and a dict of flat arrays.

    Args:
      dataset: the samples.
      batch_size: samples in a batch; the last batch of an epoch may have fewer.
      shuffle: a new order in each epoch; else the order of the data set.
      seed: the seed of the shuffling, 0..2**64-1; None: that of `cavs.manual_seed`, else 0.
      drop_last: leave out the last batch if it has fewer than batch_size samples.
      size_window: batch samples of like size: the samples of each `size_window` consecutive
        batches are sorted by their number of vertices before they are cut into batches, and with
        `shuffle` the batches are then shuffled. 0: off.
      cache: keep the batches (and with them their schedules) after they were made; only without
        `shuffle`. For evaluation, where the same batches come again and again. The arrays are then
        the same ones in each epoch: do not write to them.
      sampler: the samples of an epoch and their order, in place of all of them: a
        ``cavs.data.Sampler``, such as ``WeightedSampler``, or another sized iterable of sample
        numbers, which is begun anew for each epoch (a sampler of PyTorch is one; its `set_epoch` is
        called where it has one). Only such a loader's place in an epoch does not survive a restart.
      targets: the inputs that are no inputs of the model, such as labels. Batches are then
        ``(graphs, inputs, targets)``, with these in a dict of their own.
      workers: threads that make the next batches while one is used; the order stays. The batches of
        a ``Dataset`` take less than a hundredth of a training step; threads are for a data set
        whose ``batch`` does more, as one that reads files.

    Raises:
      InputError: an argument out of range, `cache` or a sampler with `shuffle`, a cache with a
        sampler, or a target that the data set does not have.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        drop_last: bool = False,
        size_window: int = 0,
        cache: bool = False,
        sampler: Sampler | Iterable[int] | None = None,
        targets: Sequence[str] = (),
        workers: int = 0,
    ) -> None:
        instance("loader", "dataset", dataset, Dataset, "a cavs.data.Dataset")
        batch_size = integer("loader", "batch_size", batch_size, 1)
        seed = integer("loader", "seed", seed_or_default(seed), 0, 2**64 - 1)
        size_window = integer("loader", "size_window", size_window, 0)
        for name, flag in (("shuffle", shuffle), ("drop_last", drop_last), ("cache", cache)):
            boolean("loader", name, flag)
        if cache and shuffle:
            raise InputError(
                "[loader] expected cache without shuffle, since it keeps a fixed order of "
                "batches, got both; leave one out"
            )
        if sampler is not None and (shuffle or cache):
            raise InputError(
                "[loader] expected a sampler without shuffle and without cache, since it gives the "
                f"order itself, got it with {'shuffle' if shuffle else 'cache'}; leave one out"
            )
        self._dataset = dataset
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._seed = seed
        self._drop_last = drop_last
        self._size_window = size_window
        self._cache: dict[int, Batch] | None = {} if cache else None
        self._sampler = None if sampler is None else as_sampler(sampler)
        self._targets = _known(items("loader", "targets", targets, str, "names"), dataset)
        self._workers = integer("loader", "workers", workers, 0, 1024)
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
        count = len(self._dataset if self._sampler is None else self._sampler)
        return count // self._batch_size if self._drop_last else -(-count // self._batch_size)

    def _summary(self) -> str:
        order = "shuffled" if self._shuffle else "in order"
        order = order if self._sampler is None else "by a sampler"
        return (
            f"of {len(self)} batches of {self._batch_size}, {order}, at batch {self._position} of "
            f"epoch {self._epoch}; {self._dataset!r}"
        )

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
        for name, mine in {"sampler": None, **self._identity()}.items():
            if state.get(name) != mine:
                raise InputError(
                    f"[loader] expected a saved order with {name} {mine}, as this loader has, got "
                    f"{printed(state.get(name))}; resume with the same data and arguments"
                )
        self.set_epoch(state["epoch"], state["batch"])

    def _identity(self) -> dict[str, Any]:
        """The settings that the order of the batches depends on."""
        identity: dict[str, Any] = {
            "num_samples": len(self._dataset),
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "seed": self._seed,
            "drop_last": self._drop_last,
            "size_window": self._size_window,
        }
        return (
            identity if self._sampler is None else identity | {"sampler": described(self._sampler)}
        )

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the current epoch. An iteration that was left begins the epoch anew,
        unless `load_state_dict` or `set_epoch` said where to begin."""
        self._generation += 1
        self._position, self._start = self._start, 0
        return self._run(self._generation)

    def _run(self, generation: int) -> Iterator[Batch]:
        batches = self.batch_indices(self._epoch)
        for batch in self._batches(batches, self._position):
            self._position += 1
            yield batch
            if generation != self._generation:
                raise InputError(
                    "[loader] expected one iteration at a time, got another that was begun, or a "
                    "loader set to another place; use one loader for each"
                )
        self._epoch += 1
        self._position = 0

    def _batches(self, batches: Sequence[Numbers], start: int) -> Iterator[Batch]:
        """The batches from number `start` on, made ahead where there are workers."""
        rest = range(start, len(batches))
        if not self._workers:
            for index in rest:
                yield self._make(index, batches[index])
            return
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="cavs-loader")
        ahead: deque[Future[Batch]] = deque()
        try:
            for index in rest:
                ahead.append(pool.submit(self._make, index, batches[index]))
                if len(ahead) > 2 * self._workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            # Those under way are waited for: nothing of a loop that was left goes on behind it.
            pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, index: int, indices: Numbers) -> Batch:
        if self._cache is None:
            return self._split(self._dataset.batch(indices))
        if index not in self._cache:
            self._cache[index] = self._split(self._dataset.batch(indices))
        return self._cache[index]

    def _split(self, batch: tuple[GraphBatch, dict[str, Array]]) -> Batch:
        if not self._targets:
            return batch
        graphs, inputs = batch
        return graphs, inputs, {name: inputs.pop(name) for name in self._targets}

    def batch_indices(self, epoch: int) -> list[Numbers]:
        """The numbers of the samples of each batch of an epoch."""
        epoch = integer("loader", "epoch", epoch, 0, 2**63)
        size = self._batch_size
        # A checkpoint must find the same order again. NumPy keeps raw bits the same between
        # versions, but not the numbers that its generators make of them.
        bits = np.random.PCG64([self._seed, epoch])
        order = self._order(epoch, bits)
        if self._drop_last:
            order = order[: len(order) - len(order) % size]
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

    def _order(self, epoch: int, bits: np.random.PCG64) -> Numbers:
        count = len(self._dataset)
        if self._sampler is not None:
            return numbers_of(self._sampler, epoch, count)
        if self._shuffle:
            return np.argsort(bits.random_raw(count), kind="stable")
        return np.arange(count)


def _known(targets: list[str], dataset: Dataset) -> tuple[str, ...]:
    for name in targets:
        if name not in dataset.names:
            raise InputError(
                f"[loader] expected targets among the inputs {list(dataset.names)} of the data "
                f"set, got {name!r}; name one of these"
            )
    if len(set(targets)) < len(targets):
        raise InputError(f"[loader] expected each target once, got {targets}; leave one out")
    return tuple(targets)
