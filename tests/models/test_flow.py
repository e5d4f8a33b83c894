"""Normalising flows against numerical Jacobians, sums and integrals that are 1, and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs.errors import InputError, ShapeError
from cavs.execution.philox import uniform
from cavs.models import Flow
from cavs.models._bijections import ActNorm, FactoredOut, Reshaped, factors
from cavs.models.flow import KINDS
from cavs.training import sample_flow, set_first_norms, undo_flow

SIDES = {"planar": 3, "realnvp": 3, "maf": 3, "glow": 4}


def make(kind: str, size: int, width: int, levels: int | None = None, std: float = 0.3) -> Flow:
    """A small flow that is far from the identity."""
    cavs.nn.init.manual_seed(0)
    flow = Flow(kind, size, width, levels, num_layers=2, hidden_size=5)
    rng = np.random.default_rng(0)
    for parameter in flow.parameters():
        with parameter.writing() as values:
            values[...] += std * rng.normal(size=values.shape)
    return flow


def graphs(count: int) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph([[]])] * count)


def log_normal(z: np.ndarray) -> np.ndarray:
    total: np.ndarray = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1)
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_the_determinant_is_that_of_the_jacobian_and_the_flow_can_be_undone(kind: str) -> None:
    side = SIDES[kind]
    size = side * side
    flow = make(kind, size, side)
    model = cavs.compile(flow, dtype="float64").eval()
    x = np.random.default_rng(1).normal(size=(3, size))

    def noise(rows: np.ndarray) -> Any:
        return model(graphs(len(rows)), image=rows)["z"].numpy()

    out = model(graphs(3), image=x)
    z = out["z"].numpy()
    log_det = -out["loss"].numpy() - log_normal(z)
    step = 1e-5 * np.eye(size)
    for row in range(3):
        jacobian = (noise(x[row] + step) - noise(x[row] - step)) / 2e-5
        assert np.linalg.slogdet(jacobian)[1] == pytest.approx(log_det[row], abs=1e-6)
        alone = model(graphs(1), image=x[row : row + 1])
        np.testing.assert_allclose(alone["z"].numpy()[0], z[row], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(undo_flow(flow, z, "float64"), x, atol=1e-6)


@pytest.mark.parametrize("kind", ["planar", "realnvp", "maf"])
def test_densities_of_the_plane_integrate_to_one(kind: str) -> None:
    model = cavs.compile(make(kind, 2, 2, std=0.15), dtype="float64", outputs=["loss"]).eval()
    line = np.linspace(-12, 12, 241)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    density = np.exp(-model(graphs(len(grid)), image=grid)["loss"].numpy())
    assert density.sum() * (line[1] - line[0]) ** 2 == pytest.approx(1, abs=1e-3)


def test_probabilities_of_levels_sum_to_one() -> None:
    """exp(-loss) is on average over the noise what an image has of the density."""
    model = cavs.compile(make("realnvp", 2, 2, levels=2), outputs=["loss"], seed=3).eval()
    image = np.stack(np.meshgrid(np.arange(3), np.arange(3)), axis=-1).reshape(9, 2)
    rows = np.repeat(image, 3000, axis=0).astype(np.float32)
    p = np.exp(-model(graphs(len(rows)), image=rows)["loss"].numpy().astype(np.float64))
    error = 9 * p.std() / np.sqrt(len(rows))
    assert p.reshape(9, -1).mean(axis=1).sum() == pytest.approx(1, abs=4 * error)
    assert error < 0.02


def test_greys_become_numbers_as_the_equations_say() -> None:
    """A fresh flow is the identity; noise is drawn by seed, step, image and pixel."""
    cavs.nn.init.manual_seed(0)
    flow = Flow("maf", 6, 3, levels=16, num_layers=2, hidden_size=4, margin=0.1)
    model = cavs.compile(flow, dtype="float64", seed=7)
    model.set_random_state({"seed": 7, "step": 2})
    image = np.random.default_rng(0).integers(0, 17, (4, 6)).astype(np.float64)
    u = np.concatenate([uniform(7, 2, 0, np.array([k]), np.array([0]), 6) for k in range(4)])
    p = 0.1 + 0.8 * (image + u) / 17
    z = np.log(p / (1 - p))
    log_p = log_normal(z) + np.log(0.8 / (p * (1 - p)) / 17).sum(axis=1)
    out = model(graphs(4), image=image)
    np.testing.assert_allclose(out["z"].numpy(), z, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(-out["loss"].numpy(), log_p, rtol=1e-9)
    grey = flow.to_image(cavs.Tensor(z)).numpy()
    np.testing.assert_allclose(grey, (image + u) / 17, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["realnvp", "maf", "glow"])
def test_each_norm_begins_with_mean_0_and_variance_1(kind: str) -> None:
    side = SIDES[kind]
    flow = make(kind, side * side, side)
    x = np.random.default_rng(1).normal(3, 2, (64, side * side)).astype(np.float32)
    set_first_norms(flow, x)
    last = max(i for i, layer in enumerate(flow.layers) if isinstance(layer, ActNorm))
    flow.layers = flow.layers[: last + 1]
    if kind == "glow":
        assert sum(isinstance(layer, FactoredOut) for layer in flow.layers) == 1
        flow.layers.append(Reshaped((8, 1, 1), (8,)))
    z = cavs.compile(flow, outputs=["z"]).eval()(graphs(64), image=x)["z"].numpy()
    of_norm = z[:, -flow.layers[last].mean.shape[0] :]
    np.testing.assert_allclose(of_norm.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(of_norm.std(axis=0), 1, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_more_images_do_not_change_the_first(kind: str) -> None:
    flow = make(kind, SIDES[kind] ** 2, SIDES[kind], levels=16)
    few, many = sample_flow(flow, 3, seed=1), sample_flow(flow, 8, seed=1)
    np.testing.assert_allclose(many[:3], few, rtol=1e-5, atol=1e-6)
    assert many.min() >= 0
    assert many.max() <= 1
    assert np.abs(sample_flow(flow, 3, seed=2) - few).max() > 1e-3
    assert sample_flow(flow, 0).shape == (0, flow.image_size)


def test_triangles_and_a_permutation_make_the_matrix() -> None:
    for size in (1, 2, 5):
        matrix = np.random.default_rng(size).normal(size=(size, size))
        p, lower, upper = factors(matrix)
        np.testing.assert_allclose(p @ lower @ upper, matrix, atol=1e-5)
        assert np.abs(lower).max() <= 1
        assert (np.tril(upper, -1) == 0).all()
        assert (np.triu(lower, 1) == 0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "nice"}, InputError, "expected kind"),
        ({"image_size": 9, "width": 2}, ShapeError, "a width that divides the image_size of 9"),
        ({"kind": "glow", "num_scales": 3}, ShapeError, "even sides in each of 3 scales of glow"),
        ({"image_size": 1, "width": 1}, ShapeError, "an image_size of 2 or more for realnvp"),
        ({"margin": 0.5}, InputError, "a finite margin > 0 and < 0.5, got 0.5"),
        ({"levels": 0}, InputError, "levels"),
        ({"num_layers": 0}, ShapeError, "num_layers"),
    ],
)
def test_what_cannot_be(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Flow(**arguments)


def test_noise_of_another_size() -> None:
    flow = Flow("maf", 4, 2, None, 1, 3)
    with pytest.raises(ShapeError, match=r"expected noise \(rows, 4\), got shape \(2, 3\)"):
        undo_flow(flow, np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"expected a cavs.models.Flow"):
        sample_flow(cavs.nn.Linear(2, 2), 1)
