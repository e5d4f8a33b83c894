"""Operators and methods that symbols and tensors share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.core.ops import OPS
from cavs.tensor import Parameter, Tensor, tensor

METHODS = (
    *("abs", "erfinv", "exp", "log", "reciprocal", "relu", "rsqrt", "sigmoid", "sign"),
    *("softplus", "sqrt", "square", "tanh"),
    *("cos", "digamma", "erf", "expm1", "gelu", "lgamma", "log1p", "silu", "sin"),
)
RNG = np.random.default_rng(2)


def test_every_operation_on_one_operand_is_a_method() -> None:
    public = {
        name
        for name, op in OPS.items()
        if op.elementwise and op.arity == 1 and hasattr(ops, name) and name != "stop_gradient"
    }
    assert public == set(METHODS)
    for name in METHODS:
        assert callable(getattr(Tensor, name)), name


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_methods_are_the_operations(name: str, dtype: Any) -> None:
    for shape in ((2, 3), (), (0, 3)):
        data = RNG.uniform(0.1, 0.9, shape).astype(dtype)
        results = []
        for call in (lambda x: getattr(x, name)(), getattr(ops, name)):
            x = Tensor(data.T, requires_grad=True)
            y = call(x)
            if name == "sign":
                results.append((y.data, y.data))
            else:
                y.backward(np.ones(y.shape, dtype))
                results.append((y.data, x.grad))
            assert type(y) is Tensor
            assert y.dtype == dtype
        for found, expected in zip(*results, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_methods_of_symbols_and_of_parameters() -> None:
    class Uses(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = Parameter(np.float32([0.5, 0.25]))

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 2)
            y: Any = 0.0
            for name in METHODS:
                y = y + getattr(x, name)() * getattr(self.w, name)()
            v.push(y=y + abs(x) + x.clip(0.3, 0.6))

    data = np.float32([[0.2, 0.7]])
    w, x = np.float32([0.5, 0.25]), tensor(data)
    expected = sum(getattr(ops, name)(x) * getattr(ops, name)(tensor(w)) for name in METHODS)
    expected = expected + data + data.clip(0.3, 0.6)
    y = cavs.compile(Uses())(cavs.InputGraph([[]]), x=data)["y"]
    np.testing.assert_allclose(y.data, expected.data, rtol=1e-5)


def test_methods_beside_torch() -> None:
    torch = pytest.importorskip("torch")
    data = RNG.uniform(-0.9, 0.9, (3, 4))
    names = ("abs", "erfinv", "exp", "relu", "sigmoid", "sign", "square", "tanh")
    more = ("cos", "erf", "expm1", "lgamma", "log1p", "sin")
    for name in (*names, *more):
        x, z = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        np.testing.assert_allclose(getattr(x, name)().data, getattr(z, name)().detach().numpy())
        if name != "sign":
            getattr(x, name)().sum().backward()
            getattr(z, name)().sum().backward()
            np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-12)


def test_integers_are_refused() -> None:
    for name in METHODS:
        with pytest.raises(cavs.DTypeError, match=rf"\[{name}\] expected operand 0 of dtype float"):
            getattr(tensor([1, 2]), name)()


BASES = np.array([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 1e-3])
EXPONENTS = (0, 1, 2, 3, 4, -1, -2, -3, 0.5, -0.5, 1.5, -1.7, 0.0, 2.5, 10)


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_beside_torch(exponent: float, dtype: str) -> None:
    """Values and gradients at negative bases, at 0, of fractions; outside and inside of F alike."""
    torch = pytest.importorskip("torch")
    # The slope of the square root at -0 is that of sqrt: -inf.
    bases = BASES if abs(exponent) != 0.5 else np.abs(BASES) * np.where(BASES < 0, -1, 1)
    bases = bases.astype(dtype)
    z = torch.tensor(bases, requires_grad=True)
    expected = z**exponent
    expected.sum().backward()

    class Raises(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", len(BASES)) ** exponent)

    model = cavs.compile(Raises(), dtype=dtype)
    oracle = cavs.compile(Raises(), dtype=dtype, executor="reference")
    rtol = 2e-6 if dtype == "float32" else 1e-13
    for call in (
        lambda x: x**exponent,
        lambda x: ops.pow(x, exponent),
        lambda x: model(cavs.InputGraph([[]]), x=x.reshape(1, -1))["y"],
        lambda x: oracle(cavs.InputGraph([[]]), x=x.reshape(1, -1))["y"],
    ):
        x = Tensor(bases, requires_grad=True)
        y = call(x)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.data.reshape(-1), expected.detach().numpy(), rtol)
        y.sum().backward()
        np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol)


@pytest.mark.parametrize("base", [0.0, 0.5, 1.0, 2.0, -2.0])
def test_numbers_to_the_power_of_tensors(base: float) -> None:
    torch = pytest.importorskip("torch")
    values = np.array([-1.5, -1.0, 0.0, 0.5, 2.0])
    x, z = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, expected = base**x, base**z
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-14)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-14)


def test_tensors_to_the_power_of_tensors() -> None:
    torch = pytest.importorskip("torch")
    a, b = RNG.uniform(0.1, 2.0, (2, 3)), RNG.normal(size=3)
    a[0, 0], b[0] = 0.0, 1.5
    xs = [Tensor(values, requires_grad=True) for values in (a, b)]
    zs = [torch.tensor(values, requires_grad=True) for values in (a, b)]
    (xs[0] ** xs[1]).sum().backward()
    (zs[0] ** zs[1]).sum().backward()
    for x, z in zip(xs, zs, strict=True):
        np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-13)
    np.testing.assert_allclose((a ** xs[1]).data, a**b)
    np.testing.assert_allclose((xs[0] ** b).data, a**b)
    np.testing.assert_allclose((np.float64(2.0) ** xs[1]).data, 2.0**b)
    assert (Tensor(np.zeros((0, 3))) ** 1.5).shape == (0, 3)
    with pytest.raises(cavs.DTypeError, match=r"\[pow\] expected operand 0 of dtype float"):
        tensor([1, 2]) ** 1.5
    with pytest.raises(cavs.ShapeError, match=r"\[pow\] expected shapes that broadcast"):
        tensor([1.0, 2.0]) ** tensor([1.0, 2.0, 3.0])
    with pytest.raises(cavs.CavsError, match="expected"):
        tensor([1.0]) ** "a"
