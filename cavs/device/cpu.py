"""The CPU: NumPy's arrays in this machine's memory; see `Device` for each verb."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any
from weakref import ref

import numpy as np

from cavs._arrays import (
    Array,
    first_outside,
    first_unlike,
    max_abs_each,
    owner,
    sum_of_rows,
    total,
)
from cavs._arrays import lend as lent
from cavs._native import core

__all__ = [
    "add_at",
    "alike",
    "asarray",
    "begin_native",
    "contiguous",
    "copy",
    "empty",
    "evaluate",
    "first_outside",
    "full",
    "here",
    "lend",
    "max_abs",
    "max_at",
    "merge_rows",
    "name",
    "native",
    "owner",
    "owns",
    "same_bits",
    "shares_memory",
    "sum",
    "sum_by_id",
    "table",
    "table_bytes",
    "to_host",
    "zeros",
]

name = "cpu"
native: Any = core
_HERE: AbstractContextManager[Any] = nullcontext()


def here() -> AbstractContextManager[Any]:
    return _HERE


def begin_native() -> None:
    """Native code has no streams here."""


def empty(shape: Sequence[int], dtype: Any) -> Array:
    return np.empty(shape, dtype)


def zeros(shape: Sequence[int], dtype: Any) -> Array:
    return np.zeros(shape, dtype)


def full(shape: Sequence[int], value: float, dtype: Any) -> Array:
    array = np.empty(shape, dtype)  # fill takes half the time of np.full
    array.fill(value)
    return array


def copy(array: Array) -> Array:
    return np.array(array, order="C")


def contiguous(array: Array) -> Array:
    flags = array.flags
    if flags.c_contiguous and flags.aligned and isinstance(array, np.ndarray):
        return array
    return np.require(array, None, ("C_CONTIGUOUS", "ALIGNED"))  # makes an array of a scalar


def asarray(value: Any, dtype: Any = None) -> Array:
    return np.asarray(value, dtype)


def to_host(array: Array) -> Array:
    return array


def owns(array: Array) -> bool:
    flags = array.flags
    return flags.c_contiguous and flags.writeable and array.base is None


def lend(array: Array) -> tuple[Array, Callable[[], Array | None]]:
    loan = lent(array)
    return loan, ref(loan)


def alike(arrays: Sequence[Array], others: Sequence[Array]) -> bool:
    return first_unlike(arrays, others) < 0


def shares_memory(a: Array, b: Array) -> bool:
    return np.may_share_memory(a, b)


def same_bits(a: Array, b: Array) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    bits = f"u{a.itemsize}"
    return np.array_equal(a.view(bits), b.view(bits))


# Like the native engine: infinities and NaN come silently, and are looked for where they matter.
@np.errstate(all="ignore")
def evaluate(
    reference: Callable[..., Any],
    arrays: Sequence[Array],
    attrs: Mapping[str, Any],
    dtype: np.dtype[Any],
) -> Array:
    return np.asarray(reference(np, *arrays, **attrs), dtype)


def elementwise(op: str, arrays: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """An elementwise operation by its native formula, where NumPy has no function for it or a
    slower one. Shapes broadcast."""
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    result = np.empty(shape, dtype)
    same = [
        contiguous(x if x.size == 1 or x.shape == shape else np.broadcast_to(x, shape))
        for x in arrays
    ]
    core.elementwise(op, same, result)
    return result


def sum(array: Array) -> Array:
    return np.array(total(contiguous(array)), array.dtype)


def max_abs(arrays: Sequence[Array]) -> list[float]:
    return max_abs_each([*map(contiguous, arrays)])


def add_at(array: Array, index: Any, values: Array) -> None:
    np.add.at(array, index, values)


def max_at(array: Array, index: Any, values: Array) -> None:
    np.maximum.at(array, index, values)


def sum_by_id(ids: Array, rows: Array) -> tuple[Array, Array]:
    order = np.argsort(ids, kind="stable")
    distinct, starts = np.unique(ids[order], return_index=True)
    if len(distinct) == 0:
        return np.empty(0, np.int32), np.empty((0, *rows.shape[1:]), rows.dtype)
    return distinct.astype(np.int32, copy=False), np.add.reduceat(rows[order], starts, axis=0)


def merge_rows(ids: Array, rows: Array, other_ids: Array, other_rows: Array) -> tuple[Array, Array]:
    return sum_of_rows(ids, rows, other_ids, other_rows)


def table(rows: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """A page takes memory when it is written. With huge pages, which NumPy asks for, each row that
    is written would take memory for many others."""
    sizes = (rows, *shape)
    count = int(np.prod(sizes, dtype=np.int64))
    # Private: a forked process goes on with rows of its own.
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, max(count * dtype.itemsize, 1), flags=flags)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages knows no such advice
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype, count).reshape(sizes)


def table_bytes(rows: Array, row_bytes: int, count: int) -> int:
    """Bytes of the pages on which these rows stand."""
    begin = rows.astype(np.int64) * row_bytes
    first, last = begin // mmap.PAGESIZE, (begin + row_bytes - 1) // mmap.PAGESIZE
    longest = int((last - first).max(initial=0)) + 1
    pages = np.concatenate([np.minimum(first + i, last) for i in range(longest)])
    return len(np.unique(pages)) * mmap.PAGESIZE
