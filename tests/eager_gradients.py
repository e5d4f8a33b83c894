"""Gradients of functions of tensors, against central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cavs.tensor import Tensor


def check_gradient(function: Callable[[Tensor], Tensor], data: np.ndarray) -> None:
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
