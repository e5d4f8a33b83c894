"""The devices that arrays of tensors are on, and the verbs that compute on them outside of compiled
programs.

All other code on arrays is written alike for NumPy, CuPy and others: operators, indices,
``shape``, ``dtype``, ``reshape``, ``transpose``, ``astype``, ``item``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeGuard

import numpy as np

from cavs._arguments import device_name, shown
from cavs._arrays import Array
from cavs.device import cpu
from cavs.device._places import PLACES
from cavs.errors import InputError

DType = np.dtype[Any]


class Device(Protocol):
    """The verbs: each takes arrays of the device alone and gives its result on the device. The
    module `cpu` is a device, and so is each GPU, of the class `cavs.device.cuda.Gpu`.

    Attributes:
        name: its name for ``cavs.compile(device=)``, with its number if it is a GPU.
        native: functions of native code on the device's arrays: updates of optimisers and their
            bounds, ``sum_squares`` and ``scale_``; see csrc/bindings/optim.cpp.
    """

    name: str
    native: Any

    def here(self) -> AbstractContextManager[Any]:
        """``with device.here():`` arithmetic on its arrays makes new arrays there."""

    def begin_native(self) -> None:
        """To be called before native code gets arrays of the device: tells it the stream that this
        thread's arrays are computed on."""

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

    def owns(self, array: Array) -> bool:
        """Whether an array is no view and can be kept as it is: C-contiguous and writable."""

    def owner(self, array: Array) -> Any:
        """The object that owns the memory of an array, or the last one known, through loans."""

    def lend(self, array: Array) -> tuple[Array, Callable[[], Array | None]]:
        """A new array over the same memory, and a function that gives it, or another one like it,
        as long as somebody holds it or an array that was made of it without a copy; then None."""

    def shares_memory(self, a: Array, b: Array) -> bool:
        """Whether the spans of memory of two arrays overlap."""

    def same_bits(self, a: Array, b: Array) -> bool:
        """Whether two arrays are alike to the bit, NaN and signs of zeros included."""

    def alike(self, arrays: Sequence[Array], others: Sequence[Array]) -> bool:
        """Whether all arrays, of any devices, have shape and dtype of their partners."""

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

    def table_bytes(self, rows: Array, row_bytes: int, count: int) -> int:
        """Bytes that a table of `count` rows takes if those with these distinct numbers, of the
        host, are written."""


def device_of(array: Any) -> Device:
    """The device that an array is on.

    Raises:
        InputError: it is no array of any device.
    """
    kind = type(array)
    if kind is np.ndarray:
        return cpu
    place = PLACES.get(kind)
    if place is None and isinstance(array, (np.ndarray, np.generic)):
        return cpu  # arithmetic without axes gives scalars
    if place is None:
        place = _place_of_cupy(array)
    if place is None:
        raise InputError(
            f"[device] expected an array of NumPy, got {shown(array)}; convert it with "
            "numpy.asarray"
        )
    found: Device = place(array)
    return found


def find_device(name: Any, component: str = "compile") -> Device:
    """The device of this name.

    Args:
        name: ``cpu``, ``cuda`` (the first GPU) or ``cuda:1``; a ``torch.device`` will do.
        component: that asks, for errors.

    Raises:
        InputError: no device has such a name; DeviceError: there is no such GPU, or no GPU can be
            used.
    """
    given = device_name(name)
    if given == cpu.name:
        return cpu
    kind, _, number = given.partition(":")
    plain = number.isascii() and number.isdecimal() and len(number) < 4
    if kind != "cuda" or not (plain or given == kind):
        got = given if given == shown(name) else shown(given)
        raise InputError(
            f"[{component}] expected device 'cpu', 'cuda' or 'cuda:1', got {got}; pass one of these"
        )
    from cavs.device.cuda import gpu  # not with cavs: few machines have one

    found: Device = gpu(int(number or 0))
    return found


host: Device = cpu
"""The device of the host's values: numbers, and arrays of NumPy."""


def is_array(value: Any) -> TypeGuard[Array]:
    """Whether it is an array of a device."""
    return (
        isinstance(value, np.ndarray) or type(value) in PLACES or _place_of_cupy(value) is not None
    )


def is_on_host(value: Any) -> bool:
    """Whether it is an array of NumPy, in this machine's memory."""
    return isinstance(value, np.ndarray) and type(value) not in PLACES


def _place_of_cupy(array: Any) -> Callable[[Any], Any] | None:
    """The place of arrays that CuPy made before any GPU was used here."""
    if type(array).__module__.partition(".")[0] != "cupy":
        return None
    find_device("cuda")
    return PLACES.get(type(array))
