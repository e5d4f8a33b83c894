"""Deep Boltzmann machines against sums over all their states."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.models import DBM
from cavs.training.annealing import draw_dbm

PIXELS, HIDDEN, TOP = 5, 4, 3


def make(**sizes: Any) -> DBM:
    rng = np.random.default_rng(3)
    dbm = DBM(PIXELS, HIDDEN, TOP, **sizes)
    for parameter in dbm.parameters():
        parameter.data[...] = 0.7 * rng.normal(size=parameter.shape)
    return dbm


def values(dbm: DBM) -> tuple[np.ndarray, ...]:
    """W, V, b, d and c."""
    joint = dbm.joint
    held = (joint.weight, joint.visible_bias, joint.hidden_bias)
    w, b, c = (p.numpy().astype(np.float64) for p in held)
    return w[:, :PIXELS], w[:, PIXELS:].T, b[:PIXELS], b[PIXELS:], c


def states(size: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=size)))


def scores(dbm: DBM) -> np.ndarray:
    """h'W x + t'V h + b'x + c'h + d't of all x, h and t."""
    w, v, b, d, c = values(dbm)
    x, h, t = states(PIXELS), states(HIDDEN), states(TOP)
    found: np.ndarray = (x @ w.T @ h.T + (x @ b)[:, None] + h @ c)[:, :, None]
    return found + (h @ v.T @ t.T)[None] + t @ d


def log_sum(a: np.ndarray) -> Any:
    return np.logaddexp.reduce(a, axis=-1)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def run(model: cavs.Model, x: np.ndarray) -> dict[str, Any]:
    return model(cavs.batch([cavs.InputGraph([[]])] * len(x)), image=x)


@pytest.mark.parametrize("updates", [1, 4, 50])
def test_the_bound_is_that_of_mean_field(updates: int) -> None:
    dbm, x = make(updates=updates), states(PIXELS)
    w, v, b, d, c = values(dbm)
    m = sigmoid(sigmoid(2 * x @ w.T + c) @ v.T + d)
    for _ in range(updates):
        m = sigmoid(sigmoid(x @ w.T + m @ v + c) @ v.T + d)
    h = sigmoid(x @ w.T + m @ v + c)
    mixed = lambda p: -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(1)  # noqa: E731
    energy = (h * (x @ w.T + m @ v + c)).sum(1) + x @ b + m @ d
    expected = energy + mixed(h) + mixed(m)
    out = run(cavs.compile(dbm, dtype="float64"), x)
    np.testing.assert_allclose(out["free_energy"].data, -expected, rtol=1e-9)
    likelihood = log_sum(log_sum(scores(dbm)))
    assert (expected < likelihood + 1e-12).all()
    if updates == 50:
        assert (expected > likelihood - 0.5).all()


def test_mean_field_does_not_come_to_rest_where_all_of_h_is_off() -> None:
    """As from t of 1/2, which keeps h off here, and h that is off keeps t on."""
    dbm = make()
    joint = dbm.joint
    joint.weight.data[:, :PIXELS], joint.weight.data[:, PIXELS:] = 20 / PIXELS, -48 / TOP
    joint.visible_bias.data[PIXELS:], joint.hidden_bias.data[...] = 2.0, 0.0
    out = run(cavs.compile(dbm, dtype="float64"), np.ones((1, PIXELS)))
    likelihood = log_sum(scores(dbm)[-1].reshape(-1))
    assert -out["free_energy"].item() == pytest.approx(likelihood, abs=0.01)


def test_the_gradient_is_that_of_the_bound_where_mean_field_has_settled() -> None:
    dbm, x = make(updates=200), states(PIXELS)[[5, 11, 19]]
    model = cavs.compile(dbm, dtype="float64")
    run(model, x)["free_energy"].sum().backward()
    for parameter in dbm.parameters():
        flat, grad = parameter.data.reshape(-1), np.asarray(parameter.grad).reshape(-1)
        for place in range(0, len(flat), 5):
            at, found = float(flat[place]), []
            for step in (1e-6, -1e-6):
                parameter.data.reshape(-1)[place] = at + step
                found.append(float(run(model, x)["free_energy"].sum().item()))
            parameter.data.reshape(-1)[place] = at
            assert grad[place] == pytest.approx((found[0] - found[1]) / 2e-6, abs=1e-6)


def test_the_joint_rbm_has_the_probabilities_of_the_machine() -> None:
    dbm = make()
    all_scores = scores(dbm)
    p = np.exp(log_sum(log_sum(all_scores)) - log_sum(all_scores.reshape(-1)))
    mean = draw_dbm(dbm, 4000, 60, seed=1)
    np.testing.assert_allclose(mean.mean(0), p @ states(PIXELS), atol=0.03)
    assert draw_dbm(dbm, 0).shape == (0, PIXELS)


def test_chains_begin_at_the_image_and_the_loss_is_a_difference() -> None:
    """Averaged over draws, by the distribution of one step from x and t of q."""
    dbm, count = make(updates=50), 20_000
    x = states(PIXELS)[11]
    w, v, b, d, c = values(dbm)
    m = sigmoid(sigmoid(2 * x @ w.T + c) @ v.T + d)
    for _ in range(50):
        m = sigmoid(sigmoid(x @ w.T + m @ v + c) @ v.T + d)
    h, t = states(HIDDEN), states(TOP)
    q = np.prod(np.where(t > 0, m, 1 - m), 1)
    on = sigmoid(x @ w.T + t @ v + c)
    of_h = q @ np.prod(np.where(h[None] > 0, on[:, None], 1 - on[:, None]), 2)
    both = np.concatenate([np.repeat(states(PIXELS), len(t), 0), np.tile(t, (2**PIXELS, 1))], 1)
    weight, bias = np.concatenate([w, v.T], 1), np.concatenate([b, d])
    free = -(both @ bias) - np.logaddexp(0, both @ weight.T + c).sum(1)
    then = sigmoid(h @ weight + bias)
    of_both = of_h @ np.prod(np.where(both[None] > 0, then[:, None], 1 - then[:, None]), 2)
    out = run(cavs.compile(dbm), np.tile(x, (count, 1)))
    difference = out["free_energy"].data - out["loss"].data
    assert difference.mean() == pytest.approx(of_both @ free, abs=0.06)
