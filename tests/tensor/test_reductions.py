"""Reductions of tensors over any axes, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eager_gradients import check_gradient

import cavs
from cavs import ops
from cavs.errors import ShapeError
from cavs.tensor import Tensor

DATA = np.random.default_rng(3).normal(size=(2, 3, 4))


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_reductions_over_any_axis(name: str, axis: int | None, keepdims: bool) -> None:
    y = getattr(Tensor(DATA), name)(axis, keepdims)
    np.testing.assert_allclose(y.data, getattr(DATA, name)(axis=axis, keepdims=keepdims))
    check_gradient(lambda x: getattr(x, name)(axis, keepdims), DATA)


def test_max_and_bad_axes() -> None:
    np.testing.assert_array_equal(Tensor(DATA).max(-1).data, DATA.max(-1))
    for name in ("sum", "mean"):
        with pytest.raises(
            ShapeError, match=rf"\[{name}\] expected an integer axis in -3..2, got 3"
        ):
            getattr(Tensor(DATA), name)(3)
    with pytest.raises(ShapeError, match=r"\[mean\] expected at least one element"):
        Tensor(np.zeros((0, 2))).mean()


AXES: list[int | tuple[int, ...] | None] = [
    None,
    0,
    1,
    -1,
    (0,),
    (0, 1),
    (-1, 0),
    (1, 2),
    (0, 1, 2),
]
NAMES = ("sum", "mean", "max", "min", "logsumexp")


def _expected(name: str, data: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    if name == "logsumexp":
        return np.log(np.exp(data).sum(axis=axis, keepdims=keepdims))
    return np.asarray(getattr(data, name)(axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_axes(name: str, axis: Any, keepdims: bool, dtype: Any) -> None:
    rtol = 1e-6 if dtype == np.float32 else 1e-14
    for data in (DATA.astype(dtype), DATA.astype(dtype).transpose(2, 0, 1)):  # not contiguous
        y = getattr(Tensor(data), name)(axis, keepdims)
        expected = _expected(name, data.astype(np.float64), axis, keepdims)
        assert y.dtype == dtype
        assert y.shape == expected.shape
        np.testing.assert_allclose(y.data, expected, rtol, rtol)
        same = getattr(ops, name)(Tensor(data), axis, keepdims)
        np.testing.assert_allclose(same.data, y.data, rtol, rtol)
    if dtype == np.float64:
        check_gradient(lambda x: getattr(x, name)(axis, keepdims), DATA)


@pytest.mark.parametrize("name", ["max", "min"])
def test_equal_extremes_share_the_gradient_evenly(name: str) -> None:
    data = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    torch = pytest.importorskip("torch")
    for axis in (0, 1, (0, 1)):
        x = Tensor(data, requires_grad=True)
        z = torch.tensor(data, requires_grad=True)
        getattr(x, name)(axis).sum().backward()
        getattr(z, f"a{name}")(axis).sum().backward()
        np.testing.assert_allclose(x.grad, z.grad.numpy())


def test_no_rows() -> None:
    x = Tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    np.testing.assert_array_equal(x.sum(0).data, [0.0, 0.0, 0.0])
    assert x.max(1).shape == x.min(-1).shape == x.sum(-1).shape == (0,)
    assert x.sum((0, 1)).item() == 0.0
    np.testing.assert_array_equal(x.logsumexp(0).data, [-np.inf] * 3)
    for name in ("max", "min", "mean"):
        for axis in (None, 0, (0, 1)):
            with pytest.raises(ShapeError, match=rf"\[{name}\] expected at least one element"):
                getattr(x, name)(axis)
    x.sum(0).sum().backward()
    assert x.grad.shape == (0, 3)


def test_wrong_axes() -> None:
    for name in NAMES:
        reduce = getattr(Tensor(DATA), name)
        for axis in ((0, 0), (1, -2)):
            with pytest.raises(ShapeError, match=rf"\[{name}\] expected each axis once"):
                reduce(axis)
        with pytest.raises(ShapeError, match=rf"\[{name}\] expected an integer axis in -3..2"):
            reduce((0, 3))


def test_over_features_in_a_vertex_function() -> None:
    """Sums and extremes over any axes of features, as of tensors."""

    class Reduces(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", (3, 4))
            v.push(
                rows=ops.sum(x, 0),
                kept=ops.mean(x, (0,), keepdims=True),
                least=ops.min(x, -1),
                over_all=ops.min(x, (0, 1)),
                greatest=ops.max(x, 0),
            )

    for options in ({}, {"executor": "reference"}):
        model = cavs.compile(Reduces(), dtype="float64", **options)
        x = Tensor(DATA, requires_grad=True)
        out = model(cavs.InputGraph([[], []]), x=x)
        np.testing.assert_allclose(out["rows"].data, DATA.sum(1))
        np.testing.assert_allclose(out["kept"].data, DATA.mean(1, keepdims=True))
        np.testing.assert_array_equal(out["least"].data, DATA.min(2))
        np.testing.assert_array_equal(out["over_all"].data, DATA.min((1, 2)))
        np.testing.assert_array_equal(out["greatest"].data, DATA.max(1))
        (out["rows"].sum() + out["least"].sum()).backward()
        expected = 1.0 + (DATA.min(2, keepdims=True) == DATA)
        np.testing.assert_array_equal(x.grad, expected)
