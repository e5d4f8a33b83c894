"""Reductions of tensors over any axes, with their gradients."""

from __future__ import annotations

import numpy as np
import pytest
from eager_gradients import check_gradient

from cavs.errors import ShapeError
from cavs.tensor import Tensor

DATA = np.random.default_rng(3).normal(size=(2, 3, 4))


@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean"])
def test_reductions_over_any_axis(name: str, axis: int | None, keepdims: bool) -> None:
    y = getattr(Tensor(DATA), name)(axis, keepdims)
    np.testing.assert_allclose(y.data, getattr(DATA, name)(axis=axis, keepdims=keepdims))
    check_gradient(lambda x: getattr(x, name)(axis, keepdims), DATA)


def test_max_and_bad_axes() -> None:
    np.testing.assert_array_equal(Tensor(DATA).max(-1).data, DATA.max(-1))
    for name in ("sum", "mean"):
        with pytest.raises(
            ShapeError, match=rf"\[{name}\] expected an integer axis in -3..2, got 3"
        ):
            getattr(Tensor(DATA), name)(3)
    with pytest.raises(ShapeError, match=r"\[mean\] expected at least one element"):
        Tensor(np.zeros((0, 2))).mean()
