"""Objectives of autoencoders: what they make of images, whole and with pixels flipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import cavs
from cavs import optim
from cavs.training.arrays import Arrays
from cavs.training.metrics import finite_total, judging, placed
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop


class Reconstruction(Objective):
    """The loss that an autoencoder pushes. Epochs are judged by the squared error of an image, the
    mean over images: ``error`` where the image comes whole, ``error_flipped`` where a share
    `test_flipped` of its pixels is flipped.

    Args:
        flipped: the share of pixels that are flipped in training; with any, epochs are judged by
            ``error_flipped``.
        test_flipped: the share that is flipped where it is judged.
    """

    greater = False
    pushed: str | None = "loss"

    def __init__(self, flipped: float, test_flipped: float) -> None:
        self._flipped, self._test_flipped = flipped, test_flipped
        self.best = "error_flipped" if flipped else "error"

    def prepare(self, model: Any) -> None:
        """Called with the compiled model before the first step."""

    def inputs(self, model: Any) -> Inputs:
        return {"flipped": np.float32(self._flipped)}

    def loss(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        loss = model(batch, **inputs)["loss"].sum()
        return loss, float(loss.item())

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        totals = {"loss": 0.0, "error": 0.0, "error_flipped": 0.0}
        moments: Any = 0.0  # sums of the codes and of their squares
        images = 0
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    whole = self._run(model, batch, inputs, 0.0)
                    partly = self._run(model, batch, inputs, self._test_flipped)
                    totals["loss"] += finite_total(whole["loss"], "loss")
                    totals["error"] += finite_total(whole["error"], "error")
                    totals["error_flipped"] += finite_total(partly["error"], "error")
                codes = whole["code"].numpy().astype(np.float64)
                moments = moments + np.stack([codes.sum(axis=0), (codes**2).sum(axis=0)])
                images += batch.num_graphs
        count = max(images, 1)
        scores = {name: value / count for name, value in totals.items()}
        return {**scores, **self._of_codes(moments / count)}

    def describe(self, scores: Mapping[str, float]) -> str:
        return (
            f"squared error {scores['error']:7.3f}  "
            f"with {100 * self._test_flipped:g} % flipped {scores['error_flipped']:7.3f}"
        )

    def _run(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs, flipped: float) -> Any:
        return model(batch, **inputs, flipped=np.float32(flipped))

    def _of_codes(self, moments: Any) -> dict[str, float]:
        """Scores of the means of codes and of their squares, (2, code_size)."""
        del moments
        return {}


class AdversarialReconstruction(Reconstruction):
    """The same of a :class:`cavs.models.AdversarialAutoencoder`. In each step the discriminator
    learns first, by an Adam of its own; then the gradient of what is minimised here reaches the
    autoencoder alone, through the discriminator.

    ``code_kl`` is how far codes are from the prior: the divergence of the normals of their means
    and variances, summed over the code, from Normal(0, 1).

    Args:
        weight: of the encoder's adversarial loss.
        lr: the learning rate of the discriminator.
    """

    pushed = None

    def __init__(self, flipped: float, test_flipped: float, weight: float, lr: float) -> None:
        super().__init__(flipped, test_flipped)
        self._weight, self._lr = weight, lr
        self._optimizer: optim.Adam | None = None

    def prepare(self, model: Any) -> None:
        discriminator = model["discriminator"]
        parameters = discriminator.named_parameters()
        self._optimizer = optim.Adam(parameters, lr=self._lr, betas=(0.5, 0.999))
        discriminator.requires_grad_(False)  # but for its own steps: the trainer leaves it alone

    def loss(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        state, count = model.random_state(), batch.num_graphs
        out = model["autoencoder"](batch, **inputs)
        code, discriminator = out["code"], model["discriminator"]
        generator = cavs.Generator(state["seed"] ^ 2**63)  # apart from what pixels are flipped by
        generator.step = state["autoencoder.step"]
        prior = generator.normal(code.shape, code.dtype, batch.keys, device=code.device)
        assert self._optimizer is not None
        discriminator.requires_grad_(True)
        discriminator.step(
            _codes(2 * count),
            self._optimizer,
            scale=1.0 / count,
            code=np.concatenate([prior.numpy(), code.detach().numpy()]),
            drawn=np.repeat(np.array([1, 0], np.float32), count),
        )
        discriminator.requires_grad_(False)
        fooled = discriminator(_codes(count), code=code, drawn=np.ones(count, np.float32))
        value = out["loss"].sum()
        return value + fooled["loss"].sum() * self._weight, float(value.item())

    def _run(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs, flipped: float) -> Any:
        return super()._run(model["autoencoder"], batch, inputs, flipped)

    def _of_codes(self, moments: Any) -> dict[str, float]:
        mean, square = moments
        variance = np.maximum(square - mean**2, 1e-12)
        return {"code_kl": float(0.5 * (mean**2 + variance - 1 - np.log(variance)).sum())}

    def describe(self, scores: Mapping[str, float]) -> str:
        return f"{super().describe(scores)}  codes from prior {scores['code_kl']:6.3f} nats"

    def arrays(self) -> Arrays:
        return {} if self._optimizer is None else self._optimizer.state_dict()

    def restore(self, arrays: Arrays) -> None:
        assert self._optimizer is not None
        self._optimizer.load_state_dict(arrays)


def _codes(count: int) -> cavs.GraphBatch:
    """Codes without edges."""
    return cavs.batch([cavs.InputGraph([[]] * count)])
