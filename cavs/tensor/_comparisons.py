"""Comparisons of tensors, element by element, and what they say of all elements."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cavs._arguments import shown
from cavs._arrays import FLOAT32, FLOAT64, INT32
from cavs.core.ops._def import OpDef, apply
from cavs.core.ops._operators import COMPARISONS, Operators
from cavs.core.ops.elementwise import EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL
from cavs.errors import DTypeError
from cavs.tensor._array_like import ArrayLike

if TYPE_CHECKING:
    from cavs.tensor._tensor import Tensor


class Comparisons(ArrayLike):
    """An array that is compared element by element, as NumPy's and PyTorch's are.

    A comparison gives a tensor of 1.0 and 0.0, without a gradient, and broadcasts. As keys of
    dictionaries and elements of sets tensors are told apart by identity, and so they must be looked
    for in lists: ``any(x is y for y in tensors)``.
    """

    __slots__ = ()
    _functions_of_numpy: ClassVar = {**Operators._functions_of_numpy, **COMPARISONS}
    __hash__ = object.__hash__
    __cavs_priority__: int

    @abstractmethod
    def detach(self) -> Tensor:
        """The same values, off the tape."""

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        """1.0 where the elements are equal, else 0.0; of any object that holds no numbers, False.

        Raises:
            ShapeError: the shapes do not broadcast. DTypeError: float32 with float64.
        """
        y: Tensor = self._compare(EQUAL, other)
        return y

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        """1.0 where the elements differ, else 0.0; see ``==``."""
        equal = self._compare(EQUAL, other)
        y: Tensor = equal if equal is NotImplemented else 1.0 - equal
        return y

    def __lt__(self, other: Any) -> Tensor:
        y: Tensor = self._compare(LESS, other)
        return y

    def __le__(self, other: Any) -> Tensor:
        y: Tensor = self._compare(LESS_EQUAL, other)
        return y

    def __gt__(self, other: Any) -> Tensor:
        y: Tensor = self._compare(GREATER, other)
        return y

    def __ge__(self, other: Any) -> Tensor:
        y: Tensor = self._compare(GREATER_EQUAL, other)
        return y

    def _compare(self, op: OpDef, other: Any) -> Any:
        if getattr(other, "__cavs_priority__", 0) > self.__cavs_priority__:
            return NotImplemented  # a symbol says itself what is wrong
        if not _holds_numbers(other):
            if op is EQUAL:
                return NotImplemented
            raise DTypeError(
                f"[{op.name}] expected numbers to compare a tensor with, got {shown(other)}; pass "
                "a number or an array"
            )
        a, b = self.detach(), int(other) if isinstance(other, (bool, np.bool_)) else other
        if isinstance(other, Comparisons):
            b = other.detach()
        elif not isinstance(b, (int, float, np.number, list, tuple)):
            b = type(a)(other).to(self.device)
        dtypes: list[Any] = [x.dtype for x in (a, b) if isinstance(x, type(a))]
        if INT32 not in dtypes:
            return apply(op, a, b)
        # float64 holds every integer of 32 bits.
        wide: list[Any] = [x.astype(FLOAT64) if isinstance(x, type(a)) else x for x in (a, b)]
        floats = [dtype for dtype in dtypes if dtype != INT32]
        return apply(op, *wide).astype(floats[0] if floats else FLOAT32)

    def all(self) -> bool:
        """Whether no element is zero, as of ``(x == y).all()``; True without elements."""
        return not float((self == 0.0).sum())

    def any(self) -> bool:
        """Whether an element is not zero, as of ``(x == y).any()``; False without elements."""
        return bool(float((self != 0.0).sum()))

    def __contains__(self, value: Any) -> bool:
        """Whether an element equals the value, or a row of values as it broadcasts."""
        found: Any = self == value
        return found if isinstance(found, bool) else bool(found.any())


def _holds_numbers(value: Any) -> bool:
    if isinstance(value, (int, float, np.generic, np.ndarray, list, tuple)):
        return True
    return any(map(partial(hasattr, value), _PROTOCOLS))


_PROTOCOLS = ("__array__", "__dlpack__", "__cuda_array_interface__")
