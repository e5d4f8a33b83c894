"""NumPy references of elementwise operations that are more than one expression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy


def reference_sigmoid(np: Any, x: Any) -> Any:
    # The negative argument keeps exp from overflowing on either side.
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def reference_softplus(np: Any, x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def reference_bce_with_logits(np: Any, x: Any, t: Any) -> Any:
    # Not softplus(x) - x t, which would lose the small loss of a large, right logit.
    far = np.where(x < 0, t, 1 - t)
    return np.where(far == 0, 0, np.abs(x) * far) + np.log1p(np.exp(-np.abs(x)))


def _erfinv_polynomial(np: Any, x: Any) -> Any:
    """To single precision (Giles, "Approximating the erfinv function", GPU Computing Gems 2011)."""
    w = -np.log((1 - x) * (1 + x))
    near = _polynomial(_ERFINV_NEAR, w - 2.5)
    far = _polynomial(_ERFINV_FAR, np.sqrt(np.maximum(w, 0)) - 3)
    return np.where(w < 5, near, far) * x


def _polynomial(coefficients: Sequence[float], x: Any) -> Any:
    y = 0 * x
    for c in coefficients:
        y = y * x + c
    return y


_ERFINV_NEAR = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_ERFINV_FAR = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


def reference_erfinv(np: Any, x: Any) -> Any:
    x = np.asarray(x)
    with numpy.errstate(all="ignore"):
        y = _erfinv_polynomial(np, x)
        if x.dtype == np.float64:
            # Of the modules that stand for NumPy, that of a GPU has one.
            erf = getattr(np, "erf", None) or np.vectorize(math.erf, otypes=[x.dtype])
            for _ in range(2):  # Newton's steps, from seven digits to all
                y = y - (erf(y) - x) * (HALF_SQRT_PI * np.exp(y * y))
        return np.where(np.abs(x) == 1, np.copysign(np.inf, x), y).astype(x.dtype)


HALF_SQRT_PI = math.sqrt(math.pi) / 2


def add_at(np: Any, x: Any, index: Any, values: Any) -> None:
    """Adds to the elements of `x` at an index, which may name one several times. Of the modules
    that stand for NumPy, that of a GPU has a function for it."""
    add = getattr(np, "add_at", None) or np.add.at
    add(x, index, values)


def _special(np: Any, name: str, x: Any) -> Any:
    """A function of Python's library, elementwise; what stands for NumPy on a GPU has it."""
    own = getattr(np, name, None)
    if own is not None:
        return own(x)

    def of_one(value: float) -> float:
        try:
            return float(getattr(math, name)(value))
        except (ValueError, OverflowError):  # at a pole, or beyond the range
            return math.inf

    x = np.asarray(x)
    return np.vectorize(of_one, otypes=[x.dtype])(x)


def reference_erf(np: Any, x: Any) -> Any:
    return _special(np, "erf", x)


def reference_lgamma(np: Any, x: Any) -> Any:
    return _special(np, "lgamma", x)


def reference_gelu(np: Any, x: Any) -> Any:
    # Not by erf, whose digits are gone where it is close to -1.
    y = np.maximum(x, -1e3) * 0.5 * _special(np, "erfc", x * -math.sqrt(0.5))
    return y.astype(x.dtype)


def reference_silu(np: Any, x: Any) -> Any:
    # A product with exp alone where both 1 + exp(-x) and the sigmoid would leave the range.
    low = np.maximum(x, -1e4)
    return np.where(low < -30, low * np.exp(low), low / (1 + np.exp(-np.maximum(low, -30))))


# Coefficients of 1 / x^2 in the asymptotic series of digamma: B_2k / 2k.
_DIGAMMA = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12, 0)
# B_2k / (2k)!, of Euler and Maclaurin's formula.
_ZETA = (
    *(1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160),
    *(-691 / 1307674368000, 1 / 74724249600),
)


def reference_digamma(np: Any, x: Any) -> Any:
    v = x.astype("float64")
    z = np.where(v < 0, 1 - v, v)
    y = np.zeros_like(z)
    for _ in range(10):
        low = z < 10
        y = y - np.where(low, 1 / z, 0)
        z = np.where(low, z + 1, z)
    y = y + np.log(z) - 0.5 / z - _polynomial(_DIGAMMA, 1 / (z * z))
    rest = v - np.floor(v + 0.5)
    reflected = y - math.pi / np.tan(math.pi * rest)
    below = np.where(rest == 0, math.nan, reflected)
    return np.where(v < 0, below, y).astype(x.dtype)


def reference_zeta(np: Any, s: Any, q: Any) -> Any:
    """Hurwitz's zeta function for s > 1 and q >= 0, else NaN."""
    dtype = (s + q).dtype
    s, q = s.astype("float64"), q.astype("float64")
    y, z = np.zeros_like(s + q), q
    for _ in range(10):
        y = y + np.power(z, -s)
        z = z + 1
    rising, tail = s / z, z / (s - 1) + 0.5
    for j, factor in enumerate(_ZETA):
        tail = tail + rising * factor
        rising = rising * (s + (2 * j + 1)) * (s + (2 * j + 2)) / (z * z)
    power = np.power(z, -s)
    y = y + np.where(power == 0, 0, power * tail)
    y = np.where(q > 0, y, np.where(q == 0, math.inf, math.nan))
    return np.where(s > 1, y, math.nan).astype(dtype)
