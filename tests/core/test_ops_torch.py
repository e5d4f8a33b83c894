"""Operations and outer tensors against PyTorch, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cavs.core import ops
from cavs.tensor import Tensor

torch = pytest.importorskip("torch")
functional = torch.nn.functional

LABELS = np.array([2, -1, 0, 4], np.int32)
UNIT = np.random.default_rng(5).uniform(size=(4, 5))
OTHER = np.random.default_rng(6).normal(size=(4, 5))

# name: (with cavs.ops, with PyTorch), functions of a matrix (4, 5)
PAIRS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sigmoid": (ops.sigmoid, lambda x: torch.sigmoid(x)),
    "tanh": (ops.tanh, lambda x: torch.tanh(x)),
    "relu": (ops.relu, functional.relu),
    "softplus": (ops.softplus, functional.softplus),
    "exp": (ops.exp, lambda x: torch.exp(x)),
    "softmax": (ops.softmax, lambda x: torch.softmax(x, -1)),
    "log_softmax": (ops.log_softmax, lambda x: torch.log_softmax(x, -1)),
    "clip": (lambda x: ops.clip(x, -0.5, 0.5), lambda x: torch.clip(x, -0.5, 0.5)),
    "max": (lambda x: ops.max(x, axis=-1), lambda x: x.amax(-1)),
    "where": (
        lambda x: ops.where(ops.greater(x, 0.1), x * x, 1.0),
        lambda x: torch.where(x > 0.1, x * x, torch.ones_like(x)),
    ),
    "squared_error": (
        lambda x: ops.squared_error(x, OTHER),
        lambda x: functional.mse_loss(x, torch.tensor(OTHER), reduction="none"),
    ),
    "cross_entropy": (
        lambda x: ops.cross_entropy(x, LABELS),
        lambda x: functional.cross_entropy(
            x, torch.tensor(LABELS).long(), ignore_index=-1, reduction="none"
        ),
    ),
    "binary_cross_entropy_with_logits": (
        lambda x: ops.binary_cross_entropy_with_logits(x, UNIT),
        lambda x: functional.binary_cross_entropy_with_logits(
            x, torch.tensor(UNIT), reduction="none"
        ),
    ),
    "layer_norm": (
        lambda x: ops.layer_norm(x, OTHER[0], OTHER[1]),
        lambda x: functional.layer_norm(x, (5,), torch.tensor(OTHER[0]), torch.tensor(OTHER[1])),
    ),
    "linear": (
        lambda x: ops.linear(x, Tensor(OTHER), Tensor(OTHER[:, 0].copy())),
        lambda x: functional.linear(x, torch.tensor(OTHER), torch.tensor(OTHER[:, 0].copy())),
    ),
    "matmul": (lambda x: x @ OTHER.T, lambda x: x @ torch.tensor(OTHER.T.copy())),
    "embedding": (
        lambda x: ops.embedding(x, [1, 3, 1]),
        lambda x: functional.embedding(torch.tensor([1, 3, 1]), x),
    ),
    "broadcasting": (
        lambda x: (x * x.mean(0) - 1.0 / (x.sum(-1, keepdims=True) + 20.0))[1:],
        lambda x: (x * x.mean(0) - 1.0 / (x.sum(-1, keepdim=True) + 20.0))[1:],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients(name: str) -> None:
    ours, theirs = PAIRS[name]
    data = np.random.default_rng(0).normal(size=(4, 5))
    x = Tensor(data.copy(), requires_grad=True)
    z = torch.tensor(data.copy(), requires_grad=True)
    y, expected = ours(x), theirs(z)
    weights = np.random.default_rng(1).normal(size=y.shape)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    y.backward(weights)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-12, atol=1e-14)


def test_memory_is_shared_both_ways() -> None:
    theirs = torch.zeros(3)
    ours = Tensor(theirs)
    theirs[1] = 5.0
    assert ours.data[1] == 5.0
    torch.from_dlpack(ours)[2] = 7.0
    assert theirs[2] == 7.0
