"""Tensors as Python, NumPy and other libraries read them."""

from __future__ import annotations

import numpy as np
import pytest

from cavs.errors import ShapeError
from cavs.tensor import Parameter, tensor


def test_tensors_are_given_without_a_copy() -> None:
    x = tensor([[1.0, 2.0]])
    assert np.shares_memory(np.from_dlpack(x), x.data)
    assert np.shares_memory(np.asarray(x), x.data)
    assert np.asarray(x, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.data)
    assert x.numpy() is x.data


def test_numbers_and_truth() -> None:
    x = tensor([2.5])
    assert (x.item(), float(x), int(x), bool(x), len(x)) == (2.5, 2.5, 2, True, 1)
    assert not tensor(0.0)
    with pytest.raises(ShapeError, match=r"\[item\] expected one element"):
        bool(tensor([1.0, 2.0]))


def test_repr_says_what_it_is() -> None:
    assert repr(tensor([1.0, 2.0])) == "Tensor([1., 2.], float32)"
    assert "requires_grad=True" in repr(Parameter(1.0))
