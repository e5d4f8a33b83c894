"""Objectives of models whose probabilities are known up to their sum: contrastive divergence, and
log-likelihoods by annealed importance sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import cavs
from cavs.data import Loader
from cavs.models import RBMChain
from cavs.training.annealing import Annealing
from cavs.training.arrays import Array, Arrays, check_state
from cavs.training.metrics import judging, mean_output, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop


class Judging:
    """Batches to judge an RBM by, and how its partition function is estimated.

    Attributes:
        chains, temperatures: see `cavs.training.annealing.Annealing`.
        means: how often each bit that the RBM of a function sees is 1 in the data, by the
            parameters of now: chains begin so.
    """

    def __init__(
        self, loader: Loader, chains: int, temperatures: int, means: Callable[[Any], Array]
    ) -> None:
        self._loader = loader
        self.chains, self.temperatures, self.means = chains, temperatures, means

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loader)


class ContrastiveDivergence(Objective):
    """Contrastive divergence (Hinton 2002): the model pushes the loss. Epochs are judged by -log p
    in nats, with log Z estimated by annealed importance sampling, always by the same random
    numbers.

    Args:
        part: the attribute of the model that is the RBM which is trained; None: the model itself.
    """

    best, greater = "nll", False
    pushed: str | None = "loss"
    falls = False

    def __init__(self, part: str | None = None) -> None:
        self._part = part

    def rbm(self, model: cavs.Model) -> Any:
        """The RBM that is trained."""
        function: Any = model.function
        return function if self._part is None else getattr(function, self._part)

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, outputs=["loss"], **inputs)
        return out["loss"].sum(), total(out["loss"])

    def evaluate(self, model: cavs.Model, batches: Batches, should_stop: ShouldStop) -> Judged:
        """See `Objective`; ``log_z`` is the estimate of log Z, ``log_z_error`` how far above it
        that of the mean plus three of its standard errors is, ``log_z_chains`` how many chains
        carry the mean."""
        assert isinstance(batches, Judging)
        with judging(model):
            energy = mean_output(model, batches, "free_energy", should_stop)
            if energy is None:
                return None
            annealing = Annealing(
                self.rbm(model),
                batches.chains,
                batches.temperatures,
                means=batches.means(model.function),
                seed=model.random_state()["seed"],
            )
            if not annealing.run(should_stop):
                return None
        found = annealing.log_partition()
        return {
            "nll": energy + found.value,
            "log_z": found.value,
            "log_z_error": found.high - found.value,
            "log_z_chains": found.effective,
        }

    def describe(self, scores: Mapping[str, float]) -> str:
        return (
            f"-log p {scores['nll']:7.3f}  log Z {scores['log_z']:8.3f} "
            f"+- {scores['log_z_error']:.3f} by {scores['log_z_chains']:.1f} chains"
        )


class LayerDivergence(ContrastiveDivergence):
    """Contrastive divergence of a layer whose weights are used twice, in the place of its
    neighbours: of itself it has no probabilities of images. Epochs are judged by the squared error
    of what it makes of them, there and back; the model pushes it as ``error``."""

    best = "error"

    def evaluate(self, model: cavs.Model, batches: Batches, should_stop: ShouldStop) -> Judged:
        with judging(model):
            error = mean_output(model, batches, "error", should_stop)
        return None if error is None else {"error": error}

    def describe(self, scores: Mapping[str, float]) -> str:
        return f"squared error, there and back, {scores['error']:7.3f}"


class PersistentDivergence(ContrastiveDivergence):
    """Persistent contrastive divergence (Tieleman 2008): chains that go on from one step of
    training to the next, with random numbers of their own.

    Args:
        chains: how many there are.
        steps: the steps of Gibbs sampling of each chain in a step of training.
        image_size: the size of an image of the RBM.
        part: see `ContrastiveDivergence`.
    """

    pushed = None

    def __init__(self, chains: int, steps: int, image_size: int, part: str | None = None) -> None:
        super().__init__(part)
        self._chains = cavs.SampleState(chains, image=image_size)
        self._steps = steps
        self._model: cavs.Model | None = None

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        chain = self._compiled(model)
        # Chains use the step number of the model, so that a resumed run draws the same.
        chain.set_random_state(model.random_state())
        data = model(batch, outputs=["free_energy"], **inputs)["free_energy"]
        out = chain(self._chains.batch(), **self._chains.read())
        self._chains.write(image=out["image"])
        share = batch.num_graphs / len(self._chains)
        drawn = out["free_energy"]
        return data.sum() - drawn.sum() * share, total(data) - share * total(drawn)

    def _compiled(self, model: cavs.Model) -> cavs.Model:
        """The chains' step, on the model's device."""
        if self._model is None:
            self._model = cavs.compile(
                RBMChain(self.rbm(model), self._steps),
                outputs=["image", "free_energy"],
                device=model.device,
                dtype=model.dtype,
            )
            there = cavs.SampleState(
                len(self._chains), device=model.device, dtype=model.dtype, **self._chains.shapes
            )
            begun = self._chains.state_dict()
            there.write(**{name: value.astype(there.dtype) for name, value in begun.items()})
            self._chains = there
        return self._model

    def arrays(self) -> Arrays:
        chains = self._chains.state_dict()
        return {f"chain.{name}": value.astype(np.float32) for name, value in chains.items()}

    def restore(self, arrays: Arrays) -> None:
        shapes = self._chains.shapes
        check_state(arrays, {f"chain.{n}": (len(self._chains), *shapes[n]) for n in shapes})
        dtype = self._chains.dtype
        self._chains.write(**{name: arrays[f"chain.{name}"].astype(dtype) for name in shapes})
