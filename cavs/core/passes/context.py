"""The objects that the passes over one function and its gradients share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from cavs.core.ir import Node
from cavs.core.remarks import Notes

_T = TypeVar("_T")


class Context:
    """The shared objects of one compiled function in one mode.

    Attributes:
        switches: names of the passes that are on.
        leaves_apart: the types whose leaves have a function of their own, once
            ``specialize_leaves`` has run; the type of a function without types has no name.
        leaves_round: whether what leaves compute apart may be rounded otherwise than with zeros in
            place of children's states.
        kept: the values of F that gradients may read, once these are known.
        notes: what the passes say of their work; None while nobody asks.
    """

    def __init__(self, switches: Iterable[str] = (), notes: Notes | None = None) -> None:
        self.switches = frozenset(switches)
        self.leaves_apart: frozenset[str] = frozenset()
        self.leaves_round = False
        self.kept: frozenset[Node] = frozenset()
        self.notes = notes
        self._shared: dict[type, Any] = {}

    def shared(self, kind: type[_T]) -> _T:
        """The one object of this class, which must be the same in F and its gradients."""
        if kind not in self._shared:
            self._shared[kind] = kind()
        found: _T = self._shared[kind]
        return found
