"""Outer tensors: taking arrays, values, operands, shapes."""

from __future__ import annotations

import array
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from eager_gradients import check_gradient

from cavs.core import ops
from cavs.errors import CavsRuntimeError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor import (
    Parameter,
    Tensor,
    tensor,
)


class OnlyDLPack:
    """An array of another library: DLPack and nothing else."""

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()


class OnlyArray:
    """An array of another library: ``__array__`` and nothing else."""

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._data


@pytest.mark.parametrize("wrap", [lambda x: x, OnlyDLPack, OnlyArray, memoryview, Tensor])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_memory_is_shared(wrap: Callable[[Any], Any], dtype: Any) -> None:
    data = np.arange(6).reshape(2, 3).astype(dtype)
    x = tensor(wrap(data))
    assert x.dtype == dtype
    assert np.shares_memory(x.data, data)
    data[1, 2] = 9
    assert x.data[1, 2] == 9


def test_the_buffer_protocol_is_shared() -> None:
    data = array.array("f", [1.0, 2.0])
    x = Tensor(data)
    data[0] = 5.0
    assert x.data.tolist() == [5.0, 2.0]


def test_strided_memory_is_shared() -> None:
    data = np.zeros((4, 4), np.float32)
    assert np.shares_memory(Tensor(data[::2, 1:]).data, data)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, "float32"),
        (3, "int32"),
        ([1.0, 2], "float32"),
        ([[1], [2]], "int32"),
        (np.float64(1.5), "float64"),
        (np.arange(3), "int32"),
        (np.zeros(2, np.float16), "float32"),
        (np.array([True]), "float32"),
        (np.zeros(0, np.uint64), "int32"),
    ],
)
def test_default_dtypes(value: Any, dtype: str) -> None:
    assert Tensor(value).dtype == dtype


def test_dtype_given() -> None:
    assert Tensor([1, 2], "float64").dtype == np.float64
    assert Tensor(np.ones(2), np.float32).dtype == np.float32


def test_other_values_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"\[tensor\] expected integers that fit int32, got 4294967296"
    ):
        Tensor(np.array([1, 2**32]))
    with pytest.raises(DTypeError, match="expected integers for int32"):
        Tensor([0.5], "int32")
    with pytest.raises(DTypeError, match="expected numbers"):
        Tensor(["a"])
    with pytest.raises(DTypeError, match=r"float16"):
        Tensor([1.0], "float16")
    with pytest.raises(DTypeError, match="expected numbers"):
        Tensor(object())
    with pytest.raises(InputError, match="numbers, or an array"):
        Tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(DTypeError, match="requires_grad"):
        Tensor([1], requires_grad=True)


def test_numbers_take_the_dtype_of_the_tensor() -> None:
    for dtype in (np.float32, np.float64):
        x = Tensor(np.ones(2, dtype))
        for y in (x + 1, 2.0 * x, np.float64(3) - x, x / np.int64(2), ops.maximum(x, 0.5)):
            assert y.dtype == dtype


def test_mixed_precision_is_refused_by_name() -> None:
    x, y = Tensor(np.ones(2, np.float32)), Tensor(np.ones(2))
    with pytest.raises(DTypeError, match=r"\[mul\] .* float32, float64"):
        x * y
    assert (x.astype("float64") * y).dtype == np.float64


def test_integers_are_ids_only() -> None:
    ids = tensor([[0, 1], [2, 0]])
    with pytest.raises(DTypeError, match=r"\[add\] expected operand 0 of dtype float"):
        ids + 1
    with pytest.raises(DTypeError, match=r"\[embedding\] expected operand 1 of dtype int32"):
        ops.embedding(Tensor(np.ones((3, 2))), Tensor(np.ones(2)))
    assert ids.reshape(-1).dtype == np.int32
    assert ops.embedding(tensor(np.ones((3, 5))), ids).shape == (2, 2, 5)


@pytest.mark.parametrize("bad", [-2, 3])
def test_ids_out_of_range_are_named(bad: int) -> None:
    with pytest.raises(
        InputError, match=rf"\[embedding\] expected ids in -1..2 as operand 1, got {bad} at \[1\]"
    ):
        ops.embedding(tensor(np.ones((3, 5))), [0, bad])
    with pytest.raises(InputError, match=r"\[cross_entropy\] expected ids in -1..2"):
        ops.cross_entropy(tensor(np.ones((2, 3))), [0, bad])


def test_arrays_on_either_side() -> None:
    x = tensor(np.arange(3.0))
    for y in (np.ones(3) - x, x + np.ones((2, 3)), np.ones((2, 1)) * x):
        assert isinstance(y, Tensor)
        assert y.shape[-1] == 3


def test_vertex_operations_are_refused() -> None:
    with pytest.raises(TraceError, match=r"\[segment_sum\] .* got a cavs.Tensor"):
        ops.segment_sum(tensor([1.0]))


def test_matmul_operator() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 3)), np.ones((3, 4))
    np.testing.assert_allclose((tensor(a) @ tensor(b)).data, a @ b)
    np.testing.assert_allclose((tensor(a[0]) @ b).data, a[0] @ b)


DATA = np.random.default_rng(3).normal(size=(2, 3, 4))


@pytest.mark.parametrize(
    "key",
    [1, slice(0, 1), slice(None, None, -1), [1, 0, 1], (0, slice(1, 3)), np.array([True, False])],
    ids=str,
)
def test_indexing(key: Any) -> None:
    np.testing.assert_array_equal(Tensor(DATA)[key].data, DATA[key])
    check_gradient(lambda x: x[key] * 2.0, DATA)


def test_indexing_by_tensor_and_beyond() -> None:
    np.testing.assert_array_equal(Tensor(DATA)[tensor([1, 1])].data, DATA[[1, 1]])
    with pytest.raises(ShapeError, match=r"\[index\]"):
        Tensor(DATA)[5]


def test_reshape_and_astype() -> None:
    check_gradient(lambda x: x.reshape(4, -1) * 3.0, DATA)
    check_gradient(lambda x: x.reshape((24,)), DATA)
    x = Tensor(np.ones(2), requires_grad=True)
    (x.astype("float32") * 2).sum().backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad, 2.0)
    assert not x.astype("int32").requires_grad


def test_broadcasting_sums_gradients_back() -> None:
    other = np.random.default_rng(1).normal(size=(5, 1, 4))
    check_gradient(lambda x: x.reshape(2, 1, 3, 4) * other + x.mean(0), DATA)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 3, 4), (0, 2), (2, 0)])
def test_axes_in_another_order(shape: tuple[int, ...], dtype: Any) -> None:
    data = np.random.default_rng(0).normal(size=shape).astype(dtype)
    for order in itertools.permutations(range(len(shape))):
        x = Tensor(data, requires_grad=True)
        y = x.permute(*order)
        np.testing.assert_array_equal(y.data, data.transpose(order))
        np.testing.assert_array_equal(
            x.permute([i - len(shape) for i in order]).data, data.transpose(order)
        )
        weight = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
        y.backward(weight)
        np.testing.assert_array_equal(x.grad, weight.transpose(np.argsort(order)))
    x = Tensor(data)
    np.testing.assert_array_equal(x.T.data, data.T)
    assert np.shares_memory(x.T.data, x.data) == (x.size > 0)
    if x.ndim == 2:
        np.testing.assert_allclose((x.T @ x).data, data.T @ data, rtol=1e-5)


def test_wrong_orders_of_axes() -> None:
    x = tensor(np.zeros((2, 3)))
    assert tensor(1.0).T.shape == ()
    for order in ((), (0,), (0, 0), (0, 1, 1)):
        with pytest.raises(ShapeError, match=r"\[permute\] expected each of 2 axes once"):
            x.permute(*order)
    for order in ((0, 2), (-3, 0), ("a", 0), (None,), (0.5, 1)):
        with pytest.raises(ShapeError, match=r"\[permute\] expected an integer axis in -2..1"):
            x.permute(*order)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 3, 4), (0, 2), (2, 0)])
def test_iteration_goes_over_rows(shape: tuple[int, ...]) -> None:
    data = np.random.default_rng(0).normal(size=shape)
    x = Tensor(data, requires_grad=True)
    rows = list(x)
    assert len(rows) == len(x) == shape[0]
    for i, row in enumerate(rows):
        assert type(row) is Tensor
        np.testing.assert_array_equal(row.data, data[i])
    if not rows:
        return
    total = sum((i + 1.0) * row.sum() for i, row in enumerate(x))
    total.backward()
    factors = np.arange(1.0, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
    expected = np.broadcast_to(factors, shape)
    np.testing.assert_array_equal(x.grad, expected)
    first, *_ = x  # rows that nothing uses get zeros
    x.zero_grad()
    (first * 2.0).sum().backward()
    expected = np.zeros(shape)
    expected[0] = 2.0
    np.testing.assert_array_equal(x.grad, expected)


def test_rows_of_ids_and_of_a_number() -> None:
    assert [row.item() for row in tensor([3, 1, 2])] == [3, 1, 2]
    assert [row.dtype for row in tensor([3, 1])] == [np.int32, np.int32]
    assert [row.item() for row in reversed(tensor([3.0, 1.0]))] == [1.0, 3.0]
    with pytest.raises(ShapeError, match=r"\[iter\] expected at least one axis"):
        iter(tensor(1.0))
    rows = iter(Parameter(np.eye(2)))
    assert next(rows).requires_grad


def test_reshape_with_one_size_left_out() -> None:
    x = tensor(np.arange(6.0))
    assert x.reshape(-1, 2).shape == x.reshape((3, -1)).shape == (3, 2)
    assert tensor(np.zeros((0, 3))).reshape(-1, 3).shape == (0, 3)
    turned = tensor(np.arange(6.0).reshape(2, 3)).T
    np.testing.assert_array_equal(turned.reshape(-1).data, [0, 3, 1, 4, 2, 5])
    for wrong in ((-1, -1), (4, -1), (-2, 3), (0, -1)):
        with pytest.raises(ShapeError, match=r"\[reshape\] expected"):
            x.reshape(*wrong)


def test_requires_grad_of_leaves_can_be_set() -> None:
    x = Tensor([1.0, 2.0])
    assert x.requires_grad_() is x
    y = x * x
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
    with pytest.raises(CavsRuntimeError, match=r"^\[tensor\] expected.*result of 'mul'; use x\.d"):
        y.requires_grad_(False)
    assert y.requires_grad_() is y
    assert not x.requires_grad_(False).requires_grad
    assert not (x * x).requires_grad
    with pytest.raises(DTypeError, match="expected a float dtype with requires_grad, got int32"):
        Tensor([1, 2]).requires_grad_()
    assert not Tensor([1, 2]).requires_grad_(False).requires_grad


class OneNumber:
    """An array of another library that NumPy would take for its only number."""

    ndim, shape = 1, (1,)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array([2])

    def __index__(self) -> int:
        return 2


def test_an_array_of_one_number_keeps_its_axis_as_an_index() -> None:
    x = tensor(np.arange(12.0).reshape(4, 3))
    assert x[OneNumber()].shape == (1, 3)
    assert x[OneNumber(), 1].data.tolist() == [7.0]
