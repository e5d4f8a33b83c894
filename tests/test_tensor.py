"""Outer tensors: taking arrays, the tape, parameters and row-sparse gradients."""

from __future__ import annotations

import array
import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from cavs.core import ops
from cavs.core.ir import Node
from cavs.core.ops import OPS
from cavs.core.ops._def import apply
from cavs.core.trace import trace
from cavs.core.vertex import VertexFunction
from cavs.errors import CavsRuntimeError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor import (
    Parameter,
    RowSparse,
    Tensor,
    is_grad_enabled,
    no_grad,
    record,
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


# --- Taking arrays --------------------------------------------------------------------------------


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


def test_tensors_are_given_without_a_copy() -> None:
    x = tensor([[1.0, 2.0]])
    assert np.shares_memory(np.from_dlpack(x), x.data)
    assert np.shares_memory(np.asarray(x), x.data)
    assert np.asarray(x, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.data)
    assert x.numpy() is x.data


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
    with pytest.raises(InputError, match=r"\[tensor\] integers that fit int32 .* \(4294967296\)"):
        Tensor(np.array([1, 2**32]))
    with pytest.raises(DTypeError, match="integers were expected for int32"):
        Tensor([0.5], "int32")
    with pytest.raises(DTypeError, match="numbers were expected"):
        Tensor(["a"])
    with pytest.raises(DTypeError, match=r"float16"):
        Tensor([1.0], "float16")
    with pytest.raises(DTypeError, match="numbers were expected"):
        Tensor(object())
    with pytest.raises(InputError, match="numbers, or an array"):
        Tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(DTypeError, match="requires_grad"):
        Tensor([1], requires_grad=True)


# --- Values ---------------------------------------------------------------------------------------


def test_numbers_and_truth() -> None:
    x = tensor([2.5])
    assert (x.item(), float(x), int(x), bool(x), len(x)) == (2.5, 2.5, 2, True, 1)
    assert not tensor(0.0)
    with pytest.raises(ShapeError, match=r"\[item\] one element"):
        bool(tensor([1.0, 2.0]))


def test_repr_says_what_it_is() -> None:
    assert repr(tensor([1.0, 2.0])) == "Tensor([1., 2.], float32)"
    assert "requires_grad=True" in repr(Parameter(1.0))


def test_numbers_take_the_dtype_of_the_tensor() -> None:
    for dtype in (np.float32, np.float64):
        x = Tensor(np.ones(2, dtype))
        for y in (x + 1, 2.0 * x, np.float64(3) - x, x / np.int64(2), ops.maximum(x, 0.5)):
            assert y.dtype == dtype


def test_mixed_precision_is_refused_by_name() -> None:
    x, y = Tensor(np.ones(2, np.float32)), Tensor(np.ones(2))
    with pytest.raises(DTypeError, match=r"\[mul\] .* \(float32, float64\)"):
        x * y
    assert (x.astype("float64") * y).dtype == np.float64


def test_integers_are_ids_only() -> None:
    ids = tensor([[0, 1], [2, 0]])
    with pytest.raises(DTypeError, match=r"\[add\] operand 0 of dtype float"):
        ids + 1
    with pytest.raises(DTypeError, match=r"\[embedding\] operand 1 of dtype int32"):
        ops.embedding(Tensor(np.ones((3, 2))), Tensor(np.ones(2)))
    assert ids.reshape(-1).dtype == np.int32
    assert ops.embedding(tensor(np.ones((3, 5))), ids).shape == (2, 2, 5)


@pytest.mark.parametrize("bad", [-2, 3])
def test_ids_out_of_range_are_named(bad: int) -> None:
    with pytest.raises(InputError, match=rf"\[embedding\] ids in -1..2 .* \({bad}\)"):
        ops.embedding(tensor(np.ones((3, 5))), [0, bad])
    with pytest.raises(InputError, match=r"\[cross_entropy\] ids in -1..2"):
        ops.cross_entropy(tensor(np.ones((2, 3))), [0, bad])


def test_arrays_on_either_side() -> None:
    x = tensor(np.arange(3.0))
    for y in (np.ones(3) - x, x + np.ones((2, 3)), np.ones((2, 1)) * x):
        assert isinstance(y, Tensor)
        assert y.shape[-1] == 3


def test_vertex_operations_are_refused() -> None:
    with pytest.raises(TraceError, match=r"\[segment_sum\] .* came a cavs.Tensor"):
        ops.segment_sum(tensor([1.0]))


def test_matmul_operator() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 3)), np.ones((3, 4))
    np.testing.assert_allclose((tensor(a) @ tensor(b)).data, a @ b)
    np.testing.assert_allclose((tensor(a[0]) @ b).data, a[0] @ b)


def check(function: Callable[[Tensor], Tensor], data: np.ndarray) -> None:
    """Gradient of sum(function(x) * weights) against central differences."""
    x = Tensor(data.copy(), requires_grad=True)
    y = function(x)
    weights = np.random.default_rng(0).normal(size=y.shape)
    y.backward(weights)
    expected = np.zeros_like(data)
    for i in np.ndindex(*data.shape):
        for sign in (1.0, -1.0):
            moved = data.copy()
            moved[i] += sign * 1e-5
            expected[i] += sign * float((function(Tensor(moved)).data * weights).sum()) / 2e-5
    np.testing.assert_allclose(x.grad, expected, rtol=1e-6, atol=1e-8)


DATA = np.random.default_rng(3).normal(size=(2, 3, 4))


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_reductions_over_any_axis(name: str, axis: int | None, keepdims: bool) -> None:
    y = getattr(Tensor(DATA), name)(axis, keepdims)
    np.testing.assert_allclose(y.data, getattr(DATA, name)(axis=axis, keepdims=keepdims))
    check(lambda x: getattr(x, name)(axis, keepdims), DATA)


def test_max_and_bad_axes() -> None:
    np.testing.assert_array_equal(Tensor(DATA).max(-1).data, DATA.max(-1))
    for name in ("sum", "mean"):
        with pytest.raises(ShapeError, match=rf"\[{name}\] an axis in -3..2 .* \(3\)"):
            getattr(Tensor(DATA), name)(3)
    with pytest.raises(ShapeError, match=r"\[mean\] at least one element"):
        Tensor(np.zeros((0, 2))).mean()


@pytest.mark.parametrize(
    "key",
    [1, slice(0, 1), slice(None, None, -1), [1, 0, 1], (0, slice(1, 3)), np.array([True, False])],
    ids=str,
)
def test_indexing(key: Any) -> None:
    np.testing.assert_array_equal(Tensor(DATA)[key].data, DATA[key])
    check(lambda x: x[key] * 2.0, DATA)


def test_indexing_by_tensor_and_beyond() -> None:
    np.testing.assert_array_equal(Tensor(DATA)[tensor([1, 1])].data, DATA[[1, 1]])
    with pytest.raises(ShapeError, match=r"\[index\]"):
        Tensor(DATA)[5]


def test_reshape_and_astype() -> None:
    check(lambda x: x.reshape(4, -1) * 3.0, DATA)
    check(lambda x: x.reshape((24,)), DATA)
    x = Tensor(np.ones(2), requires_grad=True)
    (x.astype("float32") * 2).sum().backward()
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad, 2.0)
    assert not x.astype("int32").requires_grad


def test_broadcasting_sums_gradients_back() -> None:
    other = np.random.default_rng(1).normal(size=(5, 1, 4))
    check(lambda x: x.reshape(2, 1, 3, 4) * other + x.mean(0), DATA)


# --- The tape -------------------------------------------------------------------------------------


def test_gradients_accumulate_over_uses_and_calls() -> None:
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    (x * x + x).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 5.0])
    (2.0 * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [5.0, 7.0])
    x.zero_grad()
    assert x.grad is None


def test_gradients_do_not_share_memory() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    y = Tensor(np.ones(3), requires_grad=True)
    cotangent = np.ones(3)
    (x + y).backward(cotangent)
    x.grad += 1
    np.testing.assert_array_equal(y.grad, 1.0)
    np.testing.assert_array_equal(cotangent, 1.0)
    x.sum().backward()  # a broadcast cotangent, of which all elements are one
    np.testing.assert_array_equal(x.grad, 3.0)


def test_a_diamond_runs_once_per_record() -> None:
    calls = []
    x = Tensor(np.ones(2), requires_grad=True)

    def backward(dys: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        calls.append(dys)
        assert dys[0] is not None
        return [dys[0] * 1.0]

    (y,) = record([x.data * 1.0], [x], backward)
    z = y * 2.0
    (z + y * y + z).sum().backward()
    assert len(calls) == 1
    np.testing.assert_array_equal(x.grad, 6.0)


def test_backward_on_a_leaf() -> None:
    x = Tensor(2.0, requires_grad=True)
    x.backward()
    assert x.grad == 1.0
    assert x.is_leaf


def test_second_backward_says_so() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    shared = ops.exp(x)
    first, second = shared.sum(), (shared * 2.0).sum()
    first.backward()
    for y in (first, second):
        with pytest.raises(CavsRuntimeError, match=r"\[backward\] .* freed; add the losses up"):
            y.backward()
    np.testing.assert_allclose(x.grad, np.exp(1.0))


def test_backward_needs_a_scalar_or_a_cotangent() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(ShapeError, match=r"one element was expected, came shape \(2,\)"):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"a cotangent of shape \(2,\)"):
        (x * 2.0).backward(np.ones(3))
    with pytest.raises(CavsRuntimeError, match="requires_grad was expected"):
        tensor(1.0).backward()


def test_no_grad_is_of_this_thread_and_nests() -> None:
    x = Tensor(1.0, requires_grad=True)
    seen = []
    with no_grad():
        assert not (x * 2).requires_grad
        with no_grad():
            pass
        assert not is_grad_enabled()
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]
    assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_detach_cuts() -> None:
    x = Tensor(3.0, requires_grad=True)
    (x * x.detach()).backward()
    assert x.grad == 3.0


def test_long_tapes_need_no_recursion() -> None:
    x = Tensor(np.ones(1), requires_grad=True)
    y: Any = x
    for _ in range(20_000):
        y = y + 0.5
    y.backward()
    assert x.grad == 1.0
    for _ in range(20_000):
        x = x * 1.0
    del x  # neither does giving it up


def test_a_tape_that_is_given_up_is_freed_at_once() -> None:
    gc.disable()
    try:
        y = ops.exp(Tensor(np.ones(2), requires_grad=True))
        alive = weakref.ref(y)
        z = y * 2.0
        del y
        assert alive() is not None
        del z
        assert alive() is None
    finally:
        gc.enable()


def test_infinities_come_silently() -> None:
    y = 1.0 / tensor([0.0]) + ops.log(tensor([0.0]))
    assert np.isnan(y.data[0])


def test_operations_without_a_gradient_say_so() -> None:
    x = Tensor(np.ones(3), requires_grad=True)
    y = apply(OPS["cross_entropy_grad"], Tensor(np.float64(1.0)), x, 1)
    with pytest.raises(CavsRuntimeError, match="cross_entropy_grad"):
        y.backward(np.ones(3))


# --- record ---------------------------------------------------------------------------------------


def test_record_gives_all_outputs_at_once() -> None:
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    constant = tensor(np.ones(2))
    seen = []

    def backward(dys: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
        seen.append(list(dys))
        return [np.sum([dy for dy in dys if dy is not None], axis=0), None]

    a, b, c = record([x.data + 0, x.data + 1, x.data + 2], [x, constant], backward, "model")
    assert all(y.requires_grad and not y.is_leaf for y in (a, b, c))
    (a.sum() + (a * c).sum()).backward()
    (dys,) = seen
    np.testing.assert_array_equal(dys[0], 1 + c.data)
    assert dys[1] is None
    np.testing.assert_array_equal(dys[2], a.data)
    np.testing.assert_array_equal(x.grad, 1 + c.data + a.data)
    with pytest.raises(CavsRuntimeError, match="'model' was freed"):
        b.sum().backward()


def test_record_gets_contiguous_cotangents() -> None:
    x = Tensor(np.ones((2, 3)), requires_grad=True)

    def backward(dys: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        assert dys[0] is not None
        assert dys[0].flags.c_contiguous
        return [dys[0]]  # not its own: must be copied

    (y,) = record([x.data * 1.0], [x], backward)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, 1.0)
    x.grad += 1


def test_record_keeps_what_it_is_handed() -> None:
    x, given = Parameter(np.ones(3)), np.full(3, 2.0)
    (y,) = record([np.float64(1.0) * np.ones(())], [x], lambda dys: [given])
    y.backward()
    assert x.grad is given


def test_record_without_need_is_no_record() -> None:
    x = Tensor(np.ones(1), requires_grad=True)
    with no_grad():
        assert record([x.data], [x], lambda dys: dys)[0].is_leaf
    assert record([x.data], [tensor(1.0)], lambda dys: dys)[0].is_leaf


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "1 cotangents were expected"),
        ([np.ones(3)], r"a cotangent float64 of shape \(2,\)"),
        ([np.ones(2, np.float32)], r"came float32"),
    ],
)
def test_record_checks_cotangents(given: list[np.ndarray], message: str) -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    (y,) = record([x.data * 1.0], [x], lambda dys: given, "mine")
    with pytest.raises(CavsRuntimeError, match=message):
        y.sum().backward()


def test_row_sparse_cotangents_are_densified_inside_the_tape() -> None:
    x = Parameter(np.ones((3, 2)))
    doubled = x * 2.0
    rows = RowSparse(np.array([1], np.int32), np.ones((1, 2)), (3, 2))
    (y,) = record([np.ones(())], [doubled], lambda dys: [rows])
    y.backward()
    np.testing.assert_array_equal(x.grad, [[0, 0], [2, 2], [0, 0]])


# --- Parameters -----------------------------------------------------------------------------------


def test_parameters_own_contiguous_memory() -> None:
    data = np.zeros((3, 2))
    assert np.shares_memory(Parameter(data).data, data)
    assert Parameter(data.T).data.flags.c_contiguous
    fixed = np.zeros(2)
    fixed.flags.writeable = False
    assert Parameter(fixed).data.flags.writeable
    assert Parameter(1.0).requires_grad
    with pytest.raises(DTypeError, match=r"\[parameter\]"):
        Parameter([1, 2])


def test_parameters_are_symbols_while_tracing() -> None:
    seen: list[Any] = []

    class F(VertexFunction):
        def __init__(self) -> None:
            self.a = Parameter(np.ones((4, 3), np.float32))
            self.b = Parameter(np.ones((4, 3), np.float32))

        def forward(self, v: Any) -> None:
            product = self.a * self.b + 1.0
            seen.extend([product, self.a[1:3], self.a.sum(), -self.b])
            v.push(y=ops.linear(v.pull("x", 3), product))

    function = F()
    trace(function)
    assert all(isinstance(node, Node) and node.space == "none" for node in seen)
    assert isinstance(function.a * function.b, Tensor)


def test_tensors_in_a_vertex_function_are_refused() -> None:
    class F(VertexFunction):
        def __init__(self) -> None:
            self.p = Parameter(np.ones(3, np.float32))
            self.table = tensor([1.0, 2.0, 3.0])

        def forward(self, v: Any) -> None:
            v.push(y=v.pull("x", 3) * self.table)

    with pytest.raises(TraceError, match=r"\[mul\] .* came \(Tensor\).*test_tensor.py"):
        trace(F())


def rows(indices: list[int], value: float = 1.0, count: int = 4) -> RowSparse:
    values = np.full((len(indices), 2), value)
    return RowSparse(np.array(indices, np.int32), values, (count, 2))


@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize("kinds", ["dd", "ds", "sd", "ss", "dsd", "sds", "ssd"])
def test_gradients_accumulate_in_any_mixture(kinds: str, adopt: bool) -> None:
    x = Parameter(np.zeros((4, 2)))
    expected = np.zeros((4, 2))
    given = []
    for number, kind in enumerate(kinds, 1):
        grad: Any = rows([0, number], number) if kind == "s" else np.full((4, 2), float(number))
        given.append((grad, np.array(grad)))
        expected += np.asarray(grad)
        x.accumulate_grad(grad, adopt=adopt)
    np.testing.assert_array_equal(np.asarray(x.grad), expected)
    assert isinstance(x.grad, RowSparse) == (set(kinds) == {"s"})
    if not adopt:
        for grad, before in given:
            np.testing.assert_array_equal(np.asarray(grad), before)


def test_gradient_buffers_are_used_again() -> None:
    x = Parameter(np.ones(3))
    x.accumulate_grad(np.ones(3))
    address = x.grad.ctypes.data  # type: ignore[union-attr]
    x.zero_grad()
    assert x.grad is None
    buffer = x.take_grad_buffer()
    assert (buffer.shape, buffer.dtype, buffer.ctypes.data) == (x.shape, x.dtype, address)
    assert x.take_grad_buffer().ctypes.data != address


def test_gradients_that_others_hold_are_left_alone() -> None:
    x = Parameter(np.ones(3))
    for hold in (lambda g: g, lambda g: g[1:]):
        x.accumulate_grad(np.ones(3))
        held = hold(x.grad)
        x.zero_grad()
        x.take_grad_buffer()[:] = 7.0
        np.testing.assert_array_equal(held, 1.0)


# --- RowSparse ------------------------------------------------------------------------------------


def test_row_sparse_arithmetic() -> None:
    a, b = rows([0, 2], 1.0), rows([2, 3], 3.0)
    np.testing.assert_array_equal(a.add(b).to_dense(), a.to_dense() + b.to_dense())
    np.testing.assert_array_equal(a.add(a).to_dense(), 2 * a.to_dense())
    assert a.add(b).indices.tolist() == [0, 2, 3]
    assert a.add(rows([])).indices.tolist() == [0, 2]
    b.scale(2.0)
    assert b.sum_of_squares() == 4 * 36.0
    dense = np.ones((4, 2))
    a.add_to(dense)
    np.testing.assert_array_equal(dense, 1 + a.to_dense())
    assert "2 rows of (4, 2)" in repr(a)


def test_row_sparse_sums_equal_ids() -> None:
    ids = np.array([3, -1, 0, 3], np.int32)
    values = np.arange(8.0).reshape(4, 2)
    total = RowSparse.from_rows(ids, values, (4, 2))
    assert total.indices.tolist() == [0, 3]
    np.testing.assert_array_equal(total.values, [[4, 5], [6, 8]])
    assert len(RowSparse.from_rows(ids[1:2], values[:1], (4, 2)).indices) == 0


def test_sum_of_squares_of_many_rows() -> None:
    values = np.random.default_rng(0).normal(size=(3000, 50)).astype(np.float32)
    sparse = RowSparse(np.arange(3000, dtype=np.int32), values, (3000, 50))
    np.testing.assert_allclose(sparse.sum_of_squares(), (values.astype(float) ** 2).sum())


@pytest.mark.parametrize("indices", [[1, 0], [1, 1], [-1, 2], [3, 4]])
def test_row_sparse_refuses_bad_indices(indices: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"ascending distinct indices in 0..3"):
        rows(indices)


def test_row_sparse_refuses_bad_shapes() -> None:
    with pytest.raises(ShapeError, match=r"values \(n, 2\)"):
        RowSparse(np.zeros(1, np.int32), np.zeros((2, 2)), (4, 2))
    with pytest.raises(DTypeError, match="int32 indices"):
        RowSparse(np.zeros(1, np.int64), np.zeros((1, 2)), (4, 2))
    with pytest.raises(ShapeError, match=r"shape \(4, 2\) was expected"):
        rows([0]).add(rows([0], count=5))
    with pytest.raises(ShapeError, match=r"shape \(4, 2\) was expected"):
        rows([0]).add_to(np.zeros((5, 2)))
