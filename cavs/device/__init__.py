"""Where arrays of tensors are, and the verbs that compute on them outside of compiled programs.

Whatever else is done to an array is what NumPy, CuPy and others write alike: operators, indices,
``shape``, ``dtype``, ``reshape``, ``astype``, ``item``.
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
    """The verbs, each over arrays of the device alone, and their results on it; a module of this
    package is one.

    Attributes:
        name: as ``cavs.compile(device=)`` takes it.
        native: functions of native code on such arrays: updates of optimisers and their bounds,
            ``sum_squares`` and ``scale_``; see csrc/bindings/optim.cpp.
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
        """An array of what the host has; itself where it is one of the device already."""

    def to_host(self, array: Array) -> Array:
        """The values as a NumPy array, which is the same memory on the CPU."""

    def shares_memory(self, a: Array, b: Array) -> bool:
        """Whether the spans of memory of two arrays meet."""

    def same_bits(self, a: Array, b: Array) -> bool:
        """Whether two arrays are alike to the bit, NaN and signs of zeros included."""

    def evaluate(
        self,
        reference: Callable[..., Any],
        arrays: Sequence[Array],
        attrs: Mapping[str, Any],
        dtype: DType,
    ) -> Array:
        """What the definition of an operation gives (see `OpDef`); infinities and NaN come
        silently. The result may share memory with an operand."""

    def sum(self, array: Array) -> Array:
        """Of all elements, added up in float64 and rounded to the dtype; without axes."""

    def max_abs(self, arrays: Sequence[Array]) -> list[float]:
        """The greatest magnitude of each, NaN or infinite where an element is; 0 of none."""

    def first_outside(self, ids: Array, low: int, high: int) -> int:
        """Position, among all elements, of the first integer outside of low..high - 1, or -1."""

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        """``array[index] += values`` that adds as often as an index comes."""

    def max_at(self, array: Array, index: Any, values: Array) -> None:
        """Likewise the greatest of what is there and of the values."""

    def sum_by_id(self, ids: Array, rows: Array) -> tuple[Array, Array]:
        """The distinct ids, int32, ascending, and for each the sum of its rows."""

    def merge_rows(
        self, ids: Array, rows: Array, other_ids: Array, other_rows: Array
    ) -> tuple[Array, Array]:
        """(ids, rows) of the sum of two matrices of which rows are given, by int32 ids that are
        ascending and distinct; rows (n, ...) of one float dtype."""

    def table(self, rows: int, shape: Sequence[int], dtype: DType) -> Array:
        """Zeros (rows, *shape), of which few rows will be written."""

    def table_bytes(self, rows: Array, row_bytes: int) -> int:
        """What a table takes of which these rows are written, by distinct numbers."""


def device_of(array: Array) -> Device:
    """The device that an array is on.

    Raises:
        InputError: it is no array of any.
    """
    if isinstance(array, (np.ndarray, np.generic)):  # arithmetic without axes gives scalars
        return cpu
    raise InputError(
        f"[device] expected an array of NumPy, got {shown(array)}; convert it with numpy.asarray"
    )


def find_device(name: Any) -> Device:
    """The device of this name.

    Raises:
        InputError: it is none that this build has a backend for.
    """
    _core.check_device(name if isinstance(name, str) else shown(name))
    return cpu


host: Device = cpu
"""Of what the host has: numbers, and arrays of NumPy."""


def is_array(value: Any) -> TypeGuard[Array]:
    """Whether it is an array of a device."""
    return isinstance(value, np.ndarray)
