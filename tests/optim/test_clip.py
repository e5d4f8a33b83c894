"""Clipping of gradients by the norm of all of them."""

from __future__ import annotations

import numpy as np

from cavs import optim
from cavs.tensor import Parameter, RowSparse


def clipped(max_norm: float) -> tuple[float, list[Parameter]]:
    parameters = [Parameter(np.ones((4, 2))), Parameter(np.ones(3)), Parameter(np.ones(1))]
    rows = np.array([0, 3], np.int32)
    parameters[0].grad = RowSparse(rows, np.full((2, 2), 3.0), (4, 2))
    parameters[1].grad = np.array([8.0, 0.0, 0.0])
    return optim.clip_grad_norm(parameters, max_norm), parameters


def test_clipping_scales_to_the_norm() -> None:
    norm, parameters = clipped(5.0)
    assert norm == 10.0
    np.testing.assert_allclose(np.asarray(parameters[0].grad).sum(), 6.0)
    np.testing.assert_allclose(np.asarray(parameters[1].grad), [4.0, 0, 0])


def test_clipping_leaves_small_gradients() -> None:
    norm, parameters = clipped(10.0)
    assert norm == 10.0
    np.testing.assert_array_equal(np.asarray(parameters[1].grad), [8.0, 0, 0])


def test_clipping_of_nothing_and_of_nan() -> None:
    assert optim.clip_grad_norm([Parameter(np.ones(1))], 1.0) == 0.0
    p = Parameter(np.ones(2))
    p.grad = np.array([np.nan, 1.0])
    assert np.isnan(optim.clip_grad_norm([p], 0.5))
    assert p.grad[1] == 1.0


def test_clipping_of_gradients_in_another_order() -> None:
    p = Parameter(np.ones((2, 3)))
    p.grad = np.ones((3, 2)).T
    np.testing.assert_allclose(optim.clip_grad_norm([p], 1.0), np.sqrt(6))
    np.testing.assert_allclose(p.grad, 1 / np.sqrt(6))
