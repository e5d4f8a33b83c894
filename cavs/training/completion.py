"""Images of which a part is known, completed by a Boltzmann machine."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs._arguments import choice, instance, integer
from cavs._arrays import as_array
from cavs.errors import InputError, ShapeError
from cavs.models import DBM, RBM, ClampedRBM
from cavs.training.arrays import Array
from cavs.training.sampling import as_it_is

HALVES = ("left", "right", "top", "bottom")
_STEPS = 10  # steps of a call


def half(name: str, height: int, width: int) -> Array:
    """(height * width,) bool: the pixels of a half of an image, one of `HALVES`; a line in the
    middle is not of it."""
    choice("sample", "half", name, HALVES)
    found = np.zeros((height, width), bool)
    rows, columns = slice(None), slice(None)
    if name in ("left", "right"):
        columns = slice(width // 2) if name == "left" else slice(-(width // 2), None)
    else:
        rows = slice(height // 2) if name == "top" else slice(-(height // 2), None)
    found[rows, columns] = True
    return found.reshape(-1)


def complete_images(
    machine: RBM | DBM, images: Any, known: Any, steps: int = 1000, *, seed: int | None = None
) -> Array:
    """Images of which the known pixels are those of `images`, and the others are drawn given
    these: (images, image_size), the known bits and the probabilities of the others, by `steps`
    steps of Gibbs sampling from the bits that `images` has there.

    Args:
        machine: the model; a DBM draws its top bits too, which begin at 0.
        images: (images, image_size) of 0 and 1.
        known: (image_size,) whether each pixel is known.
        steps: how many steps.
        seed: of the random numbers.

    Raises:
        InputError: another model, or values that are no bits; ShapeError: arrays of another shape.
    """
    instance("sample", "machine", machine, (RBM, DBM), "an RBM or a DBM")
    return complete(machine, images, known, steps, seed=seed)


def complete(
    machine: Any, images: Any, known: Any, steps: int, *, seed: int | None = None
) -> Array:
    """As :func:`complete_images`, of any model that has what these have."""
    rbm, size = getattr(machine, "joint", machine), machine.image_size
    x, mask = (as_array(array, "sample", "float32") for array in (images, known))
    if x.ndim != 2 or x.shape[1] != size or mask.shape != (size,):
        raise ShapeError(
            f"[sample] expected images of shape (images, {size}) and known of ({size},), got "
            f"{x.shape} and {mask.shape}; pass those of the model's size"
        )
    if not (np.isin(x, (0, 1)).all() and np.isin(mask, (0, 1)).all()):
        raise InputError("[sample] expected images and known of 0 and 1, got others; round them")
    steps = integer("sample", "steps", steps, 1)
    if not len(x):
        return x
    further = rbm.image_size - size
    state = cavs.SampleState(len(x), **as_it_is(machine), image=rbm.image_size)
    state.write(image=np.pad(x, ((0, 0), (0, further))))
    models = {
        count: cavs.compile(ClampedRBM(rbm, count), seed=seed, **as_it_is(machine)).eval()
        for count in {_STEPS, steps % _STEPS} - {0}
    }
    given, graphs, mean = {"known": np.pad(mask, (0, further))}, state.batch(), x
    with cavs.no_grad():
        for first in range(0, steps, _STEPS):
            model = models[min(_STEPS, steps - first)]
            model.set_random_state({**model.random_state(), "step": first})
            out = model(graphs, **given, **state.read())
            state.write(image=out["image"])
            mean = out["mean"].numpy()[:, :size]
    return mean
