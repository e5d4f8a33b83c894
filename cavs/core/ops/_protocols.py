"""What type checkers know of operations: tensors give tensors, and symbols give symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

from cavs.core.ops._def import OpDef, Shape, apply

R = TypeVar("R", covariant=True)


class Applies(Protocol[R]):
    """A symbol or a tensor: what operations on it give is of type R."""

    @property
    def shape(self) -> Shape:
        """Sizes of the axes: of one row, of a symbol."""

    @staticmethod
    def __cavs_apply__(op: OpDef, operands: Sequence[Any], attrs: Mapping[str, Any], /) -> R:
        """Applies the operation."""


class Symbolic(Applies[R], Protocol[R]):
    """A symbol, whose world wins where it stands beside parameters and tensors."""

    @property
    def __cavs_symbol__(self) -> bool:
        """There on symbols alone."""


class Binary(Protocol):
    """A function of two operands, at least one of them a symbol or a tensor; numbers and arrays are
    constants."""

    @overload
    def __call__(self, a: Symbolic[R], b: Any) -> R: ...
    @overload
    def __call__(self, a: Any, b: Symbolic[R]) -> R: ...
    @overload
    def __call__(self, a: Applies[R], b: Any) -> R: ...
    @overload
    def __call__(self, a: Any, b: Applies[R]) -> R: ...


def binary(function: Callable[[Any, Any], Any]) -> Binary:
    """The function itself, as type checkers see it."""
    seen: Any = function
    return seen  # type: ignore[no-any-return]


def apply_to(op: OpDef, x: Applies[R], **attrs: Any) -> R:
    """Applies `op` to one operand; the result is of the operand's world."""
    y: R = apply(op, x, **attrs)
    return y


def itself(x: Applies[R]) -> R:
    """`x`, which is of the type that operations on it give."""
    y: Any = x
    return y  # type: ignore[no-any-return]
