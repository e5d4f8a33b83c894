"""The tape: what backward does, and functions with gradients of their own."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.core import ops
from cavs.core.ops._def import OpDef, apply
from cavs.errors import CavsRuntimeError, ShapeError
from cavs.tensor import (
    Parameter,
    RowSparse,
    Tensor,
    is_grad_enabled,
    no_grad,
    record,
    tensor,
)


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
        with pytest.raises(CavsRuntimeError, match=r"\[backward\] .* freed; .*retain_graph=True"):
            y.backward()
    np.testing.assert_allclose(x.grad, np.exp(1.0))


def test_a_kept_graph_can_be_used_again_and_by_other_tensors() -> None:
    x = Tensor(np.array([0.5, 2.0]), requires_grad=True)
    table = Parameter(np.arange(6.0).reshape(3, 2))
    shared = ops.exp(x) * ops.embedding(table, np.array([2, 0], np.int32)).sum()
    first, second = shared.sum(), (shared * shared).sum()
    found: list[list[np.ndarray]] = []
    for y in (first, second, first, second):
        x.zero_grad()
        table.zero_grad()
        y.backward(retain_graph=len(found) < 3)
        assert isinstance(table.grad, RowSparse)
        found.append([x.grad.copy(), table.grad.to_dense()])
    for a, b in ((0, 2), (1, 3)):
        for left, right in zip(found[a], found[b], strict=True):
            np.testing.assert_array_equal(left, right)
    with pytest.raises(CavsRuntimeError, match="retain_graph=True"):
        first.backward(retain_graph=True)


@pytest.mark.parametrize("leaf", [Tensor, Parameter])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_gradient_that_a_kept_function_holds_is_copied(leaf: Any, sparse: bool) -> None:
    x = leaf(np.zeros((3, 2)), requires_grad=True)
    rows = np.ones((1, 2)) if sparse else np.full((3, 2), 2.0)
    given: Any = RowSparse(np.array([1], np.int32), rows, (3, 2)) if sparse else rows
    (y,) = record([np.float64(1.0) * np.ones(())], [x], lambda dys: [given])
    before = rows.copy()
    for times in (1, 2, 3):
        y.backward(retain_graph=times < 3)
        total = x.grad.to_dense() if isinstance(x.grad, RowSparse) else x.grad
        expected = given.to_dense() if sparse else given
        np.testing.assert_array_equal(total, times * expected)
        np.testing.assert_array_equal(rows, before)


def test_values_written_between_two_backwards_are_named() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    y = ops.exp(x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    (2.0 * x).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp(1.0) + 2)
    z = (x * x).sum()
    z.backward(retain_graph=True)
    x.data[0] = 5.0
    with pytest.raises(CavsRuntimeError, match="written since"):
        z.backward()


def test_a_backward_within_a_kept_one_is_of_its_own() -> None:
    x, inner = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2), requires_grad=True)

    def backward(dys: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        freed.backward()
        return [dys[0] * 3.0]  # type: ignore[operator]

    freed = (inner * inner).sum()
    (y,) = record([x.data * 3.0], [x * 1.0], backward)
    loss = y.sum()
    loss.backward(retain_graph=True)
    freed = (inner * inner).sum()
    loss.backward()
    np.testing.assert_array_equal(x.grad, 6.0)
    np.testing.assert_array_equal(inner.grad, 4.0)
    with pytest.raises(CavsRuntimeError, match="freed"):
        freed.backward()


def test_a_kept_graph_is_freed_with_its_tensors() -> None:
    x = Tensor(np.ones(1000), requires_grad=True)
    y = ops.exp(x)
    held = weakref.ref(y)
    loss = y.sum()
    del y
    loss.backward(retain_graph=True)
    assert held() is not None
    loss.backward()
    assert held() is None


def test_backward_needs_a_scalar_or_a_cotangent() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(ShapeError, match=r"expected one element, got shape \(2,\)"):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"a cotangent of shape \(2,\)"):
        (x * 2.0).backward(np.ones(3))
    with pytest.raises(CavsRuntimeError, match="depends on one with requires_grad"):
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


def test_no_grad_can_be_a_decorator_and_be_entered_again() -> None:
    x, quiet = Tensor(1.0, requires_grad=True), no_grad()

    @no_grad()
    def double(times: int) -> Tensor:
        assert not is_grad_enabled()
        return double(times - 1) if times else x * 2

    assert not double(2).requires_grad
    with quiet, quiet:
        assert not is_grad_enabled()
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
    row = OpDef("halved", 1, lambda shape: shape, lambda np, x: x / 2)
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = apply(row, x)
    with pytest.raises(CavsRuntimeError, match="halved"):
        y.backward(np.ones((2, 3)))
    with pytest.raises(CavsRuntimeError, match="halved"):
        cavs.grad(apply(row, x), x, create_graph=True)


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
    with pytest.raises(CavsRuntimeError, match="'model', which was freed"):
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
        ([], "expected 1 cotangents"),
        ([np.ones(3)], r"a cotangent float64 of shape \(2,\)"),
        ([np.ones(2, np.float32)], r"got float32"),
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
