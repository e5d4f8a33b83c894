"""Python's operators, shared by traced symbols and outer tensors."""

from __future__ import annotations

from typing import Any

from cavs.core.ops._def import OPS, Shape, apply


class Operators:
    """Arithmetic by the ops table; shapes broadcast as in NumPy, over feature axes only."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy then defers `array + value` to __radd__

    @property
    def shape(self) -> Shape:
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return apply(OPS["add"], self, other)

    def __radd__(self, other: Any) -> Any:
        return apply(OPS["add"], other, self)

    def __sub__(self, other: Any) -> Any:
        return apply(OPS["sub"], self, other)

    def __rsub__(self, other: Any) -> Any:
        return apply(OPS["sub"], other, self)

    def __mul__(self, other: Any) -> Any:
        return apply(OPS["mul"], self, other)

    def __rmul__(self, other: Any) -> Any:
        return apply(OPS["mul"], other, self)

    def __truediv__(self, other: Any) -> Any:
        return apply(OPS["div"], self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return apply(OPS["div"], other, self)

    def __neg__(self) -> Any:
        return apply(OPS["neg"], self)

    def __matmul__(self, other: Any) -> Any:
        from cavs.core.ops.matmul import matmul

        return matmul(self, other)
