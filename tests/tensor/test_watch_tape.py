"""Operands and results on the outer tape, written between a forward and its backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.errors import CavsRuntimeError
from cavs.tensor import Tensor, _watch, record


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values or (2.0, 3.0)), requires_grad=True)


def write_values(x: Tensor) -> None:
    x.data[...] = 10


def write_other_values(x: Tensor) -> None:
    x.data = np.full(x.shape, 10.0)


@pytest.mark.parametrize("write", [write_values, write_other_values])
def test_an_operand_written_before_backward(write: Callable[[Tensor], None]) -> None:
    a = leaf()
    y = (a * a).sum()
    write(a)
    with pytest.raises(
        CavsRuntimeError, match=r"\[backward\] expected operands and result of 'mul' .*copy"
    ):
        y.backward()
    assert a.grad is None


NEEDED: dict[str, Callable[[Tensor], Any]] = {
    "log": ops.log,
    "square": ops.square,
    "relu": ops.relu,
    "matmul": lambda a: a.reshape(1, 2) @ a.reshape(2, 1),
    "mul": lambda a: a.reshape(2, 1) * a,
    "div": lambda a: leaf().detach() / a,
}


@pytest.mark.parametrize("name", NEEDED)
def test_each_operation_names_itself(name: str) -> None:
    a = leaf()
    y = NEEDED[name](a).sum()
    a.data[...] = [5.0, 1.0]
    with pytest.raises(CavsRuntimeError, match=f"'{name}'"):
        y.backward()


def test_a_result_written_before_backward() -> None:
    a = leaf()
    y = ops.exp(a)
    loss = y.sum()
    y.data[...] = 0
    with pytest.raises(CavsRuntimeError, match="'exp'"):
        loss.backward()


@pytest.mark.parametrize(
    "function",
    [
        lambda a: a + a,
        lambda a: a - 2.0 * a + a / 3.0,
        lambda a: ops.exp(a),  # needs its result
        lambda a: a * leaf(5.0, 7.0).detach(),
        lambda a: a.reshape(1, 2).sum(),
        lambda a: a[0],
        lambda a: ops.concat([a, a]),
        lambda a: a.mean(),
        lambda a: a.astype("float32"),
    ],
)
def test_what_no_gradient_needs_may_be_written(function: Callable[[Tensor], Tensor]) -> None:
    a, b = leaf(), leaf()
    function(a).sum().backward()
    y = function(b).sum()
    b.data[...] = 10
    y.backward()
    np.testing.assert_array_equal(b.grad, a.grad)


def test_what_was_given_out_before_is_not_watched() -> None:
    """As in PyTorch; what is given out afterwards is, though it is the same memory."""
    a = leaf()
    early = a.data
    y = (a * a).sum()
    early[...] = 5
    y.backward()
    np.testing.assert_array_equal(a.grad, 10.0)


def test_arrays_and_indices_of_the_caller_are_copied() -> None:
    a, factor, ids, rows = leaf(), np.array([2.0, 2.0]), np.array([0, 0]), [1, 1]
    labels = np.array([1], np.int32)
    loss = ops.cross_entropy(a.reshape(1, 2), labels).sum()
    y = (a * factor).sum() + a[ids].sum() + a[rows].sum() + loss
    factor[:], ids[:], rows[:], labels[:] = 7, 1, [0, 0], 0
    y.backward()
    p = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(a.grad, [2 + 2 + 1 - p, 2 + 2 + p - 1])


def test_labels_and_ids_as_tensors() -> None:
    table, ids = Tensor(np.ones((3, 2)), requires_grad=True), Tensor([0, 1])
    y = ops.embedding(table, ids).sum()
    ids.data[...] = 2
    with pytest.raises(CavsRuntimeError, match="'embedding'"):
        y.backward()
    y = ops.embedding(table, ids).sum()
    table.data[...] = 7  # not needed
    y.backward()
    np.testing.assert_array_equal(np.asarray(table.grad)[:, 0], [0, 0, 2])


def test_a_function_says_what_it_reads() -> None:
    a = leaf()
    values = a.data

    def backward(dys: Any) -> list[np.ndarray]:
        return [2 * values * dys[0]]

    for reads, fails in (((), False), ([values], True)):
        (y,) = record([values * values], [a], backward, name="squares", reads=reads)
        a.data[...] += 1
        if fails:
            with pytest.raises(CavsRuntimeError, match="'squares'"):
                y.sum().backward()
        else:
            y.sum().backward()


def test_readout_by_the_maximum() -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [0]])])
    for which in (0, 1):
        x = Tensor(np.array([[1.0], [2.0]]), requires_grad=True)
        y = cavs.readout(graphs, x, "max")
        (x, y)[which].data[...] = 0
        with pytest.raises(CavsRuntimeError, match="'readout'"):
            y.sum().backward()
    x = Tensor(np.array([[1.0], [2.0]]), requires_grad=True)
    total = cavs.readout(graphs, x, "mean").sum()
    x.data[...] = 0
    total.backward()


def test_one_copy_serves_all_that_wait() -> None:
    a = leaf()
    ys = [a * a for _ in range(50)]
    a.data.sum()
    more = [a * a for _ in range(50)]
    a.data.sum()
    assert len([k for k in _watch._registry.kept[id(a._values)] if k() is not None]) == 1
    a.data[0] = 7
    for y in [*ys, *more]:
        with pytest.raises(CavsRuntimeError):
            y.sum().backward()
