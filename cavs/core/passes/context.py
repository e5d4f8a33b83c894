"""The objects that the passes over one function and its gradients share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from cavs.core.ops._def import Space, SpaceKind

_T = TypeVar("_T")


class Context:
    """The shared objects of one compiled function in one mode.

    Attributes:
        switches: names of the passes that are on.
        edge_parents: the row space of the parents of edges: inner vertices alone, once
            ``specialize_leaves`` has run.
    """

    def __init__(self, switches: Iterable[str] = ()) -> None:
        self.switches = frozenset(switches)
        self.edge_parents: Space = SpaceKind.VERTEX
        self._shared: dict[type, Any] = {}

    def shared(self, kind: type[_T]) -> _T:
        """The one object of this class, which must be the same in F and its gradients."""
        if kind not in self._shared:
            self._shared[kind] = kind()
        found: _T = self._shared[kind]
        return found
