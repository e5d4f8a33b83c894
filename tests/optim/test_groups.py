"""Groups of parameters and their options, and errors that name wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cavs import optim
from cavs.errors import InputError
from cavs.tensor import Parameter


def test_groups_have_options_of_their_own() -> None:
    a, b = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": [("b", b)], "lr": 0.5}], lr=0.1)
    a.grad = b.grad = np.ones(2)
    optimizer.step()
    np.testing.assert_allclose(a.data, 0.9)
    np.testing.assert_allclose(b.data, 0.5)
    assert [group["names"] for group in optimizer.groups] == [["0"], ["b"]]
    optimizer.zero_grad()
    assert [p.grad for p in (a, b)] == [None, None]


P = Parameter(np.ones(2))
BAD: dict[str, Callable[[], Any]] = {
    "at least one parameter": lambda: optim.SGD([], lr=0.1),
    "each name once": lambda: optim.SGD([P, P], lr=0.1),
    r"got ndarray": lambda: optim.SGD([np.ones(2)], lr=0.1),
    "a list of parameters": lambda: optim.SGD(P, lr=0.1),
    "groups with 'params'": lambda: optim.SGD([{"lr": 0.1}], lr=0.1),
    r"got \['speed'\]": lambda: optim.SGD([{"params": [P], "speed": 1}], lr=0.1),
    r"a finite lr >= 0, got -0.1": lambda: optim.SGD([P], lr=-0.1),
    r"a finite lr >= 0, got nan": lambda: optim.Adagrad([P], lr=float("nan")),
    r"beta2 in \[0, 1\)": lambda: optim.Adam([P], betas=(0.9, 1.0)),
    "momentum > 0": lambda: optim.SGD([P], lr=0.1, nesterov=True),
    "max_norm > 0": lambda: optim.clip_grad_norm([P], 0.0),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments(message: str) -> None:
    with pytest.raises(InputError, match=message):
        BAD[message]()
