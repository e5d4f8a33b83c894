"""Objectives of models with latent variables: bounds of the log-likelihood, and estimators."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

import cavs
from cavs.core import ops
from cavs.models import SBNDream
from cavs.nn.distributions import Normal, kl_divergence
from cavs.nn.estimators import (
    importance_weighted_bound,
    nvil,
    reweighted_wake_sleep,
    vimco,
    wake_sleep,
)
from cavs.training.arrays import Arrays, check_state
from cavs.training.metrics import finite_total, judging, placed, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop


class Bound(Objective):
    """The importance-weighted bound, with one sample for each vertex of a graph; with one sample it
    is the evidence lower bound. Epochs are judged by the bound in nats, as negative
    log-likelihood."""

    best, greater = "nll", False

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, **inputs)
        loss = -importance_weighted_bound(_by_graph(out["log_weight"], batch)).sum()
        return loss, float(loss.item())

    def evaluate(self, model: cavs.Model, batches: Batches, should_stop: ShouldStop) -> Judged:
        """See `Objective`; ``elbo`` is the mean over samples. If a key comes in several batches,
        the samples of all of them count for its graph."""
        weights: dict[int, list[Any]] = {}
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    log_weight = model(batch, **inputs)["log_weight"]
                    finite_total(log_weight, "log_weight")
                rows = _by_graph(log_weight, batch).numpy()
                for key, row in zip(batch.keys.tolist(), rows, strict=True):
                    weights.setdefault(key, []).append(row)
        bounds = [_log_mean(np.concatenate(rows)) for rows in weights.values()]
        means = [
            float(np.mean(np.concatenate(rows), dtype=np.float64)) for rows in weights.values()
        ]
        return {"nll": -float(np.mean(bounds)), "elbo": float(np.mean(means))}

    def describe(self, scores: Mapping[str, float]) -> str:
        return f"-log p {scores['nll']:7.3f}  ELBO {scores['elbo']:8.3f}"


class LatentBound(Objective):
    """The evidence lower bound of a program of an encoder, a decoder and a latent z for each graph,
    q(z | graph) = Normal(mean, exp(log_std)) and p(z) = Normal(0, 1), with one sample of z. Epochs
    are judged by the bound, in nats a graph.

    Args:
        kl_weight: the weight of the divergence KL(q || p) in training.
        kl_steps: the first steps, over which the weight rises linearly from 0.
    """

    best, greater = "nats", False
    #: How many kinds of random numbers a step draws.
    draws = 1
    #: Whether the decoder runs from the root to the leaves.
    downwards = False
    #: The type of the roots, from whose states z comes; None in an encoder without types.
    root: str | None = None

    def __init__(self, kl_weight: float, kl_steps: int) -> None:
        self._weight, self._steps = kl_weight, kl_steps

    @abstractmethod
    def encoded(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the encoder pulls, of the inputs of a batch."""

    def hide(self, batch: cavs.GraphBatch, inputs: Inputs, generator: cavs.Generator) -> Inputs:
        """What the decoder pulls in training; `generator` draws what is hidden from it."""
        return inputs

    def posterior(self, program: cavs.Program, batch: cavs.GraphBatch, inputs: Inputs) -> Normal:
        """q(z | graph) of each graph, from the encoder's state at the root."""
        function: Any = program.function
        h = program["encoder"](batch, **self.encoded(inputs))["h"]
        mean, log_std = ops.split(function.posterior(cavs.readout(batch, h, "root", self.root)), 2)
        return Normal(mean, ops.exp(log_std))

    def parts(
        self,
        program: cavs.Program,
        batch: cavs.GraphBatch,
        inputs: Mapping[str, Any],
        training: bool = False,
    ) -> tuple[cavs.Tensor, cavs.Tensor, Normal]:
        """-log p of the vertices given a sample of q, which is drawn by the graph's key, the
        divergence by graph, and q; gradients flow through the sample."""
        state = program.random_state()
        posterior = self.posterior(program, batch, inputs)
        generator = cavs.Generator(state["seed"])
        generator.step = self.draws * state["encoder.step"]
        mean = posterior.mean
        z = mean + posterior.std * generator.normal(
            mean.shape, mean.dtype, batch.keys, device=mean.device
        )
        seen = self.hide(batch, inputs, generator) if training else inputs
        out = program["decoder"](batch.reverse() if self.downwards else batch, z=z, **seen)
        divergence = ops.sum(kl_divergence(posterior, Normal(0.0, 1.0)), -1)
        return out["loss"], divergence, posterior

    def loss(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        step = model.random_state()["encoder.step"]
        nats, divergence, _ = self.parts(model, batch, inputs, training=True)
        weight = self._weight * min(1.0, step / self._steps) if self._steps else self._weight
        value = nats.sum() + divergence.sum() * weight
        return value, total(nats) + total(divergence)


def _by_graph(log_weight: cavs.Tensor, batch: cavs.GraphBatch) -> Any:
    return log_weight.reshape(batch.num_graphs, -1)


def _log_mean(log_weights: Any) -> float:
    values = log_weights.astype(np.float64)
    top = values.max()
    return float(top + math.log(np.exp(values - top).mean()))


class Vimco(Bound):
    """The importance-weighted bound by score functions: see :func:`cavs.nn.estimators.vimco`."""

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, **inputs)
        estimate = vimco(_by_graph(out["log_joint"], batch), _by_graph(out["log_q"], batch))
        return -estimate.surrogate.sum(), -float(estimate.bound.numpy().sum())


class Nvil(Bound):
    """The evidence lower bound by score functions. The baseline is the model's own plus a running
    mean, and the signal is divided by its running deviation if the latter is above 1 (Mnih and
    Gregor 2014, section 2.3)."""

    _decay = 0.8

    def __init__(self) -> None:
        self._running = np.zeros(2)  # mean and variance of the signal less the model's baseline

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, **inputs)
        parts = {name: _by_graph(x, batch) for name, x in out.items()}
        rest = (parts["log_weight"].numpy() - parts["baseline"].numpy()).astype(np.float64)
        now = np.array([rest.mean(), rest.var()])
        self._running = self._decay * self._running + (1 - self._decay) * now
        mean, deviation = float(self._running[0]), max(1.0, float(self._running[1]) ** 0.5)
        estimate = nvil(
            parts["log_joint"], parts["log_q"], parts["baseline"] + mean, scale=1 / deviation
        )
        loss = (estimate.baseline_loss - estimate.surrogate).sum()
        return loss, -float(estimate.bound.numpy().sum())

    def arrays(self) -> Arrays:
        return {"running": self._running}

    def restore(self, arrays: Arrays) -> None:
        check_state(arrays, {"running": (2,)}, np.float64)
        self._running = arrays["running"]


class WakeSleep(Bound):
    """Wake-sleep (Hinton et al. 1995): trains the model on data with h from recognition, and
    recognition on dreams of the model, as many as there are samples."""

    def __init__(self) -> None:
        self._dream: cavs.Model | None = None

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        dream = self.dream(model, batch)
        out = model(batch, **inputs)
        value = wake_sleep(_by_graph(out["log_joint"], batch), dream)
        bound = importance_weighted_bound(_by_graph(out["log_weight"], batch).detach())
        return -value.sum(), -float(bound.numpy().sum())

    def dream(self, model: cavs.Model, batch: cavs.GraphBatch) -> Any:
        """log q(h | x) of as many dreams as a batch has samples, for the step that is next:
        (graphs, samples)."""
        if self._dream is None:
            function: Any = model.function
            self._dream = cavs.compile(
                SBNDream(function), outputs=["log_q"], device=model.device, dtype=model.dtype
            )
        # Dreams use the step number of the model, so that a resumed run dreams the same. The
        # changed bit of the seed keeps their random numbers apart from those of the model's
        # samples.
        state = model.random_state()
        self._dream.set_random_state({**state, "seed": state["seed"] ^ 2**63})
        return _by_graph(self._dream(batch)["log_q"], batch)


class ReweightedWakeSleep(WakeSleep):
    """See :func:`cavs.nn.estimators.reweighted_wake_sleep`.

    Args:
        q_update: what recognition learns from: ``wake``, samples of itself of data by their
            weights, ``sleep``, dreams of the model, or ``both``, whose gradients are added.
    """

    def __init__(self, q_update: str) -> None:
        super().__init__()
        self._wake, self._sleep = q_update != "sleep", q_update != "wake"

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        dream = self.dream(model, batch) if self._sleep else None
        out = model(batch, **inputs)
        log_joint, log_q = (_by_graph(out[name], batch) for name in ("log_joint", "log_q"))
        estimate = reweighted_wake_sleep(log_joint, log_q, dream, wake=self._wake)
        return -estimate.surrogate.sum(), -float(estimate.bound.numpy().sum())
