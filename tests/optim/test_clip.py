"""Clipping of gradients by the norm of all of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import optim
from cavs.errors import InputError
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


def test_parameters_of_pytorch_have_optimizers_and_clipping_of_their_own() -> None:
    torch = pytest.importorskip("torch")
    layer: Any = torch.nn.Linear(2, 2)
    single = next(layer.parameters())
    known = optim.SGD([cavs.nn.Parameter([1.0])], lr=0.1)
    for make in (
        lambda: optim.Adam(layer.parameters()),
        lambda: optim.SGD(list(layer.named_parameters()), lr=0.1),
        lambda: optim.AdamW([{"params": layer.parameters()}]),
        lambda: optim.Adagrad(layer, lr=0.1),
        lambda: optim.RMSprop(single, lr=0.1),
        lambda: known.add_param_group({"params": layer.parameters()}),
        lambda: known.add_param_group({"params": single}),
    ):
        with pytest.raises(InputError, match=r"PyTorch's; use an optimizer of cavs\.torch\.optim$"):
            make()
    for given in (layer.parameters(), [single], single, layer):
        with pytest.raises(InputError, match=r"; use cavs\.torch\.clip_grad_norm_$"):
            optim.clip_grad_norm(given, 1.0)
    with pytest.raises(InputError, match=re.escape("got ndarray of shape (2,) at 0; pass nothing")):
        optim.clip_grad_norm([np.ones(2)], 1.0)  # type: ignore[list-item]
