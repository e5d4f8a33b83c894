"""Python's operators, shared by traced symbols and outer tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, overload

from cavs.core.ops import elementwise, special
from cavs.core.ops._def import OPS, apply
from cavs.core.ops._protocols import Applies, R, Symbolic, apply_to
from cavs.core.ops.matmul import matmul
from cavs.core.ops.shape import permute
from cavs.errors import TraceError

_ARITHMETIC = {
    "add": ("__add__", "__radd__"),
    "subtract": ("__sub__", "__rsub__"),
    "multiply": ("__mul__", "__rmul__"),
    "divide": ("__truediv__", "__rtruediv__"),
    "matmul": ("__matmul__", "__rmatmul__"),
    "power": ("__pow__", "__rpow__"),
}
COMPARISONS = {
    "equal": ("__eq__", "__eq__"),
    "not_equal": ("__ne__", "__ne__"),
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
}
"""By NumPy's name: the method, and the method of the second operand with the first."""
# Operations that have another name in NumPy.
_OF_NUMPY = {
    "absolute": "abs",
    "amax": "max",
    "concatenate": "concat",
    "dot": "matmul",
    "hstack": "concat",
}
# Those that have an operation of their own, which is faster.
_POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt"}


class Operators:
    """Arithmetic by the ops table; shapes broadcast as in NumPy, over feature axes only."""

    __slots__ = ()
    _functions_of_numpy: ClassVar[dict[str, tuple[str, str]]] = _ARITHMETIC

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Computes ``array + value`` by ``value.__radd__``; all other functions of NumPy refuse
        these values."""
        names = self._functions_of_numpy.get(ufunc.__name__)
        in_place = options.pop("out", None) is not None
        if method == "__call__" and names is not None and not options and len(inputs) == 2:
            a, b = inputs
            if isinstance(a, Operators) and not in_place:
                return getattr(a, names[0])(b)
            if ufunc.__name__ in COMPARISONS and a.ndim == 0:
                a = a[()]  # NumPy's comparisons hand its numbers over as arrays
            return getattr(b, names[1])(a)
        raise not_numpy(self, ufunc.__name__)

    @overload
    def __add__(self, other: Symbolic[R]) -> R: ...
    @overload
    def __add__(self: Applies[R], other: Any) -> R: ...
    def __add__(self, other: Any) -> Any:
        return apply(OPS["add"], self, other)

    def __radd__(self: Applies[R], other: Any) -> R:
        y: R = apply(OPS["add"], other, self)
        return y

    @overload
    def __sub__(self, other: Symbolic[R]) -> R: ...
    @overload
    def __sub__(self: Applies[R], other: Any) -> R: ...
    def __sub__(self, other: Any) -> Any:
        return apply(OPS["sub"], self, other)

    def __rsub__(self: Applies[R], other: Any) -> R:
        y: R = apply(OPS["sub"], other, self)
        return y

    @overload
    def __mul__(self, other: Symbolic[R]) -> R: ...
    @overload
    def __mul__(self: Applies[R], other: Any) -> R: ...
    def __mul__(self, other: Any) -> Any:
        return apply(OPS["mul"], self, other)

    def __rmul__(self: Applies[R], other: Any) -> R:
        y: R = apply(OPS["mul"], other, self)
        return y

    @overload
    def __truediv__(self, other: Symbolic[R]) -> R: ...
    @overload
    def __truediv__(self: Applies[R], other: Any) -> R: ...
    def __truediv__(self, other: Any) -> Any:
        return apply(OPS["div"], self, other)

    def __rtruediv__(self: Applies[R], other: Any) -> R:
        y: R = apply(OPS["div"], other, self)
        return y

    def __neg__(self: Applies[R]) -> R:
        return apply_to(OPS["neg"], self)

    @overload
    def __pow__(self, exponent: Symbolic[R]) -> R: ...
    @overload
    def __pow__(self: Applies[R], exponent: Any) -> R: ...
    def __pow__(self, exponent: Any) -> Any:
        """``x ** p`` for any p: a number, or a value for each element; see :func:`cavs.ops.pow`."""
        plain = isinstance(exponent, (int, float)) and not isinstance(exponent, bool)
        name = _POWERS.get(exponent) if plain else None
        if name is not None:
            return apply(OPS[name], self)
        if plain and exponent == 3:
            return apply(OPS["mul"], self, apply(OPS["square"], self))
        return apply(OPS["pow"], self, exponent)

    def __rpow__(self: Applies[R], base: Any) -> R:
        y: R = apply(OPS["pow"], base, self)
        return y

    @overload
    def __matmul__(self, other: Symbolic[R]) -> R: ...
    @overload
    def __matmul__(self: Applies[R], other: Any) -> R: ...
    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other)

    def __rmatmul__(self: Applies[R], other: Any) -> R:
        y: R = matmul(other, self)
        return y

    def __abs__(self: Applies[R]) -> R:
        return elementwise.abs(self)

    def transpose(self: Applies[R], *axes: int | Sequence[int]) -> R:
        """The axes in reverse order, or in the order given, as NumPy's; see
        :func:`cavs.ops.permute`."""
        given: Any = axes[0] if len(axes) == 1 else axes
        return permute(self, given or tuple(reversed(range(len(self.shape)))))

    def abs(self: Applies[R]) -> R:
        """Elementwise absolute value; see :func:`cavs.ops.abs`."""
        return elementwise.abs(self)

    def clip(self: Applies[R], low: float, high: float) -> R:
        """Elementwise min(max(x, low), high); see :func:`cavs.ops.clip`."""
        return elementwise.clip(self, low, high)

    def cos(self: Applies[R]) -> R:
        """Elementwise cosine; see :func:`cavs.ops.cos`."""
        return special.cos(self)

    def digamma(self: Applies[R]) -> R:
        """Elementwise derivative of lgamma; see :func:`cavs.ops.digamma`."""
        return special.digamma(self)

    def elu(self: Applies[R], alpha: Any = 1.0) -> R:
        """Elementwise x, or alpha * (exp(x) - 1) below 0; see :func:`cavs.ops.elu`."""
        return special.elu(self, alpha)

    def erf(self: Applies[R]) -> R:
        """Elementwise error function; see :func:`cavs.ops.erf`."""
        return special.erf(self)

    def erfinv(self: Applies[R]) -> R:
        """Elementwise inverse of the error function; see :func:`cavs.ops.erfinv`."""
        return elementwise.erfinv(self)

    def exp(self: Applies[R]) -> R:
        """Elementwise e ** x; see :func:`cavs.ops.exp`."""
        return elementwise.exp(self)

    def expm1(self: Applies[R]) -> R:
        """Elementwise exp(x) - 1; see :func:`cavs.ops.expm1`."""
        return special.expm1(self)

    def gelu(self: Applies[R]) -> R:
        """Elementwise x * P(z < x) of a standard normal z; see :func:`cavs.ops.gelu`."""
        return special.gelu(self)

    def leaky_relu(self: Applies[R], slope: Any = 0.01) -> R:
        """Elementwise x, or slope * x below 0; see :func:`cavs.ops.leaky_relu`."""
        return special.leaky_relu(self, slope)

    def lgamma(self: Applies[R]) -> R:
        """Elementwise logarithm of the gamma function; see :func:`cavs.ops.lgamma`."""
        return special.lgamma(self)

    def log(self: Applies[R]) -> R:
        """Elementwise natural logarithm; see :func:`cavs.ops.log`."""
        return elementwise.log(self)

    def log1p(self: Applies[R]) -> R:
        """Elementwise log(1 + x); see :func:`cavs.ops.log1p`."""
        return special.log1p(self)

    @overload
    def pow(self, exponent: Symbolic[R]) -> R: ...
    @overload
    def pow(self: Applies[R], exponent: Any) -> R: ...
    def pow(self, exponent: Any) -> Any:
        """Elementwise x ** exponent; see :func:`cavs.ops.pow`."""
        return self.__pow__(exponent)

    def reciprocal(self: Applies[R]) -> R:
        """Elementwise 1 / x; see :func:`cavs.ops.reciprocal`."""
        return elementwise.reciprocal(self)

    def relu(self: Applies[R]) -> R:
        """Elementwise max(x, 0); see :func:`cavs.ops.relu`."""
        return elementwise.relu(self)

    def rsqrt(self: Applies[R]) -> R:
        """Elementwise 1 / sqrt(x); see :func:`cavs.ops.rsqrt`."""
        return elementwise.rsqrt(self)

    def sigmoid(self: Applies[R]) -> R:
        """Elementwise logistic function; see :func:`cavs.ops.sigmoid`."""
        return elementwise.sigmoid(self)

    def sign(self: Applies[R]) -> R:
        """Elementwise sign; see :func:`cavs.ops.sign`."""
        return elementwise.sign(self)

    def silu(self: Applies[R]) -> R:
        """Elementwise x * sigmoid(x); see :func:`cavs.ops.silu`."""
        return special.silu(self)

    def sin(self: Applies[R]) -> R:
        """Elementwise sine; see :func:`cavs.ops.sin`."""
        return special.sin(self)

    def softplus(self: Applies[R]) -> R:
        """Elementwise log(1 + exp(x)); see :func:`cavs.ops.softplus`."""
        return elementwise.softplus(self)

    def sqrt(self: Applies[R]) -> R:
        """Elementwise square root; see :func:`cavs.ops.sqrt`."""
        return elementwise.sqrt(self)

    def square(self: Applies[R]) -> R:
        """Elementwise x * x; see :func:`cavs.ops.square`."""
        return elementwise.square(self)

    def tanh(self: Applies[R]) -> R:
        """Elementwise hyperbolic tangent; see :func:`cavs.ops.tanh`."""
        return elementwise.tanh(self)

    def trigamma(self: Applies[R]) -> R:
        """Elementwise derivative of digamma; see :func:`cavs.ops.trigamma`."""
        return special.trigamma(self)


def not_numpy(value: Any, name: str) -> TraceError:
    """The error of a function of NumPy's that is called on a value."""
    from cavs.core import ops

    own = _OF_NUMPY.get(name, name)
    instead = f"use cavs.ops.{own}" if hasattr(ops, own) else "use the operations of cavs.ops"
    kind = "symbol" if hasattr(value, "__cavs_symbol__") else type(value).__name__
    return TraceError(
        f"[ops] expected an operation of cavs.ops, got numpy.{name} of a {kind}; {instead}"
    )
