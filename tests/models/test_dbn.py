"""Deep belief networks against sums over all their states."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.execution.philox import uniform
from cavs.models import DBN
from cavs.training.annealing import draw_dbn

PIXELS, HIDDEN, TOP = 5, 4, 3
SEED, STEP = 5, 2


def make(steps: int = 1) -> DBN:
    rng = np.random.default_rng(3)
    dbn = DBN(PIXELS, HIDDEN, TOP, steps)
    for parameter in dbn.parameters():
        parameter.data[...] = rng.normal(size=parameter.shape)
    return dbn


def states(size: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=size)))


def values(rbm: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = (rbm.weight, rbm.visible_bias, rbm.hidden_bias)
    w, b, c = (p.numpy().astype(np.float64) for p in found)
    return w, b, c


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def log_bernoulli(logits: np.ndarray, x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, np.where(x > 0, -logits, logits)).sum(axis=-1)


def score_of_top(dbn: DBN, h: np.ndarray) -> np.ndarray:
    """-F_top(h)."""
    w, b, c = values(dbn.top)
    found: np.ndarray = h @ b + np.logaddexp(0, h @ w.T + c).sum(-1)
    return found


def log_joint(dbn: DBN, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """log p(x, h)."""
    w, b, _ = values(dbn.lower)
    top = score_of_top(dbn, h) - np.logaddexp.reduce(score_of_top(dbn, states(HIDDEN)))
    return log_bernoulli(h @ w + b, x) + top


def run(model: cavs.Model, x: np.ndarray, keys: Any) -> dict[str, Any]:
    model.set_random_state({"seed": SEED, "step": STEP})
    return model(cavs.batch([cavs.InputGraph([[]])] * len(x), keys=keys), image=x)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_it_equals_the_equations(executor: str) -> None:
    dbn, keys = make(), np.arange(10, 16)
    x = np.random.default_rng(1).integers(0, 2, (6, PIXELS)).astype(np.float64)
    out = run(cavs.compile(dbn, dtype="float64", seed=SEED, executor=executor), x, keys)
    places = np.zeros(6, int)
    draw = lambda n, p: uniform(SEED, STEP, n, keys, places, p.shape[1]) < p  # noqa: E731
    w, b, c = values(dbn.lower)
    q = x @ w.T + c
    h = draw(0, sigmoid(q)).astype(float)
    expected = score_of_top(dbn, h) + log_bernoulli(h @ w + b, x) - log_bernoulli(q, h)
    np.testing.assert_allclose(out["free_energy"].data, -expected, rtol=1e-9)
    w, b, c = values(dbn.top)
    top = draw(1, sigmoid(h @ w.T + c)).astype(float)
    y = draw(2, sigmoid(top @ w + b)).astype(float)
    np.testing.assert_allclose(
        out["loss"].data, score_of_top(dbn, y) - score_of_top(dbn, h), rtol=1e-9, atol=1e-12
    )


def test_the_bound_is_below_the_likelihood_and_right_on_average() -> None:
    dbn, count = make(), 20_000
    x = np.float64([1, 0, 1, 1, 0])
    out = run(cavs.compile(dbn, dtype="float64"), np.tile(x, (count, 1)), np.arange(count))
    h = states(HIDDEN)
    log_z = np.logaddexp.reduce(score_of_top(dbn, h))
    w, _, c = values(dbn.lower)
    log_q = log_bernoulli(x @ w.T + c + 0 * h, h)
    expected = (np.exp(log_q) * (log_joint(dbn, x, h) - log_q)).sum()
    bound = -out["free_energy"].data.mean() - log_z
    assert bound == pytest.approx(expected, abs=0.05)
    assert expected < np.logaddexp.reduce(log_joint(dbn, x, h))


def test_the_lower_layer_does_not_learn() -> None:
    dbn = make()
    model = cavs.compile(dbn)
    out = run(model, np.ones((3, PIXELS)), np.arange(3))
    (out["loss"].sum() + out["free_energy"].sum()).backward()
    for name, parameter in model.named_parameters():
        has = parameter.grad is not None and bool(np.asarray(parameter.grad).any())
        assert has == name.startswith("top."), name


def test_samples_are_of_the_model() -> None:
    dbn = make()
    h = states(HIDDEN)
    score = score_of_top(dbn, h)
    p = np.exp(score - np.logaddexp.reduce(score))
    w, b, _ = values(dbn.lower)
    mean = draw_dbn(dbn, 4000, 60, seed=1)
    np.testing.assert_allclose(mean.mean(0), p @ sigmoid(h @ w + b), atol=0.03)
    assert draw_dbn(dbn, 0).shape == (0, PIXELS)
