"""Annealed importance sampling: the partition function of an RBM, and samples of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import cavs
from cavs._arguments import instance, integer
from cavs._arrays import as_array
from cavs.errors import InputError, ShapeError
from cavs.models import RBM, AnnealedRBM, DBNDream
from cavs.training.arrays import Array
from cavs.training.sampling import as_it_is

_STEPS = 10  # temperatures of a call
_DEVIATIONS = 3
# Of all inverse temperatures the share that lies below each of the ends.
_SHARES, _ENDS = (0.0, 500 / 14_500, 4_500 / 14_500, 1.0), (0.0, 0.5, 0.9, 1.0)
_LEAST = 0.01  # and the most: how often a pixel is 1 where chains begin


class LogPartition(NamedTuple):
    """An estimate of log Z.

    Attributes:
        value: the logarithm of the mean of Z over the chains.
        low, high: the same for the mean less, and plus, three of its standard errors; `low` is -inf
            where nothing remains.
        effective: how many chains carry the mean, (sum of w)^2 / sum of w^2 of their weights w.
            With a few of many the value is too low, and by more than three standard errors: go over
            more temperatures.
    """

    value: float
    low: float
    high: float
    effective: float


class Annealing:
    """Chains of annealed importance sampling, which call by call go from independent pixels to an
    RBM, over inverse temperatures that lie closer and closer.

    Attributes:
        images: (chains, image_size) where they are.
        means: (chains, image_size) probabilities of the pixels that these were drawn from.
        log_weights: (chains,) float64 logarithms of their weights, without log Z of the beginning.
    """

    def __init__(
        self,
        rbm: RBM,
        chains: int = 100,
        temperatures: int = 1000,
        *,
        means: Any = None,
        seed: int | None = None,
    ) -> None:
        """
        Args:
            rbm: the model.
            chains: how many there are.
            temperatures: how many inverse temperatures there are between 0 and 1.
            means: (image_size,) how often each pixel is 1 at the beginning: those of the data, so
                that the way is short; None: as by the model's own biases of the pixels.
            seed: of the random numbers.

        Raises:
            InputError, ShapeError: see :func:`log_partition`.
        """
        doubled = getattr(rbm, "doubled", "none")
        if doubled != "none":
            raise InputError(
                "[anneal] expected an RBM whose weights are used once, got a layer of a DBM, "
                f"doubled {doubled}; take the whole machine"
            )
        self._hidden_size = rbm.hidden_size
        chains = integer("anneal", "chains", chains, 1)
        temperatures = integer("anneal", "temperatures", temperatures, 1)
        self._state = cavs.SampleState(chains, **as_it_is(rbm), image=rbm.image_size)
        self._model = cavs.compile(AnnealedRBM(rbm, _STEPS), seed=seed, **as_it_is(rbm)).eval()
        self._base = _logits(rbm, means)
        # The first step is at 0, to draw where the chains begin; to fill the first call there are
        # more, which weigh nothing.
        calls = -(-(temperatures + 1) // _STEPS)
        self._temperatures = np.zeros(calls * _STEPS + 1, np.float32)
        self._temperatures[-temperatures - 1 :] = _spaced(temperatures)
        self.log_weights = np.zeros(chains)
        self.means: Array = np.zeros((chains, rbm.image_size), np.float32)

    @property
    def images(self) -> Array:
        """See the class."""
        return self._state.state_dict()["image"]

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Goes to the end; False where `should_stop`, which is asked before each call, ended it
        before."""
        out: dict[str, Any] = {}
        graphs = self._state.batch()
        with cavs.no_grad():
            for first in range(0, len(self._temperatures) - 1, _STEPS):
                if should_stop():
                    return False
                out = self._model(
                    graphs,
                    base=self._base,
                    temperature=self._temperatures[first : first + _STEPS + 1],
                    **self._state.read(),
                )
                self._state.write(image=out["image"])
                self.log_weights += out["log_weight"].numpy().astype(np.float64)
        self.means = out["mean"].numpy()
        return True

    def log_partition(self) -> LogPartition:
        """The estimate of log Z by the chains, which are at the end."""
        count, top = len(self.log_weights), float(self.log_weights.max())
        weights = np.exp(self.log_weights - top)
        mean = float(weights.mean())
        error = float(weights.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
        begun = np.logaddexp(0, self._base.astype(np.float64)).sum()
        begun += self._hidden_size * math.log(2)
        low, high = mean - _DEVIATIONS * error, mean + _DEVIATIONS * error
        value, least, most = (
            math.log(x) + top + float(begun) if x > 0 else -math.inf for x in (mean, low, high)
        )
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        return LogPartition(value, least, most, effective)


def log_partition(
    rbm: RBM,
    chains: int = 100,
    temperatures: int = 1000,
    *,
    means: Any = None,
    seed: int | None = None,
) -> LogPartition:
    """An estimate of log Z of an RBM by annealed importance sampling (Salakhutdinov and Murray
    2008). Z is right on average over seeds, so log Z comes out too low rather than too high, and
    log-likelihoods too high.

    Args:
        rbm: the model.
        chains: how many chains there are.
        temperatures: how many inverse temperatures they go over.
        means: (image_size,) how often each pixel is 1 where chains begin: as in the data, so that
            the way is short; None: by the model's own biases of the pixels.
        seed: of the random numbers.

    Raises:
        InputError: no RBM, a number below 1, or means that are no numbers; ShapeError: of another
            shape.
    """
    instance("anneal", "rbm", rbm, RBM, "an RBM")
    annealing = Annealing(rbm, chains, temperatures, means=means, seed=seed)
    annealing.run()
    return annealing.log_partition()


def sample_rbm(
    rbm: RBM, count: int, temperatures: int = 1000, *, means: Any = None, seed: int | None = None
) -> Array:
    """Probabilities of the pixels of `count` images, (count, image_size): chains that went to the
    model over so many temperatures. Other arguments, and errors, as of :func:`log_partition`."""
    instance("anneal", "rbm", rbm, RBM, "an RBM")
    return draw_rbm(rbm, count, temperatures, means=means, seed=seed)


def draw_rbm(
    rbm: Any, count: int, temperatures: int = 1000, *, means: Any = None, seed: int | None = None
) -> Array:
    """As :func:`sample_rbm`, of any model that has what an RBM has."""
    if integer("anneal", "count", count, 0) == 0:
        return np.zeros((0, rbm.image_size), np.float32)
    annealing = Annealing(rbm, count, temperatures, means=means, seed=seed)
    annealing.run()
    return annealing.means


def draw_dbn(dbn: Any, count: int, temperatures: int = 1000, *, seed: int | None = None) -> Array:
    """The same of a :class:`cavs.models.DBN`: its top RBM draws the hidden bits."""
    top = dbn.top
    if integer("anneal", "count", count, 0) == 0:
        return np.zeros((0, dbn.image_size), np.float32)
    annealing = Annealing(top, count, temperatures, seed=seed)
    annealing.run()
    dream = cavs.compile(DBNDream(dbn), **as_it_is(dbn)).eval()
    graphs = cavs.batch([cavs.InputGraph([[]])] * count)
    mean: Array = dream(graphs, hidden=annealing.images)["mean"].numpy()
    return mean


def draw_dbm(dbm: Any, count: int, temperatures: int = 1000, *, seed: int | None = None) -> Array:
    """The same of a :class:`cavs.models.DBM`."""
    return draw_rbm(dbm.joint, count, temperatures, seed=seed)[:, : dbm.image_size]


def _spaced(count: int) -> Array:
    """Inverse temperatures from 0 to 1, count + 1, as Salakhutdinov and Murray (2008) space 14,500:
    most of them lie near 1, where distributions change the most."""
    return np.interp(np.linspace(0, 1, count + 1), _SHARES, _ENDS)


def _logits(rbm: RBM, means: Any) -> Array:
    """The logits of the pixels that chains begin with, float32."""
    if means is None:
        return np.asarray(rbm.visible_bias.numpy(), np.float32)
    given = as_array(means, "anneal", "float64")
    if given.shape != (rbm.image_size,):
        raise ShapeError(
            f"[anneal] expected means of shape ({rbm.image_size},), got {given.shape}; pass one "
            "for each pixel"
        )
    if not ((given >= 0) & (given <= 1)).all():
        raise InputError("[anneal] expected means in 0..1, got others; pass how often pixels are 1")
    p = np.clip(given, _LEAST, 1 - _LEAST)
    logits: Array = np.log(p / (1 - p)).astype(np.float32)
    return logits
