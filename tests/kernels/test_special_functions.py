"""Accuracy of functions that are polynomials: float32 beside float64, over the whole range."""

import math

import kernel_calls as kc
import numpy as np
import pytest

from cavs._native import core

COUNT = 1 << 16
GENERIC = core.instruction_set() == "generic"
MOST = np.finfo(np.float32).max


def each(function):
    return np.vectorize(function, otypes=[np.float64])


def silu(x):
    return np.where(x < -30, x * np.exp(np.minimum(x, 0)), x / (1 + np.exp(-np.maximum(x, -30))))


def digamma(x):
    """By its recurrence and its asymptotic series at 40 and beyond."""
    y = np.zeros_like(x)
    for k in range(40):
        y -= np.where(x < 40, 1 / (x + k), 0)
    z = np.where(x < 40, x + 40, x)
    return y + np.log(z) - 1 / (2 * z) - 1 / (12 * z**2) + 1 / (120 * z**4) - 1 / (252 * z**6)


EXACT = {
    "sin": np.sin,
    "cos": np.cos,
    "erf": each(math.erf),
    "gelu": lambda x: x * 0.5 * each(math.erfc)(-x * math.sqrt(0.5)),
    "silu": silu,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "lgamma": each(math.lgamma),
    "digamma": digamma,
}
EVEN, LOG = "evenly", "by their logarithm"
# Ranges, and the largest errors there: in units in the last place of the result, of 1 where that is
# less and `floor` is 1. Without fused multiply-add products round once more.
CASES = [
    ("erf", EVEN, (-4.2, 4.2), 1.0, 0),
    ("erf", LOG, (1e-30, 10.0), 1.0, 0),
    ("sin", EVEN, (-1e4, 1e4), 1.5, 0),
    ("sin", LOG, (1e-30, 10.0), 1.5, 0),
    ("sin", LOG, (1e4, MOST), 1.5, 0),
    ("cos", EVEN, (-1e4, 1e4), 1.5, 0),
    ("cos", LOG, (1e4, MOST), 1.5, 0),
    ("gelu", EVEN, (-20.0, 20.0), 1.5, 1),
    ("silu", EVEN, (-91.0, 100.0), 2.5, 0),
    ("silu", LOG, (1e-30, MOST), 2.5, 0),
    ("log1p", EVEN, (-0.9999, 4.0), 2.0, 0),
    ("log1p", LOG, (1e-30, MOST), 2.0, 0),
    ("expm1", EVEN, (-20.0, 88.7), 2.0, 0),
    ("expm1", LOG, (1e-30, 88.7), 2.0, 0),
    ("elu", EVEN, (-20.0, 5.0), 2.0, 0),
    ("lgamma", EVEN, (1e-3, 12.0), 2.5, 0),
    ("lgamma", LOG, (1e-30, 1e36), 2.5, 0),
    ("digamma", EVEN, (1e-3, 12.0), 8.0, 1),
    ("digamma", LOG, (1e-30, MOST), 8.0, 1),
]


def called(name, *operands, compiled=False):
    """The function of each element, in rows that can be compiled."""
    rows = [x.reshape(-1, 64) for x in operands]
    out = np.empty_like(rows[0])
    group = kc.Registers(64, 1, [(name, 0, *range(len(rows)))], [0])
    kc.call("fused", "float", rows, [out], attributes=group, compile=compiled)
    return out.reshape(-1)


def both_ways(name, *operands):
    """Interpreted, and by machine code where there is one: to the same bits."""
    found = called(name, *operands)
    if core.can_compile_groups():
        same = called(name, *operands, compiled=True)
        known = ~np.isnan(found)
        np.testing.assert_array_equal(np.isnan(same), ~known)
        np.testing.assert_array_equal(same[known].view("i4"), found[known].view("i4"))
    return found


def samples(how, low, high, rng):
    if how == EVEN:
        x = rng.uniform(low, high, COUNT)
    else:
        x = np.exp(rng.uniform(math.log(low), math.log(high), COUNT))
    return np.clip(x, low, high).astype(np.float32)


def units(found, exact, floor):
    unit = np.spacing(np.maximum(np.abs(exact), max(floor, 1.2e-38)).astype(np.float32))
    return np.abs(found - exact) / unit


@pytest.mark.parametrize(("name", "how", "bounds", "most", "floor"), CASES)
def test_accuracy(name, how, bounds, most, floor, rng):
    x = samples(how, *bounds, rng)
    if how == LOG and name not in ("lgamma", "digamma", "log1p", "expm1", "silu"):
        x[::2] *= -1
    more = [np.ones_like(x)] if name == "elu" else []
    exact = EXACT[name](x.astype(np.float64))
    error = units(both_ways(name, x, *more), exact, floor)
    worst = int(np.argmax(error))
    assert error[worst] <= most + GENERIC, x[worst]


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_close_to_multiples_of_a_quarter_turn(name, rng):
    """Relative accuracy where the result is small: at the floats next to multiples of pi / 2."""
    near = np.arange(-6366, 6370)[: 64 * 198] * (math.pi / 2)
    far = np.exp(rng.uniform(math.log(1e4), math.log(1e15), 64 * 100))
    x = np.concatenate([near, np.round(far / (math.pi / 2)) * (math.pi / 2)]).astype(np.float32)
    exact = EXACT[name](x.astype(np.float64))
    found = both_ways(name, x)
    assert units(found, exact, 0).max() <= 1.5 + GENERIC
    np.testing.assert_array_equal(np.sign(found), np.sign(exact))


@pytest.mark.parametrize(
    ("bases", "exponents"),
    [((0.05, 20.0), 6.0), ((0.9, 1.1), 300.0), ((1e-30, 1e30), 1.2), ((1.0, 1.001), 8e4)],
)
def test_accuracy_of_powers(bases, exponents, rng):
    a, b = samples(LOG, *bases, rng), samples(EVEN, -exponents, exponents, rng)
    exact = a.astype(np.float64) ** b
    assert units(both_ways("pow", a, b), exact, 0).max() <= 1.5


def test_accuracy_below_zero(rng):
    """Of the reflections: absolute, since both have roots there."""
    x = samples(EVEN, -30.0, -0.01, rng)
    x = x[np.abs(x - np.round(x)) > 1e-3][: COUNT // 64 * 32]
    y = x.astype(np.float64)
    assert units(both_ways("lgamma", x), EXACT["lgamma"](y), 1).max() <= 12
    reflected = digamma(1 - y) - math.pi / np.tan(math.pi * (y - np.round(y)))
    assert units(both_ways("digamma", x), reflected, 1).max() <= 12


@pytest.mark.parametrize("order", [2.0, 3.0, 4.5])
def test_accuracy_of_zeta(order, rng):
    q = samples(LOG, 1e-5, 1e5, rng)
    x = q.astype(np.float64)
    exact = sum((x + k) ** -order for k in range(200))
    z = x + 200
    exact += z ** (1 - order) / (order - 1) + z**-order / 2 + order * z ** (-order - 1) / 12
    found = both_ways("zeta", np.full_like(q, order), q)
    assert units(found, exact, 0).max() <= 6
