"""Elementwise operations: trigonometric, activations, and of the gamma function. One row each.

Their native formulas are in csrc/group/special_math.h, with what each is good to.
"""

from __future__ import annotations

import math
from typing import Any, overload

from cavs.core.ops._def import apply
from cavs.core.ops._formulas import (
    reference_digamma,
    reference_erf,
    reference_gelu,
    reference_lgamma,
    reference_silu,
    reference_zeta,
)
from cavs.core.ops._protocols import Applies, R, Symbolic, apply_to
from cavs.core.ops.elementwise import (
    equal,
    exp,
    greater,
    less,
    minimum,
    row,
    sigmoid,
    square,
    where,
)


def _gelu_slope(x: Any) -> Any:
    density = exp(-0.5 * square(x)) * (1 / math.sqrt(2 * math.pi))
    return 0.5 * erf(x * math.sqrt(0.5)) + 0.5 + x * density


def _silu_slope(x: Any, y: Any) -> Any:
    s = sigmoid(x)
    return s + y * (1.0 - s)


def _elu_vjp(dy: Any, y: Any, x: Any, alpha: Any) -> tuple[Any, Any]:
    above = greater(x, 0.0)
    return where(above, dy, dy * (y + alpha)), where(above, 0.0, dy * expm1(minimum(x, 0.0)))


def _leaky_relu_vjp(dy: Any, y: Any, x: Any, slope: Any) -> tuple[Any, Any]:
    above = greater(x, 0.0)
    return where(above, dy, dy * slope), where(above, 0.0, dy * x)


SIN = row(
    "sin",
    1,
    20,
    lambda dy, y, x: (dy * cos(x),),
    lambda np, x: np.sin(x),
    faster_native=True,
)
COS = row(
    "cos",
    1,
    20,
    lambda dy, y, x: (-dy * sin(x),),
    lambda np, x: np.cos(x),
    faster_native=True,
)
ERF = row(
    "erf",
    1,
    25,
    lambda dy, y, x: (dy * exp(-square(x)) * (2 / math.sqrt(math.pi)),),
    reference_erf,
    beyond_numpy=True,
)
GELU = row(
    "gelu", 1, 30, lambda dy, y, x: (dy * _gelu_slope(x),), reference_gelu, beyond_numpy=True
)
SILU = row("silu", 1, 12, lambda dy, y, x: (dy * _silu_slope(x, y),), reference_silu)
ELU = row(
    "elu",
    2,
    12,
    _elu_vjp,
    lambda np, x, alpha: np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x))),
)
LEAKY_RELU = row(
    "leaky_relu",
    2,
    1,
    _leaky_relu_vjp,
    lambda np, x, slope: np.where(x > 0, x, x * slope),
)
# A cotangent of 0 stays 0 where the slope is infinite, as with log.
LOG1P = row(
    "log1p",
    1,
    20,
    lambda dy, y, x: (where(equal(dy, 0.0), 0.0, dy / (1.0 + x)),),
    lambda np, x: np.log1p(x),
)
EXPM1 = row("expm1", 1, 12, lambda dy, y, x: (dy * (y + 1.0),), lambda np, x: np.expm1(x))
LGAMMA = row(
    "lgamma", 1, 80, lambda dy, y, x: (dy * digamma(x),), reference_lgamma, beyond_numpy=True
)
DIGAMMA = row(
    "digamma", 1, 50, lambda dy, y, x: (dy * trigamma(x),), reference_digamma, beyond_numpy=True
)
# The derivatives of digamma, of every order. No gradient to s.
ZETA = row(
    "zeta",
    2,
    400,
    lambda dy, y, s, q: (None, -dy * s * zeta(s + 1.0, q)),
    reference_zeta,
    constant_in=(0,),
    beyond_numpy=True,
)


def sin(x: Applies[R]) -> R:
    """Elementwise sine, of x in radians; NaN for infinities."""
    return apply_to(SIN, x)


def cos(x: Applies[R]) -> R:
    """Elementwise cosine, of x in radians; NaN for infinities."""
    return apply_to(COS, x)


def erf(x: Applies[R]) -> R:
    """Elementwise error function."""
    return apply_to(ERF, x)


def gelu(x: Applies[R]) -> R:
    """Elementwise x * P(z < x) of a standard normal z, by the error function, not by tanh; 0 at
    -inf. (Hendrycks and Gimpel, "Gaussian error linear units", 2016.)"""
    return apply_to(GELU, x)


def silu(x: Applies[R]) -> R:
    """Elementwise x * sigmoid(x), also known as swish; 0 at -inf."""
    return apply_to(SILU, x)


@overload
def elu(x: Symbolic[R], alpha: Any = 1.0) -> R: ...
@overload
def elu(x: Applies[R], alpha: Any = 1.0) -> R: ...
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """Elementwise x where x > 0, else alpha * (exp(x) - 1); `alpha` is a number, or a value that
    broadcasts and has a gradient too. (Clevert et al., "Fast and accurate deep network learning by
    exponential linear units", 2016.)"""
    return apply(ELU, x, alpha)


@overload
def leaky_relu(x: Symbolic[R], slope: Any = 0.01) -> R: ...
@overload
def leaky_relu(x: Applies[R], slope: Any = 0.01) -> R: ...
def leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    """Elementwise x where x > 0, else slope * x; gradient `slope` at 0. `slope` is a number, or a
    value that broadcasts and has a gradient too, as PyTorch's ``prelu``."""
    return apply(LEAKY_RELU, x, slope)


def log1p(x: Applies[R]) -> R:
    """Elementwise log(1 + x), with all digits of a small x: -inf of -1, where a cotangent of 0
    gives a gradient of 0."""
    return apply_to(LOG1P, x)


def expm1(x: Applies[R]) -> R:
    """Elementwise exp(x) - 1, with all digits of a small x."""
    return apply_to(EXPM1, x)


def lgamma(x: Applies[R]) -> R:
    """Elementwise logarithm of the absolute value of the gamma function: inf at 0, -1, -2, ... and
    at infinities."""
    return apply_to(LGAMMA, x)


def digamma(x: Applies[R]) -> R:
    """Elementwise derivative of :func:`lgamma`: infinite at 0, NaN at -1, -2, ... and -inf."""
    return apply_to(DIGAMMA, x)


def trigamma(x: Applies[R]) -> R:
    """Elementwise derivative of :func:`digamma`; inf at 0, -1, -2, ... as far as a sine is 0 there.

    The sum of 1 / (x + k) ** 2 over k = 0, 1, ..., and for x < 0 the reflection."""
    value: Any = x
    below = less(value, 0.0)
    sum_of_squares = zeta(2.0, where(below, 1.0 - value, value))
    sine: Any = sin(math.pi * where(below, value, 0.5))
    y: R = where(below, square(math.pi / sine) - sum_of_squares, sum_of_squares)
    return y


def zeta(s: Any, q: Any) -> Any:
    """Elementwise Hurwitz's zeta function, for s > 1: the sum of (q + k) ** -s over k = 0, 1, ...;
    NaN for q < 0 and s <= 1. No gradient to s."""
    return apply(ZETA, s, q)
