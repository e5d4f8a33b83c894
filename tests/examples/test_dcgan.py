"""The losses and their gradients against PyTorch, what each step trains, and the drawn images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

dcgan = load_example("dcgan")
NOISE, CHANNELS, COUNT = 3, 2, 5
NETWORKS = ("generator", "discriminator")


class TellsNoise(dcgan.Generator):
    def forward(self, v: cavs.Vertex) -> None:
        z = 2.0 * v.uniform(self.noise_size) - 1.0
        v.push(x=self.image(z), z=z)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> cavs.Program:
    nn.init.manual_seed(0)
    monkeypatch.setattr(dcgan, "Generator", TellsNoise)
    return cavs.compile(dcgan.make_dcgan(NOISE, CHANNELS), dtype="float64")


@pytest.fixture
def real() -> np.ndarray:
    drawn = dcgan.outlines(np.random.default_rng(0), COUNT)
    return 2.0 * drawn[:, None] - 1


def values(model: Any) -> list[np.ndarray]:
    return [parameter.data.copy() for parameter in model.parameters()]


def changed(model: Any, before: list[np.ndarray]) -> list[bool]:
    return [bool(np.any(a != b)) for a, b in zip(values(model), before, strict=True)]


def made(model: cavs.Program, name: str = "x") -> np.ndarray:
    """What the generator draws next; the state afterwards is that of before."""
    state = model.random_state()
    with cavs.no_grad():
        x = model["generator"](dcgan.images(COUNT))[name].data
    model.set_random_state(state)
    return x


def torch_parameters(model: Any, torch: Any) -> dict[str, Any]:
    return {
        name: torch.tensor(p.data, requires_grad=True)
        for name, p in model.function.named_parameters()
    }


def judged(p: dict[str, Any], x: Any, torch: Any) -> Any:
    """The discriminator's logits in PyTorch."""
    f = torch.nn.functional
    h = f.leaky_relu(f.conv2d(x, p["down1.weight"], p["down1.bias"], 2, 1), 0.2)
    h = f.conv2d(h, p["down2.weight"], None, 2, 1)
    h = f.batch_norm(h, None, None, p["norm.weight"], p["norm.bias"], training=True)
    h = f.leaky_relu(h, 0.2).flatten(1)
    return f.linear(h, p["judge.weight"], p["judge.bias"])[:, 0]


def generated(p: dict[str, Any], z: Any, torch: Any) -> Any:
    f = torch.nn.functional
    h = f.linear(z, p["project.weight"]).view(-1, 2 * CHANNELS, 7, 7)
    h = f.batch_norm(h, None, None, p["norm1.weight"], p["norm1.bias"], training=True).relu()
    h = f.conv_transpose2d(h, p["up1.weight"], None, 2, 1)
    h = f.batch_norm(h, None, None, p["norm2.weight"], p["norm2.bias"], training=True).relu()
    return f.conv_transpose2d(h, p["up2.weight"], p["up2.bias"], 2, 1).tanh()


def assert_gradients(model: Any, expected: dict[str, Any]) -> None:
    for name, parameter in model.function.named_parameters():
        found, wanted = parameter.grad, expected[name].grad.numpy()
        np.testing.assert_allclose(found, wanted, 1e-8, 1e-10 * np.abs(wanted).max(), err_msg=name)


def test_the_discriminators_step_is_that_of_pytorch(model: cavs.Program, real: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    p = torch_parameters(model["discriminator"], torch)
    yes, no = (judged(p, torch.tensor(x), torch) for x in (real, made(model)))
    cross = torch.nn.functional.binary_cross_entropy_with_logits
    expected = cross(yes, torch.ones_like(yes)) + cross(no, torch.zeros_like(no))
    expected.backward()
    optimizer = cavs.optim.SGD(model["discriminator"].parameters(), lr=0.0)
    loss = dcgan.train_discriminator(model, optimizer, real)
    assert loss == pytest.approx(expected.item(), rel=1e-8)
    assert_gradients(model["discriminator"], p)


def test_the_generators_step_is_that_of_pytorch(model: cavs.Program) -> None:
    torch = pytest.importorskip("torch")
    p, judge = (torch_parameters(model[name], torch) for name in NETWORKS)
    noise, x = made(model, "z"), generated(p, torch.tensor(made(model, "z")), torch)
    assert noise.shape == (COUNT, NOISE)
    assert -1 <= noise.min() < 0 < noise.max() <= 1
    np.testing.assert_allclose(x.detach().numpy(), made(model), rtol=1e-8, atol=1e-10)
    logits = judged(judge, x, torch)
    cross = torch.nn.functional.binary_cross_entropy_with_logits
    expected = cross(logits, torch.ones_like(logits))
    expected.backward()
    optimizer = cavs.optim.SGD(model["generator"].parameters(), lr=0.0)
    loss = dcgan.train_generator(model, optimizer, COUNT)
    assert loss == pytest.approx(expected.item(), rel=1e-8)
    assert_gradients(model["generator"], p)


@pytest.mark.parametrize("trained", NETWORKS)
def test_a_step_changes_one_network_alone(
    model: cavs.Program, real: np.ndarray, trained: str
) -> None:
    own, other = (model[name] for name in sorted(NETWORKS, key=lambda name: name != trained))
    before, kept = values(own), values(other)
    optimizer = cavs.optim.Adam(own.parameters(), lr=0.1)
    if trained == "generator":
        dcgan.train_generator(model, optimizer, COUNT)
    else:
        dcgan.train_discriminator(model, optimizer, real)
    assert all(changed(own, before))
    assert not any(changed(other, kept))
    assert all(parameter.grad is None for parameter in other.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_samples_are_of_evaluation_and_from_0_to_1(model: cavs.Program) -> None:
    found = dcgan.samples(model, 7)
    assert found.shape == (7, 28, 28)
    assert 0 <= found.min() < found.max() <= 1
    assert model.training


def test_outlines_are_of_three_kinds_within_the_image() -> None:
    drawn = dcgan.outlines(np.random.default_rng(1), 300)
    assert drawn.shape == (300, 28, 28)
    assert drawn.dtype == bool
    assert not drawn[:, [0, -1]].any()
    assert not drawn[:, :, [0, -1]].any()
    assert 0.05 < drawn.mean() < 0.2
    # A square fills the border of its box, a cross alone the middle.
    squares, crosses = [], []
    for image in drawn:
        rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        squares.append(box[0].all() and box[-1].all() and box[:, [0, -1]].all())
        middle = [range(n // 2 - 1, n // 2 + 2) for n in box.shape]
        crosses.append(box[np.ix_(*middle)].any())
    assert not np.any(np.logical_and(squares, crosses))
    for found in (squares, crosses):
        assert np.sum(found) == pytest.approx(100, abs=30)


def test_distances_are_to_the_nearest() -> None:
    found, given = (dcgan.outlines(np.random.default_rng(seed), 9) for seed in (2, 3))
    expected = np.mean([min(np.mean(x != y) for y in found) for x in given])
    assert dcgan.distance(found, given) == pytest.approx(100 * expected)
    assert dcgan.distance(found, found[:4]) == 0
