"""The sigmoid belief network against its equations in NumPy, and its estimators on itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import Tensor
from cavs.execution.philox import uniform
from cavs.models import SBNDream, SigmoidBeliefNetwork
from cavs.nn.estimators import (
    importance_weighted_bound,
    nvil,
    reweighted_wake_sleep,
    vimco,
    wake_sleep,
)

PIXELS, HIDDEN = 7, 3
SEED, STEP = 5, 2


def make(dtype: str = "float64", layers: int = 1, **options: Any) -> cavs.Model:
    cavs.nn.init.manual_seed(6)
    function = SigmoidBeliefNetwork(PIXELS, HIDDEN, layers)
    function.prior.data[...] = [-0.5, 0.3, 0.8]
    for layer in (*function.above, *function.below):
        layer.weight.data[...] *= 2.0
    return cavs.compile(function, dtype=dtype, seed=SEED, **options)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, (count, PIXELS)).astype(np.float64)


def run(model: cavs.Model, x: np.ndarray, samples: int, keys: Any = None) -> dict[str, Any]:
    model.set_random_state({"seed": SEED, "step": STEP})
    return model(cavs.batch([cavs.InputGraph([[]] * samples)] * len(x), keys=keys), image=x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def log_bernoulli(logits: np.ndarray, x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, np.where(x > 0, -logits, logits)).sum(axis=-1)


def layer(p: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def log_joint(p: dict[str, np.ndarray], x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Of an image, and bits (samples, layers, HIDDEN)."""
    top = h[:, -1]
    total = log_bernoulli(layer(p, "pixels", h[:, 0]), x) + log_bernoulli(p["prior"] + 0 * top, top)
    for i in range(h.shape[1] - 1):
        total = total + log_bernoulli(layer(p, f"below.{i}", h[:, i + 1]), h[:, i])
    return total


def log_q(p: dict[str, np.ndarray], x: np.ndarray, h: np.ndarray) -> np.ndarray:
    total = log_bernoulli(layer(p, "recognition", x) + 0 * h[:, 0], h[:, 0])
    for i in range(h.shape[1] - 1):
        total = total + log_bernoulli(layer(p, f"above.{i}", h[:, i]), h[:, i + 1])
    return total


def all_states(layers: int) -> np.ndarray:
    """(states, layers, HIDDEN)."""
    states = itertools.product([0.0, 1.0], repeat=layers * HIDDEN)
    return np.array(list(states)).reshape(-1, layers, HIDDEN)


def values(model: cavs.Model) -> dict[str, np.ndarray]:
    return {name: p.data for name, p in model.named_parameters()}


def drawn(p: dict[str, np.ndarray], x: np.ndarray, key: int, samples: int) -> np.ndarray:
    """The bits that the samples of an image have: (samples, layers, HIDDEN)."""
    read, found = x, []
    for number in range(1 + sum(name.endswith("weight") and "above" in name for name in p)):
        logits = layer(p, f"above.{number - 1}" if number else "recognition", read)
        u = uniform(SEED, STEP, number, np.full(samples, key), np.arange(samples), HIDDEN)
        read = (u < sigmoid(logits)).astype(float)
        found.append(read)
    return np.stack(found, axis=1)


LAYERS = pytest.mark.parametrize("layers", [1, 2])


@LAYERS
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_it_equals_the_equations(executor: str, layers: int) -> None:
    model, x, samples = make(executor=executor, layers=layers), images(3), 4
    out, p = run(model, x, samples), values(model)
    for key, row in enumerate(x):
        h = drawn(p, row, key, samples)
        assert h.shape == (samples, layers, HIDDEN)
        rows = slice(samples * key, samples * (key + 1))
        joint, q = log_joint(p, row, h), log_q(p, row, h)
        np.testing.assert_allclose(out["log_joint"].data[rows], joint, rtol=1e-10)
        np.testing.assert_allclose(out["log_q"].data[rows], q, rtol=1e-10)
        np.testing.assert_allclose(out["log_weight"].data[rows], joint - q, rtol=1e-9)
        hidden = np.tanh(layer(p, "baseline1", row))
        expected = float(layer(p, "baseline2", hidden)[0])
        np.testing.assert_allclose(out["baseline"].data[rows], expected, rtol=1e-10)


@LAYERS
def test_a_batch_equals_its_graphs_alone(layers: int) -> None:
    model, x = make("float32", layers), images(5).astype(np.float32)
    together = run(model, x, 3)
    for key, row in enumerate(x):
        alone = run(model, row[None], 3, keys=[key])
        for name, y in alone.items():
            part = together[name].data[3 * key : 3 * key + 3]
            np.testing.assert_allclose(y.data, part, rtol=1e-5, atol=1e-6)


@LAYERS
def test_the_bound_nears_the_likelihood(layers: int) -> None:
    model, x = make(layers=layers), images(1)
    likelihood = np.logaddexp.reduce(log_joint(values(model), x[0], all_states(layers)))
    weights = run(model, x, 40_000)["log_weight"].reshape(-1, 4_000)
    found = importance_weighted_bound(weights).mean().item()
    assert found == pytest.approx(likelihood, abs=5e-3 if layers == 1 else 0.02)


@pytest.mark.parametrize(("estimator", "layers"), [(nvil, 1), (vimco, 1), (nvil, 2), (vimco, 2)])
def test_gradients_are_those_of_the_likelihood_on_average(estimator: Any, layers: int) -> None:
    """Over 40,000 samples, of the recognition network's biases: the bound's by enumeration."""
    model, x, k = make(layers=layers), images(1), 2
    groups = 20_000
    out = run(model, np.repeat(x, groups, axis=0), k)
    parts = {name: out[name].reshape(groups, k) for name in ("log_joint", "log_q")}
    estimate = estimator(parts["log_joint"], parts["log_q"])
    estimate.surrogate.mean().backward()
    p, states = values(model), all_states(layers)
    joint = log_joint(p, x[0], states)

    def bound(name: str, shift: np.ndarray) -> float:
        q = log_q({**p, name: p[name] + shift}, x[0], states)
        weight = joint - q
        if estimator is nvil:
            return float((np.exp(q) * weight).sum())
        pairs = np.logaddexp(weight[:, None], weight[None]) - np.log(2)
        return float((np.exp(q[:, None] + q[None]) * pairs).sum())

    parameters: dict[str, Any] = dict(model.named_parameters())
    for name in ["recognition.bias", "above.0.bias"][:layers]:
        for i in range(HIDDEN):
            step = 1e-5 * np.eye(HIDDEN)[i]
            expected = (bound(name, step) - bound(name, -step)) / 2e-5
            found = np.asarray(parameters[name].grad)[i]
            assert found == pytest.approx(expected, abs=0.02), name


def gradients(model: cavs.Model) -> dict[str, np.ndarray]:
    return {
        name: np.zeros(p.shape) if p.grad is None else np.asarray(p.grad)
        for name, p in model.named_parameters()
    }


def differences(p: dict[str, np.ndarray], value: Any, name: str) -> np.ndarray:
    """Central differences of `value`, of parameters by name, in the parameter of that name."""
    found = np.zeros(p[name].shape)
    for i in np.ndindex(*found.shape):
        step = np.zeros(found.shape)
        step[i] = 1e-5
        found[i] = value({**p, name: p[name] + step}) - value({**p, name: p[name] - step})
    return found / 2e-5


@LAYERS
@pytest.mark.parametrize("wake", [True, False])
def test_reweighted_gradients_are_those_of_the_formula(wake: bool, layers: int) -> None:
    """For the same samples, of every parameter of p and q: sums of importance weights times the
    gradients of log p and log q."""
    model, x, k = make(layers=layers), images(2), 3
    out = run(model, x, k)
    estimate = reweighted_wake_sleep(
        out["log_joint"].reshape(2, k), out["log_q"].reshape(2, k), wake=wake
    )
    model.zero_grad()
    estimate.surrogate.sum().backward()
    p, found = values(model), gradients(model)
    states = [drawn(p, row, key, k) for key, row in enumerate(x)]
    weights = []
    for row, h in zip(x, states, strict=True):
        w = np.exp(log_joint(p, row, h) - log_q(p, row, h))
        weights.append(w / w.sum())

    def value(p: dict[str, np.ndarray]) -> float:
        total = 0.0
        for row, h, w in zip(x, states, weights, strict=True):
            total += float(w @ (log_joint(p, row, h) + wake * log_q(p, row, h)))
        return total

    for name in p:
        if name.startswith("baseline"):
            assert not found[name].any()
            continue
        np.testing.assert_allclose(
            found[name], differences(p, value, name), rtol=1e-5, atol=1e-8, err_msg=name
        )


@LAYERS
def test_the_sleep_phase_is_unbiased(layers: int) -> None:
    """The gradient of log q over many dreams, against the mean over all images and bits."""
    cavs.nn.init.manual_seed(6)
    function = SigmoidBeliefNetwork(4, HIDDEN, layers)
    function.prior.data[...] = [-0.5, 0.3, 0.8]
    dream = cavs.compile(SBNDream(function), dtype="float64", seed=1)
    log_of_dreams = dream(cavs.batch([cavs.InputGraph([[]])] * 40_000))["log_q"].reshape(-1, 2)
    wake_sleep(Tensor(np.zeros(log_of_dreams.shape)), log_of_dreams).mean().backward()
    p = {name: parameter.data.astype(np.float64) for name, parameter in function.named_parameters()}
    found = {name: parameter.grad for name, parameter in function.named_parameters()}
    states = all_states(layers)

    def value(p: dict[str, np.ndarray]) -> float:
        every = (np.array(x) for x in itertools.product([0.0, 1.0], repeat=4))
        return sum(float(np.exp(log_joint(start, x, states)) @ log_q(p, x, states)) for x in every)

    start = dict(p)
    for name in ["recognition.weight", "recognition.bias", "above.0.weight"][: 1 + layers]:
        np.testing.assert_allclose(found[name], differences(p, value, name), atol=0.012)


@LAYERS
def test_dreams_follow_the_model(layers: int) -> None:
    """The mean image over many dreams, and the likelihood that recognition gives their causes."""
    model = make(layers=layers)
    p = values(model)
    dream = cavs.compile(SBNDream(model.function), dtype="float64", seed=1)
    out = dream(cavs.batch([cavs.InputGraph([[]])] * 40_000))
    states, mean, total = all_states(layers), np.zeros(PIXELS), 0.0
    for x in itertools.product([0.0, 1.0], repeat=PIXELS):
        image = np.array(x)
        joint = np.exp(log_joint(p, image, states))
        mean += joint.sum() * image
        total += float((joint * log_q(p, image, states)).sum())
    np.testing.assert_allclose(out["mean"].data.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(out["image"].data.mean(axis=0), mean, atol=0.01)
    assert out["log_q"].data.mean() == pytest.approx(total, abs=0.03)
