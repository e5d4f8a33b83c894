"""What a graph and a batch of graphs have in common: vertices, and edges to their children."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs.errors import DTypeError

IntArray = npt.NDArray[np.int32]
Ints = Sequence[int] | npt.ArrayLike
Types = Sequence[str] | Sequence[int] | npt.NDArray[Any]
"""The type of each vertex, by name, or by its number in a function of types."""


class Structure:
    """The vertices of one graph or of several, and their edges to their children."""

    __slots__ = ("_native",)
    _native: Any

    @property
    def num_vertices(self) -> int:
        """Number of vertices."""
        return int(self._native.num_vertices)

    @property
    def num_edges(self) -> int:
        """Number of edges, which is the total length of the child lists without their holes."""
        return int(self._native.num_edges)

    @property
    def child_ptr(self) -> IntArray:
        """First edge of each vertex; int32 [num_vertices + 1], read-only."""
        array: IntArray = self._native.child_ptr
        return array

    @property
    def child_slot(self) -> IntArray:
        """Each edge's place in its child list, holes counted; int32 [num_edges], a new array."""
        array: IntArray = self._native.child_slot
        return array

    @property
    def has_holes(self) -> bool:
        """Whether a child is missing before another."""
        return bool(self._native.has_holes)

    @property
    def has_runs(self) -> bool:
        """Whether child lists are held as runs of vertices, as `InputGraph.windows` and `chain`
        make them. Then only what asks for edges writes them out, once: `child_index` or `children`,
        rows of edges in F."""
        return bool(self._native.has_runs)

    @property
    def runs(self) -> tuple[IntArray, IntArray] | None:
        """The first child of each vertex (the graph's first vertex where it has none) and the
        number of its children, two int32 [num_vertices]; None where lists are not held as runs."""
        return (self._native.first, np.diff(self.child_ptr)) if self.has_runs else None

    def _ends(self) -> tuple[IntArray, IntArray]:
        """The first and the last child of each vertex that has some."""
        ptr = self.child_ptr
        some = np.flatnonzero(np.diff(ptr))
        if self.has_runs:
            first = self._native.first[some]
            return first, first + np.diff(ptr)[some] - 1
        children = self._native.children
        return children[ptr[some]], children[ptr[some + 1] - 1]

    def _hashed(self) -> tuple[Any, ...]:
        """What equal structures have in common, also where one of them has runs."""
        arrays = (self.child_ptr, *self._ends(), *self._slots())
        return (*(array.tobytes() for array in arrays), *(self.types or ()))

    @property
    def roots(self) -> IntArray:
        """Vertices without parents, ascending; int32 [roots], a new array."""
        if self.has_runs:
            first, last = self._ends()
            change = np.zeros(self.num_vertices + 1, np.int64)
            np.add.at(change, first, 1)
            np.add.at(change, last + 1, -1)
            is_root = np.cumsum(change[:-1]) == 0
        else:
            is_root = np.ones(self.num_vertices, bool)
            is_root[self._native.children] = False
        return np.flatnonzero(is_root).astype(np.int32)

    @property
    def leaves(self) -> IntArray:
        """Vertices without children, ascending; int32 [leaves], a new array."""
        return np.flatnonzero(np.diff(self.child_ptr) == 0).astype(np.int32)

    @property
    def types(self) -> list[str] | list[int] | None:
        """Each vertex's type, as it was given: by name or by number; None without types."""
        found: list[Any] | None = self._native.types
        return found

    def _set_types(self, types: Types | None) -> None:
        """To be called once, where the structure is made."""
        if types is None:
            return
        try:
            self._native.set_types(types)
        except TypeError as error:
            raise DTypeError(str(error)) from None

    def _slots(self) -> tuple[IntArray, ...]:
        """The slots of the edges, where they say more than the order."""
        return (self.child_slot,) if self.has_holes else ()
