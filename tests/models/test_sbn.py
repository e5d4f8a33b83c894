"""The sigmoid belief network against its equations in NumPy, and its estimators on itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.execution.philox import uniform
from cavs.models import SBNDream, SigmoidBeliefNetwork
from cavs.nn.estimators import importance_weighted_bound, nvil, vimco

PIXELS, HIDDEN = 7, 3
SEED, STEP = 5, 2


def make(dtype: str = "float64", **options: Any) -> cavs.Model:
    cavs.nn.init.manual_seed(6)
    function = SigmoidBeliefNetwork(PIXELS, HIDDEN)
    function.prior.data[...] = [-0.5, 0.3, 0.8]
    return cavs.compile(function, dtype=dtype, seed=SEED, **options)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, (count, PIXELS)).astype(np.float64)


def run(model: cavs.Model, x: np.ndarray, samples: int, keys: Any = None) -> dict[str, Any]:
    model.set_random_state({"seed": SEED, "step": STEP})
    return model(cavs.batch([cavs.InputGraph([[]] * samples)] * len(x), keys=keys), image=x)


def log_bernoulli(logits: np.ndarray, x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, np.where(x > 0, -logits, logits)).sum(axis=-1)


def layer(p: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def log_joint(p: dict[str, np.ndarray], x: np.ndarray, h: np.ndarray) -> np.ndarray:
    return log_bernoulli(layer(p, "pixels", h), x) + log_bernoulli(p["prior"] + 0 * h, h)


def values(model: cavs.Model) -> dict[str, np.ndarray]:
    return {name: p.data for name, p in model.named_parameters()}


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_it_equals_the_equations(executor: str) -> None:
    model, x, samples = make(executor=executor), images(3), 4
    out, p = run(model, x, samples), values(model)
    for key, row in enumerate(x):
        logits = layer(p, "recognition", row)
        u = uniform(SEED, STEP, 0, np.full(samples, key), np.arange(samples), HIDDEN)
        h = (u < 1 / (1 + np.exp(-logits))).astype(float)
        rows = slice(samples * key, samples * (key + 1))
        joint, q = log_joint(p, row, h), log_bernoulli(logits + 0 * h, h)
        np.testing.assert_allclose(out["log_joint"].data[rows], joint, rtol=1e-10)
        np.testing.assert_allclose(out["log_q"].data[rows], q, rtol=1e-10)
        np.testing.assert_allclose(out["log_weight"].data[rows], joint - q, rtol=1e-9)
        hidden = np.tanh(layer(p, "baseline1", row))
        expected = float(layer(p, "baseline2", hidden)[0])
        np.testing.assert_allclose(out["baseline"].data[rows], expected, rtol=1e-10)


def test_a_batch_equals_its_graphs_alone() -> None:
    model, x = make("float32"), images(5).astype(np.float32)
    together = run(model, x, 3)
    for key, row in enumerate(x):
        alone = run(model, row[None], 3, keys=[key])
        for name, y in alone.items():
            part = together[name].data[3 * key : 3 * key + 3]
            np.testing.assert_allclose(y.data, part, rtol=1e-5, atol=1e-6)


def test_the_bound_nears_the_likelihood() -> None:
    model, x = make(), images(1)
    p = values(model)
    states = np.array(list(itertools.product([0.0, 1.0], repeat=HIDDEN)))
    likelihood = np.logaddexp.reduce(log_joint(p, x[0], states))
    weights = run(model, x, 20_000)["log_weight"].reshape(-1, 200)
    assert importance_weighted_bound(weights).mean().item() == pytest.approx(likelihood, abs=5e-3)


@pytest.mark.parametrize("estimator", [nvil, vimco])
def test_gradients_are_those_of_the_likelihood_on_average(estimator: Any) -> None:
    """Over 40,000 samples, of the recognition network's bias: the bound's by enumeration."""
    model, x, k = make(), images(1), 2
    groups = 20_000
    out = run(model, np.repeat(x, groups, axis=0), k)
    parts = {name: out[name].reshape(groups, k) for name in ("log_joint", "log_q")}
    estimate = estimator(parts["log_joint"], parts["log_q"])
    estimate.surrogate.mean().backward()
    bias: Any = model.function.recognition.bias
    p = values(model)
    states = np.array(list(itertools.product([0.0, 1.0], repeat=HIDDEN)))
    logits = layer(p, "recognition", x[0])

    def bound(shift: np.ndarray) -> float:
        log_q = log_bernoulli(logits + shift + 0 * states, states)
        weight = log_joint(p, x[0], states) - log_q
        if estimator is nvil:
            return float((np.exp(log_q) * weight).sum())
        pairs = np.logaddexp(weight[:, None], weight[None]) - np.log(2)
        return float((np.exp(log_q[:, None] + log_q[None]) * pairs).sum())

    for i in range(HIDDEN):
        step = 1e-5 * np.eye(HIDDEN)[i]
        expected = (bound(step) - bound(-step)) / 2e-5
        assert np.asarray(bias.grad)[i] == pytest.approx(expected, abs=0.02)


def test_dreams_follow_the_model() -> None:
    """The mean image over many dreams, and the likelihood that recognition gives their causes."""
    model = make()
    p = values(model)
    dream = cavs.compile(SBNDream(model.function), dtype="float64", seed=1)
    out = dream(cavs.batch([cavs.InputGraph([[]])] * 40_000))
    states = np.array(list(itertools.product([0.0, 1.0], repeat=HIDDEN)))
    prior = np.exp(log_bernoulli(p["prior"] + 0 * states, states))
    mean = prior @ (1 / (1 + np.exp(-layer(p, "pixels", states))))
    np.testing.assert_allclose(out["mean"].data.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(out["image"].data.mean(axis=0), mean, atol=0.01)
    total = 0.0
    for x in itertools.product([0.0, 1.0], repeat=PIXELS):
        image = np.array(x)
        joint = np.exp(log_joint(p, image, states))
        q = log_bernoulli(layer(p, "recognition", image) + 0 * states, states)
        total += float((joint * q).sum())
    assert out["log_q"].data.mean() == pytest.approx(total, abs=0.02)
