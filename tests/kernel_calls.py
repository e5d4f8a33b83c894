"""Calls single native kernels on NumPy arrays, in the memory layouts that a run gives them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy_openblas32

from cavs._native import core

DTYPES = {"float": np.float32, "double": np.float64}
TOLERANCES = {"float": {"rtol": 2e-6, "atol": 2e-6}, "double": {"rtol": 1e-12, "atol": 1e-12}}


def load_blas() -> None:
    library = Path(scipy_openblas32.get_lib_dir()) / "libscipy_openblas"
    core.load_blas(str(library.with_suffix(".dylib" if sys.platform == "darwin" else ".so")))


def dense(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values)


def padded(values: np.ndarray) -> np.ndarray:
    """Rows like those of arena values: from 16 elements on, a stride of a multiple of 16."""
    rows, size = values.shape
    ld = size if size < 16 else (size + 15) // 16 * 16
    memory = np.full((rows * ld + 32) if rows else 32, np.nan, values.dtype)
    start = (-memory.ctypes.data % 64) // memory.itemsize
    grid = memory[start : start + rows * ld].reshape(rows, ld)
    grid[:, :size] = values
    return grid[:, :size]


def view(values: np.ndarray) -> np.ndarray:
    """Rows within the columns of a wider value, at an odd stride."""
    rows, size = values.shape
    memory = np.full((rows, size + 7), 777, values.dtype)
    memory[:, 3 : 3 + size] = values
    return memory[:, 3 : 3 + size]


LAYOUTS = {"dense": dense, "padded": padded, "view": view}


def surroundings(array: np.ndarray) -> np.ndarray:
    """A copy of what stands around the columns of a view made by `view`."""
    assert array.base is not None
    whole = array.base.copy()
    whole[:, 3 : 3 + array.shape[1]] = 0
    return whole


def call(
    name: str,
    dtype: str,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    *,
    ints: Sequence[int] = (),
    floats: Sequence[float] = (),
    tables: Sequence[dict[str, Any]] = (),
    rows: tuple[int, int] | None = None,
    **options: Any,
) -> None:
    """Runs the kernel over `rows`, by default all rows of the first output."""
    begin_end = rows if rows is not None else (0, outputs[0].shape[0])
    core.call_kernel(
        name,
        dtype,
        list(inputs),
        list(outputs),
        list(ints),
        list(floats),
        [{k: np.asarray(v, np.int32) for k, v in table.items()} for table in tables],
        begin_end,
        **options,
    )


def fused_ints(
    width: int, num_regs: int, ops: Sequence[tuple[Any, ...]], out: Sequence[int]
) -> list[int]:
    """Attributes of `fused`; an op is (name, dst, a, b, c), the last two optional."""
    codes = core.scalar_opcodes()
    flat = [x for op in ops for x in (codes[op[0]], *op[1:], *(-1,) * (5 - len(op)))]
    return [width, num_regs, len(ops), *flat, len(out), *out]
