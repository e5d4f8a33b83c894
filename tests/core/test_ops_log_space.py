"""Operations in log space at infinities: native, outer and reference, against the limits written
here, values and gradients."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs._native import core

Array = np.ndarray
INF = np.inf

FUNCTIONS: dict[str, Function] = {
    "logsumexp": lambda x, label: ops.logsumexp(x),
    "kept logsumexp": lambda x, label: ops.logsumexp(x, keepdims=True) * 0.5,
    "softmax": lambda x, label: ops.softmax(x),
    "log_softmax": lambda x, label: ops.log_softmax(x),
    "cross_entropy": lambda x, label: ops.cross_entropy(x, label),
    "softplus": lambda x, label: ops.softplus(x),
    "sum of probabilities": lambda p, label: ops.logsumexp(ops.log(p)),
    "loss of probabilities": lambda p, label: ops.cross_entropy(ops.log(p), label),
    **{
        f"loss of {t}": lambda x, label, t=t: ops.binary_cross_entropy_with_logits(x, t)
        for t in (0.0, 0.25, 1.0)
    },
}

# Logits, and the limit of their softmax. Where one of them is +inf, logsumexp is too.
LIMITS: dict[str, tuple[list[float], list[float]]] = {
    "nothing": ([-INF, -INF, -INF], [0, 0, 0]),
    "some impossible": ([0.0, -INF, np.log(3)], [0.25, 0, 0.75]),
    "one possible": ([-INF, 700.0, -INF], [0, 1, 0]),
    "hardly possible": ([-INF, -1e30, -INF], [0, 1, 0]),
    "certain": ([INF, 2.0, -INF], [1, 0, 0]),
    "two certain": ([INF, -5.0, INF], [0.5, 0, 0.5]),
    "all certain": ([INF, INF, INF], [1 / 3, 1 / 3, 1 / 3]),
    "ordinary": ([1.0, 1.0, 1.0], [1 / 3, 1 / 3, 1 / 3]),
}
each_limit = pytest.mark.parametrize("limit", LIMITS)
# As many impossible classes more: rows shorter and longer than vectors.
each_padding = pytest.mark.parametrize("padding", [0, 1, 34])
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_way = pytest.mark.parametrize("way", ["native", "unfused", "reference", "outer"])
Function = Callable[..., Any]


def logits_of(limit: str, padding: int) -> tuple[Array, Array]:
    """Logits and their softmax, the impossible classes among them."""
    x, p = (np.float64(values) for values in LIMITS[limit])
    return np.insert(x, 1, [-INF] * padding), np.insert(p, 1, [0.0] * padding)


class Applied(cavs.VertexFunction):
    """`function` of a pull x and of labels."""

    def __init__(self, function: Function, size: int) -> None:
        self.function, self.size = function, size

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.size) - v.pull("zero")  # something to fuse with
        v.push(y=self.function(x, v.pull("label", dtype="int32")))


def options_of(way: str) -> dict[str, Any]:
    return {"reference": {"executor": "reference"}, "unfused": {"passes": ()}}.get(way, {})


@functools.cache
def compiled(way: str, name: str, size: int, dtype: str) -> cavs.Model:
    return cavs.compile(Applied(FUNCTIONS[name], size), dtype=dtype, **options_of(way))


def evaluated(
    way: str, name: str, x: Array, dtype: str, dy: Any = 1.0, label: int = 0
) -> tuple[Array, Array]:
    """A function's value at x, (size,), and its gradient for the cotangent."""
    rows = cavs.Tensor(x[None], dtype, requires_grad=True)
    labels = np.full(1, label, np.int32)
    if way == "outer":
        y = FUNCTIONS[name](rows, labels)
    else:
        model = compiled(way, name, len(x), dtype)
        given = {"x": rows, "label": labels, "zero": np.zeros(1)}
        wanted = {name: given[name] for name in model.inputs}
        y = model(cavs.InputGraph([[]]), **wanted)["y"]
    y.backward(np.broadcast_to(dy, y.shape).astype(dtype))
    assert y.dtype == dtype
    assert rows.grad is not None
    return y.data[0], rows.grad[0]


def check(found: tuple[Array, Array], value: Any, gradient: Any, dtype: str) -> None:
    rtol = 2e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found[0], value, rtol, rtol)
    np.testing.assert_allclose(found[1], gradient, rtol, rtol)
    np.testing.assert_array_equal(found[1][gradient == 0], 0)  # exactly


def log_of(p: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(p)


def total_of(x: Array) -> float:
    """logsumexp of logits of a table."""
    if x.max() in (INF, -INF):
        return float(x.max())
    return float(np.log(np.exp(x - x.max()).sum()) + x.max())


def weights(count: int) -> Array:
    return np.random.default_rng(count).normal(size=count)


@each_limit
@each_padding
@each_dtype
@each_way
class TestLimits:
    def test_logsumexp(self, limit: str, padding: int, dtype: str, way: str) -> None:
        x, p = logits_of(limit, padding)
        total = total_of(x)
        gradient = 3.0 * p if np.isfinite(total) else 0.0 * p
        found = evaluated(way, "logsumexp", x, dtype, 3.0)
        check(found, total, gradient, dtype)
        half = evaluated(way, "kept logsumexp", x, dtype, 6.0)
        check(half, [total * 0.5], gradient, dtype)

    def test_softmax(self, limit: str, padding: int, dtype: str, way: str) -> None:
        x, p = logits_of(limit, padding)
        dy = weights(len(x))
        found = evaluated(way, "softmax", x, dtype, dy)
        check(found, p, p * (dy - (p * dy).sum()), dtype)
        np.testing.assert_array_equal(found[0][p == 0], 0)

    def test_log_softmax(self, limit: str, padding: int, dtype: str, way: str) -> None:
        x, p = logits_of(limit, padding)
        dy = weights(len(x))
        possible = np.where(p > 0, dy, 0)
        found = evaluated(way, "log_softmax", x, dtype, dy)
        check(found, log_of(p), possible - p * possible.sum(), dtype)

    def test_cross_entropy(self, limit: str, padding: int, dtype: str, way: str) -> None:
        x, p = logits_of(limit, padding)
        for label in range(len(x)):
            found = evaluated(way, "cross_entropy", x, dtype, 2.0, label)
            gradient = 2.0 * (p - (np.arange(len(x)) == label)) if p[label] > 0 else 0.0 * p
            check(found, -log_of(p)[label], gradient, dtype)
        check(evaluated(way, "cross_entropy", x, dtype, 2.0, -1), 0, 0.0 * p, dtype)


@each_dtype
@each_way
def test_nan_is_never_hidden(dtype: str, way: str) -> None:
    for others in (0.0, INF, -INF):
        x = np.array([others, np.nan, others, *[others] * 20])
        for name in ("logsumexp", "softmax", "log_softmax"):
            value, _ = evaluated(way, name, x, dtype)
            assert np.isnan(value).all(), name
        value, gradient = evaluated(way, "cross_entropy", x, dtype)
        assert np.isnan(value)
        assert np.isnan(gradient).all()


@each_dtype
@each_way
def test_losses_of_certain_logits(dtype: str, way: str) -> None:
    """Of logit x and target t: loss and gradient of x."""
    for x, t, loss, gradient in (
        (INF, 1.0, 0.0, 0.0),
        (-INF, 0.0, 0.0, 0.0),
        (INF, 0.0, INF, 0.0),
        (-INF, 1.0, INF, 0.0),
        (-INF, 0.25, INF, 0.0),
        (0.0, 1.0, np.log(2), -0.5),
        (3e4, 1.0, 0.0, 0.0),
        (-3e4, 1.0, 3e4, -1.0),
    ):
        for size in (1, 40):
            found = evaluated(way, f"loss of {t}", np.full(size, x), dtype)
            check(found, np.full(size, loss), np.full(size, gradient), dtype)
    softplus = evaluated(way, "softplus", np.array([-INF, INF, 0.0]), dtype)
    check(softplus, [0, INF, np.log(2)], np.array([0, 1, 0.5]), dtype)


@each_dtype
@each_way
def test_logs_of_probabilities(dtype: str, way: str) -> None:
    """log 0 is impossible, and what does not depend on it gives it no gradient."""
    p = np.array([0.0, 0.2, 0.8, 0.0])
    found = evaluated(way, "sum of probabilities", p, dtype)
    check(found, 0, np.array([0, 1, 1, 0]), dtype)
    certain = evaluated(way, "loss of probabilities", p, dtype, label=1)
    check(certain, -np.log(0.2), np.array([0, 1 - 5, 1, 0]), dtype)


class OverChildren(cavs.VertexFunction):
    """Reductions over the children, of inputs of the edges: read row by row or after a sum."""

    def __init__(self, size: int) -> None:
        self.size = size

    def forward(self, v: cavs.Vertex) -> None:
        h = v.gather(h=self.size).h
        x = v.pull_edge("x", self.size)
        v.scatter(h=v.pull("h", self.size))
        v.push(
            total=x.logsumexp(),
            softmax=x.softmax(),
            of_states=h.logsumexp(),
            of_sums=(h + x).logsumexp(),
            softmax_of_states=h.softmax(),
            top=h.max(),
        )


@each_limit
@each_padding
@each_dtype
@pytest.mark.parametrize("size", [1, 37])
@pytest.mark.parametrize("way", ["native", "unfused", "reference"])
def test_limits_over_children(limit: str, padding: int, dtype: str, size: int, way: str) -> None:
    x, p = (np.repeat(values[:, None], size, 1) for values in logits_of(limit, padding))
    total, count = total_of(x[:, 0]), len(x)
    zeros = np.zeros((1, size))
    model = cavs.compile(OverChildren(size), dtype=dtype, **options_of(way))
    # A vertex with these children, and one with the last of them, which is a leaf itself.
    graph = cavs.InputGraph([*[[]] * count, list(range(count)), [count - 1]])
    dy = np.random.default_rng(2).normal(size=(count + 1, size))
    states, edges = np.concatenate([x, zeros, zeros]), np.concatenate([x, x[-1:]])
    alone = (x[-1] != -INF).astype(float)
    on_edges = np.concatenate([p, alone[None]])
    of_softmax = on_edges * (
        dy - np.concatenate([np.tile((p * dy[:-1]).sum(0), (count, 1)), dy[-1:]])
    )
    finite = np.isfinite([total] * count + [x[-1, 0]])[:, None]
    expected = {
        "total": (total, x[-1], on_edges * finite),
        "of_states": (total, x[-1], on_edges * finite),
        "softmax": (None, None, of_softmax),
        "softmax_of_states": (None, None, of_softmax),
    }
    rtol = 3e-6 if dtype == "float32" else 1e-12
    for name, (of_all, of_last, gradient) in expected.items():
        h = cavs.Tensor(states, dtype, requires_grad=True)
        e = cavs.Tensor(edges, dtype, requires_grad=True)
        y = model(graph, h=h, x=e)[name]
        if of_all is None:
            np.testing.assert_allclose(y.data, on_edges, rtol, rtol)
            y.backward(dy.astype(dtype))
        else:
            np.testing.assert_array_equal(y.data[:count], -INF)
            np.testing.assert_allclose(y.data[count], np.full(size, of_all), rtol, rtol)
            np.testing.assert_array_equal(y.data[count + 1], of_last.astype(dtype))
            y.backward(np.ones(y.shape, dtype))
        if name in ("total", "softmax"):
            assert e.grad is not None
            np.testing.assert_allclose(e.grad, gradient, rtol, rtol)
        else:
            assert h.grad is not None
            of_children = gradient[:-1].copy()
            of_children[-1] += gradient[-1]
            np.testing.assert_allclose(h.grad[:count], of_children, rtol, rtol)
            np.testing.assert_array_equal(h.grad[count:], 0)


@pytest.mark.parametrize("isa", ["generic", "avx2", "avx512"])
def test_limits_of_every_instruction_set(isa: str) -> None:
    if isa == core.instruction_set():
        pytest.skip("what all others here ran with")
    command = [sys.executable, "-m", "pytest", "-q", "-x", __file__, "-p", "no:cacheprovider"]
    chosen = "(TestLimits or over_children or certain or nan) and native and not reference"
    result = subprocess.run(
        [*command, "-k", chosen],
        env={**os.environ, "CAVS_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
