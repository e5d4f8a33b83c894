"""Values that users and other libraries give, as arrays of the device that they are on."""

from __future__ import annotations

from typing import Any

import numpy as np

from cavs import _arrays
from cavs._arguments import printed
from cavs._arrays import FLOAT32, INT32, SUPPORTED, Array, check_dtype
from cavs.device import Device, device_of, find_device, is_array, is_on_host
from cavs.errors import DTypeError, InputError

_PLAIN = (np.ndarray, int, float, list, tuple)
_CUDA = 2  # kDLCUDA, the kind of a GPU in DLPack


def as_array(value: Any, what: str = "tensor", dtype: Any = None) -> Array:
    """`value` as an array of float32, float64 or int32 on the device that it is on, without a copy
    where it already is; see `cavs._arrays.as_array` for dtypes and errors.

    What says by ``__cuda_array_interface__``, or by DLPack, that it is on a GPU becomes an array
    there, over the same memory.
    """
    if type(value) in _PLAIN:
        return _arrays.as_array(value, what, dtype)
    array = on_gpu(value, what)
    if array is None:
        return _arrays.as_array(value, what, dtype)
    return _converted(array, what, dtype)


def on_gpu(value: Any, what: str) -> Array | None:
    """The array over the memory of a value on a GPU, of any dtype; None where it is on the host.

    Raises:
        InputError: the memory cannot be read; DeviceError: no GPU can be used here.
    """
    if type(value) in _PLAIN:
        return None
    if is_array(value):
        return None if is_on_host(value) else value
    interface = _attribute(value, "__cuda_array_interface__")
    if interface is None and not _is_lent_from_gpu(value):
        return None
    device: Any = find_device("cuda", what)
    try:
        if interface is not None:
            found: Array = device.xp.asarray(value)
        else:
            found = device.xp.from_dlpack(value)
    except MemoryError:
        raise
    except Exception as error:  # of any object's own conversion
        raise InputError(
            f"[{what}] expected an array of a GPU that can be read, got {type(value).__name__} "
            f"({printed(error, str)}); copy it to the CPU"
        ) from error
    return found


def moved(array: Array, device: Device) -> Array:
    """The array itself if it is on the device, else a copy there."""
    own = device_of(array)
    if own is device:
        return array
    return device.asarray(own.to_host(array))


def host_array(value: Any, what: str) -> Array:
    """`value` as an array of NumPy, of any dtype; what is on a GPU is copied from there."""
    if type(value) is np.ndarray:
        return value
    array = on_gpu(value, what)
    if array is None:
        return _arrays.foreign_array(value, what)
    return device_of(array).to_host(array)


def _converted(array: Array, what: str, dtype: Any) -> Array:
    """An array of a GPU in one of the three dtypes, by the rules of `cavs._arrays.as_array`."""
    kind = array.dtype.kind
    if array.dtype not in SUPPORTED and kind not in "iufb":
        raise DTypeError(
            f"[{what}] expected numbers, got dtype {array.dtype}; convert them to float32"
        )
    own = array.dtype if array.dtype in SUPPORTED else INT32 if kind in "iu" else FLOAT32
    wanted = own if dtype is None else check_dtype(dtype, what)
    if array.dtype == wanted:
        return array
    device = device_of(array)
    if wanted == INT32:
        _arrays.as_array(device.to_host(array), what, INT32)  # raises where one does not fit
    with device.here():
        return array.astype(wanted)


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # PyTorch's, of a tensor that wants gradients
        return None


def _is_lent_from_gpu(value: Any) -> bool:
    """Whether an object says by DLPack alone that it is on a GPU."""
    ask = _attribute(value, "__dlpack_device__")
    if ask is None:
        return False
    try:
        kind, _ = ask()
    except Exception:  # of any object's own conversion
        return False
    return int(kind) == _CUDA
