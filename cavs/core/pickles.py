"""Finds out whether a module can be pickled before it is."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from cavs.core.vertex import Module
from cavs.errors import CavsRuntimeError


class _Nowhere(io.RawIOBase):
    def write(self, data: Any) -> int:
        return memoryview(data).nbytes


class _Probe(pickle.Pickler):
    """Goes through everything but arrays of numbers, which may be large, and compiled models, which
    check themselves."""

    def persistent_id(self, x: Any) -> Any:
        numbers = type(x) is np.ndarray and x.dtype.kind in "biufc"
        return "known" if numbers or hasattr(type(x), "__cavs_compiled__") else None


def check_pickle(function: Module) -> None:
    """Raises CavsRuntimeError where a vertex function, or a program of them, cannot be pickled."""
    try:
        _Probe(_Nowhere(), pickle.HIGHEST_PROTOCOL).dump(function)
    except Exception as error:  # an object's own way of being pickled may raise any error
        name, why = type(function).__name__, " ".join(str(error).split())
        raise CavsRuntimeError(
            f"[pickle] expected a {name} that can be pickled, got one that cannot ({why}); define "
            "its class at the top of a module and keep what cannot be pickled out of its "
            "attributes, or pickle model.state_dict() and load it into a model compiled there"
        ) from None
