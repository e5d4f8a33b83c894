"""Pooling and upsampling beside PyTorch to the second derivative; padding, equal maxima, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from second_derivatives import second_derivatives

import cavs
from cavs import ops
from cavs.errors import InputError, ShapeError

SHAPE = (3, 8, 7)
ALONE = cavs.InputGraph([[]])
WINDOWS: dict[str, dict[str, Any]] = {
    "tiles": {"size": (2, 2)},
    "overlapping": {"size": (3, 3), "stride": (2, 2), "padding": (1, 1)},
    "dense": {"size": (3, 2), "stride": 1, "padding": (1, 0)},
    "apart": {"size": (2, 1), "stride": (3, 2)},
    "whole": {"size": (8, 7)},
    "line": {"size": 3, "stride": 2, "padding": 1},
}
PAIRED: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {}


def _torch_pool(t: Any, x: Any, kind: str, attrs: dict[str, Any], **more: Any) -> Any:
    axes = 1 if isinstance(attrs["size"], int) else 2
    given = {"kernel_size": attrs["size"], "padding": attrs.get("padding", 0), **more}
    if axes == 1:
        x = x.flatten(1, 2)
    y = getattr(t.nn.functional, f"{kind}{axes}d")(x, stride=attrs.get("stride"), **given)
    return y.reshape(y.shape[0], *SHAPE[:2], -1) if axes == 1 else y


for _name, _attrs in WINDOWS.items():
    PAIRED[f"max_pool {_name}"] = (
        lambda x, a=_attrs: ops.max_pool(x * x, **a),
        lambda t, x, a=_attrs: _torch_pool(t, x * x, "max_pool", a),
    )
    for _count in (True, False):
        PAIRED[f"avg_pool {_name} {_count}"] = (
            lambda x, a=_attrs, c=_count: ops.avg_pool(ops.exp(x), **a, count_include_pad=c),
            lambda t, x, a=_attrs, c=_count: _torch_pool(
                t, t.exp(x), "avg_pool", a, count_include_pad=c
            ),
        )
PAIRED |= {
    "padding by side": (
        lambda x: ops.max_pool(ops.exp(x), (2, 3), 1, padding=((1, 0), (0, 1))),
        lambda t, x: t.nn.functional.max_pool2d(
            t.nn.functional.pad(t.exp(x), (0, 1, 1, 0), value=-t.inf), (2, 3), 1
        ),
    ),
    "mean with padding by side": (
        lambda x: ops.avg_pool(ops.exp(x), (2, 3), 1, padding=((1, 0), (0, 1))),
        lambda t, x: t.nn.functional.avg_pool2d(
            t.nn.functional.pad(t.exp(x), (0, 1, 1, 0)), (2, 3), 1
        ),
    ),
    "upsample": (
        lambda x: ops.upsample(x * x, (2, 3)),
        lambda t, x: t.nn.functional.interpolate(x * x, scale_factor=(2, 3)),
    ),
    "upsample a line": (
        lambda x: ops.upsample(x * x, 3),
        lambda t, x: (x * x).repeat_interleave(3, -1),
    ),
    "one after the other": (
        lambda x: ops.avg_pool(ops.upsample(ops.max_pool(x * x, (2, 2)), (2, 2)), (3, 3), 2),
        lambda t, x: t.nn.functional.avg_pool2d(
            t.nn.functional.interpolate(t.nn.functional.max_pool2d(x * x, 2), scale_factor=2),
            *(3, 2),
        ),
    ),
}


@pytest.mark.parametrize("name", PAIRED)
def test_derivatives_are_torchs(name: str) -> None:
    """Values, gradients, and gradients of gradients inside of F."""
    second_derivatives(*PAIRED[name], shape=SHAPE)


@pytest.mark.parametrize("name", PAIRED)
def test_derivatives_of_tensors_are_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = PAIRED[name]
    rng = np.random.default_rng(5)
    data = rng.normal(size=(2, *SHAPE))
    x, z = cavs.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, expected = ours(x), theirs(torch, z)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), 1e-12, 1e-12)
    weight = rng.normal(size=y.shape)
    (slope,) = cavs.grad((y * y * weight).sum(), x, create_graph=True)
    (other,) = torch.autograd.grad(
        (expected * expected * torch.tensor(weight)).sum(), z, create_graph=True
    )
    np.testing.assert_allclose(slope.data, other.detach().numpy(), 1e-10, 1e-10)
    (curvature,) = cavs.grad((slope * slope).sum(), x)
    (wanted,) = torch.autograd.grad((other * other).sum(), z)
    np.testing.assert_allclose(curvature.data, wanted.numpy(), 1e-9, 1e-9)


class Pools(cavs.VertexFunction):
    """A function of x, and the gradient of its sum."""

    def __init__(self, body: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
        self.body, self.shape = body, shape

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.shape)
        y = self.body(x)
        (slope,) = cavs.grad(ops.sum(y), x)
        v.push(y=y, slope=slope)


def pooled(body: Callable[[Any], Any], x: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
    """Values and slopes of one row, by the engine and, the same, of tensors."""
    model = cavs.compile(Pools(body, x.shape), dtype=x.dtype.name, **options)
    found = {name: value.data[0] for name, value in model(ALONE, x=x[None]).items()}
    outer = cavs.tensor(x, requires_grad=True)
    y = body(outer)
    np.testing.assert_array_equal(y.data, found["y"])
    y.sum().backward()
    np.testing.assert_array_equal(outer.grad, found["slope"])
    return found


EXECUTORS = ({}, {"executor": "reference"})


@pytest.mark.parametrize("options", EXECUTORS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_maxima_share_the_gradient(dtype: str, options: dict[str, str]) -> None:
    """As ops.max shares it; of a constant image each element of a window gets as much."""
    x = np.ones((4, 4), dtype)
    found = pooled(lambda x: ops.max_pool(x, (2, 2)), x, **options)
    np.testing.assert_array_equal(found["slope"], np.full((4, 4), 0.25))
    x[0, 0], x[1, 1], x[2, 3] = 2.0, 2.0, -np.inf
    found = pooled(lambda x: ops.max_pool(x, (2, 2)), x, **options)
    expected = np.full((4, 4), 0.25)
    expected[:2, :2] = [[0.5, 0], [0, 0.5]]
    expected[2:, 2:] = [[1 / 3, 0], [1 / 3, 1 / 3]]
    np.testing.assert_allclose(found["slope"], expected, 1e-7)
    whole = pooled(lambda x: ops.max_pool(x, (4, 4)).reshape(()), x, **options)
    same = pooled(lambda x: ops.max(x), x, **options)
    for name, value in same.items():
        np.testing.assert_array_equal(whole[name], value)


@pytest.mark.parametrize("options", EXECUTORS)
def test_padding_is_never_the_greatest(options: dict[str, str]) -> None:
    """Also where all elements are minus infinity, which share the gradient among themselves."""
    x = np.full((3, 3), -np.inf)
    found = pooled(lambda x: ops.max_pool(x, (2, 2), 2, padding=1), x, **options)
    np.testing.assert_array_equal(found["y"], np.full((2, 2), -np.inf))
    np.testing.assert_array_equal(
        found["slope"], [[1.0, 0.5, 0.5], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]
    )
    below = np.full((3, 3), -5.0)
    found = pooled(lambda x: ops.max_pool(x, (2, 2), 2, padding=1), below, **options)
    np.testing.assert_array_equal(found["y"], np.full((2, 2), -5.0))


@pytest.mark.parametrize("options", EXECUTORS)
def test_padding_of_means_counts_as_zeros_or_not_at_all(options: dict[str, str]) -> None:
    x = np.arange(1.0, 5.0)
    for count, values, slopes in (
        (True, [0.5, 2.5, 2.0], [0.5] * 4),
        (False, [1.0, 2.5, 4.0], [1.0, 0.5, 0.5, 1.0]),
    ):
        found = pooled(
            lambda x, c=count: ops.avg_pool(x, 2, padding=1, count_include_pad=c), x, **options
        )
        np.testing.assert_array_equal(found["y"], values)
        np.testing.assert_array_equal(found["slope"], slopes)


@pytest.mark.parametrize("options", EXECUTORS)
def test_nan_spoils_its_windows_alone(options: dict[str, str]) -> None:
    x = np.arange(12.0)
    x[4] = np.nan
    found = pooled(lambda x: ops.max_pool(x, 3), x, **options)
    np.testing.assert_array_equal(found["y"], [2.0, np.nan, 8.0, 11.0])
    np.testing.assert_array_equal(
        found["slope"], [0, 0, 1, np.nan, np.nan, np.nan, 0, 0, 1, 0, 0, 1]
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_of_a_batch_are_pooled_alone(threads: int) -> None:
    """The bits of a row do not depend on its batch, nor on the number of threads."""
    before = cavs.get_num_threads()
    cavs.set_num_threads(threads)
    try:
        body = lambda x: ops.max_pool(ops.avg_pool(x, (3, 3), 1, 1), (2, 2))  # noqa: E731
        model = cavs.compile(Pools(body, (4, 20, 20)))
        x = np.random.default_rng(0).normal(size=(40, 4, 20, 20)).astype("float32")
        every = model(cavs.batch([ALONE] * 40), x=x)
        for i in (0, 17, 39):
            alone = model(ALONE, x=x[i : i + 1])
            for name, value in alone.items():
                np.testing.assert_array_equal(every[name].data[i], value.data[0])
    finally:
        cavs.set_num_threads(before)


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "larger": (
        lambda x: ops.max_pool(x, (4, 4)),
        r"\[max_pool\] expected a window within the image of \(3, 5\), got one of \(4, 4\)",
    ),
    "larger with padding": (
        lambda x: ops.avg_pool(x, (6, 2), padding=(1, 0)),
        r"\[avg_pool\] expected a window within the image of \(3, 5\) and its padding, got one",
    ),
    "padding": (
        lambda x: ops.max_pool(x, (2, 2), padding=2),
        r"\[max_pool\] expected padding of at most half of the window, 1 of 2, got 2",
    ),
    "padding of a side": (
        lambda x: ops.avg_pool(x, (2, 3), padding=((0, 1), (2, 0))),
        r"\[avg_pool\] expected padding of at most half of the window, 1 of 3, got 2",
    ),
    "paddings": (
        lambda x: ops.max_pool(x, (2, 2), padding=(1, 0, 1)),
        r"\[max_pool\] expected padding of 2 axes, as the window has, got \(1, 0, 1\)",
    ),
    "sides": (
        lambda x: ops.max_pool(x, 2, padding=((1, 0, 1),)),
        r"\[max_pool\] expected padding \(before, behind\) of an axis, got \(1, 0, 1\)",
    ),
    "less than no padding": (
        lambda x: ops.max_pool(x, 2, padding=-1),
        r"\[max_pool\] expected an integer padding >= 0, got -1",
    ),
    "three axes": (
        lambda x: ops.max_pool(x, (1, 1, 1)),
        r"\[max_pool\] expected 1 or 2 integers as size, for as many axes, got \(1, 1, 1\)",
    ),
    "strides": (
        lambda x: ops.max_pool(x, (2, 2), stride=(1,)),
        r"\[max_pool\] expected 2 integers as stride, for as many axes, got \(1,\)",
    ),
    "no stride": (
        lambda x: ops.avg_pool(x, 2, stride=0),
        r"\[avg_pool\] expected an integer stride >= 1, got 0",
    ),
    "half": (lambda x: ops.max_pool(x, 1.5), r"\[max_pool\] expected an integer size >= 1, got 1"),
    "rank": (
        lambda x: ops.max_pool(ops.sum(x, 0), (2, 2)),
        r"\[max_pool\] expected at least 2 feature axes for a window of \(2, 2\), got shape \(5,\)",
    ),
    "scale": (lambda x: ops.upsample(x, 0), r"\[upsample\] expected an integer scale >= 1, got 0"),
    "scales": (
        lambda x: ops.upsample(ops.sum(x, 0), (2, 2)),
        r"\[upsample\] expected at least 2 feature axes for a scale of \(2, 2\), got shape \(5,\)",
    ),
}


class Wrong(cavs.VertexFunction):
    def __init__(self, body: Callable[[Any], Any]) -> None:
        self.body = body

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.body(v.pull("x", (3, 5))))


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(name: str) -> None:
    body, match = WRONG[name]
    with pytest.raises(ShapeError, match=match) as caught:
        cavs.compile(Wrong(body))
    assert "\n" not in str(caught.value)
    assert "test_pooling.py" in str(caught.value)  # the user's line
    with pytest.raises(ShapeError, match=match):
        body(cavs.tensor(np.ones((3, 5))))


def test_whether_padding_counts_is_true_or_false() -> None:
    with pytest.raises(InputError, match=r"\[avg_pool\] .*True or False as count_include_pad"):
        ops.avg_pool(cavs.tensor(np.ones(4)), 2, count_include_pad=1)  # type: ignore[arg-type]
