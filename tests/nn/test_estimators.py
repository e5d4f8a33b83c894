"""Estimators on a model small enough to sum over all its latent states: two bits, two samples."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import Tensor, ops
from cavs.errors import InputError, ShapeError
from cavs.nn import estimators
from cavs.nn.distributions import Bernoulli, Normal, kl_divergence

STATES = np.array(list(itertools.product([0.0, 1.0], repeat=2)))
X = np.array([[1.0, 0.0, 1.0]])


class Tiny:
    """p(h) and p(x | h) with logits linear in h; q(h | x) with free logits."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.prior = Tensor(rng.normal(size=2), requires_grad=True)
        self.w = Tensor(rng.normal(size=(2, 3)), requires_grad=True)
        self.q = Tensor(rng.normal(size=2), requires_grad=True)

    @property
    def parameters(self) -> list[Tensor]:
        return [self.prior, self.w, self.q]

    def log_joint(self, h: np.ndarray) -> Tensor:
        """(k,) of states (k, 2)."""
        logits = ops.matmul(Tensor(h), self.w)
        likelihood = Bernoulli(logits).log_prob(Tensor(np.repeat(X, len(h), axis=0)))
        prior = Bernoulli(self.prior + Tensor(np.zeros_like(h))).log_prob(Tensor(h))
        return ops.sum(likelihood, -1) + ops.sum(prior, -1)

    def log_q(self, h: np.ndarray) -> Tensor:
        return ops.sum(Bernoulli(self.q + Tensor(np.zeros_like(h))).log_prob(Tensor(h)), -1)

    def gradients(self, value: Tensor) -> list[np.ndarray]:
        for p in self.parameters:
            p.zero_grad()
        value.backward()
        return [np.zeros(p.shape) if p.grad is None else p.grad for p in self.parameters]


def exact(tiny: Tiny, bound: Callable[[Tensor], Tensor], k: int) -> tuple[float, list[np.ndarray]]:
    """The bound's expectation over `k` samples from q, and its gradient."""
    total: Any = 0.0
    for choice in itertools.product(range(4), repeat=k):
        h = STATES[list(choice)]
        log_q = tiny.log_q(h)
        weight = ops.exp(ops.sum(log_q))
        total = total + weight * bound((tiny.log_joint(h) - log_q).reshape(1, k)).sum()
    return total.item(), tiny.gradients(total)


def expected(
    tiny: Tiny, estimate: Callable[[Tensor, Tensor], estimators.Estimate], k: int
) -> tuple[float, list[np.ndarray]]:
    """Expectation of an estimate's bound and of its surrogate's gradient."""
    value, gradients = 0.0, [np.zeros(p.shape) for p in tiny.parameters]
    for choice in itertools.product(range(4), repeat=k):
        h = STATES[list(choice)]
        log_joint, log_q = tiny.log_joint(h).reshape(1, k), tiny.log_q(h).reshape(1, k)
        probability = float(np.exp(log_q.data.sum()))
        result = estimate(log_joint, log_q)
        value += probability * result.bound.item()
        for total, part in zip(gradients, tiny.gradients(result.surrogate.sum()), strict=True):
            total += probability * part
    return value, gradients


@pytest.mark.parametrize(
    ("estimate", "bound", "k"),
    [
        (estimators.nvil, estimators.elbo, 1),
        (estimators.nvil, estimators.elbo, 2),
        (lambda p, q: estimators.nvil(p, q, -3.5), estimators.elbo, 2),
        (lambda p, q: estimators.nvil(p, q, Tensor(np.float64([[-2.0]]))), estimators.elbo, 1),
        (estimators.vimco, estimators.importance_weighted_bound, 2),
        (estimators.vimco, estimators.importance_weighted_bound, 3),
    ],
)
def test_score_function_estimators_are_unbiased(estimate: Any, bound: Any, k: int) -> None:
    tiny = Tiny()
    value, gradients = exact(tiny, bound, k)
    found, estimated = expected(tiny, estimate, k)
    assert found == pytest.approx(value, rel=1e-12)
    for g, e in zip(gradients, estimated, strict=True):
        np.testing.assert_allclose(e, g, rtol=1e-9, atol=1e-12)


def test_bounds_rise_with_samples_to_the_likelihood() -> None:
    tiny = Tiny()
    values = [exact(tiny, estimators.importance_weighted_bound, k)[0] for k in (1, 2, 3, 4)]
    likelihood = float(np.logaddexp.reduce(tiny.log_joint(STATES).data))
    assert values == sorted(values)
    assert values[-1] < likelihood
    assert values[0] == pytest.approx(exact(tiny, estimators.elbo, 1)[0])


def test_one_sample_of_the_importance_weighted_bound_is_the_elbo() -> None:
    x = Tensor(np.random.default_rng(0).normal(size=(5, 1)), requires_grad=True)
    one, other = estimators.importance_weighted_bound(x), estimators.elbo(x)
    np.testing.assert_array_equal(one.data, other.data)
    one.sum().backward()
    np.testing.assert_array_equal(x.grad, 1)


def test_the_baseline_learns_the_signal() -> None:
    log_joint, log_q = Tensor(np.float64([[-4.0, -6.0]])), Tensor(np.float64([[-1.0, -1.0]]))
    baseline = Tensor(np.zeros((1, 1)), requires_grad=True)
    result = estimators.nvil(log_joint, log_q, baseline)
    assert result.baseline_loss.item() == pytest.approx((9 + 25) / 2)
    result.baseline_loss.sum().backward()
    assert baseline.grad.item() == pytest.approx(8)


def test_wake_sleep_trains_p_on_samples_and_q_on_dreams() -> None:
    tiny = Tiny()
    h = STATES[[1, 2]]
    both = estimators.wake_sleep(tiny.log_joint(h).reshape(1, 2), tiny.log_q(h).reshape(1, 2))
    prior, w, q = tiny.gradients(both.sum())
    wake = tiny.gradients(ops.mean(tiny.log_joint(h)))
    np.testing.assert_allclose(prior, wake[0])
    np.testing.assert_allclose(w, wake[1])
    np.testing.assert_allclose(q, h.mean(axis=0) - 1 / (1 + np.exp(-tiny.q.data)))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_weighted_samples_give_p_the_gradient_of_the_bound(k: int) -> None:
    """On average, over all samples of q."""
    tiny = Tiny()
    value, (prior, w, _) = exact(tiny, estimators.importance_weighted_bound, k)
    found, estimated = expected(tiny, estimators.reweighted_wake_sleep, k)
    assert found == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(estimated[0], prior, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(estimated[1], w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("wake", "sleep"), [(True, True), (True, False), (False, True)])
def test_reweighted_wake_sleep_is_its_formula(wake: bool, sleep: bool) -> None:
    tiny, h, dreamt = Tiny(), STATES[[1, 2, 2, 3]], STATES[[0, 1, 3, 3]]
    log_joint, log_q = (part(h).reshape(1, 4) for part in (tiny.log_joint, tiny.log_q))
    dream = tiny.log_q(dreamt).reshape(1, 4) if sleep else None
    found = estimators.reweighted_wake_sleep(log_joint, log_q, dream, wake=wake)
    weight = np.exp(log_joint.data - log_q.data)[0]
    assert found.bound.item() == pytest.approx(np.log(weight.mean()), rel=1e-12)
    assert found.baseline_loss.item() == 0
    weight /= weight.sum()
    prior, w, q = tiny.gradients(found.surrogate.sum())

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    np.testing.assert_allclose(prior, weight @ (h - sigmoid(tiny.prior.data)))
    rest = X - sigmoid(h @ tiny.w.data)
    np.testing.assert_allclose(w, np.einsum("k,ki,kj->ij", weight, h, rest))
    of_q = sigmoid(tiny.q.data)
    np.testing.assert_allclose(
        q, wake * (weight @ (h - of_q)) + sleep * (dreamt - of_q).mean(axis=0)
    )


def test_reparameterised_gradients_are_those_of_the_exact_elbo() -> None:
    """x ~ N(z, 1), z ~ N(0, 1), q = N(m, s): the bound's gradients in closed form."""
    mean, log_std = (Tensor(np.float64([v]), requires_grad=True) for v in (0.3, -0.4))
    x, n = 1.7, 400_000
    tile = Tensor(np.zeros((n, 1)))
    q = Normal(mean + tile, ops.exp(log_std) + tile)
    z = q.sample(cavs.Generator(1))
    log_weight = Normal(z, 1.0).log_prob(x) + Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
    estimators.elbo(log_weight).mean().backward()
    std = np.exp(-0.4)
    assert mean.grad.item() == pytest.approx((x - 0.3) - 0.3, abs=0.01)
    assert log_std.grad.item() == pytest.approx(1 - 2 * std**2, abs=0.01)
    exact_kl = kl_divergence(Normal(mean, ops.exp(log_std)), Normal(0.0, 1.0)).item()
    assert exact_kl == pytest.approx(0.5 * (std**2 + 0.3**2 - 1) + 0.4)


@pytest.mark.parametrize("others", [[-1.0, -2.0], [-1.0, -np.inf], [-np.inf, -np.inf]])
def test_samples_that_the_model_cannot_give(others: list[float]) -> None:
    """Their weight is 0: the bound is that of the others, and nothing learns from them."""
    log_joint = Tensor(np.array([[-np.inf, *others]]), requires_grad=True)
    log_q = Tensor(np.full((1, 3), -1.5), requires_grad=True)
    bound = estimators.importance_weighted_bound(log_joint - log_q)
    expected = np.logaddexp.reduce(np.array(others)) + 1.5 - np.log(3)
    assert bound.item() == pytest.approx(expected)
    bound.backward(np.ones(1))
    weights = np.exp([-np.inf, *others])
    weights = weights / weights.sum() if weights.sum() else weights
    np.testing.assert_allclose(log_joint.grad, [weights])
    np.testing.assert_allclose(log_q.grad, [-weights])
    score = estimators.vimco(log_joint, log_q)
    assert score.bound.item() == pytest.approx(expected)
    for x in (log_joint, log_q):
        x.zero_grad()
    score.surrogate.backward(np.ones(1))
    np.testing.assert_allclose(log_joint.grad, [weights])
    assert np.isfinite(log_q.grad).all()
    for x in (log_joint, log_q):
        x.zero_grad()
    weighted = estimators.reweighted_wake_sleep(log_joint, log_q)
    assert weighted.bound.item() == pytest.approx(expected)
    weighted.surrogate.backward(np.ones(1))
    np.testing.assert_allclose(log_joint.grad, [weights])
    np.testing.assert_allclose(log_q.grad, [weights])


def test_neither_q_nor_the_baseline_learn_from_what_the_model_cannot_give() -> None:
    log_joint = Tensor(np.array([[-np.inf, -4.0]]), requires_grad=True)
    log_q = Tensor(np.full((1, 2), -1.0), requires_grad=True)
    baseline = Tensor(np.zeros((1, 1)), requires_grad=True)
    result = estimators.nvil(log_joint, log_q, baseline)
    assert result.bound.item() == -np.inf
    result.surrogate.backward(np.ones(1))
    np.testing.assert_allclose(log_q.grad, [[0, -1.5]])
    np.testing.assert_allclose(log_joint.grad, [[0.5, 0.5]])
    assert result.baseline_loss.item() == pytest.approx(9 / 2)
    result.baseline_loss.backward(np.ones(1))
    assert baseline.grad.item() == pytest.approx(3)


def test_errors() -> None:
    row, pair = Tensor(np.zeros((3, 1))), Tensor(np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"\[vimco\] expected 2 samples or more, got 1"):
        estimators.vimco(row, row)
    with pytest.raises(ShapeError, match=r"\[estimators\] expected tensors of one shape"):
        estimators.nvil(row, pair)
    with pytest.raises(ShapeError, match=r"\[estimators\] expected tensors of one shape"):
        estimators.reweighted_wake_sleep(pair, pair, row)
    with pytest.raises(ShapeError, match=r"1 sample or more, got \(3, 0\)"):
        estimators.elbo(Tensor(np.zeros((3, 0))))
    with pytest.raises(ShapeError, match=r"got \(3,\)"):
        estimators.importance_weighted_bound(Tensor(np.zeros(3)))
