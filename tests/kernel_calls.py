"""Calls single native kernels on NumPy arrays, in the memory layouts that a run gives them."""

import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy_openblas32

from cavs._native import core
from cavs.core.attributes import Attributes, Group, GroupInput, Read, ScalarCall
from cavs.kernels.native_form import named

DTYPES = {"float": np.float32, "double": np.float64}
NATIVE_DTYPES = {
    **dict.fromkeys(("float", "float32"), core.DType.FLOAT32),
    **dict.fromkeys(("double", "float64"), core.DType.FLOAT64),
}
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
    beside = np.nan if values.dtype.kind == "f" else 777
    memory = np.full((rows * ld + 32) if rows else 32, beside, values.dtype)
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


class Registers(NamedTuple):
    """A group as a short program over registers: an op is (name, register, operands ...), numbered
    the inputs first, then the registers, then the constants."""

    width: int
    count: int
    ops: Sequence[tuple[Any, ...]]
    outputs: Sequence[int]

    def group(
        self,
        inputs: Sequence[np.ndarray],
        tables: Sequence[dict[str, Any]],
        constants: Sequence[float],
    ) -> Group:
        """With each result named once, for these operands."""
        values = {i: i for i in range(len(inputs))}
        first = len(inputs) + self.count
        values |= {first + i: len(inputs) + i for i in range(len(constants))}
        calls: list[ScalarCall] = []
        for name, register, *operands in self.ops:
            calls.append(ScalarCall(name, tuple(values[x] for x in operands)))
            values[len(inputs) + register] = len(inputs) + len(constants) + len(calls) - 1
        return Group(
            self.width,
            tuple(
                GroupInput(_read(x, table), x.shape[-1] != self.width)
                for x, table in zip_longest(inputs, tables, fillvalue={})
            ),
            tuple(float(c) for c in constants),
            tuple(calls),
            tuple(values[len(inputs) + register] for register in self.outputs),
        )


def _read(x: Any, table: Any) -> Read:
    if x.ndim == 1:
        return Read.SHARED
    return Read.LIST_SUM if "ptr" in table else Read.INDEXED if "index" in table else Read.ROW


def call(
    name: str,
    dtype: str,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    *,
    attributes: Attributes | Registers | None = None,
    constants: Sequence[float] = (),
    tables: Sequence[dict[str, Any]] = (),
    rows: tuple[int, int] | None = None,
    **options: Any,
) -> None:
    """Runs the kernel over `rows`, by default all rows of the first output."""
    begin_end = rows if rows is not None else (0, outputs[0].shape[0])
    if isinstance(attributes, Registers):
        attributes = attributes.group(inputs, tables, constants)
    core.call_kernel(
        name,
        NATIVE_DTYPES[dtype],
        list(inputs),
        list(outputs),
        named(attributes),
        [{k: np.asarray(v, np.int32) for k, v in table.items()} for table in tables],
        begin_end,
        **options,
    )
