"""Copies of a layer: the compiled model by itself, the parameters by PyTorch."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cavs.core.pickles import check_pickle
from cavs.model import Model
from cavs.tensor import Parameter
from cavs.torch import _device
from cavs.torch._parameters import bind


class _Pickler(pickle.Pickler):
    """Leaves out parameters, whose values PyTorch pickles."""

    def __init__(self, file: io.BytesIO, numbers: Mapping[int, int]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._numbers = numbers

    def persistent_id(self, x: Any) -> Any:
        return self._numbers.get(id(x))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, parameters: Sequence[Parameter]) -> None:
        super().__init__(file)
        self._parameters = parameters

    def persistent_load(self, number: Any) -> Any:
        return self._parameters[number]


def dump(model: Model, parameters: Sequence[Parameter]) -> bytes:
    """The model without the values of its parameters.

    Raises:
        CavsRuntimeError: its function cannot be pickled.
    """
    check_pickle(model.function)
    file = io.BytesIO()
    numbers = {id(parameter): number for number, parameter in enumerate(parameters)}
    _Pickler(file, numbers).dump(model.__getstate__())
    return file.getvalue()


def load(data: bytes, parameters: Sequence[Parameter]) -> Model:
    """The model that :func:`dump` left, with these parameters, on their device: ``torch.load`` may
    have put them on another one."""
    state, own = _Unpickler(io.BytesIO(data), parameters).load()
    if parameters:
        state["options"]["device"] = parameters[0].device
    model: Model = Model.__new__(Model)
    model.__setstate__((state, own))
    return model


def parameter_of(tensor: torch.Tensor) -> Parameter:
    """A new parameter of cavs in the memory of a torch parameter."""
    values = _device.place_of(tensor).array_of(tensor)
    found = Parameter(values, requires_grad=tensor.requires_grad)
    bind(found, tensor)
    return found
