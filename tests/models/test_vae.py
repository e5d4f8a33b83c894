"""The autoencoder of images against its equations in NumPy, its bound against the likelihood."""

from __future__ import annotations

import itertools
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.execution.philox import GRAPH_LOCAL, uniform
from cavs.models import VAE, VAESampler
from cavs.nn.estimators import elbo, importance_weighted_bound

PIXELS, HIDDEN, LATENT = 9, 6, 2
SEED, STEP = 11, 5


def make(dtype: str = "float64", layers: int = 1, flows: int = 0, **options: Any) -> cavs.Model:
    cavs.nn.init.manual_seed(2)
    function = VAE(PIXELS, HIDDEN, LATENT, flows=flows, stochastic_layers=layers)
    return cavs.compile(function, dtype=dtype, seed=SEED, **options)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (count, PIXELS)).astype(np.float64)


def run(model: cavs.Model, x: np.ndarray, samples: int, keys: Any = None) -> dict[str, Any]:
    model.set_random_state({"seed": SEED, "step": STEP})
    graphs = cavs.batch([cavs.InputGraph([[]] * samples)] * len(x), keys=keys)
    return model(graphs, image=x)


def oracle(
    p: dict[str, np.ndarray],
    x: np.ndarray,
    key: int,
    samples: int,
    seen: np.ndarray | None = None,
    op: int = 0,
) -> np.ndarray:
    """log p(x, z) - log q(z | seen) of one image's samples, drawn by operations from `op` on."""

    def layer(name: str, h: np.ndarray) -> np.ndarray:
        return h @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def normal(h: np.ndarray, *names: str) -> tuple[np.ndarray, np.ndarray]:
        for name in names[:2]:
            h = np.tanh(layer(name, h))
        mean, log_std = np.split(layer(names[2], h), 2, axis=-1)
        return mean, np.exp(log_std)

    def log_normal(z: np.ndarray, mean: Any = 0.0, std: Any = 1.0) -> np.ndarray:
        density = -0.5 * ((z - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
        return density.sum(axis=-1)

    h, log_q, all_z = x if seen is None else seen, 0.0, []
    encoded = np.tanh(layer("encoder2", np.tanh(layer("encoder1", h))))
    for level in range(1 + sum(name.startswith("priors") for name in p) // 6):
        names = ["encoder1", "encoder2", "posterior"]
        if level:
            names = [f"posteriors.{level - 1}.{name}" for name in ("hidden1", "hidden2", "out")]
        mean, std = normal(h, *names)
        size = mean.shape[-1]
        u = uniform(SEED, STEP, op + level, np.full(samples, key), np.arange(samples), size)
        h = mean + std * np.vectorize(NormalDist().inv_cdf)(u + 2.0**-25)
        log_q = log_q + log_normal(h, mean, std)
        flow = 0
        while level == 0 and f"flows.{flow}.weight" in p:
            given = layer(f"flows.{flow}", encoded)
            h, added = planar(h, given[:size], given[size:-1], given[-1])
            log_q, flow = log_q - added, flow + 1
        all_z.append(h)
    log_p = log_normal(h)
    for level, z in enumerate(all_z[:-1]):
        names = [f"priors.{level}.{name}" for name in ("hidden1", "hidden2", "out")]
        log_p = log_p + log_normal(z, *normal(all_z[level + 1], *names))
    z = all_z[0]
    logits = layer("pixels", np.tanh(layer("decoder2", np.tanh(layer("decoder1", z)))))
    pixel = np.where(x > 0, 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits)))
    return np.log(pixel).sum(axis=1) + log_p - log_q


def planar(z: np.ndarray, u: np.ndarray, w: np.ndarray, b: float) -> tuple[Any, Any]:
    """Rezende and Mohamed 2015, by the determinant of the Jacobian of each row."""
    u = u + (np.log1p((np.e - 1) * np.exp(w @ u)) - 1 - w @ u) * w / (w @ w)
    h = np.tanh(z @ w + b)
    jacobians = np.eye(len(u)) + u[:, None] * w * (1 - h**2)[:, None, None]
    return z + u * h[:, None], np.log(np.abs(np.linalg.det(jacobians)))


@pytest.mark.parametrize(("layers", "flows"), [(1, 0), (1, 3), (3, 0), (2, 2)])
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_weights_are_those_of_the_equations(executor: str, layers: int, flows: int) -> None:
    model, x = make(executor=executor, layers=layers, flows=flows), images(3)
    out = run(model, x, samples=4)
    parameters = {name: p.data for name, p in model.named_parameters()}
    expected = [oracle(parameters, row, key, 4) for key, row in enumerate(x)]
    np.testing.assert_allclose(out["log_weight"].data, np.concatenate(expected), rtol=1e-9)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_batch_equals_its_graphs_alone(layers: int) -> None:
    model, x = make("float32", layers), images(5)
    together = run(model, x, samples=3)
    for key, row in enumerate(x):
        alone = run(model, row[None], samples=3, keys=[key])
        # Samples are the same bits; what products make of them rounds by the number of rows.
        np.testing.assert_allclose(
            alone["log_weight"].data, together["log_weight"].data[3 * key : 3 * key + 3], rtol=2e-6
        )


@pytest.mark.parametrize("layers", [1, 3])
def test_gradients_equal_central_differences(layers: int) -> None:
    model, x = make(layers=layers), images(4)

    def loss() -> cavs.Tensor:
        return importance_weighted_bound(run(model, x, 3)["log_weight"].reshape(4, 3)).sum()

    model.zero_grad()
    loss().backward()
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        direction, values = rng.normal(size=p.shape), []
        before = p.data.copy()
        for step in (1e-5, -1e-5):
            p.data[...] = before + step * direction
            values.append(loss().item())
        p.data[...] = before
        found = float((np.asarray(p.grad) * direction).sum())
        assert found == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize("flows", [0, 2])
def test_bounds_rise_with_samples_to_the_likelihood(flows: int) -> None:
    """The likelihood by a sum over a grid of the two latent variables."""
    model, x = make(flows=flows), images(1)
    log_weight = run(model, x, samples=60_000)["log_weight"]
    means = [
        importance_weighted_bound(log_weight.reshape(-1, k)).mean().item() for k in (1, 5, 50, 500)
    ]
    assert means == sorted(means)
    assert means[0] == pytest.approx(elbo(log_weight.reshape(1, -1)).item())
    grid = np.stack(np.meshgrid(*[np.linspace(-6, 6, 241)] * 2), axis=-1).reshape(-1, 2)
    h = grid
    for name in ("decoder1", "decoder2", "pixels"):
        layer = getattr(model.function, name)
        h = h @ layer.weight.data.T + layer.bias.data
        h = h if name == "pixels" else np.tanh(h)
    log_p = -(np.logaddexp(0, h) - x * h).sum(axis=1)
    log_p += -0.5 * (grid**2).sum(axis=1) - np.log(2 * np.pi)
    likelihood = float(np.logaddexp.reduce(log_p) + 2 * np.log(12 / 240))
    assert means[-1] == pytest.approx(likelihood, abs=2e-3)
    assert means[-2] < likelihood + 2e-3


def test_sizes_halve_upwards() -> None:
    """Those of the paper with two layers."""
    shapes = {name: p.shape for name, p in VAE(stochastic_layers=2).named_parameters()}
    assert shapes["posterior.weight"] == (2 * 100, 200)
    assert shapes["posteriors.0.hidden1.weight"] == (100, 100)
    assert shapes["posteriors.0.out.weight"] == (2 * 50, 100)
    assert shapes["priors.0.hidden1.weight"] == (100, 50)
    assert shapes["priors.0.out.weight"] == (2 * 100, 100)
    odd = VAE(PIXELS, 5, 2, stochastic_layers=3).posteriors
    assert [layer.hidden1.weight.shape for layer in odd] == [(3, 8), (2, 4)]


def test_samples_go_down_the_layers() -> None:
    """Each image is drawn as often as it is likely, by importance samples from above."""
    cavs.nn.init.manual_seed(4)
    function = VAE(2, 4, 1, stochastic_layers=2)
    for name, parameter in function.named_parameters():
        parameter.data *= 0.0 if name.startswith(("encoder", "posterior")) else 1.5
    function.posterior.bias.data[2:] = 0.7  # wide enough for all that p gives
    function.posteriors[0].out.bias.data[1:] = 0.4
    sampler = cavs.compile(VAESampler(function), dtype="float64", seed=1)
    drawn = sampler(cavs.batch([cavs.InputGraph([[]])] * 40_000))
    x = np.array(list(itertools.product([0.0, 1.0], repeat=2)))
    model = cavs.compile(function, dtype="float64", seed=SEED)
    log_weight = run(model, x, 40_000)["log_weight"].reshape(4, -1)
    likelihood = np.exp(importance_weighted_bound(log_weight).data)
    assert likelihood.sum() == pytest.approx(1, abs=0.02)
    assert np.ptp(likelihood) > 0.05
    for image, p in zip(x, likelihood, strict=True):
        share = (drawn["image"].data == image).all(axis=1).mean()
        assert share == pytest.approx(p, abs=0.01)
        expected = np.where(image > 0, drawn["mean"].data, 1 - drawn["mean"].data)
        assert expected.prod(axis=1).mean() == pytest.approx(p, abs=0.01)


def test_pixels_begin_as_often_set_as_in_the_data() -> None:
    model = make()
    means = np.linspace(0, 1, PIXELS)
    model.function.set_pixel_means(means)
    bias = model.function.pixels.bias.data
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), np.clip(means, 1e-3, 1 - 1e-3), rtol=1e-6)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_dropout_is_of_what_the_encoder_sees_in_training(executor: str) -> None:
    """An image loses pixels for all its samples; the decoder is held to the whole of it."""
    p, x = 0.4, images(3)
    cavs.nn.init.manual_seed(2)
    function = VAE(PIXELS, HIDDEN, LATENT, dropout=p)
    model = cavs.compile(function, dtype="float64", seed=SEED, executor=executor)
    parameters = {name: p.data for name, p in model.named_parameters()}
    kept = uniform(SEED, STEP, 0, np.arange(3), np.full(3, GRAPH_LOCAL), PIXELS) >= p
    assert not kept.all()
    for mode, seen in (("train", x * kept / (1 - p)), ("eval", x)):
        out = run(getattr(model, mode)(), x, samples=4)
        expected = [oracle(parameters, row, i, 4, seen[i], op=1) for i, row in enumerate(x)]
        np.testing.assert_allclose(out["log_weight"].data, np.concatenate(expected), rtol=1e-9)
