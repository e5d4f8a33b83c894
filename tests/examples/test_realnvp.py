"""The flow undoes itself, and its densities are those of NumPy and of the numerical Jacobian."""

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

realnvp = load_example("realnvp")


@pytest.fixture(scope="module")
def model() -> cavs.Program:
    """A flow without training, of parameters large enough to bend the plane."""
    nn.init.manual_seed(3)
    model = cavs.compile(realnvp.make_flow(5, 8), dtype="float64")
    for parameter in model.parameters():
        parameter.data[...] *= 2
    return model


def density(model: cavs.Program, x: np.ndarray) -> dict[str, np.ndarray]:
    out = model["density"](realnvp.points(len(x)), x=x)
    return {name: value.data for name, value in out.items()}


def test_both_directions_have_the_same_parameters(model: cavs.Program) -> None:
    density, sample = (model[name].parameters() for name in ("density", "sample"))
    assert len(density) == 5 * 4
    assert all(a is b for a, b in zip(density, sample, strict=True))


def test_the_inverse_gives_the_input(model: cavs.Program) -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    z = density(model, x)["z"]
    assert np.abs(z - x).max() > 0.5
    back = model["sample"](realnvp.points(50), z=z)["x"].data
    np.testing.assert_allclose(back, x, atol=1e-8)


def test_log_determinants_are_those_of_the_numerical_jacobian(model: cavs.Program) -> None:
    x, step = np.random.default_rng(1).normal(size=(20, 2)), 1e-6
    columns = [
        (density(model, x + step * axis)["z"] - density(model, x - step * axis)["z"]) / (2 * step)
        for axis in np.eye(2)
    ]
    sign, expected = np.linalg.slogdet(np.stack(columns, axis=-1))
    # Each layer swaps the halves, which turns the sign.
    np.testing.assert_array_equal(sign, (-1) ** 5)
    np.testing.assert_allclose(density(model, x)["log_det"], expected, atol=1e-6)


def test_log_p_is_that_of_the_noise_and_the_determinant(model: cavs.Program) -> None:
    out = density(model, np.random.default_rng(2).normal(size=(20, 2)))
    normal = -0.5 * (out["z"] ** 2).sum(axis=1) - np.log(2 * np.pi)
    np.testing.assert_allclose(out["log_p"], normal + out["log_det"], rtol=1e-10)
    np.testing.assert_array_equal(out["loss"], -out["log_p"])


def test_distances_from_the_moons() -> None:
    """Against the nearest of many points of the half circles."""
    angle = np.linspace(0, np.pi, 20000)
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    lower = np.stack([0.5 - np.cos(angle), 0.25 - np.sin(angle)], axis=1)
    x = np.random.default_rng(4).uniform(-2, 2, (50, 2))
    moons = np.concatenate([upper, lower])
    expected = np.linalg.norm(x[:, None] - moons, axis=-1).min(axis=1)
    np.testing.assert_allclose(realnvp.off_the_moons(x), expected, atol=1e-3)
    drawn = realnvp.two_moons(np.random.default_rng(5), 1000)
    assert realnvp.off_the_moons(drawn).max() < 0.25
    assert abs(drawn.mean(axis=0)).max() < 0.1


def test_it_learns_the_moons() -> None:
    rng = np.random.default_rng(0)
    test = realnvp.two_moons(rng, 1000)
    nn.init.manual_seed(0)
    model = cavs.compile(realnvp.make_flow(6, 16))
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-2)
    batch = realnvp.points(128)
    for _ in range(300):
        x = realnvp.two_moons(rng, 128)
        model["density"].step(batch, optimizer, scale=1 / 128, x=x)
    # A normal distribution of the same moments, which a flow without layers could be.
    spread = np.linalg.slogdet(np.cov(test.T))[1]
    normal = -np.log(2 * np.pi) - 1 - spread / 2
    assert density(model, test)["log_p"].mean() > normal + 0.5
