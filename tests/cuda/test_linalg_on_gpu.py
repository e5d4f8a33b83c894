"""Linear algebra of tensors on a GPU: products of any rank run there, factorisations say that they
do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import linalg
from cavs.errors import DeviceError

pytestmark = pytest.mark.gpu

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3), RNG.normal(size=(3, 3))


def results(function: Callable[[cavs.Tensor, cavs.Tensor], cavs.Tensor], device: str) -> list[Any]:
    x, y = (cavs.tensor(each, requires_grad=True) for each in (A, B))
    z = function(x.to(device), y.to(device))
    (z * z).sum().backward()
    return [z.numpy(), x.grad, y.grad]


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x @ y,
        lambda x, y: y @ x,
        lambda x, y: x @ x[:1] @ y[0],
        lambda x, y: linalg.diagonal(x) * linalg.diagonal(y),
    ],
)
def test_values_and_gradients_are_those_of_the_cpu(function: Any) -> None:
    for found, expected in zip(results(function, "cuda"), results(function, "cpu"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("cholesky", lambda x, y: linalg.cholesky(x)),
        ("cholesky", lambda x, y: linalg.logdet(x)),
        ("solve", linalg.solve),
        ("solve_triangular", linalg.solve_triangular),
        ("pairwise_kernel_sum", lambda x, y: cavs.pairwise_kernel_sum(y, y, 1.0)),
    ],
)
def test_what_runs_on_the_cpu_alone_says_so_in_one_line(name: str, call: Any) -> None:
    x, y = (cavs.tensor(each).to("cuda") for each in (A, B))
    with pytest.raises(
        DeviceError, match=rf"\[{name}\] expected .* on the CPU, .*; move"
    ) as caught:
        call(x, y)
    assert "\n" not in str(caught.value)


def test_gradients_flow_through_the_move_to_the_cpu() -> None:
    x = cavs.tensor(B @ B.T + np.eye(3)).to("cuda")
    x.requires_grad_()
    linalg.logdet(x.to("cpu")).backward()
    assert x.grad is not None
    inverse = np.linalg.inv(B @ B.T + np.eye(3))
    np.testing.assert_allclose(cavs.Tensor(x.grad).numpy(), inverse, rtol=1e-9)
