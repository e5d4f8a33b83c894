"""The part of CuPy that cavs uses, over memory of an emulated GPU: it stands for the module
``cupy`` where there is an emulated driver.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from cavs._native import core
from cavs.device._emulated_array import (
    Device,
    EmulatedArray,
    argument,
    at_hand,
    current_device,
    empty,
    memory_of,
    ordinal_of,
    placed,
    settled,
)

ndarray = EmulatedArray
cuda = SimpleNamespace(Device=Device)
float32, float64, int32, int64, bool_ = np.float32, np.float64, np.int32, np.int64, np.bool_
inf, nan, pi, newaxis = np.inf, np.nan, np.pi, None
dtype = np.dtype


@at_hand
def array(value: Any, dtype: Any = None, copy: bool = True, order: str = "C") -> Any:
    """A new array of the current device; with `copy` False the value itself if it is one."""
    if isinstance(value, EmulatedArray):
        same = dtype is None or value.dtype == dtype
        if not copy and same and value.device.id == current_device():
            return value
        return placed(np.array(settled(value), dtype, order="C"), current_device())
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is not None:
        place = interface["data"][0], interface["shape"], interface["typestr"]
        given = over(*place, interface.get("strides"), value, ordinal_of(interface["data"][0]))
        if not copy and dtype in (None, given.dtype):
            return given  # wherever it is, as with CuPy
        return array(given, dtype, copy)
    return placed(np.array(value, dtype), current_device())


def result_type(*values: Any) -> np.dtype[Any]:
    """The dtype that an operation of these gives."""
    return np.result_type(*(x.dtype if isinstance(x, EmulatedArray) else x for x in values))


def shape(value: Any) -> tuple[int, ...]:
    """The shape of an array or a number."""
    return value.shape if isinstance(value, EmulatedArray) else np.shape(value)


def asarray(value: Any, dtype: Any = None) -> Any:
    """The value if it is an array of the current device and of this dtype; else a copy there."""
    return array(value, dtype, copy=False)


def ascontiguousarray(value: Any, dtype: Any = None) -> Any:
    """The same, C-contiguous."""
    found = asarray(value, dtype)
    return found if found.flags.c_contiguous else array(found, order="C")


def zeros(shape: Any, dtype: Any = float) -> EmulatedArray:
    """A new array of zeros."""
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = float) -> EmulatedArray:
    """A new array of ones."""
    return full(shape, 1, dtype)


@at_hand
def full(shape: Any, value: Any, dtype: Any = None) -> EmulatedArray:
    """A new array of one value."""
    made = empty(shape, np.asarray(value).dtype if dtype is None else dtype)
    settled(made)[...] = value
    return made


def arange(*args: Any, dtype: Any = None) -> EmulatedArray:
    """A new array of numbers in order."""
    result: EmulatedArray = placed(np.arange(*args, dtype=dtype), current_device())
    return result


def over(
    address: int, sizes: Any, kind: Any, strides: Any, owner: Any, ordinal: int
) -> EmulatedArray:
    """An array over memory that `owner` keeps alive; see `cavs.device._cupy`."""
    kind, sizes = np.dtype(kind), tuple(sizes)
    steps = _dense(sizes, kind.itemsize) if strides is None else tuple(strides)
    extent = [0] if 0 in sizes else [(n - 1) * step for n, step in zip(sizes, steps, strict=True)]
    low = sum(x for x in extent if x < 0)
    bytes_ = 0 if 0 in sizes else sum(map(abs, extent)) + kind.itemsize
    begin = address + low or 256  # at null, NumPy would take memory of its own
    memory = core.cuda.Memory(ordinal, bytes_, begin, owner)
    found: EmulatedArray = np.ndarray.__new__(EmulatedArray, sizes, kind, memory, -low, steps)
    return found


def memory_owner(array: EmulatedArray) -> Any:
    """The object that keeps the memory of an array alive, where :func:`over` made it."""
    return memory_of(array).owner


def current_stream(ordinal: int) -> int:
    """The stream that this thread's arrays are computed on: 0, for nothing is left to wait for."""
    return 0


def on_stream(pointer: int) -> Any:
    """As of `cavs.device._cupy`; nothing to do, for nothing is left to wait for."""
    return nullcontext()


def _dense(sizes: tuple[int, ...], item: int) -> tuple[int, ...]:
    return tuple(item * math.prod(sizes[axis + 1 :]) for axis in range(len(sizes)))


# Functions of CuPy with NumPy's meaning.
_FUNCTIONS = """
    abs absolute add all amax amin any argmax argmin array_equal broadcast_to concatenate
    copysign cos cumsum divide dot equal exp expand_dims expm1 flatnonzero flip floor isfinite isinf
    isnan log log1p logical_and logical_not logical_or matmul max maximum may_share_memory mean
    min minimum moveaxis multiply negative nonzero pad power prod ravel repeat reshape rsqrt
    searchsorted shares_memory sign sin sort sqrt square squeeze stack subtract sum swapaxes take
    take_along_axis tan tanh transpose true_divide unique where zeros_like ones_like empty_like"""


@at_hand
def argsort(x: EmulatedArray, axis: int = -1, kind: Literal["stable"] = "stable") -> EmulatedArray:
    """The order along an axis; equal elements stay in order, as with CuPy, which has this kind
    alone."""
    found: EmulatedArray = placed(np.argsort(settled(x), axis, kind), current_device())
    return found


@at_hand
def erf(x: Any) -> Any:
    """As ``cupyx.scipy.special.erf``."""
    return _of_each(math.erf, x)


@at_hand
def erfc(x: Any) -> Any:
    """As ``cupyx.scipy.special.erfc``."""
    return _of_each(math.erfc, x)


@at_hand
def lgamma(x: Any) -> Any:
    """As of `cavs.device._cupy`."""
    return _of_each(lambda v: math.inf if v <= 0 and v == math.floor(v) else math.lgamma(v), x)


def _of_each(function: Callable[[float], float], x: Any) -> Any:
    return placed(np.vectorize(function, otypes=[x.dtype])(settled(x)), current_device())


@cache  # not a name of this module, in which `sum` and `abs` are Python's
def _function(name: str) -> Callable[..., Any]:
    plain = getattr(np, name)

    @at_hand
    def function(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = tuple(map(argument, args)), {k: argument(x) for k, x in kwargs.items()}
        with np.errstate(all="ignore"):
            return placed(plain(*args, **kwargs), current_device())

    function.__name__ = name
    return function


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS.split() or not hasattr(np, name):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}, as far as it is emulated")
    return _function(name)
