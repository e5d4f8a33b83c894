"""Products of tensors of any rank, against NumPy's, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eager_gradients import check_gradient
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import ops
from cavs.errors import ShapeError
from cavs.tensor import Tensor

RNG = np.random.default_rng(7)


@st.composite
def factors(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of two operands whose product there is."""
    m, k, n = (draw(st.integers(0, 3)) for _ in range(3))
    leading = draw(st.lists(st.integers(0, 3), max_size=3))
    shapes = []
    for matrix in ((m, k), (k, n)):
        own = leading[draw(st.integers(0, len(leading))) :]
        shapes.append((*(1 if draw(st.booleans()) else size for size in own), *matrix))
    if draw(st.booleans()):
        shapes[0] = (k,)
    if draw(st.booleans()):
        shapes[1] = (k,)
    return shapes[0], shapes[1]


@given(shapes=factors(), dtype=st.sampled_from([np.float32, np.float64]), turned=st.booleans())
def test_product_is_numpys(shapes: Any, dtype: Any, turned: bool) -> None:
    a, b = (RNG.normal(size=shape).astype(dtype) for shape in shapes)
    if turned:
        a, b = (np.array(x.T, order="C").T for x in (a, b))  # not contiguous
    y = ops.matmul(Tensor(a), Tensor(b))
    expected = np.matmul(a, b)
    assert y.shape == expected.shape
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, expected, rtol=1e-5, atol=1e-5)


@given(shapes=factors())
def test_gradients_are_sums_over_what_was_broadcast(shapes: Any) -> None:
    a, b = (Tensor(RNG.normal(size=shape), requires_grad=True) for shape in shapes)
    y = a @ b
    dy = RNG.normal(size=y.shape)
    y.backward(dy)
    left = a.data[None] if a.ndim == 1 else a.data
    right = b.data[:, None] if b.ndim == 1 else b.data
    cotangent = dy[..., None] if b.ndim == 1 else dy
    cotangent = np.expand_dims(cotangent, -2) if a.ndim == 1 else cotangent
    for x, matrix, each in (
        (a, left, cotangent @ np.swapaxes(right, -1, -2)),
        (b, right, np.swapaxes(left, -1, -2) @ cotangent),
    ):
        added = tuple(range(each.ndim - matrix.ndim))
        repeated = tuple(
            i + len(added)
            for i, size in enumerate(matrix.shape[:-2])
            if size != each.shape[i + len(added)]
        )
        expected = each.sum(axis=(*added, *repeated)).reshape(x.shape)
        np.testing.assert_allclose(x.grad, expected, rtol=1e-9, atol=1e-12)


def test_gradients_are_central_differences() -> None:
    b, vector = Tensor(RNG.normal(size=(2, 1, 4, 3))), Tensor(RNG.normal(size=4))
    a = RNG.normal(size=(3, 2, 4))
    check_gradient(lambda x: x @ b, a)
    check_gradient(lambda x: x @ vector, a)
    check_gradient(lambda x: ops.matmul(Tensor(a), x), RNG.normal(size=(4, 2)))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((2, 3, 4), (2, 5, 4), "equal inner sizes, got 4 and 5"),
        ((2, 3, 4), (3, 4, 5), r"shapes that broadcast, got \[\(2,\), \(3,\)\]"),
        ((), (2, 2), r"vectors or matrices, got \(\) and \(2, 2\)"),
        ((2, 3, 4), (3,), "equal inner sizes, got 4 and 3"),
    ],
)
def test_shapes_that_do_not_fit_are_named(a: Any, b: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=rf"\[matmul\] expected {message}"):
        ops.matmul(Tensor(np.ones(a)), Tensor(np.ones(b)))


class Batched(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", (2, 3, 3))
        v.push(y=x @ x)


def test_several_matrices_are_multiplied_in_a_vertex_function_too() -> None:
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 3))
    y = cavs.compile(Batched(), dtype="float64")(cavs.InputGraph([[], []]), x=x)["y"]
    np.testing.assert_allclose(y.numpy(), x @ x, 1e-12, 1e-12)
