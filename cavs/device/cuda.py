"""A GPU: CuPy's arrays, or arrays of the emulated device; see `Device` for each verb.

All work goes to the stream that is CuPy's current one. Sums over rows that have one number go in
the order of the rows, by kernels of the engine: CuPy's own add in no fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import Any
from weakref import ref

import numpy as np

from cavs._arrays import FLOAT64, INT32
from cavs._native import core
from cavs.device._places import PLACES
from cavs.device.gpus import array_module, check_ordinal, is_emulated
from cavs.device.native_updates import NativeUpdates

Array = Any  # of CuPy, which is not there for a type checker


class Gpu:
    """One GPU.

    Attributes:
        name: ``cuda:0``, with its number.
        ordinal: its number.
        native: see `Device`.
    """

    def __init__(self, ordinal: int) -> None:
        """Raises DeviceError where no GPU of this number can be used."""
        check_ordinal(ordinal)
        self.ordinal = ordinal
        self.name = f"cuda:{ordinal}"
        self.xp = array_module()
        own = "_emulated" if is_emulated() else "_cupy"
        self._own: Any = import_module(f"cavs.device.{own}")
        self._names = _Names(self.xp, self._own, self.add_at)
        self.native = NativeUpdates(self)

    def __repr__(self) -> str:
        return f"Gpu({self.ordinal})"

    def __reduce__(self) -> Any:
        return gpu, (self.ordinal,)

    def here(self) -> AbstractContextManager[Any]:
        """See `Device`."""
        context: AbstractContextManager[Any] = self.xp.cuda.Device(self.ordinal)
        return context

    def begin_native(self) -> None:
        """See `Device`."""
        stream = self._own.current_stream(self.ordinal)
        if stream:
            core.cuda.set_stream(self.ordinal, stream)

    def on_stream(self, pointer: int) -> AbstractContextManager[Any]:
        """``with device.here(), device.on_stream(p):`` work of this thread goes to the stream of
        another library that the driver knows as `p`; 0 is the default stream."""
        context: AbstractContextManager[Any] = self._own.on_stream(pointer)
        return context

    def synchronize(self) -> None:
        """Waits until all work is done."""
        core.cuda.synchronize(self.ordinal)

    # New arrays, and copies

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        with self.here():
            return self.xp.empty(shape, dtype)

    def zeros(self, shape: Sequence[int], dtype: Any) -> Array:
        with self.here():
            return self.xp.zeros(shape, dtype)

    def full(self, shape: Sequence[int], value: float, dtype: Any) -> Array:
        with self.here():
            return self.xp.full(shape, value, dtype)

    def copy(self, array: Array) -> Array:
        with self.here():
            return self.xp.array(array, order="C")

    def contiguous(self, array: Array) -> Array:
        if array.flags.c_contiguous:
            return array
        with self.here():
            return self.xp.ascontiguousarray(array)

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        with self.here():
            if isinstance(value, range):
                return self.xp.arange(value.start, value.stop, value.step, dtype=dtype)
            return self.xp.asarray(value, dtype)

    def to_host(self, array: Array) -> Array:
        with self.here():
            return array.get()

    # Whose memory it is

    def owns(self, array: Array) -> bool:
        return bool(array.flags.c_contiguous) and array.base is None

    def owner(self, array: Array) -> Any:
        while True:
            root = array if array.base is None else array.base
            token = self._own.memory_owner(root)
            if not isinstance(token, _Token):
                return root
            array = token.lender

    def lend(self, array: Array) -> tuple[Array, Callable[[], Array | None]]:
        token = _Token(array)
        lent = self._over(token, array)
        return lent, _Loan(self, token, lent)

    def _over(self, owner: Any, like: Array) -> Array:
        interface = like.__cuda_array_interface__
        place = interface["data"][0], like.shape, like.dtype, interface.get("strides")
        return self._own.over(*place, owner, self.ordinal)

    def over(
        self, address: int, shape: Sequence[int], dtype: Any, strides: Any, owner: Any
    ) -> Array:
        """An array over memory of the device that `owner` keeps alive; strides are in bytes, None
        where it is C-contiguous."""
        found: Array = self._own.over(address, shape, dtype, strides, owner, self.ordinal)
        return found

    def shares_memory(self, a: Array, b: Array) -> bool:
        return bool(self.xp.may_share_memory(a, b))

    # Values

    def same_bits(self, a: Array, b: Array) -> bool:
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        bits = f"u{a.dtype.itemsize}"
        with self.here():
            return bool((self._dense(a).view(bits) == self._dense(b).view(bits)).all())

    def _dense(self, array: Array) -> Array:
        # A view of other bits needs a last axis without gaps.
        return self.contiguous(array).reshape(-1)

    def alike(self, arrays: Sequence[Array], others: Sequence[Array]) -> bool:
        return all(
            a.shape == b.shape and a.dtype == b.dtype for a, b in zip(arrays, others, strict=True)
        )

    def evaluate(
        self,
        reference: Callable[..., Any],
        arrays: Sequence[Array],
        attrs: Mapping[str, Any],
        dtype: np.dtype[Any],
    ) -> Array:
        with self.here():
            return self.xp.asarray(reference(self._names, *arrays, **attrs), dtype)

    def sum(self, array: Array) -> Array:
        with self.here():
            return array.sum(dtype=FLOAT64).astype(array.dtype)

    def max_abs(self, arrays: Sequence[Array]) -> list[float]:
        with self.here():
            tops = [
                self.xp.zeros((), FLOAT64) if array.size == 0 else abs(array).max().astype(FLOAT64)
                for array in arrays
            ]
            found: list[float] = self.xp.stack(tops).get().tolist() if tops else []
            return found

    def first_outside(self, ids: Array, low: int, high: int) -> int:
        if ids.size == 0:
            return -1
        with self.here():
            wrong = ((ids < low) | (ids >= high)).reshape(-1)
            return int(self.xp.where(wrong.any(), wrong.argmax(), -1))

    # Rows by number

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        self._reduce_at("sum", array, index, values)

    def max_at(self, array: Array, index: Any, values: Array) -> None:
        self._reduce_at("max", array, index, values)

    def _reduce_at(self, reduction: str, array: Array, index: Any, values: Array) -> None:
        with self.here():
            if array.size == 0 or values.size == 0:
                return
            if _counts_rows(index):
                self._reduce_rows(reduction, array, index, values)
                return
            # Any other index: each element by its place among all of them.
            places = self.xp.arange(array.size, dtype=INT32).reshape(array.shape)[index]
            spread = self.xp.broadcast_to(values, places.shape)
            self._reduce_rows(
                reduction, array.reshape(-1), places.reshape(-1), self.xp.ravel(spread)
            )

    def _reduce_rows(self, reduction: str, out: Array, ids: Array, rows: Array) -> None:
        """For each row r, ``out[ids[r]] += rows[r]``, in the order of the rows."""
        count, width = out.shape[0], math.prod(out.shape[1:])
        ids = self.xp.where(ids < 0, ids + count, ids)
        order = self.xp.argsort(ids)  # stable, with CuPy as here
        bounds = self.xp.arange(count + 1, dtype=ids.dtype)
        starts = self.xp.searchsorted(ids[order], bounds).astype(INT32)
        rows = self.xp.broadcast_to(rows, (len(ids), *out.shape[1:]))
        parts = self.contiguous(rows.astype(out.dtype)), order.astype(INT32), starts
        target = self.contiguous(out)
        self.begin_native()
        places = [_address(x) for x in (target, *parts)]
        kind = out.dtype.name
        core.cuda.reduce_rows(self.ordinal, reduction, kind, *places, count, width)
        if target is not out:
            out[...] = target

    def sum_by_id(self, ids: Array, rows: Array) -> tuple[Array, Array]:
        with self.here():
            distinct = self.xp.unique(ids)
            sums = self.xp.zeros((len(distinct), *rows.shape[1:]), rows.dtype)
            if len(distinct):
                places = self.xp.searchsorted(distinct, ids)
                self._reduce_rows("sum", sums, places, rows)
            return distinct.astype(INT32), sums

    def merge_rows(
        self, ids: Array, rows: Array, other_ids: Array, other_rows: Array
    ) -> tuple[Array, Array]:
        with self.here():
            both = self.xp.concatenate([ids, other_ids]), self.xp.concatenate([rows, other_rows])
        return self.sum_by_id(*both)

    def table(self, rows: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        return self.zeros((rows, *shape), dtype)

    def table_bytes(self, rows: Array, row_bytes: int, count: int) -> int:
        return count * row_bytes


def _counts_rows(index: Any) -> bool:
    """Whether an index is an array of numbers of rows."""
    return (
        hasattr(index, "__cuda_array_interface__")
        and index.dtype.kind in "iu"
        and (index.ndim == 1)
    )


def _address(array: Any) -> int:
    address: int = array.__cuda_array_interface__["data"][0]
    return address


class _Names:
    """The functions that definitions of operations call: CuPy's, those of Python's `math`, and sums
    by an index in place of ``numpy.add.at``."""

    def __init__(self, module: Any, own: Any, add_at: Callable[[Any, Any, Any], None]) -> None:
        self._module = module
        self.erf, self.erfc, self.lgamma = own.erf, own.erfc, own.lgamma
        self.add_at = add_at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Token:
    """Keeps memory alive that is lent: all arrays of the loan keep it."""

    __slots__ = ("__weakref__", "lender")

    def __init__(self, lender: Array) -> None:
        self.lender = lender


class _Loan:
    """Gives the array that was lent as long as somebody holds it, or an array made of it."""

    __slots__ = ("_array", "_device", "_token")

    def __init__(self, device: Gpu, token: _Token, array: Array) -> None:
        self._device, self._token, self._array = device, ref(token), ref(array)

    def __call__(self) -> Array | None:
        token, array = self._token(), self._array()
        if token is None or array is not None:
            return array
        array = self._device._over(token, token.lender)
        self._array = ref(array)
        return array


@cache
def gpu(ordinal: int) -> Gpu:
    """The GPU of this number; raises DeviceError where it cannot be used."""
    made = Gpu(ordinal)
    PLACES[made.xp.ndarray] = gpu_of
    core.cuda.set_array_makers(_make, _wrap)
    if not is_emulated():  # programs and CuPy's arrays share one pool
        core.cuda.set_memory_pool(made._own.take_memory, made._own.give_memory)
    return made


def _make(ordinal: int, shape: tuple[int, ...], dtype: str) -> Array:
    return gpu(ordinal).empty(shape, dtype)


def _wrap(ordinal: int, address: int, shape: tuple[int, ...], dtype: str, owner: Any) -> Array:
    return gpu(ordinal).over(address, shape, dtype, None, owner)


def gpu_of(array: Any) -> Gpu:
    """The GPU that an array is on."""
    return gpu(array.device.id)
