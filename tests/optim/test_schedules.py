"""Learning-rate schedules: their curves, and going on from a saved state."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from cavs import optim
from cavs.errors import CheckpointError, InputError
from cavs.tensor import Parameter

Make = Callable[[optim.Optimizer], optim.LRSchedule]


def sgd(lr: float = 0.2) -> optim.SGD:
    first, second = Parameter(np.ones(1)), Parameter(np.ones(1))
    return optim.SGD([{"params": [first]}, {"params": [second], "lr": 10 * lr}], lr=lr)


CURVES: dict[str, tuple[Make, list[float]]] = {
    "constant": (optim.ConstantLR, [1, 1, 1, 1]),
    "step": (lambda o: optim.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
    "exponential": (lambda o: optim.ExponentialLR(o, 0.5), [1, 0.5, 0.25]),
    "cosine": (
        lambda o: optim.CosineLR(o, 4, 0.1),
        [1, 0.55 + 0.45 * math.sqrt(0.5), 0.55, 0.55 - 0.45 * math.sqrt(0.5), 0.1, 0.1],
    ),
    "warmup": (lambda o: optim.WarmupLinear(o, 2, 4), [0, 0.5, 1, 0.5, 0, 0]),
}


@pytest.mark.parametrize("name", CURVES)
def test_curve(name: str) -> None:
    make, factors = CURVES[name]
    optimizer = sgd()
    schedule = make(optimizer)
    for factor in factors:
        np.testing.assert_allclose([g["lr"] for g in optimizer.groups], [0.2 * factor, 2 * factor])
        schedule.step()


@pytest.mark.parametrize("name", CURVES)
def test_going_on_from_a_saved_state(name: str) -> None:
    make, factors = CURVES[name]
    schedule = make(sgd())
    schedule.step()
    schedule.step()
    state = json.loads(json.dumps(schedule.state_dict()))
    optimizer = sgd(7.0)
    resumed = make(optimizer)
    resumed.load_state_dict(state)
    np.testing.assert_allclose(optimizer.groups[0]["lr"], 0.2 * factors[2])


def test_equal_to_pytorch() -> None:
    torch = pytest.importorskip("torch")
    pairs: list[tuple[Make, Callable[..., object]]] = [
        (lambda o: optim.StepLR(o, 3, 0.3), lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.3)),
        (
            lambda o: optim.ExponentialLR(o, 0.9),
            lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
        ),
        (
            lambda o: optim.CosineLR(o, 10),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
        ),
    ]
    for ours, theirs in pairs:
        a, b = sgd(), torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.2)
        one, two = ours(a), theirs(b)
        for _ in range(10):
            np.testing.assert_allclose(a.groups[0]["lr"], b.param_groups[0]["lr"], atol=1e-12)
            b.step()
            one.step()
            two.step()  # type: ignore[attr-defined]


def test_bad_arguments() -> None:
    for make in (
        lambda: optim.StepLR(sgd(), 0),
        lambda: optim.CosineLR(sgd(), 0),
        lambda: optim.WarmupLinear(sgd(), 4, 4),
    ):
        with pytest.raises(InputError, match=r"\[optim\]"):
            make()
    for state in ({}, {"count": 1, "base_lrs": [0.1]}):
        with pytest.raises(CheckpointError, match="2 base_lrs"):
            optim.ConstantLR(sgd()).load_state_dict(state)
