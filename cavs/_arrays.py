"""Turns arrays of other libraries (DLPack, the buffer protocol, ``__array__``, lists) into NumPy's,
and binds the native loops over arrays that each minibatch needs before and after its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cavs._arguments import conversion, dtype_name, of_pytorch, printed, shown_dtype
from cavs._native import core
from cavs.errors import CavsError, DTypeError, InputError

Array = NDArray[Any]

FLOAT32, FLOAT64, INT32 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int32)
SUPPORTED = (FLOAT32, FLOAT64, INT32)

first_outside: Callable[[Array, int, int], int] = core.first_outside
"""Position of the first integer of an array outside of low..high - 1, or -1."""
first_unlike: Callable[[Sequence[Array], Sequence[Array]], int] = core.first_unlike
"""Position of the first array of another shape or dtype than its partner, or -1."""
missing_ids: Callable[[Array, Array], Array | None] = core.missing_ids
"""The int32 ids (-1 and up) whose entry of a bool array is False, distinct and ascending; None if
there are none. The last entry of the array belongs to the id -1."""
rows_of_samples: Callable[[Array, Array], Array] = core.rows_of_samples
"""Rows ptr[s]..ptr[s + 1] - 1 of each sample s, one sample after the other; int64."""
sum_of_rows: Callable[[Array, Array, Array, Array], tuple[Array, Array]] = core.sum_of_rows
"""(ids, rows) of the sum of two matrices, each given by some of its rows. The arguments are (ids,
rows, other ids, other rows): ids int32, ascending, distinct; rows (n, ...) of one float dtype."""
lend: Callable[[Array], Array] = core.lend
"""A new array over the same memory. It lives as long as somebody holds it or an array that was made
of it without a copy; a weak reference to it tells whether it still lives."""
owner: Callable[[Array], Array] = core.owner
"""The array that owns the memory of an array, or the last one known, followed through loans."""
has_sole_base: Callable[[Array], bool] = core.has_sole_base
"""Whether the base array of a view owns its memory and nobody else holds that base array."""
find_unreadable_child: Any = core.find_unreadable_child
ChildReads: Any = core.ChildReads
IdRows: Any = core.IdRows
NativeSpace: Any = core.SpaceKind
NativeDType: Any = core.DType
InputForms: Any = core.InputForms
"""The forms that a function's inputs must have, and the check of a call's inputs against them; see
csrc/bindings/inputs.cpp."""
total: Callable[[Array], float] = core.sum
"""Sum of a C-contiguous float array, added up in float64 and rounded to its dtype."""
max_abs_each: Callable[[Sequence[Array]], list[float]] = core.max_abs
"""The greatest magnitude of each C-contiguous float array, NaN or infinite where an element is."""
draw_uniform: Callable[..., Array] = core.uniform
"""The numbers that cavs.execution.philox.uniform gives for (seed, step, operation, keys of rows,
int64, local indices, int32, width), in float32 or float64."""

sum_of_kernels: Callable[[Array, Array, Sequence[float], Array | None], float] = (
    core.pairwise_kernel_sum
)
"""Sum of exp(-|x_i - y_j|^2 / (2 w^2)) over all rows of two matrices and all widths w. Its gradient
by the first matrix is written to the last argument, unless that is None."""
curve_of_kernels: Callable[[Array, Array, Array, Array, Sequence[float], Array], None] = (
    core.pairwise_kernel_curve
)
"""For x, u, y, v: the gradient by x of the sum over all pairs of <g, u_i - v_j>, g being the
gradient by x_i of what a pair adds to `sum_of_kernels`, written to the last argument."""


def as_array(value: Any, what: str = "tensor", dtype: Any = None) -> Array:
    """`value` as a NumPy array of float32, float64 or int32, without a copy where it already is.

    Anything with ``__dlpack__``, the buffer protocol or ``__array__`` shares its memory. Other
    integers become int32, other floating-point numbers and booleans float32. Python numbers, and
    lists, have no width of their own: float32 and int32.

    Args:
        value: a number, a list of numbers or an array.
        what: component that asks, for errors.
        dtype: float32, float64 or int32 to convert to; None keeps it.

    Raises:
        DTypeError: not numbers, or an unsupported `dtype`; InputError: an integer does not fit
            int32, or the data cannot be read from here (such as a tensor on another device).
    """
    array = value if type(value) is np.ndarray else foreign_array(value, what)
    own = _default_dtype(array, value, what)
    wanted = own if dtype is None else check_dtype(dtype, what)
    if array.dtype == wanted:
        return array
    if wanted == INT32:
        _check_int32(array, value, what)
    with np.errstate(over="ignore"):  # to infinity, as arithmetic would
        return array.astype(wanted)


def check_dtype(dtype: Any, what: str) -> np.dtype[Any]:
    """`dtype` as NumPy's, if it is one of the three that cavs computes with."""
    try:
        found: np.dtype[Any] = np.dtype(dtype_name(dtype) if of_pytorch(dtype) else dtype)
    except Exception:  # NumPy asks any object for its dtype, which may raise any error
        found = np.dtype(np.void)
    if dtype is None or found not in SUPPORTED:  # NumPy takes None for float64
        raise DTypeError(
            f"[{what}] expected float32, float64 or int32, got {shown_dtype(dtype)}; pass one of "
            "these"
        )
    return found


def foreign_array(value: Any, what: str) -> Array:
    """The array of another library as a NumPy array, of any dtype.

    Raises InputError where the value holds no numbers, where they cannot be read from here, and
    where it wants gradients of its own library.
    """
    if type(value) is np.ndarray:
        return value
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        try:
            return np.from_dlpack(value)
        except Exception:
            pass  # read-only memory and some dtypes; __array__ may still do
    if getattr(value, "requires_grad", False) is True and not hasattr(value, "__cavs_apply__"):
        raise InputError(
            f"[{what}] expected an array without a gradient of its own, got "
            f"{type(value).__module__}.{type(value).__name__} with requires_grad, through which "
            "none would flow; give x.detach()"
        )
    try:
        return np.asarray(value)
    except (CavsError, MemoryError):  # raised by a symbol, or by the system
        raise
    except Exception as error:
        instead = "convert it with numpy.asarray"
        if of_pytorch(value):
            instead = "pass x.detach().cpu().float(), or another dtype that NumPy has"
        elif isinstance(value, (list, tuple)):
            instead = "give rows of one length; numpy.concatenate joins lists of different ones"
        raise InputError(
            f"[{what}] expected numbers, or an array in this machine's memory, got "
            f"{type(value).__name__} ({printed(error, str)}); {instead}"
        ) from error


def _default_dtype(array: Array, value: Any, what: str) -> np.dtype[Any]:
    own: np.dtype[Any] = array.dtype
    if own in SUPPORTED and type(value) not in (float, list, tuple):
        return own
    if array.dtype.kind in "iu":
        return INT32
    if array.dtype.kind in "fb":
        return FLOAT32
    raise DTypeError(f"[{what}] expected numbers, got dtype {array.dtype}; convert them to float32")


def _check_int32(array: Array, given: Any, what: str) -> None:
    if array.dtype.kind not in "iub":
        raise DTypeError(
            f"[{what}] expected integers for int32, got {array.dtype}; {conversion(given, 'int32')}"
        )
    if array.size == 0 or array.dtype.kind == "b":
        return
    low, high = int(array.min()), int(array.max())
    if low < -(2**31) or high >= 2**31:
        worst = low if low < -(2**31) else high
        raise InputError(
            f"[{what}] expected integers that fit int32, got {worst}; keep them below 2**31"
        )
