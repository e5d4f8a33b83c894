"""Objective of normalising flows, their first values, and samples of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

import cavs
from cavs._arguments import choice, instance, integer
from cavs._arrays import as_array
from cavs.data import image_dataset
from cavs.errors import ShapeError
from cavs.models import Flow
from cavs.models.flow import AutoregressiveInverse, FirstNorms, FlowInverse, FlowSampler
from cavs.training.arrays import Array
from cavs.training.metrics import judging, mean_output
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop
from cavs.training.sampling import as_it_is, draw_images


class FlowLikelihood(Objective):
    """-log p of images in nats, which the model pushes as ``loss``. Epochs are judged by it in bits
    for each pixel.

    Args:
        image_size: the number of pixels.
    """

    best, greater = "bits", False
    pushed: str | None = "loss"

    def __init__(self, image_size: int) -> None:
        self._image_size = image_size

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        loss = model(batch, **inputs)["loss"].sum()
        return loss, float(loss.item())

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        """See `Objective`; ``nll`` is in nats an image, ``bits`` a pixel."""
        with judging(model):
            nll = mean_output(model, batches, "loss", should_stop)
        if nll is None:
            return None
        return {"bits": nll / (self._image_size * math.log(2)), "nll": nll}

    def describe(self, scores: Mapping[str, float]) -> str:
        return f"{scores['bits']:.4f} bits a pixel  -log p {scores['nll']:8.3f}"


def set_first_norms(flow: Flow, images: Any, seed: int | None = None) -> None:
    """Sets each :class:`ActNorm` of a flow so that its output has mean 0 and variance 1 over some
    images (Kingma and Dhariwal 2018, section 3.1).

    Args:
        flow: is changed.
        images: (images, image_size), as the flow reads them.
        seed: of the noise that they are made continuous by; None: 0.

    Raises:
        InputError: no :class:`cavs.models.Flow`, or no images.
    """
    first = FirstNorms(instance("flows", "flow", flow, Flow, "a cavs.models.Flow"))
    batch, inputs = image_dataset(images).batch(range(len(images)))
    model = cavs.compile(first, seed=seed, **as_it_is(flow))
    with cavs.no_grad():
        found = model(batch, **inputs)
    for number, norm in enumerate(first.norms()):
        for name, parameter in (("mean", norm.mean), ("log_std", norm.log_std)):
            with parameter.writing() as values:
                values[...] = found[f"{name}{number}"].numpy()


def sample_flow(flow: Flow, count: int, seed: int | None = None) -> Array:
    """Images that a flow draws, (count, image_size): greys in 0..1, or x as it is of a flow without
    levels. The first images are the same for any `count`.

    Raises:
        InputError: no :class:`cavs.models.Flow`, or a count that is no integer of 0 or more.
    """
    instance("sample", "flow", flow, Flow, "a cavs.models.Flow")
    if flow.kind != "maf":
        return draw_images(FlowSampler(flow), count, seed)
    shape = (integer("sample", "count", count, 0), flow.image_size)
    x = undo_flow(flow, cavs.Generator(seed).normal(shape).numpy())
    grey: Array = np.asarray(flow.to_image(cavs.Tensor(x)))
    return grey


def undo_flow(flow: Flow, z: Any, dtype: str = "float32") -> Array:
    """x of noise, (rows, image_size), before it is made grey.

    The pixels of ``maf`` come one after the other by :func:`cavs.unfold`, layer by layer from the
    last, all rows together.

    Args:
        flow: a flow.
        z: (rows, image_size).
        dtype: to compute in, float32 or float64.

    Raises:
        InputError: no :class:`cavs.models.Flow`, or another dtype; ShapeError: noise of another
            shape.
    """
    instance("flows", "flow", flow, Flow, "a cavs.models.Flow")
    choice("flows", "dtype", dtype, ("float32", "float64"))
    x = as_array(z, "flows").astype(dtype)
    if x.ndim != 2 or x.shape[1] != flow.image_size:
        raise ShapeError(
            f"[flows] expected noise (rows, {flow.image_size}), got shape {x.shape}; give a row "
            "for each image"
        )
    options: Any = {**as_it_is(flow), "dtype": dtype}
    if len(x) == 0:
        return x
    if flow.kind != "maf":
        model = cavs.compile(FlowInverse(flow), **options).eval()
        with cavs.no_grad():
            found: Array = model(cavs.batch([cavs.InputGraph([[]])] * len(x)), z=x)["x"].numpy()
        return found
    pairs = list(pairwise(flow.layers))[::2]
    for norm, layer in reversed(pairs):
        model = cavs.compile(AutoregressiveInverse(norm, layer), **options).eval()
        x = _grow_pixels(model, np.argsort(layer.order).astype(np.int32), x)
    return x


def _grow_pixels(model: Any, order: Array, z: Array) -> Array:
    """What one layer makes of noise, a pixel of all rows at a time."""
    x = np.empty_like(z)

    def pixels(level: int) -> dict[str, Array]:
        return {"pixel": np.full(len(z), order[level]), "z": z[:, order[level]]}

    def next_pixel(frontier: cavs.Frontier) -> cavs.Growth | None:
        x[:, order[frontier.level]] = frontier.outputs["x"]
        if frontier.level + 1 == len(order):
            return None
        last = frontier.vertices
        return cavs.Growth(last, pixels(frontier.level + 1), forget=last)

    cavs.unfold(
        model,
        cavs.Growth([[]] * len(z), pixels(0), np.arange(len(z))),
        next_pixel,
        num_graphs=len(z),
        outputs=["x"],
        keep=(),
        max_levels=len(order),
        max_vertices=len(order),
    )
    return x
