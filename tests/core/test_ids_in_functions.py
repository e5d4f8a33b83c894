"""Arrays of integers as ids of a vertex function: the same for all vertices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops

Forward = Callable[["Given", cavs.Vertex, Any], Any]
IDS = np.array([[2, 0, 2], [1, -1, 3]])
WAYS = (
    {},
    {"passes": ()},
    {"executor": "reference"},
    {"policy": "serial"},
    {"dtype": "float32"},
    pytest.param({"device": "cuda"}, marks=pytest.mark.gpu),
)


class Given(cavs.VertexFunction):
    """What `forward` computes of x (3, 4) of a vertex."""

    def __init__(self, forward: Forward) -> None:
        self.weight = cavs.Parameter(np.random.default_rng(1).normal(size=(5, 3)))
        self.forward_of_x = forward

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.forward_of_x(self, v, v.pull("x", (3, 4))))


def ran(forward: Forward, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, and the gradients of the sum of its squares by x and by the weight."""
    function = Given(forward)
    model = cavs.compile(function, **{"dtype": "float64", **options})
    graphs = cavs.batch([cavs.InputGraph([[], [0], [0, 1]]), cavs.InputGraph([[]])])
    given = cavs.Tensor(drawn(), model.dtype, requires_grad=True)
    y = model(graphs, x=given)["y"]
    (y * y).sum().backward()
    grad = np.zeros((5, 3)) if function.weight.grad is None else function.weight.grad
    on_host = [np.asarray(a.get() if hasattr(a, "get") else a) for a in (given.grad, grad)]
    return y.numpy(), on_host[0], on_host[1]


def drawn() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 3, 4))


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("dtype", ["int32", "int64", "int8"])
def test_take(options: dict[str, Any], dtype: str) -> None:
    y, dx, _ = ran(lambda f, v, x: ops.take(x, IDS.astype(dtype)), **options)
    x = drawn()
    expected = np.where(IDS >= 0, x[:, :, np.maximum(IDS, 0)], 0.0)
    slope = np.zeros_like(x)
    for column in IDS.flat:
        if column >= 0:
            slope[:, :, column] += 2 * x[:, :, column]
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_allclose(dx, slope, rtol=1e-6)


@pytest.mark.parametrize("options", WAYS)
def test_rows_of_a_parameter(options: dict[str, Any]) -> None:
    ids = np.array([4, 1, 4])
    function = Given(lambda *_: None)
    y, dx, dw = ran(lambda f, v, x: ops.matmul(ops.take(f.weight, ids, axis=0), x), **options)
    w, x = function.weight.numpy(), drawn()
    np.testing.assert_allclose(y, w[ids] @ x, rtol=1e-5, atol=1e-6)
    slope = np.zeros((5, 3))
    for row, place in enumerate(ids):
        slope[place] += np.einsum("rc,rkc->k", 2 * y[:, row], x)
    np.testing.assert_allclose(dw, slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dx, np.einsum("ij,bik->bjk", w[ids], 2 * y), rtol=1e-4)


@pytest.mark.parametrize("options", WAYS)
def test_pick_one_hot_and_cross_entropy(options: dict[str, Any]) -> None:
    picks = np.array([3, 0, -1])

    def forward(f: Given, v: cavs.Vertex, x: Any) -> Any:
        parts = [ops.pick(x, picks), ops.pick(x, 2), (ops.one_hot(picks, 4) * x).sum(-1)]
        label = ops.reshape(ops.cross_entropy(x[0], np.int64(1)), (1,))
        return ops.concat([*parts, label], 0)

    y = ran(forward, **options)[0]
    x = drawn()
    picked = np.stack([x[:, 0, 3], x[:, 1, 0], np.zeros(4)], 1)
    loss = np.log(np.exp(x[:, 0]).sum(-1)) - x[:, 0, 1]
    np.testing.assert_allclose(
        y, np.concatenate([picked, x[:, :, 2], picked, loss[:, None]], 1), rtol=1e-5, atol=1e-6
    )


def test_a_number_is_one_element() -> None:
    for number in (1, np.int16(1), np.array(1)):
        y = ran(lambda f, v, x, n=number: ops.take(x, n, axis=0))[0]
        np.testing.assert_array_equal(y, drawn()[:, 1])


def test_equal_arrays_are_one_value_and_ids_stay_whole_in_any_dtype() -> None:
    function = Given(lambda f, v, x: ops.take(x, IDS) + ops.take(x, IDS.copy()))
    model = cavs.compile(function)
    assert str(model.program).count("array 0") >= 1
    assert "array 1" not in str(model.program)
    model.to(dtype="float64")
    graphs = cavs.batch([cavs.InputGraph([[]])] * 4)
    expected = 2 * np.where(IDS >= 0, drawn()[:, :, np.maximum(IDS, 0)], 0.0)
    np.testing.assert_array_equal(model(graphs, x=drawn())["y"].numpy(), expected)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (
            lambda f, v, x: ops.take(x, np.array([0.5])),
            "[take] expected integers as ids, got 'float64'",
        ),
        (
            lambda f, v, x: ops.take(x, np.array([True])),
            "[take] expected integers as ids, got 'bool'",
        ),
        (lambda f, v, x: ops.take(x, np.array([-2, 1])), "[take] expected ids of -1 or more"),
        (lambda f, v, x: ops.take(x, np.array([2**40])), "that int32 holds, got 1099511627776"),
        (lambda f, v, x: ops.take(x, np.array([4])), "expected ids below 4, as many as there are"),
        (lambda f, v, x: ops.take(x, 3, axis=0), "expected ids below 3, as many as there are"),
        (lambda f, v, x: ops.pick(x, np.array([0, 1, 4])), "expected ids below 4, as many as"),
        (lambda f, v, x: ops.one_hot(4, 4) * x, "expected ids below 4, as many as there are"),
        (lambda f, v, x: ops.cross_entropy(x[0], 4), "expected ids below 4, as many as there are"),
        (lambda f, v, x: ops.embedding(f.weight, 1), "[embedding] expected ids as they are pulled"),
        (lambda f, v, x: x[:, IDS], "take elements by ops.take(x, ids, axis)"),
        (
            lambda f, v, x: ops.take(x, ops.constant(IDS)),
            "pull it as int32, or pass an array of integers",
        ),
    ],
)
def test_refusals_are_one_line_with_the_line_of_the_user(forward: Forward, message: str) -> None:
    with pytest.raises(cavs.CavsError) as caught:
        cavs.compile(Given(forward))
    text = str(caught.value)
    assert message in text
    assert "test_ids_in_functions.py:" in text
    assert "\n" not in text
