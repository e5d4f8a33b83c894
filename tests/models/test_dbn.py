"""Deep belief networks against sums over all their states."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.errors import ShapeError
from cavs.execution.philox import uniform
from cavs.models import DBN, RBM
from cavs.models.dbn import DirectedLayer
from cavs.training.annealing import draw_dbn

PIXELS, HIDDEN, TOP = 5, 4, 3
SEED, STEP = 5, 2


def make(steps: int = 1, hidden: tuple[int, ...] = (HIDDEN,), **options: Any) -> DBN:
    rng = np.random.default_rng(3)
    dbn = DBN(PIXELS, hidden, TOP, steps, **options)
    for parameter in dbn.parameters():
        parameter.data[...] = rng.normal(size=parameter.shape)
    return dbn


def states(size: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=size)))


def values(rbm: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = (rbm.weight, rbm.visible_bias, rbm.hidden_bias)
    w, b, c = (p.numpy().astype(np.float64) for p in found)
    return w, b, c


def linear(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weight, (in, out), and bias."""
    return layer.weight.numpy().T.astype(np.float64), layer.bias.numpy().astype(np.float64)


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
    d, b = linear(dbn.lower[0].down)
    top = score_of_top(dbn, h) - np.logaddexp.reduce(score_of_top(dbn, states(HIDDEN)))
    return log_bernoulli(h @ d + b, x) + top


def run(model: cavs.Model, x: np.ndarray, keys: Any) -> dict[str, Any]:
    model.set_random_state({"seed": SEED, "step": STEP})
    return model(cavs.batch([cavs.InputGraph([[]])] * len(x), keys=keys), image=x)


@pytest.mark.parametrize("up_down", [False, True])
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_it_equals_the_equations(executor: str, up_down: bool) -> None:
    """Values, and the gradients of the layers below the RBM."""
    dbn, keys = make(up_down=up_down), np.arange(10, 16)
    x = np.random.default_rng(1).integers(0, 2, (6, PIXELS)).astype(np.float64)
    model = cavs.compile(dbn, dtype="float64", seed=SEED, executor=executor)
    out = run(model, x, keys)
    places = np.zeros(6, int)
    draw = lambda n, p: uniform(SEED, STEP, n, keys, places, p.shape[1]) < p  # noqa: E731
    (u, c), (d, b) = (linear(layer) for layer in (dbn.lower[0].up, dbn.lower[0].down))
    q = x @ u + c
    h = draw(0, sigmoid(q)).astype(float)
    awake = log_bernoulli(h @ d + b, x)
    expected = score_of_top(dbn, h) + awake - log_bernoulli(q, h)
    np.testing.assert_allclose(out["free_energy"].data, -expected, rtol=1e-9)
    w, a, e = values(dbn.top)
    top = draw(1, sigmoid(h @ w.T + e)).astype(float)
    k = draw(2, sigmoid(top @ w + a)).astype(float)
    dreamt = draw(3, sigmoid(k @ d + b)).astype(float)
    loss = score_of_top(dbn, k) - score_of_top(dbn, h)
    if up_down:
        loss = loss - awake - log_bernoulli(dreamt @ u + c, k)
    np.testing.assert_allclose(out["loss"].data, loss, rtol=1e-9, atol=1e-12)
    out["loss"].sum().backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    np.testing.assert_allclose(
        np.asarray(grads["top.weight"]),
        sigmoid(k @ w.T + e).T @ k - sigmoid(h @ w.T + e).T @ h,
        rtol=1e-8,
        atol=1e-10,
    )
    for name, wanted in (
        ("down", (sigmoid(h @ d + b) - x).T @ h),
        ("up", (sigmoid(dreamt @ u + c) - k).T @ dreamt),
    ):
        found = grads[f"lower.0.{name}.weight"]
        if up_down:
            np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-8, atol=1e-10)
        else:
            assert found is None or not np.asarray(found).any()


def test_the_bound_is_below_the_likelihood_and_right_on_average() -> None:
    dbn, count = make(), 20_000
    x = np.float64([1, 0, 1, 1, 0])
    out = run(cavs.compile(dbn, dtype="float64"), np.tile(x, (count, 1)), np.arange(count))
    h = states(HIDDEN)
    log_z = np.logaddexp.reduce(score_of_top(dbn, h))
    u, c = linear(dbn.lower[0].up)
    log_q = log_bernoulli(x @ u + c + 0 * h, h)
    expected = (np.exp(log_q) * (log_joint(dbn, x, h) - log_q)).sum()
    bound = -out["free_energy"].data.mean() - log_z
    assert bound == pytest.approx(expected, abs=0.05)
    assert expected < np.logaddexp.reduce(log_joint(dbn, x, h))


def of_two_layers(dbn: DBN) -> tuple[np.ndarray, np.ndarray]:
    """log p(x, h_1) of all x and h_1 of a network with one more layer, and log p_top of h_2."""
    (d1, b1), (d2, b2) = (linear(layer.down) for layer in dbn.lower)
    top = score_of_top(dbn, states(HIDDEN))
    top = top - np.logaddexp.reduce(top)
    h1, h2 = states(3), states(HIDDEN)
    below = log_bernoulli((h2 @ d2 + b2)[:, None], h1[None])  # (h2, h1)
    of_h1 = np.logaddexp.reduce(below + top[:, None], axis=0)
    return log_bernoulli((h1 @ d1 + b1)[None], states(PIXELS)[:, None]) + of_h1, top


def test_of_three_layers_the_bound_and_samples_are_right() -> None:
    """The weight exp(bound) of one sample is right on average; the bound is below."""
    dbn, count = make(hidden=(3, HIDDEN)), 20_000
    log_joint, _ = of_two_layers(dbn)
    likelihood = np.logaddexp.reduce(log_joint, axis=1)
    log_z = np.logaddexp.reduce(score_of_top(dbn, states(HIDDEN)))
    model = cavs.compile(dbn, dtype="float64")
    number = int(likelihood.argmax())
    out = run(model, np.tile(states(PIXELS)[number], (count, 1)), np.arange(count))
    log_weight = -out["free_energy"].data - log_z
    assert log_weight.mean() < likelihood[number]
    found = np.logaddexp.reduce(log_weight) - np.log(count)
    assert found == pytest.approx(likelihood[number], abs=0.1)
    mean = draw_dbn(dbn, 4000, 60, seed=1)
    np.testing.assert_allclose(mean.mean(0), np.exp(likelihood) @ states(PIXELS), atol=0.03)


def test_by_probabilities_the_top_layer_learns_from_means() -> None:
    dbn = make(hidden=(3, HIDDEN), probabilities=True)
    x = states(PIXELS)[[3, 17, 30]]
    model = cavs.compile(dbn, dtype="float64")
    out = run(model, x, np.arange(3))
    seen = x
    for layer in dbn.lower:
        u, c = linear(layer.up)
        seen = sigmoid(seen @ u + c)
    out["loss"].sum().backward()
    found = np.asarray(dbn.top.visible_bias.grad) + seen.sum(0)  # how often each bit was dreamt
    np.testing.assert_allclose(found, np.round(found), atol=1e-9)
    assert (found > -1e-9).all()
    assert (found < 3 + 1e-9).all()
    assert not any(
        np.asarray(p.grad).any() for p in dbn.lower[0].parameters() if p.grad is not None
    )


def test_an_rbm_becomes_a_layer() -> None:
    rbm = RBM(PIXELS, HIDDEN, doubled="up")
    layer = DirectedLayer(PIXELS, HIDDEN)
    layer.set_rbm(rbm)
    w, b, c = values(rbm)
    np.testing.assert_array_equal(layer.up.weight.numpy(), 2 * w)
    np.testing.assert_array_equal(layer.down.weight.numpy(), w.T)
    np.testing.assert_array_equal(layer.up.bias.numpy(), c)
    np.testing.assert_array_equal(layer.down.bias.numpy(), b)


def test_a_layer_turned_over_draws_as_the_rbm_did() -> None:
    rbm = RBM(PIXELS, HIDDEN)
    for parameter in rbm.parameters():
        with parameter.writing() as array:
            array[...] = np.random.default_rng(array.size).normal(size=array.shape)
    dbn = DBN(PIXELS, (HIDDEN,), PIXELS + 2)
    dbn.lower[0].set_rbm(rbm)
    assert dbn.lower[0].set_top(dbn.top)
    with dbn.top.weight.writing() as array:
        array[PIXELS:] = 0.0  # small ones draw almost the same
    w, b, c = values(rbm)
    h = states(HIDDEN)
    score = score_of_top(dbn, h)
    of_rbm = h @ c + np.logaddexp(0.0, h @ w + b).sum(1)
    np.testing.assert_allclose(
        score - np.logaddexp.reduce(score), of_rbm - np.logaddexp.reduce(of_rbm), atol=1e-5
    )


@pytest.mark.parametrize(("size", "doubled"), [(PIXELS - 1, "none"), (PIXELS, "down")])
def test_a_top_without_bits_for_that_begins_as_it_was(size: int, doubled: str) -> None:
    dbn = DBN(PIXELS, (HIDDEN,), size, doubled=doubled)
    before = [p.numpy().copy() for p in dbn.parameters()]
    assert not dbn.lower[0].set_top(dbn.top)
    for x, y in zip(before, dbn.parameters(), strict=True):
        np.testing.assert_array_equal(x, y.numpy())


@pytest.mark.parametrize("sizes", [(), (0,), (3, -1)])
def test_there_are_layers(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected an integer hidden_sizes >= 1, got"):
        DBN(PIXELS, sizes)


def test_samples_are_of_the_model() -> None:
    dbn = make()
    h = states(HIDDEN)
    score = score_of_top(dbn, h)
    p = np.exp(score - np.logaddexp.reduce(score))
    d, b = linear(dbn.lower[0].down)
    mean = draw_dbn(dbn, 4000, 60, seed=1)
    np.testing.assert_allclose(mean.mean(0), p @ sigmoid(h @ d + b), atol=0.03)
    assert draw_dbn(dbn, 0).shape == (0, PIXELS)
