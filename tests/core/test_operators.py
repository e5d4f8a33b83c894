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
    for name in ("abs", "erfinv", "exp", "relu", "sigmoid", "sign", "square", "tanh"):
        x, z = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        getattr(x, name)().sum().backward()
        getattr(z, name)().sum().backward()
        np.testing.assert_allclose(getattr(x, name)().data, getattr(z, name)().detach().numpy())
        if name != "sign":
            np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-12)


def test_integers_are_refused() -> None:
    for name in METHODS:
        with pytest.raises(cavs.DTypeError, match=rf"\[{name}\] expected operand 0 of dtype float"):
            getattr(tensor([1, 2]), name)()
