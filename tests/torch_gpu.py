"""Tensors of PyTorch on a GPU, for tests of ``cavs.torch``.

Where PyTorch has CUDA they are that. Where the driver is the emulated one, whose memory is the
host's, they are tensors of the host: the emulated GPU takes the memory of any tensor that cavs is
given for its own, and waits at the end of a call, since PyTorch's work here is the host's. Only
what ``cavs.torch._device`` asks of PyTorch is replaced.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import finalize

import numpy as np
import pytest
import torch

import cavs
from cavs.device import find_device
from cavs.torch import _device

__all__ = ["EmulatedGpus", "RealGpus", "gpus"]


class RealGpus:
    """GPUs that PyTorch has, too."""

    def put(self, x: Any, name: str = "cuda:0") -> Any:
        """A copy of a tensor on a device; a leaf that learns as `x` does."""
        return x.detach().to(name, copy=True).requires_grad_(x.requires_grad)

    def move(self, module: Any, name: str) -> Any:
        """The module, on a device."""
        return module.to(name)

    def host(self, x: Any) -> Any:
        """The values on the host, dense."""
        values = x.detach().cpu()
        return values.to_dense() if values.is_sparse else values

    def is_on(self, x: Any, name: str) -> bool:
        """Whether a tensor is on a device."""
        return str(x.device) == name

    def at(self, name: str) -> Any:
        """``with gpus.at("cuda:1"):`` what follows computes there: it says where results of
        PyTorch's operations are that an emulated GPU cannot tell."""
        return nullcontext()

    def load(self, file: Any, name: str) -> Any:
        """What ``torch.save`` wrote, with its tensors on a device."""
        return torch.load(file, map_location=name, weights_only=False)

    def count(self) -> int:
        """How many there are."""
        return torch.cuda.device_count()


class EmulatedGpus:
    """GPUs that are emulated: a tensor is where it was put, or where its memory was made, else
    where the test says."""

    def __init__(self, driver: str) -> None:
        self._default = "cuda:0"
        self._put: dict[int, tuple[Any, str]] = {}
        self._lent = Counter[int]()
        self._places: dict[int, _EmulatedPlace] = {}
        self._library = library = ctypes.CDLL(driver)
        library.cavs_emulator_device_of.argtypes = [ctypes.c_uint64]
        library.cavs_emulator_adopt.argtypes = [ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int]
        library.cavs_emulator_disown.argtypes = [ctypes.c_uint64]

    # As RealGpus

    def put(self, x: Any, name: str = "cuda:0") -> Any:
        made = x.detach().clone().requires_grad_(x.requires_grad)
        if not made.is_sparse:
            self._put[made.untyped_storage().data_ptr()] = made.detach(), name
        return made

    def move(self, module: Any, name: str) -> Any:
        return module._apply(lambda x: self.put(x, name).detach())

    def host(self, x: Any) -> Any:
        values = x.detach().clone()
        return values.to_dense() if values.is_sparse else values

    def is_on(self, x: Any, name: str) -> bool:
        return self.name_of(x) == name

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        before, self._default = self._default, name
        yield
        self._default = before

    def load(self, file: Any, name: str) -> Any:
        with self.at(name):
            return torch.load(file, weights_only=False)

    def count(self) -> int:
        return cavs.cuda.device_count()

    # In place of functions of cavs.torch._device

    def name_of(self, x: Any) -> str:
        """The device of a tensor."""
        storage = x.untyped_storage()
        ordinal = self._library.cavs_emulator_device_of(storage.data_ptr())
        if ordinal >= 0 and storage.nbytes():
            return f"cuda:{ordinal}"
        return self._put.get(storage.data_ptr(), (None, self._default))[1]

    def place_of(self, x: Any) -> Any:
        if x.device.type != "cpu":
            return _device.place_named(str(x.device))
        return _device.place_named("cuda:0" if x.is_sparse else self.name_of(x))

    def gpu(self, ordinal: int) -> Any:
        if ordinal not in self._places:
            self._places[ordinal] = _EmulatedPlace(find_device(f"cuda:{ordinal}"), self)
        return self._places[ordinal]

    def lend(self, x: Any, ordinal: int) -> _Lent:
        """Lets a device have the memory of a tensor, as long as the result lives."""
        storage = x.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        lent = _Lent(x)
        if size and (
            self._lent[address] or self._library.cavs_emulator_adopt(address, size, ordinal)
        ):
            self._lent[address] += 1
            finalize(lent, self._end, address, x.detach())
        return lent

    def _end(self, address: int, x: Any) -> None:
        self._lent[address] -= 1
        if not self._lent[address]:
            self._library.cavs_emulator_disown(address)


class _Lent:
    def __init__(self, x: Any) -> None:
        self.tensor = x


class _EmulatedPlace(_device.Gpu):
    def __init__(self, device: Any, gpus: EmulatedGpus) -> None:
        super().__init__(device)
        self._gpus = gpus

    def _keeper(self, x: Any) -> Any:
        return self._gpus.lend(x.detach(), self.device.ordinal)

    def tensor_of(self, array: Any) -> Any:
        self.device.synchronize()
        return torch.from_numpy(np.ndarray.view(array, np.ndarray))

    @contextmanager
    def ordered(self) -> Iterator[None]:
        with self.device.here():
            yield
            self.device.synchronize()


@contextmanager
def gpus() -> Iterator[Any]:
    """Inside, tensors are on the first GPU, unless the test says otherwise; skips the test where
    PyTorch has no GPU and none is emulated."""
    driver = os.environ.get("CAVS_CUDA_DRIVER")
    if not driver:
        if not torch.cuda.is_available():
            pytest.skip("a GPU, and a build without CUDA of the library beside it")
        yield RealGpus()
        return
    emulated = EmulatedGpus(driver)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_device, "place_of", emulated.place_of)
        patch.setattr(_device, "gpu", emulated.gpu)
        yield emulated
