"""Python's operators, shared by traced symbols and outer tensors."""

from __future__ import annotations

from typing import Any

from cavs._arguments import shown
from cavs.core.ops._def import OPS, apply
from cavs.errors import TraceError

_ARITHMETIC = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "matmul": "matmul",
}
# Operations that have another name in NumPy.
_OF_NUMPY = {
    "absolute": "abs",
    "amax": "max",
    "concatenate": "concat",
    "dot": "matmul",
    "hstack": "concat",
    "power": "exp",
}
_POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt"}


class Operators:
    """Arithmetic by the ops table; shapes broadcast as in NumPy, over feature axes only."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Computes ``array + value`` by ``value.__radd__``; all other functions of NumPy refuse
        these values."""
        name = _ARITHMETIC.get(ufunc.__name__)
        in_place = options.pop("out", None) is not None
        if method == "__call__" and name is not None and not options and len(inputs) == 2:
            a, b = inputs
            if isinstance(a, Operators) and not in_place:
                return getattr(a, f"__{name}__")(b)
            return getattr(b, f"__r{name}__")(a)
        raise _not_numpy(self, ufunc.__name__)

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

    def __pow__(self, exponent: Any) -> Any:
        """``x ** p`` for p of 2, 0.5, -1 and -0.5."""
        name = _POWERS.get(exponent) if isinstance(exponent, (int, float)) else None
        if name is None:
            raise TraceError(
                f"[pow] expected an exponent among {sorted(_POWERS)}, got {shown(exponent)}; write "
                "other powers as ops.exp(exponent * ops.log(x))"
            )
        return apply(OPS[name], self)

    def __matmul__(self, other: Any) -> Any:
        from cavs.core.ops.matmul import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        from cavs.core.ops.matmul import matmul

        return matmul(other, self)


def _not_numpy(value: Any, name: str) -> TraceError:
    from cavs.core import ops

    own = _OF_NUMPY.get(name, name)
    instead = f"use cavs.ops.{own}" if hasattr(ops, own) else "use the operations of cavs.ops"
    return TraceError(
        f"[ops] expected an operation of cavs.ops, got numpy.{name} of a {type(value).__name__}; "
        f"{instead}"
    )
