"""Arenas and dynamic tensors: the engine's own, with their rows as NumPy arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._native import core

__all__ = ["Arena", "DynamicTensor"]


class Arena:
    """Memory of one run, addressed by offsets.

    It grows geometrically, keeping what was written, and after `reset` the same memory serves the
    next minibatch. Not for use by several threads at once.
    """

    def __init__(self) -> None:
        self._native: Any = core.Arena()

    def reset(self) -> None:
        """Forgets what is in use and keeps the memory; tensors must be allocated anew.

        Arrays from :meth:`DynamicTensor.numpy` stay valid, but later tensors write into them.
        """
        self._native.reset()

    @property
    def used(self) -> int:
        """Bytes in use."""
        return int(self._native.used)

    @property
    def capacity(self) -> int:
        """Bytes usable without growing."""
        return int(self._native.capacity)

    @property
    def high_water(self) -> int:
        """The greatest `used` so far, resets included."""
        return int(self._native.high_water)

    def __repr__(self) -> str:
        return f"Arena(used={self.used}, capacity={self.capacity}, high_water={self.high_water})"


class DynamicTensor:
    """Rows of a fixed number of elements in an arena; how many rows, the batch says.

    It holds an offset and no pointer, so growth of the arena does not invalidate it.

    Args:
        arena: where the rows stand.
        size: elements of a row (of the flattened feature shape), at least 1.
        dtype: ``float32``, ``float64`` or ``int32``.

    Raises:
        InputError: for another dtype or a size below 1.
    """

    def __init__(self, arena: Arena, size: int, dtype: str = "float32") -> None:
        self.arena = arena
        self.dtype = dtype
        self._native: Any = core.DynamicTensor(arena._native, size, dtype)

    @property
    def size(self) -> int:
        """Elements of a row."""
        return int(self._native.size)

    @property
    def rows(self) -> int:
        """The present number of rows."""
        return int(self._native.rows)

    @property
    def ld(self) -> int:
        """Elements between the starts of two rows: `size`, from 16 on rounded up to 16s."""
        return int(self._native.ld)

    @property
    def offset(self) -> int:
        """Where the rows start in the arena, in bytes, a multiple of 64; -1 before `allocate`."""
        return int(self._native.offset)

    @property
    def nbytes(self) -> int:
        """Bytes that the rows take, the room between them included."""
        return int(self._native.bytes)

    def allocate(self, rows: int) -> None:
        """Takes new memory for `rows` rows, with any contents.

        Raises:
            InputError: for fewer than 0 rows.
        """
        self._native.allocate(rows)

    def grow(self, rows: int) -> None:
        """Makes room for `rows` rows; those that there are keep their contents.

        Arrays from an earlier `numpy` may show the memory of before.

        Raises:
            CavsRuntimeError: without memory, or after a reset of the arena.
        """
        self._native.grow(rows)

    def numpy(self) -> npt.NDArray[Any]:
        """The rows as a writeable ``[rows, size]`` view, which keeps its memory alive.

        Raises:
            CavsRuntimeError: without memory, or after a reset of the arena.
        """
        view: npt.NDArray[Any] = self._native.view()
        return view

    def __repr__(self) -> str:
        return (
            f"DynamicTensor({self.rows} x {self.size} {np.dtype(self.dtype).name}, "
            f"ld={self.ld}, offset={self.offset})"
        )
