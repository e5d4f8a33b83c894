"""The GPUs that models and tensors can be on: ``device="cuda"``, ``"cuda:1"``.

Which packages they need, and what runs where: docs/gpu.md.
"""

from __future__ import annotations

from typing import Any

from cavs._native import core
from cavs._signatures import shorten
from cavs.device import find_device
from cavs.device import gpus as _gpus
from cavs.errors import InputError

__all__ = ["device_count", "is_available", "synchronize", "why_not"]


def is_available() -> bool:
    """Whether models can be compiled for a GPU; :func:`why_not` says why they cannot."""
    return not why_not()


def device_count() -> int:
    """The number of GPUs; 0 where none can be used."""
    return _gpus.device_count()


def why_not() -> str:
    """Why no GPU can be used, in one line that says what to install or change; empty where one can
    be used."""
    return _gpus.why_not()


def synchronize(device: Any = None) -> None:
    """Waits until all work on a GPU is done, as before a clock is read.

    Args:
        device: ``"cuda"``, ``"cuda:1"`` or a number; None: ``"cuda"``.

    Raises:
        InputError: no device of a GPU; DeviceError: there is no such GPU, or work on it failed.
    """
    named = f"cuda:{device}" if type(device) is int else "cuda" if device is None else device
    found: Any = find_device(named, "synchronize")
    if found.name == "cpu":
        raise InputError(
            "[synchronize] expected a device of a GPU, as 'cuda', got 'cpu'; leave it out"
        )
    core.cuda.synchronize(found.ordinal)


shorten([is_available, device_count, synchronize, why_not])
