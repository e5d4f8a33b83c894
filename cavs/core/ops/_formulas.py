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
