"""Distributions against sums over all values, quadrature, and each other, in both worlds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import Tensor
from cavs.errors import InputError
from cavs.nn import distributions as d

RNG = np.random.default_rng(0)
A, B, LOGITS, OTHERS = (RNG.normal(size=(3, 4)) for _ in range(4))
STD = np.exp(RNG.normal(size=(3, 4)) * 0.3)
CASES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "normal": lambda a, b, s, logits: d.Normal(a, s),
    "normal-number": lambda a, b, s, logits: d.Normal(a, 0.7),
    "bernoulli": lambda a, b, s, logits: d.Bernoulli(logits),
    "categorical": lambda a, b, s, logits: d.Categorical(logits),
    "uniform": lambda a, b, s, logits: d.Uniform(a, a + s),
}
each_distribution = pytest.mark.parametrize("name", CASES)


def of_tensors(name: str) -> Any:
    return CASES[name](Tensor(A), Tensor(B), Tensor(STD), Tensor(LOGITS))


def test_densities_integrate_to_one() -> None:
    x = np.linspace(-12, 12, 200_001)[:, None, None]
    for name in ("normal", "normal-number", "uniform"):
        density = np.exp(
            of_tensors(name).log_prob(Tensor(np.broadcast_to(x, (200_001, 3, 4)))).data
        )
        np.testing.assert_allclose(density.sum(axis=0) * (24 / 200_000), 1, atol=3e-4)


def test_probabilities_add_up_to_one() -> None:
    p = of_tensors("bernoulli")
    total = sum(np.exp(p.log_prob(Tensor(np.full((3, 4), x))).data) for x in (0.0, 1.0))
    np.testing.assert_allclose(total, 1)
    c = of_tensors("categorical")
    for ids in (lambda k: np.full(3, k, np.int32), lambda k: np.tile(np.eye(4)[k], (3, 1))):
        total = sum(np.exp(c.log_prob(Tensor(ids(k))).data) for k in range(4))
        np.testing.assert_allclose(total, 1)


@each_distribution
def test_samples_have_the_mean_entropy_and_rows_of_the_distribution(name: str) -> None:
    """The entropy is the mean of -log p over samples: of 20,000, to 2 percent."""
    generator = cavs.Generator(3)
    many = 20_000
    tile = lambda x: Tensor(np.broadcast_to(x, (many, 3, 4)).copy())  # noqa: E731
    p = CASES[name](tile(A), tile(B), tile(STD), tile(LOGITS))
    x = p.sample(generator)
    assert x.shape == (many, 3, 4)
    surprise = -p.log_prob(x).data.mean(axis=0)
    exact = p.entropy()
    entropy = exact.data[0] if isinstance(exact, Tensor) else exact
    np.testing.assert_allclose(surprise, np.broadcast_to(entropy, surprise.shape), atol=0.03)
    if name != "uniform":
        mean = of_tensors(name).mean.data
        np.testing.assert_allclose(x.data.mean(axis=0), mean, atol=0.03)


@pytest.mark.parametrize("kind", ["normal", "bernoulli", "categorical"])
def test_kl_divergence_is_the_mean_of_the_difference(kind: str) -> None:
    if kind == "normal":
        p, q = d.Normal(Tensor(A), Tensor(STD)), d.Normal(Tensor(B), 1.3)
        x = np.linspace(-12, 12, 40_001)[:, None, None]
        at = Tensor(np.broadcast_to(x, (40_001, 3, 4)))
        terms = np.exp(p.log_prob(at).data) * (p.log_prob(at).data - q.log_prob(at).data)
        expected = terms.sum(axis=0) * (24 / 40_000)
    elif kind == "bernoulli":
        p, q = d.Bernoulli(Tensor(LOGITS)), d.Bernoulli(Tensor(OTHERS))
        expected = 0
        for value in (0.0, 1.0):
            at = Tensor(np.full((3, 4), value))
            expected = expected + np.exp(p.log_prob(at).data) * (
                p.log_prob(at).data - q.log_prob(at).data
            )
    else:
        p, q = d.Categorical(Tensor(LOGITS)), d.Categorical(Tensor(OTHERS))
        expected = 0
        for k in range(4):
            at = Tensor(np.full(3, k, np.int32))
            expected = expected + np.exp(p.log_prob(at).data) * (
                p.log_prob(at).data - q.log_prob(at).data
            )
    np.testing.assert_allclose(d.kl_divergence(p, q).data, expected, atol=1e-6)
    np.testing.assert_allclose(d.kl_divergence(p, p).data, 0, atol=1e-12)


class Symbols(cavs.VertexFunction):
    """A distribution of pulls, with its sample."""

    def __init__(self, name: str) -> None:
        self.name = name

    def forward(self, v: cavs.Vertex) -> None:
        a, b, s, logits = (v.pull(k, 4) for k in ("a", "b", "s", "logits"))
        p = CASES[self.name](a, b, s, logits)
        x = p.sample()
        entropy = p.entropy()
        v.push(x=x, log_prob=p.log_prob(x), entropy=entropy + 0.0 * cavs.ops.sum(a))


@each_distribution
def test_symbols_equal_tensors(name: str) -> None:
    model = cavs.compile(Symbols(name), dtype="float64")
    graphs = cavs.batch([cavs.InputGraph([[]])] * 3)
    given = {"a": A, "b": B, "s": STD, "logits": LOGITS}
    wanted = {k: x for k, x in given.items() if k in model.inputs}
    out = model(graphs, **wanted)
    p = of_tensors(name)
    expected = p.log_prob(Tensor(out["x"].data)).data
    np.testing.assert_allclose(out["log_prob"].data, expected, rtol=1e-10, atol=1e-12)
    entropy = p.entropy()
    known = entropy.data if isinstance(entropy, Tensor) else np.full(3, entropy)
    np.testing.assert_allclose(out["entropy"].data, known, rtol=1e-10, atol=1e-12)


def test_gradients_flow_through_samples() -> None:
    mean, std = Tensor(A, requires_grad=True), Tensor(STD, requires_grad=True)
    z = d.Normal(mean, std).sample(cavs.Generator(1))
    (z * 2.0).sum().backward()
    np.testing.assert_allclose(mean.grad, 2)
    np.testing.assert_allclose(std.grad, 2 * (z.data - A) / STD)
    logits = Tensor(LOGITS, requires_grad=True)
    relaxed = d.Categorical(logits).relaxed_sample(0.5, cavs.Generator(1))
    np.testing.assert_allclose(relaxed.data.sum(axis=-1), 1)
    cavs.ops.square(relaxed).sum().backward()
    assert np.abs(logits.grad).max() > 0


INF = math.inf
SOME = np.array([[0.0, -INF, math.log(3), -INF]])


def both(make: Callable[..., Any], x: Any, *others: Any) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of a function of tensors: those of the same function of symbols."""

    class Function(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            pulls = [v.pull(f"x{k}", a.shape[1:]) for k, a in enumerate(arrays)]
            v.push(y=make(*pulls))

    arrays = [np.float64(a) for a in (x, *others)]
    model = cavs.compile(Function(), dtype="float64")
    found = []
    for native in (False, True):
        given = [Tensor(a, requires_grad=k == 0) for k, a in enumerate(arrays)]
        graphs = cavs.batch([cavs.InputGraph([[]])] * len(x))
        named = {f"x{k}": a for k, a in enumerate(given)}
        y = model(graphs, **named)["y"] if native else make(*given)
        y.sum().backward()
        assert given[0].grad is not None
        found.append((y.data, given[0].grad))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    return found[0]


def test_impossible_classes_have_no_probability_and_no_gradient() -> None:
    p = np.array([0.25, 0, 0.75, 0])
    for k in range(4):
        onehot = np.eye(4)[k]
        expected = math.log(p[k]) if p[k] else -INF
        y, dx = both(lambda x, h: d.Categorical(x).log_prob(h), SOME, onehot[None])
        np.testing.assert_allclose(y, [expected])
        np.testing.assert_allclose(dx, [(onehot - p) * (p[k] > 0)], atol=1e-12)
        logits = Tensor(SOME, requires_grad=True)
        by_id = d.Categorical(logits).log_prob(Tensor(np.array([k], np.int32)))
        by_id.sum().backward()
        np.testing.assert_allclose(by_id.data, [expected])
        np.testing.assert_allclose(logits.grad, dx, atol=1e-12)


def test_entropy_and_divergence_leave_out_what_is_impossible() -> None:
    two = SOME[:, ::2]
    y, dx = both(lambda x: d.Categorical(x).entropy(), SOME)
    expected, gradient = both(lambda x: d.Categorical(x).entropy(), two)
    np.testing.assert_allclose(y, expected)
    np.testing.assert_allclose(dx, [[gradient[0, 0], 0, gradient[0, 1], 0]], atol=1e-12)

    def divergence(p: Any, q: Any) -> Any:
        return d.kl_divergence(d.Categorical(p), d.Categorical(q))

    def reverse(q: Any, p: Any) -> Any:
        return divergence(p, q)

    same, others = np.array([[0.5, -INF, 1.0, -INF]]), np.array([[0.5, 0.1, 1.0, -1.0]])
    for function in (divergence, reverse):
        y, dx = both(function, SOME, same)
        expected, gradient = both(function, two, same[:, ::2])
        np.testing.assert_allclose(y, expected)
        np.testing.assert_allclose(dx, [[gradient[0, 0], 0, gradient[0, 1], 0]], atol=1e-12)
    y, dx = both(divergence, SOME, others)  # p gives less than q
    expected = 0.25 * math.log(0.25) + 0.75 * math.log(0.75)
    expected -= (np.array([0.25, 0.75]) * (others - np.log(np.exp(others).sum()))[0, ::2]).sum()
    np.testing.assert_allclose(y, [expected])
    np.testing.assert_array_equal(dx[:, 1::2], 0)
    for function, x, other in ((divergence, others, SOME), (reverse, SOME, others)):  # and more
        y, dx = both(function, x, other)
        np.testing.assert_array_equal(y, [INF])
        np.testing.assert_array_equal(dx, np.zeros((1, 4)))


def test_what_is_certain_or_without_the_bounds() -> None:
    certain = np.array([[INF, -INF, INF, -INF]])
    y, dx = both(lambda x, h: d.Bernoulli(x).log_prob(h), certain, [[1.0, 0, 0, 1]])
    np.testing.assert_array_equal(y, [[0, 0, -INF, -INF]])
    np.testing.assert_array_equal(dx, np.zeros((1, 4)))
    y, dx = both(lambda x: d.Bernoulli(x).entropy(), certain)
    np.testing.assert_array_equal(y, np.zeros((1, 4)))
    np.testing.assert_array_equal(dx, np.zeros((1, 4)))
    y, dx = both(lambda high, x: d.Uniform(0.0, high).log_prob(x), [[2.0, 2, 2]], [[1.0, 3, INF]])
    np.testing.assert_allclose(y, [[-math.log(2), -INF, -INF]])
    np.testing.assert_allclose(dx, [[-0.5, 0, 0]])


def test_samples_are_of_one_possible_class() -> None:
    """Seed 216 draws the greatest number of 10,000 twice."""
    x = d.Categorical(Tensor(np.zeros((20, 10_000)))).sample(cavs.Generator(216))
    np.testing.assert_array_equal(x.data.sum(axis=-1), 1)
    rows = Tensor(np.repeat(SOME, 2_000, axis=0))
    x = d.Categorical(rows).sample(cavs.Generator(1)).data
    np.testing.assert_allclose(x.mean(axis=0), [0.25, 0, 0.75, 0], atol=0.03)
    np.testing.assert_array_equal(x[:, 1::2], 0)
    relaxed = d.Categorical(rows).relaxed_sample(0.7, cavs.Generator(1)).data
    np.testing.assert_allclose(relaxed.sum(axis=-1), 1)
    np.testing.assert_array_equal(relaxed[:, 1::2], 0)
    nothing = d.Categorical(Tensor(np.full((3, 4), -INF)))
    np.testing.assert_array_equal(nothing.sample(cavs.Generator(1)).data, 0)
    np.testing.assert_array_equal(nothing.entropy().data, 0)


def test_errors() -> None:
    p = d.Normal(Tensor(A), 1.0)
    with pytest.raises(InputError, match=r"\[distributions\] expected a cavs.Generator"):
        p.sample()
    with pytest.raises(InputError, match=r"Normal and Bernoulli"):
        d.kl_divergence(p, d.Bernoulli(Tensor(A)))
    with pytest.raises(InputError, match=r"expected a finite temperature > 0, got 0"):
        d.Categorical(Tensor(A)).relaxed_sample(0, cavs.Generator())


def test_entropy_of_numbers() -> None:
    assert d.Normal(Tensor(A), 1.0).entropy() == pytest.approx(0.5 * math.log(2 * math.pi * math.e))
