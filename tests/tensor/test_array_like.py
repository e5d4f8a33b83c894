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
        float(tensor([1.0, 2.0]))


@pytest.mark.parametrize("data", [[1.0, 2.0], np.zeros((0, 3)), [[1.0], [1.0]]])
def test_the_truth_of_many_elements_is_refused(data: object) -> None:
    with pytest.raises(ShapeError, match=r"\[bool\] expected one element .*any\(\) or all\(\)"):
        bool(tensor(data))


def test_number_of_rows() -> None:
    assert [len(tensor(np.zeros(shape))) for shape in ((3,), (0, 2), (4, 0))] == [3, 0, 4]
    with pytest.raises(ShapeError, match=r"\[len\] expected at least one axis"):
        len(tensor(1.0))


def test_repr_says_what_it_is() -> None:
    assert repr(tensor([1.0, 2.0])) == "Tensor([1., 2.], float32)"
    assert "requires_grad=True" in repr(Parameter(1.0))
