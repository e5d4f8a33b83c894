"""Arrays in memory of an emulated GPU, which is the host's: NumPy computes, after waiting for the
device. They take and refuse what CuPy's take and refuse, so that code which runs here runs there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ContextDecorator
from typing import Any, ClassVar, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from cavs._native import core

_REFUSED = "Unsupported type {}"
_NUMBERS = (bool, int, float, complex, np.generic)


class Device(NamedTuple):
    """The part of ``cupy.cuda.Device`` that is used: ``with Device(1):`` makes it current."""

    id: int = 0

    def __enter__(self) -> Device:
        _current.stack.append(self.id)
        return self

    def __exit__(self, *error: object) -> None:
        _current.stack.pop()

    def synchronize(self) -> None:
        """Waits until all work is done."""
        core.cuda.synchronize(self.id)


class _Current(threading.local):
    def __init__(self) -> None:
        self.stack = [0]


_current = _Current()


def current_device() -> int:
    """Where this thread makes new arrays."""
    return _current.stack[-1]


class _AtHand(ContextDecorator):
    """While it lasts NumPy may read and write memory of the device, which is out of the host's
    reach with ``CAVS_EMULATOR_STRICT=1``. It nests."""

    def __enter__(self) -> None:
        core.cuda.use_on_host(True)

    def __exit__(self, *error: object) -> None:
        core.cuda.use_on_host(False)


at_hand = _AtHand()


class Flags(NamedTuple):
    """The flags that CuPy's arrays have; NumPy's have others besides."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


class EmulatedArray(np.ndarray):
    """An array on an emulated GPU.

    It takes part in operations with its like and with numbers alone: as with CuPy, arrays of the
    host are refused (TypeError), and ``get()`` copies to the host. NumPy cannot be kept from
    taking ``numpy.asarray(x)`` for a view of the memory, which it does without waiting for the
    device.
    """

    __array_priority__: ClassVar[float] = 100.0

    # What CuPy's arrays say of themselves

    @property
    def device(self) -> Device:  # type: ignore[override]
        """The GPU that it is on."""
        return Device(memory_of(self).ordinal)

    @property
    def flags(self) -> Flags:  # type: ignore[override]
        """See `Flags`."""
        own = np.ndarray.flags.__get__(self)
        return Flags(own.c_contiguous, own.f_contiguous, self.base is None)

    @property
    def base(self) -> Any:
        """The array whose memory it views; None where it has memory of its own."""
        found = np.ndarray.base.__get__(self)
        return found if isinstance(found, np.ndarray) else None

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        flags = self.flags
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "data": (self.__array_interface__["data"][0], False),
            "strides": None if flags.c_contiguous else self.strides,
            "version": 3,
            "stream": None,  # whatever has computed here is done
        }

    @at_hand
    def get(self, stream: Any = None, order: str = "C") -> np.ndarray[Any, Any]:
        """The values as an array of the host."""
        return np.array(settled(self), order=order)  # type: ignore[call-overload,no-any-return]

    @at_hand
    def set(self, values: np.ndarray[Any, Any], stream: Any = None) -> None:
        """Copies an array of the host here."""
        if type(values) is not np.ndarray:
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if values.shape != self.shape or values.dtype != self.dtype:
            raise ValueError(f"Shape or dtype mismatch: {values.shape}, {self.shape}")
        settled(self)[...] = values

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __dlpack__(self, **kwargs: Any) -> Any:
        raise BufferError("an emulated GPU lends no arrays by DLPack")

    def __dlpack_device__(self) -> tuple[int, int]:  # type: ignore[override]
        return 2, self.device.id

    def setflags(self, *args: Any, **kwargs: Any) -> None:
        """CuPy's arrays have no such method."""
        raise AttributeError("'ndarray' object has no attribute 'setflags'")

    # Arithmetic

    @at_hand
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method not in ("__call__", "reduce"):  # "at" adds in no fixed order on a GPU
            return NotImplemented
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = tuple(None if x is None else operand(x) for x in out)
        kwargs = {name: operand(x) if name == "where" else x for name, x in kwargs.items()}
        with np.errstate(all="ignore"):
            result = getattr(ufunc, method)(*map(operand, inputs), **kwargs)
        return placed(result, current_device()) if out is None else out[0]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from cavs.device import _emulated

        return getattr(_emulated, func.__name__)(*args, **kwargs)

    # Elements

    @at_hand
    def __getitem__(self, key: Any) -> Any:
        if is_basic(key):
            key = key if isinstance(key, tuple) else (key,)
            whole = any(k is Ellipsis for k in key)
            view: Any = super().__getitem__(key if whole else (*key, ...))
            return view
        return placed(settled(self)[index(key)], current_device())

    @at_hand
    def __setitem__(self, key: Any, value: Any) -> None:
        settled(self)[index(key)] = operand(value)

    def __iter__(self) -> Any:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    @at_hand
    def __bool__(self) -> bool:
        return bool(settled(self))

    @at_hand
    def __int__(self) -> int:
        return int(settled(self))

    @at_hand
    def __float__(self) -> float:
        return float(settled(self))

    @at_hand
    def __index__(self) -> int:
        return settled(self).__index__()

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    @at_hand
    def __repr__(self) -> str:
        return repr(settled(self))

    @at_hand
    def __str__(self) -> str:
        return str(settled(self))

    @at_hand
    def __format__(self, text: str) -> str:
        return format(settled(self), text)

    # Copies

    def __reduce__(self) -> Any:
        from cavs.device import _emulated

        return _emulated.array, (self.get(),)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__reduce__()

    def __copy__(self) -> EmulatedArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> EmulatedArray:
        with self.device:
            return self.copy()


def _computed(name: str) -> Callable[..., Any]:
    """A method whose result is new memory on the device, or a view of the same."""
    plain: Any = getattr(np.ndarray, name)

    @at_hand
    def method(self: EmulatedArray, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = tuple(map(argument, args)), {k: argument(x) for k, x in kwargs.items()}
        with np.errstate(all="ignore"):
            result = plain(settled(self), *args, **kwargs)
        return placed(result, current_device())

    method.__name__, method.__doc__ = name, f"As CuPy's ``{name}``."
    return method


def _reduction(name: str, keywords: Iterable[str]) -> Callable[..., Any]:
    """A reduction with the keywords that CuPy has for it."""
    computed, known = _computed(name), frozenset(keywords)

    def method(self: EmulatedArray, axis: Any = None, **kwargs: Any) -> Any:
        for keyword in kwargs.keys() - known:
            raise TypeError(f"{name}() got an unexpected keyword argument {keyword!r}")
        return computed(self, axis, **kwargs)

    method.__name__, method.__doc__ = name, computed.__doc__
    return method


_COMPUTED = (
    *("argsort", "astype", "choose", "clip", "copy", "cumprod", "cumsum", "diagonal", "dot"),
    *("flatten", "nonzero", "ravel", "repeat", "reshape", "round", "squeeze", "swapaxes", "take"),
    *("trace", "transpose", "view", "conj", "fill", "item", "tolist", "tobytes", "sort"),
)
_REDUCTIONS = {
    **dict.fromkeys(("all", "any"), ("out", "keepdims")),
    **dict.fromkeys(("sum", "prod", "mean"), ("dtype", "out", "keepdims")),
    **dict.fromkeys(("std", "var"), ("dtype", "out", "ddof", "keepdims")),
    **dict.fromkeys(("max", "min"), ("out", "keepdims")),
    **dict.fromkeys(("argmax", "argmin"), ("dtype", "out", "keepdims")),
}
for _name in _COMPUTED:
    setattr(EmulatedArray, _name, _computed(_name))
for _name, _keywords in _REDUCTIONS.items():
    setattr(EmulatedArray, _name, _reduction(_name, _keywords))
EmulatedArray.T = property(lambda self: self.transpose())  # type: ignore[assignment,method-assign]


# Between the device's arrays and NumPy's


_memories: WeakValueDictionary[int, Any] = WeakValueDictionary()


def ordinal_of(address: int) -> int:
    """The device whose memory an address is in; 0 for memory that :func:`empty` did not give."""
    for begin, memory in list(_memories.items()):
        if begin <= address < begin + max(memory.bytes, 1):
            return int(memory.ordinal)
    return 0


def memory_of(array: np.ndarray[Any, Any]) -> Any:
    """The native memory that an array of the device stands in; None for an array of the host."""
    base: Any = core.owner(array)
    base = np.ndarray.base.__get__(base)
    return base if isinstance(base, core.cuda.Memory) else None


def empty(shape: Any, dtype: Any) -> EmulatedArray:
    """A new array on the current device, of any content."""
    kind = np.dtype(dtype)
    sizes = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(map(int, shape))
    count = math.prod(sizes)
    memory = core.cuda.Memory(current_device(), count * kind.itemsize)
    _memories[memory.address] = memory
    return np.ndarray.__new__(EmulatedArray, sizes, kind, memory)


def settled(array: Any) -> np.ndarray[Any, Any]:
    """The memory of an array as NumPy's, after all work on the device; for use while `at_hand`."""
    core.cuda.synchronize(memory_of(array).ordinal)
    return np.ndarray.view(array, np.ndarray)


def operand(value: Any) -> Any:
    """What NumPy computes with in place of an operand; raises TypeError for what is not on the
    device, but numbers."""
    if isinstance(value, EmulatedArray):
        return settled(value)
    if isinstance(value, _NUMBERS) or value is None:
        return value
    raise TypeError(_REFUSED.format(type(value)))


def argument(value: Any) -> Any:
    """The same of an argument of a function, which may be no operand."""
    if isinstance(value, np.ndarray):
        return operand(value)
    if type(value) in (list, tuple):
        return type(value)(map(argument, value))
    return value


@at_hand
def placed(result: Any, ordinal: int) -> Any:
    """A result of NumPy's as an array of the device; what stands there already is not copied."""
    if isinstance(result, (list, tuple)):
        return type(result)(placed(x, ordinal) for x in result)
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    if isinstance(result, np.ndarray) and memory_of(result) is not None:
        return np.ndarray.view(result, EmulatedArray)
    with Device(ordinal):
        array = empty(np.shape(result), result.dtype)
    np.ndarray.view(array, np.ndarray)[...] = result
    return array


def is_basic(key: Any) -> bool:
    """Whether an index gives a view."""
    keys: Sequence[Any] = key if isinstance(key, tuple) else (key,)
    return all(k is None or k is Ellipsis or isinstance(k, slice) or is_integer(k) for k in keys)


def is_integer(value: Any) -> bool:
    """Whether it is a number that counts, which booleans are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def index(key: Any) -> Any:
    """An index for NumPy: arrays in it must be on the device."""
    if isinstance(key, tuple):
        return tuple(map(index, key))
    if isinstance(key, (list, slice)) or key is None or key is Ellipsis:
        return key
    return operand(key)
