"""Derivatives of derivatives of the special functions, inside F and of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.core.ops import special

torch = pytest.importorskip("torch")
functional = torch.nn.functional
Function = Callable[[Any], Any]

POINTS = np.array([-2.3, -0.6, 0.4, 1.7])
ABOVE = np.array([0.3, 0.9, 2.4, 11.0])
SIDES = np.array([-2.3, -0.6, 0.4, 9.0])
PAIRS: dict[str, tuple[Function, Function, np.ndarray]] = {
    "sin": (ops.sin, torch.sin, POINTS),
    "cos": (ops.cos, torch.cos, POINTS),
    "erf": (ops.erf, torch.erf, POINTS),
    "gelu": (ops.gelu, functional.gelu, POINTS),
    "silu": (ops.silu, functional.silu, POINTS),
    "elu": (lambda x: ops.elu(x, 0.7), lambda x: functional.elu(x, 0.7), POINTS),
    "elu of large numbers": (ops.elu, functional.elu, np.array([-800.0, -90.0, 90.0, 800.0])),
    "leaky_relu": (
        lambda x: ops.square(ops.leaky_relu(x, 0.2)),
        lambda x: functional.leaky_relu(x, 0.2).square(),
        POINTS,
    ),
    "log1p": (ops.log1p, torch.log1p, ABOVE),
    "expm1": (ops.expm1, torch.expm1, POINTS),
    "lgamma": (ops.lgamma, torch.lgamma, SIDES),
    "digamma": (ops.digamma, torch.digamma, ABOVE),
    "power": (lambda x: x**1.7, lambda x: x**1.7, ABOVE),
    "power of a number": (lambda x: 2.0**x, lambda x: 2.0**x, POINTS),
    "power of values": (lambda x: x**x, lambda x: x**x, ABOVE),
}


# PyTorch's derivative of digamma has nine digits.
NINE_DIGITS = ("lgamma", "digamma")


class Twice(cavs.VertexFunction):
    """A function, its derivative, and the derivative of that."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 4)
        y = self.function(x)
        (first,) = cavs.grad(ops.sum(y), x)
        (second,) = cavs.grad(ops.sum(first), x)
        v.push(y=y, first=first, second=second)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_first_and_second_derivatives_are_torchs(name: str, executor: str) -> None:
    function, its, data = PAIRS[name]
    x = torch.tensor(data, requires_grad=True)
    y = its(x)
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    model = cavs.compile(Twice(function), dtype="float64", executor=executor)
    out = model(cavs.InputGraph([[]]), x=data[None])
    for key, expected in (("y", y), ("first", first), ("second", second)):
        wanted = expected.detach().numpy()[None]
        rtol = 1e-9 if name in NINE_DIGITS else 1e-11
        np.testing.assert_allclose(out[key].data, wanted, rtol, 1e-13, err_msg=key)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_and_their_gradients_are_torchs(name: str, dtype: str) -> None:
    function, its, data = PAIRS[name]
    x = cavs.Tensor(data.astype(dtype), requires_grad=True)
    y = function(x)
    assert y.dtype == dtype
    y.sum().backward()
    z = torch.tensor(data, requires_grad=True)
    expected = its(z)
    expected.sum().backward()
    rtol = 1e-5 if dtype == "float32" else 1e-9 if name in NINE_DIGITS else 1e-11
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol, 1e-7)
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol, 1e-6)


@pytest.mark.parametrize("name", ["elu", "leaky_relu"])
def test_a_parameter_of_an_activation_has_a_gradient(name: str) -> None:
    """The slope of `leaky_relu`, as of PyTorch's PReLU, and alpha of `elu`."""

    class Learned(cavs.VertexFunction):
        def __init__(self) -> None:
            self.p = cavs.Parameter(np.array([0.3]))

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=getattr(v.pull("x", 4), name)(self.p))

    function = Learned()
    y = cavs.compile(function, dtype="float64")(cavs.InputGraph([[]]), x=POINTS[None])["y"]
    y.sum().backward()
    below = np.where(POINTS > 0, 0, POINTS if name == "leaky_relu" else np.expm1(POINTS))
    np.testing.assert_allclose(y.data[0], np.where(POINTS > 0, POINTS, 0.3 * below))
    np.testing.assert_allclose(function.p.grad, [below.sum()])


def test_trigamma_is_its_sum() -> None:
    x = np.array([-7.5, -2.25, -0.1, 0.1, 0.5, 3.0, 40.0, 1e6])
    z = x + 1000
    expected = (1 / (x[:, None] + np.arange(1000)) ** 2).sum(1)
    expected += 1 / z + 1 / (2 * z**2) + 1 / (6 * z**3)
    np.testing.assert_allclose(ops.trigamma(cavs.tensor(x)).data, expected, 1e-12)
    np.testing.assert_allclose(cavs.tensor(x).trigamma().data, expected, 1e-12)


def test_tensors_broadcast_and_need_no_elements() -> None:
    a, b = np.array([[2.0], [3.0]]), np.array([0.5, 1.0, 4.0])
    found = special.zeta(cavs.tensor(a), cavs.tensor(b)).data
    expected = [[special.zeta(s[0], cavs.tensor([q], "float64")).item() for q in b] for s in a]
    np.testing.assert_array_equal(found, expected)
    strided = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(
        ops.erf(cavs.tensor(strided)).data, ops.erf(cavs.tensor(strided.copy("C"))).data
    )
    assert ops.lgamma(cavs.tensor(np.zeros((0, 3)))).shape == (0, 3)
