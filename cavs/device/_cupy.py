"""What the device of a GPU needs of CuPy besides the functions that NumPy has too; the module of
the emulated GPU has the same functions.
"""

from __future__ import annotations

import math
from typing import Any


def over(address: int, sizes: Any, kind: Any, strides: Any, owner: Any, ordinal: int) -> Any:
    """An array over memory that `owner` keeps alive.

    Args:
        address: of the first element.
        sizes, kind, strides: of the array; strides in bytes, None where it is C-contiguous.
        owner: any object; all views of the array keep it alive.
        ordinal: of the GPU.
    """
    import cupy

    kind = cupy.dtype(kind)
    bytes_ = math.prod(sizes) * kind.itemsize
    if strides is not None and bytes_ > 0:
        bytes_ = sum((n - 1) * abs(step) for n, step in zip(sizes, strides, strict=True))
        bytes_ += kind.itemsize
    memory = cupy.cuda.UnownedMemory(address, bytes_, owner, ordinal)
    pointer = cupy.cuda.MemoryPointer(memory, 0)
    return cupy.ndarray(tuple(sizes), kind, pointer, strides)


def memory_owner(array: Any) -> Any:
    """The object that keeps the memory of an array alive, where :func:`over` made it."""
    return getattr(array.data.mem, "_owner", None)


def current_stream(ordinal: int) -> int:
    """The stream that this thread's arrays of a GPU are computed on, as the driver knows it."""
    import cupy

    pointer: int = cupy.cuda.get_current_stream(ordinal).ptr
    return pointer or LEGACY_DEFAULT


class _Lent:
    """A stream of another library, by the protocol for streams."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._pointer


def on_stream(pointer: int) -> Any:
    """``with on_stream(p):`` arrays are computed on a stream of another library, of the current
    GPU."""
    import cupy

    stream: Any = cupy.cuda.Stream
    if hasattr(stream, "from_external"):
        return stream.from_external(_Lent(pointer))
    return cupy.cuda.ExternalStream(pointer)  # of CuPy 13


LEGACY_DEFAULT = 1  # CU_STREAM_LEGACY: the name of the stream that 0 stands for


_taken: dict[int, Any] = {}


def take_memory(ordinal: int, size: int) -> int:
    """The address of `size` bytes of CuPy's pool; 0 where the GPU has no more."""
    import cupy

    with cupy.cuda.Device(ordinal):
        try:
            pointer = cupy.cuda.alloc(size)
        except cupy.cuda.memory.OutOfMemoryError:
            return 0
    _taken[pointer.ptr] = pointer
    return int(pointer.ptr)


def give_memory(ordinal: int, address: int) -> None:
    """Gives what :func:`take_memory` gave back to the pool."""
    _taken.pop(address, None)


def erf(x: Any) -> Any:
    """The error function of each element."""
    from cupyx.scipy import special

    return special.erf(x)


def erfc(x: Any) -> Any:
    """1 less the error function."""
    from cupyx.scipy import special

    return special.erfc(x)


def lgamma(x: Any) -> Any:
    """The logarithm of the absolute value of the gamma function of each element."""
    from cupyx.scipy import special

    y = special.gammaln(x)
    y[x == -math.inf] = math.inf  # as C's function, not SciPy's
    return y
