"""Restricted Boltzmann machines against sums over all their states."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.execution.philox import uniform
from cavs.models import RBM, AnnealedRBM, RBMChain
from cavs.training import log_partition, sample_rbm
from cavs.training.annealing import Annealing

PIXELS, HIDDEN = 6, 4
SEED, STEP = 5, 2


def make(pixels: int = PIXELS, hidden: int = HIDDEN, steps: int = 1, scale: float = 1.0) -> RBM:
    rng = np.random.default_rng(3)
    rbm = RBM(pixels, hidden, steps)
    for parameter in rbm.parameters():
        parameter.data[...] = scale * rng.normal(size=parameter.shape)
    return rbm


def values(rbm: RBM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, b and c."""
    found = (rbm.weight, rbm.visible_bias, rbm.hidden_bias)
    w, b, c = (p.numpy().astype(np.float64) for p in found)
    return w, b, c


def states(size: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=size)))


def joint(rbm: RBM) -> np.ndarray:
    """h'W x + b'x + c'h of all images and all hidden bits."""
    w, b, c = values(rbm)
    x, h = states(rbm.image_size), states(rbm.hidden_size)
    energy: np.ndarray = x @ w.T @ h.T + (x @ b)[:, None] + h @ c
    return energy


def exact_log_partition(rbm: RBM) -> float:
    """log Z, by a sum over the states of the hidden bits."""
    w, b, c = values(rbm)
    total = -np.inf
    for part in np.array_split(np.arange(2**rbm.hidden_size), 64):
        h = (part[:, None] >> np.arange(rbm.hidden_size)) & 1
        terms = np.logaddexp(0, h @ w + b).sum(1) + h @ c
        total = np.logaddexp(total, np.logaddexp.reduce(terms, initial=-np.inf))
    return float(total)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gibbs(rbm: RBM, x: np.ndarray, steps: int, first: int, keys: np.ndarray) -> np.ndarray:
    """Steps of Gibbs sampling by the numbers of operations `first` and so on."""
    w, b, c = values(rbm)
    places = np.zeros(len(x), int)
    for n in range(steps):
        u = uniform(SEED, STEP, first + 2 * n, keys, places, rbm.hidden_size)
        h = (u < sigmoid(x @ w.T + c)).astype(float)
        u = uniform(SEED, STEP, first + 2 * n + 1, keys, places, rbm.image_size)
        x = (u < sigmoid(h @ w + b)).astype(float)
    return x


def graphs(keys: Any) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph([[]])] * len(keys), keys=keys)


def images(count: int, size: int = PIXELS) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (count, size)).astype(np.float64)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_it_equals_the_equations(executor: str) -> None:
    rbm, x, keys = make(steps=3), images(5), np.arange(10, 15)
    model = cavs.compile(rbm, dtype="float64", seed=SEED, executor=executor)
    model.set_random_state({"seed": SEED, "step": STEP})
    out = model(graphs(keys), image=x)
    scores = np.logaddexp.reduce(joint(rbm), axis=1)
    number = lambda image: int("".join(map(str, image.astype(int))), 2)  # noqa: E731
    np.testing.assert_allclose(
        out["free_energy"].data, [-scores[number(row)] for row in x], rtol=1e-9
    )
    y = gibbs(rbm, x, 3, 0, keys)
    assert (x != y).any()
    expected = [scores[number(b)] - scores[number(a)] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(out["loss"].data, expected, rtol=1e-9)


@pytest.mark.parametrize(("doubled", "up", "down"), [("up", 2, 1), ("down", 1, 2)])
def test_weights_used_twice_equal_two_copies(doubled: str, up: int, down: int) -> None:
    """Of the pixels, or of the hidden bits, that are alike: with them F is that of an RBM."""
    rbm, x, keys = RBM(PIXELS, HIDDEN, doubled=doubled), images(5), np.arange(10, 15)
    for parameter, other in zip(rbm.parameters(), make().parameters(), strict=True):
        parameter.data[...] = other.data
    model = cavs.compile(rbm, dtype="float64", seed=SEED)
    model.set_random_state({"seed": SEED, "step": STEP})
    out = model(graphs(keys), image=x)
    w, b, c = values(rbm)
    places = np.zeros(5, int)
    mean = sigmoid(up * x @ w.T + c)
    h = (uniform(SEED, STEP, 0, keys, places, HIDDEN) < mean).astype(float)
    u = uniform(SEED, STEP, 1, keys, places, PIXELS)
    y = (u < sigmoid(down * h @ w + b)).astype(float)
    whole = RBM(PIXELS * up, HIDDEN * down)  # with the copies
    for parameter, value in zip(
        (whole.weight, whole.visible_bias, whole.hidden_bias),
        (np.tile(w, (down, up)), np.tile(b, up), np.tile(c, down)),
        strict=True,
    ):
        parameter.data[...] = value
    energies = [
        cavs.compile(whole, dtype="float64")(graphs(keys), image=np.tile(z, (1, up)))["free_energy"]
        for z in (x, y)
    ]
    np.testing.assert_allclose(out["free_energy"].data, energies[0].data, rtol=1e-6)
    np.testing.assert_allclose(out["loss"].data, (energies[0] - energies[1]).data, rtol=1e-5)
    back = sigmoid(down * mean @ w + b)
    np.testing.assert_allclose(out["error"].data, ((back - x) ** 2).sum(1), rtol=1e-6)


def test_a_chain_is_where_the_steps_lead() -> None:
    rbm, x, keys = make(), images(5), -1 - np.arange(5)
    chain = cavs.compile(RBMChain(rbm, 4), dtype="float64")
    chain.set_random_state({"seed": SEED, "step": STEP})
    out = chain(graphs(keys), image=x)
    np.testing.assert_array_equal(out["image"].data, gibbs(rbm, x, 4, 0, keys))


def test_gradients_are_those_of_the_likelihood_on_average() -> None:
    """With chains so long that they forget where they began, of all parameters."""
    rbm, x, count = make(steps=30, scale=0.5), images(1), 20_000
    model = cavs.compile(rbm)
    out = model(graphs(range(count)), image=np.repeat(x, count, 0))
    (out["loss"].sum() * (1 / count)).backward()
    p = np.exp(joint(rbm) - exact_log_partition(rbm))
    w, _, c = values(rbm)
    all_x, all_h = states(PIXELS), states(HIDDEN)
    on = sigmoid(x[0] @ w.T + c)
    expected = {
        "weight": np.einsum("xh,xi,hj->ji", p, all_x, all_h) - np.outer(on, x[0]),
        "visible_bias": p.sum(1) @ all_x - x[0],
        "hidden_bias": p.sum(0) @ all_h - on,
    }
    for name, parameter in model.function.named_parameters():
        np.testing.assert_allclose(parameter.grad, expected[name], atol=0.015)


def test_a_batch_equals_its_images_alone() -> None:
    rbm, x = make(steps=5), images(6)
    model = cavs.compile(rbm, seed=SEED)
    results = []
    for keys in (np.arange(6), *np.arange(6)[:, None]):
        model.set_random_state({"seed": SEED, "step": STEP})
        out = model(graphs(keys), image=x[keys])
        results.append(np.stack([out["free_energy"].data, out["loss"].data], 1))
    np.testing.assert_allclose(results[0], np.concatenate(results[1:]), rtol=1e-5, atol=1e-5)


def test_weights_of_annealing_are_those_of_its_equations() -> None:
    rbm, x, keys = make(), images(4), -1 - np.arange(4)
    w, b, c = values(rbm)
    a, t = np.linspace(-1, 1, PIXELS), np.array([0.0, 0.0, 0.4, 1.0])
    model = cavs.compile(AnnealedRBM(rbm, 3), dtype="float64")
    model.set_random_state({"seed": SEED, "step": STEP})
    out = model(graphs(keys), image=x, base=a, temperature=t)

    def log_p(image: np.ndarray, at: float) -> np.ndarray:
        tilt = image @ ((1 - at) * a + at * b)
        found: np.ndarray = tilt + np.logaddexp(0, at * (image @ w.T + c)).sum(1)
        return found

    weight, places = np.zeros(4), np.zeros(4, int)
    for n, (before, now) in enumerate(itertools.pairwise(t)):
        weight += log_p(x, now) - log_p(x, before)
        u = uniform(SEED, STEP, 2 * n, keys, places, HIDDEN)
        h = (u < sigmoid(now * (x @ w.T + c))).astype(float)
        u = uniform(SEED, STEP, 2 * n + 1, keys, places, PIXELS)
        x = (u < sigmoid((1 - now) * a + now * (h @ w + b))).astype(float)
    np.testing.assert_array_equal(out["image"].data, x)
    np.testing.assert_allclose(out["log_weight"].data, weight, rtol=1e-9)


@pytest.mark.parametrize("means", [None, np.linspace(0.1, 0.9, 30)])
def test_the_partition_function_is_within_a_tenth_of_a_nat(means: Any) -> None:
    """Of 20 hidden units, which can be summed over."""
    rbm = make(30, 20, scale=0.5)
    found = log_partition(rbm, chains=200, temperatures=600, means=means)
    exact = exact_log_partition(rbm)
    assert found.value == pytest.approx(exact, abs=0.1)
    assert found.low < exact < found.high
    assert found.high - found.low < 0.3


def test_the_partition_function_is_right_on_average() -> None:
    """Also where chains take few steps: then Z varies, and its mean does not."""
    rbm = make(scale=0.5)
    weights = [log_partition(rbm, 500, 3, seed=n).value for n in range(8)]
    mean = np.logaddexp.reduce(weights) - np.log(8)
    assert mean == pytest.approx(exact_log_partition(rbm), abs=0.1)


def test_without_weights_one_step_is_exact() -> None:
    rbm = make()
    rbm.weight.data[...] = 0
    found = log_partition(rbm, 3, 1)
    assert found.value == pytest.approx(exact_log_partition(rbm), rel=1e-6)
    assert found.low == pytest.approx(found.high, rel=1e-6)
    assert found.effective == pytest.approx(3)


def test_chains_that_carry_the_mean_are_counted() -> None:
    annealing = Annealing(make(), 4, 1)
    annealing.log_weights[:] = np.log([4.0, 2.0, 1.0, 1.0])
    found = annealing.log_partition()
    assert found.effective == pytest.approx(64 / 22)
    assert found.value - found.low > 0.5


def test_samples_are_of_the_model() -> None:
    rbm = make(scale=0.7)
    p = np.exp(joint(rbm) - exact_log_partition(rbm)).sum(1)
    annealing = Annealing(rbm, 4000, 100)
    assert annealing.run()
    np.testing.assert_allclose(annealing.images.mean(0), p @ states(PIXELS), atol=0.04)
    together = annealing.images.T @ annealing.images / 4000
    np.testing.assert_allclose(
        together, np.einsum("s,si,sj->ij", p, states(PIXELS), states(PIXELS)), atol=0.04
    )
    drawn = sample_rbm(rbm, 5, 100, seed=3)
    assert drawn.shape == (5, PIXELS)
    np.testing.assert_array_equal(drawn[:2], sample_rbm(rbm, 2, 100, seed=3))
    assert sample_rbm(rbm, 0).shape == (0, PIXELS)


def test_annealing_stops_when_it_is_told() -> None:
    left = iter([False, False, True])
    assert not Annealing(make(), 3, 100).run(lambda: next(left))


def test_what_is_no_rbm_is_refused() -> None:
    with pytest.raises(cavs.InputError, match="expected an RBM as rbm, got VAE"):
        log_partition(cavs.models.VAE(4, 3, 2))  # type: ignore[arg-type]
    with pytest.raises(cavs.ShapeError, match=r"means of shape \(6,\), got \(5,\)"):
        log_partition(make(), means=np.zeros(5))
    with pytest.raises(cavs.InputError, match=r"means in 0\.\.1"):
        log_partition(make(), means=np.full(6, 2.0))
    with pytest.raises(cavs.ShapeError, match="steps"):
        RBM(steps=0)
