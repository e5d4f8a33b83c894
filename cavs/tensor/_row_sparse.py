"""Gradients of tables of which a minibatch reads few rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cavs._arguments import instance, integer, number, shown
from cavs._arrays import FLOAT32, FLOAT64, Array
from cavs.device import Device, device_of, host, is_array
from cavs.device.taking import moved
from cavs.errors import DTypeError, InputError, ShapeError


class RowSparse:
    """A matrix of which only some rows are not zero, such as the gradient of an embedding.

    Attributes:
        indices: numbers of the rows, int32 (n,), ascending and distinct; not to be written to.
            They are on the device of `values`.
        values: the rows, float32 or float64 (n, *shape[1:]), C-contiguous.
        shape: shape of the whole, (rows, ...).
    """

    __slots__ = ("indices", "shape", "values")

    def __init__(self, indices: Array, values: Array, shape: tuple[int, ...]) -> None:
        """Takes the values as they are, without a copy, and the indices as a copy.

        Raises:
            ShapeError: sizes do not fit, or indices are out of range, not ascending or repeated.
            DTypeError: indices are not int32.
        """
        shape, values = _checked_shape(shape), _checked_rows(values, "values")
        given: Any = indices
        if not is_array(given):
            raise DTypeError(
                f"[row-sparse] expected int32 indices, got {shown(given)}; convert them"
            )
        if indices.dtype != np.int32:
            raise DTypeError(
                f"[row-sparse] expected int32 indices, got {indices.dtype}; convert them with "
                "astype"
            )
        device = device_of(values)
        indices = device_of(indices).copy(indices)  # a copy stays as it was checked
        known = device_of(indices).to_host(indices)
        indices = moved(indices, device)
        if device is host:
            indices.setflags(write=False)
        if indices.ndim != 1 or values.shape != (len(indices), *shape[1:]):
            raise ShapeError(
                "[row-sparse] expected indices (n,) and values (n, "
                f"{', '.join(map(str, shape[1:]))}) for shape {shape}, got {indices.shape} and "
                f"{values.shape}; give a row for each index"
            )
        if len(known) and not (
            known[0] >= 0 and known[-1] < shape[0] and bool((known[1:] > known[:-1]).all())
        ):
            raise ShapeError(
                f"[row-sparse] expected ascending distinct indices in 0..{shape[0] - 1}, got "
                f"{known[:8]}{'...' if len(known) > 8 else ''}; sort them, and sum the rows "
                "of equal ones"
            )
        self.indices = indices
        self.values = device.contiguous(values)
        self.shape = shape

    @staticmethod
    def _wrap(indices: Array, values: Array, shape: tuple[int, ...]) -> RowSparse:
        """A RowSparse of arrays that are known to fit the constructor."""
        result = RowSparse.__new__(RowSparse)
        result.indices = indices
        result.values = values
        result.shape = shape
        return result

    @staticmethod
    def from_rows(ids: Array, rows: Array, shape: tuple[int, ...]) -> RowSparse:
        """Sums rows that have the same id; ids of -1 are left out.

        Args:
            ids: int32 (n,), in any order.
            rows: (n, *shape[1:]).
            shape: shape of the whole.
        """
        shape, rows = _checked_shape(shape), _checked_rows(rows, "rows")
        given: Any = ids
        if not is_array(given) or given.dtype.kind not in "iu" or given.ndim != 1:
            raise DTypeError(
                f"[row-sparse] expected integer ids (n,), got {shown(given)}; convert them"
            )
        if rows.shape != (len(ids), *shape[1:]):
            raise ShapeError(
                f"[row-sparse] expected rows {(len(ids), *shape[1:])}, got shape {rows.shape}; "
                "give a row for each id"
            )
        device = device_of(rows)
        with device.here():
            kept = ids >= 0
            if not kept.all():
                ids, rows = ids[kept], rows[kept]
        indices, values = device.sum_by_id(moved(ids, device), rows)
        return RowSparse(indices, values, shape)

    def _on(self, device: Device) -> RowSparse:
        """The same on a device."""
        if device_of(self.values) is device:
            return self
        indices, values = self._given()
        return RowSparse(moved(indices, host), moved(values, device), self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return RowSparse, (*self._given(), self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.values.dtype

    def __repr__(self) -> str:
        return f"RowSparse({len(self.indices)} rows of {self.shape}, {self.dtype})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        dense = moved(self.to_dense(), host)
        return dense if dtype is None else dense.astype(dtype, copy=False)

    def copy(self) -> RowSparse:
        """The same with arrays of its own."""
        indices, values = self._given()
        return RowSparse(indices, values.copy(), self.shape)

    def to_dense(self) -> Array:
        """A new array of the whole shape, zeros elsewhere."""
        device = device_of(self.values)
        dense = device.zeros(self.shape, self.dtype)
        with device.here():
            indices, values = self._given()
            dense[indices] = values
        return dense

    def _given(self) -> tuple[Array, Array]:
        """Indices and values without the room that a step on a GPU leaves behind them, of index
        -1."""
        indices, values = self.indices, self.values
        if device_of(values) is host or len(indices) == 0:
            return indices, values
        kept = indices >= 0
        return indices[kept], values[kept]

    def add(self, other: RowSparse) -> RowSparse:
        """The sum of two, on the union of their rows; if one has no rows, the other one itself."""
        instance("row-sparse", "other", other, RowSparse, "a cavs.RowSparse")
        if other.shape != self.shape:
            raise ShapeError(
                f"[row-sparse] expected shape {self.shape}, got {other.shape}; add gradients of "
                "one parameter"
            )
        if len(self.indices) == 0 or len(other.indices) == 0:
            return self if len(other.indices) == 0 else other
        dtype = np.result_type(self.dtype, other.dtype)
        common = dtype if dtype in (FLOAT32, FLOAT64) else FLOAT64
        parts, device = [], device_of(self.values)
        for given in (self, other):
            indices, values = given._given()
            parts += [device.contiguous(indices), values.astype(common, copy=False)]
        indices, values = device.merge_rows(*parts)
        return RowSparse._wrap(indices, values.astype(dtype, copy=False), self.shape)

    def add_to(self, dense: Array) -> None:
        """Adds the rows to an array of the whole shape, in place."""
        _checked_rows(dense, "dense")
        if dense.shape != self.shape:
            raise ShapeError(
                f"[row-sparse] expected shape {self.shape}, got {dense.shape}; add gradients of "
                "one parameter"
            )
        if device_of(dense) is not device_of(self.values):
            raise InputError(
                f"[row-sparse] expected an array on {device_of(self.values).name}, got one on "
                f"{device_of(dense).name}; copy it there"
            )
        with device_of(dense).here():
            indices, values = self._given()
            dense[indices] += values

    def scale(self, factor: float) -> None:
        """Multiplies by `factor`, in place."""
        with device_of(self.values).here():
            self.values *= self.dtype.type(number("row-sparse", "factor", factor))

    def sum_of_squares(self) -> float:
        """Sum of the squares of all elements, in double precision."""
        device = device_of(self.values)
        if device is not host:
            return float(device.native.sum_squares(self.values))
        return math.fsum(sum_of_squares(chunk) for chunk in _chunks(self.values))


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, (tuple, list)) or not shape:
        raise ShapeError(
            f"[row-sparse] expected a shape (rows, ...), got {shown(shape)}; pass a tuple"
        )
    return tuple(integer("row-sparse", "size", n, 0, error=ShapeError) for n in shape)


def _checked_rows(values: Any, name: str) -> Array:
    if not is_array(values) or values.dtype.kind not in "iuf":
        raise DTypeError(
            f"[row-sparse] expected an array of numbers as {name}, got {shown(values)}; convert it"
        )
    return values


_CHUNK = 1 << 16


def _chunks(array: Array) -> list[Array]:
    flat = array.reshape(-1)
    return [flat[i : i + _CHUNK] for i in range(0, len(flat), _CHUNK)]


def sum_of_squares(array: Array) -> float:
    """Sum of the squares of an array, in double precision."""
    flat = array.reshape(-1).astype(FLOAT64, copy=False)
    return float(flat.dot(flat))
