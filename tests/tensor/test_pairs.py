"""Sums of kernels over all pairs of rows, against NumPy, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eager_gradients import check_gradient
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import ops
from cavs.errors import CavsRuntimeError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor import Parameter, Tensor, no_grad

RNG = np.random.default_rng(3)


def reference(x: Any, y: Any, widths: Any) -> tuple[float, Any]:
    """The sum and its gradient by x, in float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    between = y[None] - x[:, None]
    distance = (between**2).sum(-1)
    kernels = [np.exp(-distance / (2 * w * w)) for w in widths]
    rate = sum(k / (w * w) for k, w in zip(kernels, widths, strict=True))
    return float(np.sum(kernels)), (rate[..., None] * between).sum(1)


@given(
    n=st.integers(0, 70),
    m=st.integers(0, 530),
    d=st.integers(0, 5),
    widths=st.lists(st.floats(0.3, 4), min_size=1, max_size=3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_sum_and_gradients_are_numpys(n: int, m: int, d: int, widths: Any, dtype: Any) -> None:
    x, y = (RNG.normal(size=(k, d)).astype(dtype) for k in (n, m))
    a, b = Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)
    total = cavs.pairwise_kernel_sum(a, b, widths)
    assert total.shape == ()
    assert total.dtype == dtype
    (total * 3.0).backward()
    value, by_x = reference(x, y, widths)
    _, by_y = reference(y, x, widths)
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(total.item(), value, rtol=tolerance)
    scale = max(n, m, 1) / min(widths) ** 2
    np.testing.assert_allclose(a.grad, 3 * by_x, rtol=1e-5, atol=tolerance * scale)
    np.testing.assert_allclose(b.grad, 3 * by_y, rtol=1e-5, atol=tolerance * scale)


def test_both_operands_may_be_one_tensor() -> None:
    x = RNG.normal(size=(37, 3))
    one = Tensor(x, requires_grad=True)
    total = cavs.pairwise_kernel_sum(one, one, [0.7, 2.0])
    total.backward()
    value, by_x = reference(x, x, [0.7, 2.0])
    np.testing.assert_allclose(total.item(), value, rtol=1e-13)
    np.testing.assert_allclose(one.grad, 2 * by_x, rtol=1e-9, atol=1e-12)


def test_rows_may_be_many() -> None:
    x = np.zeros((140_000, 1), np.float32)
    assert cavs.pairwise_kernel_sum(Tensor(x), Tensor(x[:2]), 1.0).item() == 280_000


def test_small_distances_far_from_the_origin_are_kept() -> None:
    x = (1000 + 0.01 * RNG.normal(size=(20, 4))).astype(np.float32)
    total = cavs.pairwise_kernel_sum(Tensor(x), Tensor(x), 0.01)
    np.testing.assert_allclose(total.item(), reference(x, x, [0.01])[0], rtol=1e-5)


def test_gradients_are_central_differences() -> None:
    other = Tensor(RNG.normal(size=(4, 2)))
    check_gradient(
        lambda x: cavs.pairwise_kernel_sum(x, other, [0.5, 1.5]), RNG.normal(size=(5, 2))
    )
    check_gradient(lambda x: cavs.pairwise_kernel_sum(other, x, 1.5), RNG.normal(size=(5, 2)))
    check_gradient(lambda x: cavs.pairwise_kernel_sum(x, x, 1.5), RNG.normal(size=(5, 2)))


def test_gradients_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    x, y = (RNG.normal(size=(k, 8)).astype(np.float32) for k in (40, 50))
    a = Tensor(x, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    ours = cavs.pairwise_kernel_sum(a, a, [1, 2]) - 2.0 * cavs.pairwise_kernel_sum(a, y, [1, 2])
    ours.backward()

    def sums(p: Any, q: Any) -> Any:
        distance = ((p[:, None] - q[None]) ** 2).sum(-1)
        return sum(torch.exp(-distance / (2 * w * w)).sum() for w in (1, 2))

    theirs = sums(b, b) - 2 * sums(b, torch.tensor(y))
    theirs.backward()
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-5)
    np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-4, atol=1e-4)


def kernel_sums(torch: Any, p: Any, q: Any, widths: Any) -> Any:
    distance = ((p[:, None] - q[None]) ** 2).sum(-1)
    return sum(torch.exp(-distance / (2 * w * w)).sum() for w in widths)


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (5, 7, 3), (37, 301, 4), (70, 261, 9)])
@pytest.mark.parametrize("learn", ["both", "left", "right"])
def test_gradients_of_gradients_are_pytorchs(n: int, m: int, d: int, learn: str) -> None:
    torch = pytest.importorskip("torch")
    widths = [0.7, 1.5, 3.0]
    arrays = [RNG.normal(size=(k, d)) for k in (n, m)]
    turns = [RNG.normal(size=x.shape) for x in arrays]
    wants = [learn in ("both", side) for side in ("left", "right")]
    ours = [Tensor(x, requires_grad=w) for x, w in zip(arrays, wants, strict=True)]
    theirs = [torch.tensor(x, requires_grad=w) for x, w in zip(arrays, wants, strict=True)]
    total = cavs.pairwise_kernel_sum(*ours, widths)
    expected = kernel_sums(torch, *theirs, widths)
    ours, theirs = ([x for x in xs if x.requires_grad] for xs in (ours, theirs))
    turns = [u for u, w in zip(turns, wants, strict=True) if w]
    slopes = cavs.grad(total * total, ours, create_graph=True)
    others = torch.autograd.grad(expected * expected, theirs, create_graph=True)
    for found, wanted in zip(slopes, others, strict=True):
        np.testing.assert_allclose(found.data, wanted.detach().numpy(), 1e-10, 1e-10)
    products = cavs.grad(slopes, ours, turns)
    wanted = torch.autograd.grad(others, theirs, [torch.tensor(u) for u in turns])
    for found, want in zip(products, wanted, strict=True):
        np.testing.assert_allclose(found.data, want.numpy(), 1e-10, 1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_gradients_of_one_tensor(dtype: Any) -> None:
    """And of the discrepancy of samples, a step of which is differentiated: the same memory."""
    torch = pytest.importorskip("torch")
    x, y = (RNG.normal(size=(k, 3)) for k in (33, 290))
    a, z = Tensor(x.astype(dtype), requires_grad=True), torch.tensor(x, requires_grad=True)

    def discrepancy(sums: Any, p: Any, q: Any) -> Any:
        return sums(p, p) / len(x) ** 2 - 2.0 * sums(p, q) / (len(x) * len(y))

    ours = discrepancy(lambda p, q: cavs.pairwise_kernel_sum(p, q, [0.8, 2.0]), a, y.astype(dtype))
    theirs = discrepancy(lambda p, q: kernel_sums(torch, p, q, [0.8, 2.0]), z, torch.tensor(y))
    (slope,) = cavs.grad(ours, a, create_graph=True)
    (other,) = torch.autograd.grad(theirs, z, create_graph=True)
    (curve,) = cavs.grad((slope * slope).sum(), a)
    (wanted,) = torch.autograd.grad(other.square().sum(), z)
    rtol = 1e-10 if dtype == np.float64 else 1e-3
    scale = float(wanted.abs().max())
    np.testing.assert_allclose(curve.data, wanted.numpy(), rtol, rtol * scale)


def test_a_third_derivative_is_named() -> None:
    x = Tensor(RNG.normal(size=(3, 2)), requires_grad=True)
    (slope,) = cavs.grad(cavs.pairwise_kernel_sum(x, x, 1.0), x, create_graph=True)
    with pytest.raises(CavsRuntimeError, match="got 'the gradient of pairwise_kernel_sum'"):
        cavs.grad(slope, x, create_graph=True)


def test_rows_that_were_written_since_are_not_differentiated() -> None:
    x = Tensor(RNG.normal(size=(3, 2)), requires_grad=True)
    total = cavs.pairwise_kernel_sum(x, x, 1.0)
    x.data[0] += 1.0
    with pytest.raises(CavsRuntimeError, match="pairwise_kernel_sum"):
        cavs.grad(total, x, create_graph=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bits(dtype: Any) -> None:
    x, y = (RNG.normal(size=(k, 9)).astype(dtype) for k in (301, 517))
    threads, found = cavs.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            cavs.set_num_threads(count)
            a = Tensor(x, requires_grad=True)
            total = cavs.pairwise_kernel_sum(a, y, [1.0, 3.0])
            (slope,) = cavs.grad(total, a, create_graph=True)
            (curve,) = cavs.grad((slope * slope).sum(), a)
            total.backward()
            found.append((total.item(), a.grad, curve.data))
    finally:
        cavs.set_num_threads(threads)
    for value, grad, curve in found[1:]:
        assert value == found[0][0]
        np.testing.assert_array_equal(grad, found[0][1])
        np.testing.assert_array_equal(curve, found[0][2])


def test_what_learns_nothing_is_off_the_tape() -> None:
    x = Parameter(np.ones((2, 3), np.float32))
    assert cavs.pairwise_kernel_sum(x, np.ones((1, 3), np.float32), 1.0).requires_grad
    with no_grad():
        assert not cavs.pairwise_kernel_sum(x, x, 1.0).requires_grad


def test_nan_and_infinities_stay() -> None:
    x = np.zeros((3, 2))
    x[1, 0] = np.nan
    assert np.isnan(cavs.pairwise_kernel_sum(Tensor(x), Tensor(x[:1]), 1.0).item())
    x[1, 0] = np.inf
    assert cavs.pairwise_kernel_sum(Tensor(x), Tensor(x[:1]), 1.0).item() == 2.0


ROWS = np.ones((2, 3))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((np.ones(3), ROWS, 1.0), ShapeError, r"rows, \(n, d\), as x, got shape \(3,\)"),
        ((ROWS, np.ones((2, 4)), 1.0), ShapeError, r"rows of one size, got shapes \(2, 3\) and"),
        ((ROWS, ROWS.astype(np.float32), 1.0), DTypeError, "operands of one dtype, got float64"),
        ((ROWS, ROWS.astype(np.int32), 1.0), DTypeError, "floats as y, got int32"),
        ((ROWS, ROWS, []), InputError, "at least one width, got none"),
        ((ROWS, ROWS, [1.0, 0.0]), InputError, "a finite width > 0, got 0"),
        ((ROWS, ROWS, np.nan), InputError, "a finite width > 0, got nan"),
        ((ROWS, ROWS, "wide"), InputError, "numbers in a list as widths, got 'wide'"),
    ],
)
def test_errors_say_what_is_wrong(arguments: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=rf"\[pairwise_kernel_sum\] expected {message}"):
        cavs.pairwise_kernel_sum(*arguments)


class Inside(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", (2, 2))
        v.push(y=ops.sum(cavs.pairwise_kernel_sum(x, x, 1.0)))


def test_values_of_vertex_functions_are_refused() -> None:
    with pytest.raises(TraceError, match=r"\[pairwise_kernel_sum\] expected a tensor as x"):
        cavs.compile(Inside())
