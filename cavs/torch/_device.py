"""Where tensors of PyTorch are, and their memory as arrays of cavs, and back: nothing is copied.

All that depends on the device is in the two classes here; the rest of ``cavs.torch`` asks a tensor,
or a layer, for its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch

from cavs._arguments import shown
from cavs._arrays import Array
from cavs.device import Device, device_of, find_device, host
from cavs.errors import CavsRuntimeError, DeviceError, InputError


class Place(Protocol):
    """A device, as PyTorch and cavs have it.

    Attributes:
        device: the device of cavs.
    """

    device: Device

    def array_of(self, x: torch.Tensor, what: str = "values") -> Array:
        """The memory of a tensor as an array, which keeps it alive. `what` it is, for errors.

        Raises:
            InputError: it has no such memory here, but is on another device, sparse, without
                values, or negative by a bit alone.
        """

    def tensor_of(self, array: Array) -> torch.Tensor:
        """The memory of an array as a tensor, which keeps it alive."""

    def ordered(self) -> AbstractContextManager[Any]:
        """``with place.ordered():`` work of cavs comes after PyTorch's work so far, and before what
        PyTorch is given next."""


class Host:
    """This machine's memory."""

    device: Device = host

    def array_of(self, x: torch.Tensor, what: str = "values") -> Array:
        try:
            array: Array = x.detach().numpy() if x.requires_grad else x.numpy()
        except (TypeError, RuntimeError) as error:
            raise _refused(x, what, "cpu", shown(str(error))) from None
        return array

    tensor_of = staticmethod(torch.from_numpy)

    def ordered(self) -> AbstractContextManager[Any]:
        return host.here()


class Gpu:
    """A GPU."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def array_of(self, x: torch.Tensor, what: str = "values") -> Array:
        reason = self._why_not(x)
        if reason:
            raise _refused(x, what, self.device.name, reason)
        try:
            address = x.data_ptr()
        except RuntimeError as error:  # a tensor without values
            raise _refused(x, what, self.device.name, shown(str(error))) from None
        kind = _KINDS[x.dtype]
        steps = None if x.is_contiguous() else [n * kind.itemsize for n in x.stride()]
        found: Array = self.device.over(address, tuple(x.shape), kind, steps, self._keeper(x))
        return found

    def _why_not(self, x: torch.Tensor) -> str:
        """Why the memory of a tensor cannot be an array here; empty where it can."""
        if place_of(x) is not self:
            return "it is on another device"
        if x.layout != torch.strided or x.is_neg():
            return "its values do not stand in its memory as they are"
        return "" if x.dtype in _KINDS else "arrays have no such dtype"

    def _keeper(self, x: torch.Tensor) -> Any:
        """What keeps the memory of a tensor alive."""
        return x.detach()

    def tensor_of(self, array: Array) -> torch.Tensor:
        found: torch.Tensor = torch.from_dlpack(array)
        return found

    @contextmanager
    def ordered(self) -> Iterator[None]:
        # Arrays are made on the thread's current GPU.
        with self.device.here():
            if torch.cuda.is_current_stream_capturing():
                raise CavsRuntimeError(
                    "[torch] expected a stream that computes, got one that records a CUDA graph; "
                    "call the layer outside of torch.cuda.graph: cavs makes graphs of its own"
                )
            stream = torch.cuda.current_stream(self.device.ordinal)
            with self.device.on_stream(stream.cuda_stream):
                yield


def _refused(x: torch.Tensor, what: str, name: str, reason: str) -> InputError:
    got = f"{type(x).__name__} of {x.dtype}, {x.layout}, on {x.device} ({reason})"
    return InputError(
        f"[torch] expected a dense tensor on {name} for {what}, got {got}; convert it, as by "
        f"x.to({name!r}) or x.to_dense()"
    )


_KINDS = {getattr(torch, name): np.dtype(name) for name in ("float32", "float64", "int32", "int64")}

HOST: Place = Host()


@cache
def gpu(ordinal: int) -> Place:
    """The GPU of this number; raises DeviceError where cavs or PyTorch cannot use it."""
    device = find_device(f"cuda:{ordinal}", "torch")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"[torch] expected PyTorch that can use a GPU, got {torch.__version__} for which "
            "torch.cuda.is_available() is False; install a build with CUDA, or use device='cpu'"
        )
    return Gpu(device)


def place_of(x: torch.Tensor) -> Place:
    """Where a tensor is.

    Raises:
        InputError: on a device that cavs knows nothing of; DeviceError: on a GPU that cavs or
            PyTorch cannot use.
    """
    return HOST if x.is_cpu else place_named(str(x.device))


def place_named(name: str) -> Place:
    """The place of this name, such as ``cuda:0``; raises as :func:`place_of` does."""
    device: Any = find_device(name, "torch")
    return HOST if device is host else gpu(device.ordinal)


def place_of_array(array: Array) -> Place:
    """Where an array is."""
    return HOST if type(array) is np.ndarray else place_named(device_of(array).name)


def address_of(array: Array) -> int:
    """The address of the first element."""
    interface = getattr(array, "__cuda_array_interface__", None) or array.__array_interface__
    address: int = interface["data"][0]
    return address
