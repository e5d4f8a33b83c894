"""Layers that one model learns and another begins with: those of Boltzmann machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs.errors import CheckpointError, InputError
from cavs.models import DBM, DBN, RBM
from cavs.models.dbn import DirectedLayer
from cavs.tensor import bounded_parameters
from cavs.training._fields import in_brief, shown
from cavs.training.arrays import Array, check_arrays
from cavs.training.checkpoint import load_checkpoint
from cavs.training.options import Option, Text

_FEW_ELEMENTS = 1 << 20  # more than the checkpoint has, so that an error can name what lacks
_UPDATES = 10  # of mean field, where only chains begin by it
_MACHINES: dict[str, Any] = {"rbm": RBM, "dbn": DBN, "dbm": DBM}


def layers_option(meaning: str) -> Option:
    """The option for the checkpoint whose layers a model begins with."""
    return Option("layers", Text(), None, meaning, "FILE", "model")


def read_machine(path: str, *among: str) -> Any:
    """The RBM, DBN or DBM of a checkpoint, of the names `among`.

    Raises:
        CheckpointError: it is of another model, or not whole.
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.user is not None or checkpoint.model not in among:
        raise CheckpointError(
            f"[checkpoint] {path}: expected the checkpoint of one of {', '.join(among)}, got one "
            f"of {shown(checkpoint.model)}; name another"
        )
    elements = sum(array.size for array in checkpoint.parameters.values())
    try:
        with bounded_parameters(2 * elements + _FEW_ELEMENTS):
            machine = _MACHINES[checkpoint.model](**checkpoint.config)
    except MemoryError:
        raise
    except Exception as error:  # arguments of a file may raise anything
        raise CheckpointError(
            f"[checkpoint] {path}: expected arguments of a {checkpoint.model}, got others "
            f"({in_brief(error)}); name a checkpoint of `cavs train` that is whole"
        ) from error
    check_arrays(path, checkpoint.parameters, dict(machine.named_parameters()))
    machine.load_state_dict(checkpoint.parameters)
    return machine


def layers_of(machine: RBM | DBN) -> list[DirectedLayer]:
    """The layers of an RBM or a DBN, from the image up, each with its way up and its way down."""
    rbm = machine if isinstance(machine, RBM) else machine.top
    last = DirectedLayer(rbm.image_size, rbm.hidden_size)
    last.set_rbm(rbm)
    return [last] if isinstance(machine, RBM) else [*machine.lower, last]


def sizes_of(machine: RBM | DBN | DBM) -> list[int]:
    """How many bits its hidden layers have, from the image up."""
    if isinstance(machine, DBM):
        return [machine.joint.hidden_size, machine.top_size]
    return [len(layer.up.weight) for layer in layers_of(machine)]


def means_above(layers: Sequence[DirectedLayer], images: Array) -> Array:
    """How often each bit of the last layer is 1, by these images."""
    x = images.astype(np.float32)
    for layer in layers:
        assert layer.up.bias is not None
        x = _sigmoid(x @ layer.up.weight.numpy().T + layer.up.bias.numpy())
    means: Array = x.mean(axis=0)
    return means


def means_of_top(joint: RBM, images: Array) -> Array:
    """How often each bit of the top of a deep Boltzmann machine is 1, by mean field given these
    images: (top_size,)."""
    size = images.shape[1]
    weight, bias = joint.weight.numpy(), joint.visible_bias.numpy()[size:]
    of_image, of_top = weight[:, :size], weight[:, size:]
    below = images.astype(np.float32) @ of_image.T
    above = below
    for _ in range(_UPDATES):
        mean = _sigmoid(_sigmoid(below + above + joint.hidden_bias.numpy()) @ of_top + bias)
        above = mean @ of_top.T
    means: Array = mean.mean(axis=0)
    return means


def _sigmoid(x: Array) -> Array:
    y: Array = 0.5 + 0.5 * np.tanh(0.5 * x)
    return y


def check_layers(path: str, machine: RBM | DBN | DBM, image_size: int, wanted: Any) -> None:
    """Checks that the layers of a machine are of images of that size, and of these sizes.

    Raises:
        InputError: says which --hidden-sizes would fit.
    """
    if machine.image_size != image_size:
        raise InputError(
            f"[train] expected --layers of images of {image_size} pixels, as the data have, got "
            f"{path} of {machine.image_size}; name a checkpoint of these data"
        )
    found = sizes_of(machine)
    if found != list(wanted):
        raise InputError(
            f"[train] expected --hidden-sizes {_listed(found)}, as the layers of {path} have, got "
            f"{_listed(wanted)}; pass these, or other layers"
        )


def check_doubled(
    path: str, network: DBN, image_size: int, hidden_size: int, top_size: int
) -> None:
    """Checks that a network has the layers of a deep Boltzmann machine of these sizes, which
    learnt with their weights used twice.

    Raises:
        InputError: they did not, or are others.
    """
    lower, top = network.lower, network.top
    if len(lower) != 1:
        raise InputError(
            f"[train] expected --layers of a dbn of two layers, got {path} of {len(lower) + 1}; "
            "name another"
        )
    up, down = lower[0].up.weight.numpy(), lower[0].down.weight.numpy()
    if top.doubled != "down" or not np.array_equal(up, 2 * down.T):
        raise InputError(
            "[train] expected --layers that learnt by `cavs train rbm --doubled up`, then `cavs "
            f"train dbn --doubled down`, got {path} of others; name a checkpoint of the latter"
        )
    for flag, wanted, found in (
        ("--data of images of this many pixels", image_size, down.shape[0]),
        ("--hidden-size", hidden_size, down.shape[1]),
        ("--top-size", top_size, top.hidden_size),
    ):
        if wanted != found:
            raise InputError(
                f"[train] expected {flag} {found}, as the layers of {path} have, got {wanted}; "
                "pass this, or other layers"
            )


def _listed(sizes: Sequence[int]) -> str:
    return ",".join(map(str, sizes))
