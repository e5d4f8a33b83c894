"""Samplers: which samples an epoch has, and in which order."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sized
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import boolean, integer, shown
from cavs._arrays import foreign_array
from cavs._seed import seed_or_default
from cavs.data._repr import Printed
from cavs.errors import InputError, ShapeError

Numbers = npt.NDArray[np.int64]


class Sampler(Printed):
    """Says which samples an epoch has, for ``Loader(sampler=...)``.

    The order depends on the number of the epoch and on the sampler's arguments alone, so that a
    loader can go on in the middle of an epoch after a restart.
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples in an epoch."""

    @abstractmethod
    def order(self, epoch: int) -> npt.ArrayLike:
        """The numbers of the samples of an epoch, in order: ``len(self)`` integers. A sample may
        come several times."""

    def _summary(self) -> str:
        return f"of {len(self)} samples an epoch"


class WeightedSampler(Sampler):
    """Draws samples by their weights, with replacement unless said otherwise.

    Args:
      weights: (samples,) a weight for each sample, finite and not negative; they need no sum of 1.
      num_samples: the samples of an epoch; None: as many as there are weights.
      replacement: whether a sample may come several times in an epoch. Without, samples are drawn
        one after the other among those that are left (Efraimidis and Spirakis, 2006).
      seed: the seed of the draws; None: that of `cavs.manual_seed`, else 0.

    Raises:
      ShapeError: weights that are no list of numbers. InputError: a weight that is negative or not
        finite, none above 0, or, without replacement, fewer weights above 0 than `num_samples`.
    """

    def __init__(
        self,
        weights: npt.ArrayLike,
        num_samples: int | None = None,
        *,
        replacement: bool = True,
        seed: int | None = None,
    ) -> None:
        self._weights = _as_weights(weights)
        count = len(self._weights) if num_samples is None else num_samples
        self._count = integer("sampler", "num_samples", count, 0)
        self._replacement = boolean("sampler", "replacement", replacement)
        self._seed = integer("sampler", "seed", seed_or_default(seed), 0, 2**64 - 1)
        positive = int(np.count_nonzero(self._weights))
        if self._count and positive == 0:
            raise InputError(
                "[sampler] expected a weight above 0, got none; give one to a sample that may come"
            )
        if not replacement and positive < self._count:
            raise InputError(
                f"[sampler] expected at least {self._count} weights above 0 to draw so many "
                f"samples without replacement, got {positive}; draw fewer, or with replacement"
            )

    def __len__(self) -> int:
        return self._count

    def _summary(self) -> str:
        how = "with" if self._replacement else "without"
        return f"{super()._summary()} of {len(self._weights)}, {how} replacement"

    def order(self, epoch: int) -> Numbers:
        epoch = integer("sampler", "epoch", epoch, 0, 2**63)
        # Raw bits, which NumPy keeps the same between versions.
        bits = np.random.PCG64([self._seed, epoch])
        if self._replacement:
            uniform = _uniform(bits, self._count)
            totals = np.cumsum(self._weights / self._weights.max(initial=1.0))
            top = totals[-1] if len(totals) else 0.0
            drawn = np.searchsorted(totals, uniform * top, side="right")
            # A product rounded up to the total itself belongs to the last sample that may come.
            last = np.flatnonzero(self._weights)[-1] if self._count else 0
            return np.minimum(drawn, last).astype(np.int64)
        with np.errstate(divide="ignore"):
            # The logarithm of log(u) / weight, which no weight takes out of the range of floats.
            keys = np.log(self._weights) - np.log(-np.log1p(-_uniform(bits, len(self._weights))))
        keys[self._weights == 0] = -np.inf
        return np.argsort(-keys, kind="stable")[: self._count].astype(np.int64)


def _uniform(bits: np.random.PCG64, count: int) -> npt.NDArray[np.float64]:
    """Numbers from 0 to below 1, of 53 bits each."""
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


def class_weights(labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A weight for each sample, so that all classes are drawn equally often.

    The weights serve :class:`WeightedSampler`, or as factors of the samples' losses: a sample of a
    class that has n of all N samples, with C classes, has the weight N / (C n), so that the mean
    over samples is 1. Samples with the label -1 have none: their weight is 0.

    Args:
      labels: (samples,) integers, -1 where there is none.

    Returns:
      float64 [samples].

    Raises:
      ShapeError: labels that are no list. InputError: labels that are not integers, or below -1.
    """
    array = foreign_array(labels, "data")
    if array.ndim != 1:
        raise ShapeError(
            f"[data] expected a list of labels, got shape {array.shape}; give one a sample"
        )
    if array.size and (array.dtype.kind not in "iu" or int(array.min()) < -1):
        raise InputError(
            f"[data] expected integer labels from -1 on, got {_range(array)}; number the classes"
        )
    weights = np.zeros(len(array))
    known = array >= 0
    _, classes, counts = np.unique(array[known], return_inverse=True, return_counts=True)
    if len(counts):
        weights[known] = (counts.sum() / len(counts) / counts)[classes]
    return weights


def _range(array: npt.NDArray[Any]) -> str:
    if array.dtype.kind not in "iu":
        return f"dtype {array.dtype}"
    return f"{array.min()} to {array.max()}"


def _as_weights(given: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = foreign_array(given, "sampler")
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise ShapeError(
            f"[sampler] expected a list of numbers as weights, got an array of dtype {array.dtype} "
            f"and shape {array.shape}; give one a sample"
        )
    weights = array.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise InputError(
            f"[sampler] expected finite weights of 0 or more, got {weights[wrong[0]]:g} for sample "
            f"{wrong[0]}; check the weights"
        )
    return weights


def numbers_of(sampler: Sampler, epoch: int, samples: int) -> Numbers:
    """The checked order of an epoch over a data set of so many samples."""
    order = sampler.order(epoch)
    array = foreign_array(order if len(sampler) else np.empty(0, np.int64), "loader")
    if array.shape != (len(sampler),) or (array.size and array.dtype.kind not in "iu"):
        raise InputError(
            f"[loader] expected {len(sampler)} integers from the sampler, as its len says, got an "
            f"array of dtype {array.dtype} and shape {array.shape}; give a number a sample"
        )
    if array.size and not (int(array.min()) >= 0 and int(array.max()) < samples):
        wrong = array[(array < 0) | (array >= samples)][0]
        raise InputError(
            f"[loader] expected sample numbers from 0 to {samples - 1} from the sampler, got "
            f"{wrong}; make the sampler for this data set"
        )
    return array.astype(np.int64)


def described(sampler: Sampler) -> str:
    """A short text that differs where the orders of two samplers do."""
    name = type(sampler).__name__
    if isinstance(sampler, Iterated):
        return name
    digest = hashlib.sha256()
    for epoch in (0, 1):
        digest.update(np.asarray(sampler.order(epoch), np.int64).tobytes())
    return f"{name} {digest.hexdigest()[:16]}"


class Iterated(Sampler):
    """A sampler of another library: a sized iterable, begun anew for each epoch."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def order(self, epoch: int) -> npt.ArrayLike:
        if callable(getattr(self._numbers, "set_epoch", None)):
            self._numbers.set_epoch(epoch)
        return list(self._numbers)


def as_sampler(given: Any) -> Sampler:
    """The sampler, or a sized iterable as one; anything else is refused."""
    if isinstance(given, Sampler):
        return given
    if isinstance(given, Iterable) and isinstance(given, Sized):
        return Iterated(given)
    raise InputError(
        f"[loader] expected a cavs.data.Sampler as sampler, got {shown(given)}; derive from it, "
        "use WeightedSampler, or pass sample numbers"
    )
