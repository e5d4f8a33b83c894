"""Learning-rate schedules: their curves, and going on from a saved state."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

import cavs
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


SCORES = [
    3.0,
    2.0,
    2.5,
    1.9999,
    2.0,
    math.nan,
    1.0,
    1.0,
    1.0,
    1.5,
    0.99995,
    1.0,
    0.5,
    7.0,
    7.0,
    7.0,
]


@pytest.mark.parametrize("greater", [False, True])
@pytest.mark.parametrize(("factor", "patience", "min_lr"), [(0.1, 0, 0.0), (0.5, 2, 0.03)])
def test_a_plateau_lowers_the_rates_as_in_pytorch(
    greater: bool, factor: float, patience: int, min_lr: float
) -> None:
    torch = pytest.importorskip("torch")
    ours = sgd()
    theirs = torch.optim.SGD(
        [{"params": [torch.ones(1)]}, {"params": [torch.ones(1)], "lr": 2.0}], 0.2
    )
    kind = torch.optim.lr_scheduler.ReduceLROnPlateau
    options = {"factor": factor, "patience": patience, "min_lr": min_lr}
    a = optim.ReduceLROnPlateau(ours, greater=greater, **options)
    b = kind(theirs, mode="max" if greater else "min", **options)
    for score in SCORES:
        a.step(score)
        b.step(score)
        rates = [group["lr"] for group in theirs.param_groups]
        np.testing.assert_allclose([g["lr"] for g in ours.groups], rates, rtol=1e-12)


def test_a_plateau_has_pytorchs_defaults() -> None:
    optimizer = sgd(1.0)
    plateau = optim.ReduceLROnPlateau(optimizer)
    for _ in range(11):
        plateau.step(np.float32(1.0))
    assert optimizer.groups[0]["lr"] == 1.0  # the first, and ten in a row that are let pass
    plateau.step(cavs.tensor(1.0))
    assert [g["lr"] for g in optimizer.groups] == [0.1, 1.0]


def test_a_plateau_of_negative_scores_is_one() -> None:
    """A bound on the evidence, say: PyTorch asks for `score > best * (1 + threshold)`, which is
    less than the best where that is negative."""
    for greater in (False, True):
        optimizer = sgd(1.0)
        plateau = optim.ReduceLROnPlateau(optimizer, patience=1, greater=greater)
        for _ in range(3):
            plateau.step(-100.0)
        assert optimizer.groups[0]["lr"] == 0.1


def test_a_plateau_goes_on_from_a_saved_state() -> None:
    def run(
        scores: list[float], state: dict[str, object] | None
    ) -> tuple[float, dict[str, object]]:
        optimizer = sgd(1.0)
        plateau = optim.ReduceLROnPlateau(optimizer, patience=2, factor=0.5)
        if state is not None:
            plateau.load_state_dict(json.loads(json.dumps(state)))
        for score in scores:
            plateau.step(score)
        return optimizer.groups[0]["lr"], plateau.state_dict()

    rate, state = run([3.0, 4.0, 4.0], None)
    assert rate == 1.0
    assert run([4.0], state)[0] == run([3.0, 4.0, 4.0, 4.0], None)[0] == 0.5
    assert run([], optim.ReduceLROnPlateau(sgd()).state_dict())[1]["best"] is None
    plateau = optim.ReduceLROnPlateau(sgd())
    plateau.step(3.0)
    for wrong in (
        {},
        None,
        {"best": 1.0},
        {"best": "a", "num_bad": 0},
        {"best": 1.0, "num_bad": -1},
    ):
        with pytest.raises(CheckpointError, match=r"^\[optim\] expected a plateau's"):
            plateau.load_state_dict(wrong)  # type: ignore[arg-type]
    assert plateau.state_dict() == {"best": 3.0, "num_bad": 0}


def test_a_plateau_refuses_what_is_no_score() -> None:
    plateau = optim.ReduceLROnPlateau(sgd())
    for wrong in (None, "0.5", True, [1.0, 2.0], object(), {}):
        with pytest.raises(InputError, match=r"^\[optim\] expected a number as score"):
            plateau.step(wrong)
    with pytest.raises(InputError, match="factor >= 0 and < 1"):
        optim.ReduceLROnPlateau(sgd(), factor=1.0)
