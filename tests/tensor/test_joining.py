"""Tensors put together along an axis, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eager_gradients import check_gradient
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import nn, ops
from cavs.errors import CavsError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor import Parameter, Tensor, no_grad, tensor

RNG = np.random.default_rng(5)


@given(data=st.data())
def test_concat_is_numpys_with_gradients(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(1, 3))
    axis = data.draw(st.integers(-ndim, ndim - 1))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    shape = data.draw(st.lists(st.integers(0, 3), min_size=ndim, max_size=ndim))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    learns = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    parts = []
    for size, needs in zip(sizes, learns, strict=True):
        own = list(shape)
        own[axis] = size
        values = RNG.normal(size=own[::-1]).astype(dtype).T  # not contiguous
        parts.append(Tensor(values, requires_grad=needs))
    y = cavs.concat(parts, axis)
    np.testing.assert_array_equal(y.data, np.concatenate([x.data for x in parts], axis))
    assert y.dtype == dtype
    assert y.requires_grad == any(learns)
    if not any(learns):
        return
    dy = RNG.normal(size=y.shape).astype(dtype)
    y.backward(dy)
    expected = np.split(dy, np.cumsum(sizes)[:-1], axis)
    for x, dx in zip(parts, expected, strict=True):
        if x.requires_grad:
            np.testing.assert_array_equal(x.grad, dx)
        else:
            assert x.grad is None


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stack_is_numpys_with_gradients(shape: tuple[int, ...], dtype: Any) -> None:
    for axis in range(-len(shape) - 1, len(shape) + 1):
        parts = [Tensor(RNG.normal(size=shape).astype(dtype), requires_grad=True) for _ in range(3)]
        y = cavs.stack(parts, axis)
        np.testing.assert_array_equal(y.data, np.stack([x.data for x in parts], axis))
        dy = RNG.normal(size=y.shape).astype(dtype)
        y.backward(dy)
        for k, x in enumerate(parts):
            np.testing.assert_array_equal(x.grad, np.take(dy, k, axis))


def test_differences() -> None:
    data = RNG.normal(size=(2, 3))
    check_gradient(lambda x: cavs.concat([x * x, x, [[1.0, 2.0, 3.0]]]), data)
    check_gradient(lambda x: cavs.concat([x, ops.tanh(x)], axis=-1), data)
    check_gradient(lambda x: cavs.stack([x, x.exp(), np.ones((2, 3))], axis=1), data)


def test_constants_and_integers() -> None:
    wide = Tensor(np.zeros((1, 2)), requires_grad=True)
    joined = cavs.concat([[[1, 2]], wide, [[0.1, 0.2]]])
    assert joined.dtype == np.float64
    assert joined.data[2, 0] == 0.1  # not rounded to float32 on its way
    assert cavs.stack([1, tensor(np.float64(2)), 0.1]).data[2] == 0.1
    ids = cavs.concat([tensor([1, 2]), np.int64([3]), [4]])
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids.data, [1, 2, 3, 4])
    assert cavs.stack([1.0, 2.0]).dtype == np.float32
    assert isinstance(cavs.concat([np.zeros(2)]), Tensor)


def test_the_result_is_new() -> None:
    x = tensor([1.0, 2.0])
    y = cavs.concat([x])
    y.data[0] = 9
    np.testing.assert_array_equal(x.data, [1.0, 2.0])
    p = Parameter([1.0, 2.0])
    with no_grad():
        assert not cavs.concat([p, p]).requires_grad
    cavs.concat([p, p, p * 2.0]).sum().backward()
    np.testing.assert_array_equal(p.grad, [4.0, 4.0])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: cavs.concat([]), InputError, r"\[concat\] expected at least one tensor, got none"),
        (lambda: cavs.stack(()), InputError, r"\[stack\] expected at least one tensor, got none"),
        (lambda: cavs.concat(None), InputError, r"\[concat\] expected tensors in a list"),
        (lambda: cavs.concat([tensor(1.0)]), ShapeError, "use cavs.stack"),
        (
            lambda: cavs.concat([tensor(np.zeros((2, 3))), tensor(np.zeros((2, 4)))]),
            ShapeError,
            r"\[concat\] expected shapes equal but for axis 0",
        ),
        (
            lambda: cavs.concat([tensor(np.zeros((2, 3))), tensor(np.zeros(3))]),
            ShapeError,
            "equal but for axis 0",
        ),
        (lambda: cavs.concat([tensor([1.0])], 1), ShapeError, r"expected an integer axis in -1..0"),
        (lambda: cavs.stack([tensor([1.0])], 2), ShapeError, r"expected an integer axis in -2..1"),
        (
            lambda: cavs.stack([tensor([1.0]), 1.0]),
            ShapeError,
            "expected tensors of one shape",
        ),
        (
            lambda: cavs.concat([tensor([1.0]), np.zeros(1)]),
            DTypeError,
            r"\[concat\] expected operands of one dtype, got float32, float64",
        ),
        (lambda: cavs.stack([tensor([1.0]), tensor([1])]), DTypeError, "one dtype"),
        (lambda: cavs.stack(["a"]), CavsError, "expected numbers"),
    ],
)
def test_errors(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_in_a_vertex_function_features_are_joined_by_ops() -> None:
    class Joins(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Parameter([1.0])

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 2)
            for join in (cavs.concat, cavs.stack):
                for parts in ([x, x], [self.w, self.w]):
                    with pytest.raises(TraceError, match=r"cavs\.ops\.concat"):
                        join(parts)
            v.push(y=x)

    cavs.compile(Joins())
