"""Autoencoders as the command line trains them: what they span, remove, and draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import read_small, write_bars, write_labelled
from resumed_runs import assert_same_run, left_and_resumed

import cavs
from cavs.errors import CheckpointError, InputError
from cavs.models import AdversarialAutoencoder, Autoencoder
from cavs.training import TrainingRun, load_checkpoint, make_task
from cavs.training.autoencoding import AdversarialReconstruction
from cavs.training.tasks import AutoencoderSource, AutoencoderTask, Trained

PIXELS = 16


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_bars(tmp_path, 4, 300, 40)


@pytest.fixture(autouse=True)
def _small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    read_small(monkeypatch, 4)


def start(directory: Path, data: Path, **given: Any) -> TrainingRun:
    sizes = {"code_size": 3, "epochs": 30, "batch_size": 20, "lr": 0.01}
    if given.get("kind") != "linear":
        sizes["hidden_sizes"] = "12"
    task, config = make_task("autoencoder", {"data": str(data), **sizes, **given})
    return TrainingRun.start(directory, task, config)


def test_linear_codes_span_the_principal_components() -> None:
    """Baldi and Hornik 1989: the greatest angle between both spaces is below 1e-3."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(200, 6)) * np.array([2.0, 1.7, 1.5, 0.8, 0.7, 0.6])
    x = mixed @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + rng.normal(size=6)
    cavs.nn.init.manual_seed(0)
    function = Autoencoder(6, (), 3, "linear")
    model = cavs.compile(function, dtype="float64")
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    graphs = cavs.batch([cavs.InputGraph([[]])] * len(x))
    for _ in range(1500):
        model.step(graphs, optimizer, scale=1 / len(x), image=x, flipped=0.0)
    components = np.linalg.svd(x - x.mean(axis=0))[2][:3]
    rows = np.linalg.qr(function.encoder[0].weight.numpy().astype(np.float64).T)[0]
    columns = np.linalg.qr(function.decoder[0].weight.numpy().astype(np.float64))[0]
    for found in (rows, columns):
        apart = found - components.T @ (components @ found)  # its singular values: sines of angles
        assert np.arcsin(np.linalg.norm(apart, 2)) < 1e-3
    with cavs.no_grad():
        error = model(graphs, image=x, flipped=0.0)["error"].numpy().mean()
    left = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[3:]
    assert error == pytest.approx((left**2).sum() / len(x), rel=1e-5)


def oracle(function: Autoencoder, x: np.ndarray) -> dict[str, np.ndarray]:
    def through(layers: Any, h: np.ndarray) -> np.ndarray:
        for number, layer in enumerate(layers):
            h = h @ layer.weight.numpy().T.astype(np.float64) + layer.bias.numpy()
            h = np.tanh(h) if number < len(layers) - 1 else h
        return h

    code = through(function.encoder, x)
    y = 1 / (1 + np.exp(-through(function.decoder, code)))
    cross = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum(axis=1)
    return {"loss": cross, "error": ((y - x) ** 2).sum(axis=1), "code": code, "mean": y}


def test_it_is_what_its_equations_say() -> None:
    cavs.nn.init.manual_seed(0)
    function = Autoencoder(9, (6, 5), 2, "tanh")
    model = cavs.compile(function, dtype="float64").eval()
    x = np.random.default_rng(0).random((7, 9))
    graphs = cavs.batch([cavs.InputGraph([[]])] * 7)
    found = model(graphs, image=x, flipped=0.0)
    for name, expected in oracle(function, x).items():
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-6, err_msg=name)
    alone = model(cavs.InputGraph([[]]), image=x[:1], flipped=0.0)
    for name, y in alone.items():
        np.testing.assert_allclose(y.numpy()[0], found[name].numpy()[0], rtol=1e-12)


def test_as_many_pixels_are_flipped_as_it_is_told() -> None:
    """All of them are 1 - x; of a share the codes are those of images flipped by hand."""
    cavs.nn.init.manual_seed(0)
    function = Autoencoder(400, (), 400, "linear")
    for layer, weight in ((function.encoder[0], np.eye(400)), (function.decoder[0], np.eye(400))):
        layer.weight.data[...], layer.bias.data[...] = weight, 0
    model = cavs.compile(function, seed=1)
    x = np.random.default_rng(0).integers(0, 2, (50, 400)).astype(np.float32)
    graphs = cavs.batch([cavs.InputGraph([[]])] * 50)
    for share in (0.0, 0.25, 1.0):
        seen = model(graphs, image=x, flipped=share)["mean"].numpy()
        assert np.isin(seen, (0, 1)).all()
        assert (seen != x).mean() == pytest.approx(share, abs=0.01)


def test_each_kind_learns(tmp_path: Path, data: Path) -> None:
    """Eight bars: a linear code of three cannot tell them, a deep one can."""
    found = {}
    for kind in ("deep", "linear", "denoising", "adversarial"):
        run = start(tmp_path / kind, data, kind=kind)
        assert run.fit()
        best, test = run.trainer.best, run.test
        assert best is not None
        assert test is not None
        found[kind] = test
        score = "error_flipped" if kind == "denoising" else "error"
        assert best["dev"][score] < 0.9 * run.trainer.history[0]["dev"][score]
        assert ("code_kl" in test) == (kind == "adversarial")
    assert found["deep"]["error"] < 0.5 * found["linear"]["error"]
    assert found["denoising"]["error_flipped"] < 0.9 * found["deep"]["error_flipped"]


def test_the_discriminator_brings_codes_to_the_prior(tmp_path: Path, data: Path) -> None:
    apart = []
    for weight in (0.0, 3.0):
        given = {"kind": "adversarial", "adversarial_weight": weight, "epochs": 40}
        run = start(tmp_path / str(weight), data, **given)
        assert run.fit()
        assert run.test is not None
        apart.append(run.test["code_kl"])
    assert apart[1] < 0.2 * apart[0]
    trained = Trained.load(tmp_path / "3.0" / "best.safetensors")
    images = AutoencoderTask.sample(trained, 5, seed=1)
    assert images.shape == (5, PIXELS)
    np.testing.assert_allclose(AutoencoderTask.sample(trained, 9, seed=1)[:5], images, rtol=1e-5)


def test_each_network_has_its_own_gradient() -> None:
    """The discriminator's step leaves the autoencoder alone, and the loss the discriminator."""
    cavs.nn.init.manual_seed(0)
    program = cavs.compile(AdversarialAutoencoder(9, (5,), 2, discriminator_size=4), seed=1)
    objective = AdversarialReconstruction(0.0, 0.25, weight=2.0, lr=0.01)
    objective.prepare(program)
    x = np.random.default_rng(0).integers(0, 2, (6, 9)).astype(np.float32)
    graphs = cavs.batch([cavs.InputGraph([[]])] * 6)
    before = {name: p.numpy().copy() for name, p in program.named_parameters()}
    loss, _ = objective.loss(program, graphs, {"image": x, **objective.inputs(program)})
    changed = {n for n, p in program.named_parameters() if (p.numpy() != before[n]).any()}
    assert changed == {n for n in before if n.startswith("discriminator.")}
    for parameter in program.parameters():
        parameter.zero_grad()
    loss.backward()
    reached = {n for n, p in program.named_parameters() if p.grad is not None}
    assert reached == {n for n in before if n.startswith("autoencoder.")}


@pytest.mark.parametrize("kind", ["denoising", "adversarial"])
def test_a_run_that_was_left_goes_on_bit_for_bit(tmp_path: Path, data: Path, kind: str) -> None:
    whole = start(tmp_path / "whole", data, kind=kind, epochs=4)
    assert whole.fit()
    parts = start(tmp_path / "parts", data, kind=kind, epochs=4)
    resumed = left_and_resumed(parts, 20)
    assert_same_run(resumed, whole)
    if kind == "adversarial":
        path = tmp_path / "parts" / "last.safetensors"
        checkpoint = load_checkpoint(path)
        checkpoint.objective.popitem()
        with pytest.raises(CheckpointError, match="expected the state of a run"):
            TrainingRun.resume(path, checkpoint, parts.trainer.config, path.parent)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden_sizes": "12,x"}, "expected sizes such as 1000,500 as hidden_sizes, got '12,x'"),
        ({"hidden_sizes": "0"}, "expected sizes such as 1000,500 as hidden_sizes, got '0'"),
        ({"flipped": 0.5}, "expected --flipped with --kind denoising only, got deep"),
        (
            {"kind": "linear", "activation": "tanh"},
            "expected --activation with --kind deep or denoising or adversarial only, got linear",
        ),
        ({"discriminator_size": 4}, "--discriminator-size with --kind adversarial only, got deep"),
    ],
)
def test_what_it_cannot_do(data: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_task("autoencoder", {"data": str(data), **given})


def test_others_are_not_sampled_from(tmp_path: Path, data: Path) -> None:
    run = start(tmp_path / "run", data, epochs=1)
    assert run.fit()
    trained = Trained.load(tmp_path / "run" / "best.safetensors")
    with pytest.raises(InputError, match="expected an adversarial autoencoder, whose codes are"):
        AutoencoderTask.sample(trained, 1, seed=0)
    with pytest.raises(InputError, match="expected one of the kinds deep, denoising"):
        AutoencoderSource("file", kind="wide")
    with pytest.raises(InputError, match="expected flipped of at most 1, got 2"):
        AutoencoderSource("file", flipped=2.0)


def test_greys_of_idx_files_stay_and_are_given_back(tmp_path: Path) -> None:
    folder = write_labelled(tmp_path / "idx", 4, 132, 8)
    run = start(tmp_path / "run", folder, epochs=8)
    images: Any = run.task.split("train")
    assert images.shape == (121, PIXELS)
    assert images.dtype == np.float32
    assert 0.0 <= images.min() < np.median(images) < 0.5 < images.max() <= 1.0
    first = float(((images - images.mean(axis=0)) ** 2).sum(axis=1).mean())
    assert run.fit()
    assert run.test["error"] < first
