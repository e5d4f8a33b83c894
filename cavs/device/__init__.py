"""The devices that arrays of tensors are on, and the verbs that compute on them outside of compiled
programs.

All other code on arrays is written alike for NumPy, CuPy and others: operators, indices,
``shape``, ``dtype``, ``reshape``, ``transpose``, ``astype``, ``item``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np

from cavs._arguments import shown
from cavs._arrays import Array
from cavs._native import core as _core
from cavs.device import cpu
from cavs.errors import InputError

DType = np.dtype[Any]


class Device(Protocol):
    """The verbs: each takes arrays of the device alone and gives its result on the device. A module
    of this package is a device.

    Attributes:
        name: its name for ``cavs.compile(device=)``.
        native: functions of native code on the device's arrays: updates of optimisers and their
            bounds, ``sum_squares`` and ``scale_``; see csrc/bindings/optim.cpp.
    """

    name: str
    native: Any

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """A new array, C-contiguous, of any content."""

    def zeros(self, shape: Sequence[int], dtype: Any) -> Array:
        """A new array of zeros."""

    def full(self, shape: Sequence[int], value: float, dtype: Any) -> Array:
        """A new array of one value."""

    def copy(self, array: Array) -> Array:
        """Another array of the same values, C-contiguous."""

    def contiguous(self, array: Array) -> Array:
        """The array, or a copy where it is not C-contiguous or not aligned."""

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """An array on the device of the host's value; the value itself if it is there already."""

    def to_host(self, array: Array) -> Array:
        """The values as a NumPy array, which is the same memory on the CPU."""

    def shares_memory(self, a: Array, b: Array) -> bool:
        """Whether the spans of memory of two arrays overlap."""

    def same_bits(self, a: Array, b: Array) -> bool:
        """Whether two arrays are alike to the bit, NaN and signs of zeros included."""

    def evaluate(
        self,
        reference: Callable[..., Any],
        arrays: Sequence[Array],
        attrs: Mapping[str, Any],
        dtype: DType,
    ) -> Array:
        """The result of an operation's definition (see `OpDef`); infinities and NaN come silently.
        It may share memory with an operand."""

    def sum(self, array: Array) -> Array:
        """The sum of all elements, added up in float64 and rounded to the dtype; without axes."""

    def max_abs(self, arrays: Sequence[Array]) -> list[float]:
        """The greatest magnitude of each: NaN or infinite if an element is; 0 without elements."""

    def first_outside(self, ids: Array, low: int, high: int) -> int:
        """Position, among all elements, of the first integer outside of low..high - 1, or -1."""

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        """``array[index] += values``; an index that comes several times adds as often."""

    def max_at(self, array: Array, index: Any, values: Array) -> None:
        """The same with the maximum in place of the sum."""

    def sum_by_id(self, ids: Array, rows: Array) -> tuple[Array, Array]:
        """The distinct ids, int32, ascending, and for each the sum of its rows."""

    def merge_rows(
        self, ids: Array, rows: Array, other_ids: Array, other_rows: Array
    ) -> tuple[Array, Array]:
        """(ids, rows) of the sum of two matrices, each given by some of its rows. Ids are int32,
        ascending and distinct; rows (n, ...) are of one float dtype."""

    def table(self, rows: int, shape: Sequence[int], dtype: DType) -> Array:
        """Zeros (rows, *shape), of which few rows will be written."""

    def table_bytes(self, rows: Array, row_bytes: int) -> int:
        """Bytes that a table takes if the rows with these distinct numbers are written."""


def device_of(array: Array) -> Device:
    """The device that an array is on.

    Raises:
        InputError: it is no array of any device.
    """
    if isinstance(array, (np.ndarray, np.generic)):  # arithmetic without axes gives scalars
        return cpu
    raise InputError(
        f"[device] expected an array of NumPy, got {shown(array)}; convert it with numpy.asarray"
    )


_MODULES: dict[str, Device] = {cpu.name: cpu}


def find_device(name: Any) -> Device:
    """The device of this name.

    Raises:
        InputError: this build has no backend for it.
    """
    _core.check_device(name if isinstance(name, str) else shown(name))
    return _MODULES[name]


host: Device = cpu
"""The device of the host's values: numbers, and arrays of NumPy."""


def is_array(value: Any) -> TypeGuard[Array]:
    """Whether it is an array of a device."""
    return isinstance(value, np.ndarray)
