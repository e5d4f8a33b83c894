"""Models that begin with the layers that others learnt."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import read_small, write_bars

from cavs.errors import CheckpointError, InputError
from cavs.models import DBM, DBN, RBM
from cavs.training import (
    Checkpoint,
    TrainingConfig,
    TrainingRun,
    load_checkpoint,
    log_partition,
    make_task,
    save_checkpoint,
)

PIXELS, HIDDEN, TOP = 16, 5, 3
FEW = {"dev_temperatures": 4, "test_temperatures": 4, "test_chains": 3, "batch_size": 20}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    read_small(monkeypatch, 4)
    return str(write_bars(tmp_path, 4, 100, 20))


def saved(path: Path, kind: Any, name: str, **arguments: Any) -> tuple[str, Any]:
    """The path of the checkpoint of a model of random parameters, and the model."""
    rng = np.random.default_rng(4)
    function = kind(**arguments)
    for parameter in function.parameters():
        parameter.data[...] = rng.normal(size=parameter.shape)
    save_checkpoint(path, Checkpoint(name, arguments, None, function.state_dict()))
    return str(path), function


def rbm(path: Path, **arguments: Any) -> tuple[str, Any]:
    return saved(path, RBM, "rbm", image_size=PIXELS, hidden_size=HIDDEN, steps=1, **arguments)


def dbn(path: Path, **arguments: Any) -> tuple[str, Any]:
    sizes = {"image_size": PIXELS, "hidden_sizes": [HIDDEN], "top_size": TOP, "steps": 1}
    return saved(path, DBN, "dbn", **{**sizes, **arguments})


def doubled(path: Path) -> tuple[str, Any]:
    """A network whose layers learnt with their weights used twice."""
    _, network = dbn(path, doubled="down")
    lower = network.lower[0]
    lower.up.weight.data[...] = 2 * lower.down.weight.numpy().T
    arguments = {"image_size": PIXELS, "hidden_sizes": [HIDDEN], "top_size": TOP, "steps": 1}
    checkpoint = Checkpoint("dbn", {**arguments, "doubled": "down"}, None, network.state_dict())
    save_checkpoint(path, checkpoint)
    return str(path), network


def made(model: str, data: str, **given: Any) -> Any:
    """The function that training begins with."""
    task, _ = make_task(model, {"data": data, **given})
    return task.make_function()


def test_a_network_begins_with_those_of_an_rbm_or_a_network(tmp_path: Path, data: str) -> None:
    path, first = rbm(tmp_path / "rbm.safetensors")
    function = made("dbn", data, hidden_sizes=str(HIDDEN), layers=path)
    np.testing.assert_array_equal(function.lower[0].up.weight, first.weight.numpy())
    path, second = dbn(tmp_path / "dbn.safetensors")
    function = made("dbn", data, hidden_sizes=f"{HIDDEN},{TOP}", layers=path, top_size=4)
    (below, above), (own,) = function.lower, second.lower
    np.testing.assert_array_equal(below.up.weight, own.up.weight.numpy())
    np.testing.assert_array_equal(below.down.bias, own.down.bias.numpy())
    np.testing.assert_array_equal(above.down.weight, second.top.weight.numpy().T)
    assert function.top.weight.shape == (4, TOP)


def test_a_deep_machine_begins_with_halves_of_what_learnt_twice(tmp_path: Path, data: str) -> None:
    """Then its conditionals are those that the layers had, with the half of their doubled input
    from the other side."""
    path, network = doubled(tmp_path / "dbn.safetensors")
    sizes = {"hidden_size": HIDDEN, "top_size": TOP}
    joint = made("dbm", data, layers=path, **sizes).joint
    lower, top = network.lower[0], network.top
    rng = np.random.default_rng(0)
    x, h, t = (rng.integers(0, 2, n).astype(np.float64) for n in (PIXELS, HIDDEN, TOP))
    both = np.concatenate([x, t])
    of_first = lower.up.weight.numpy() @ x + lower.up.bias.numpy()
    of_last = 2 * top.weight.numpy().T @ t + top.visible_bias.numpy()
    found = joint.weight.numpy() @ both + joint.hidden_bias.numpy()
    np.testing.assert_allclose(found, (of_first + of_last) / 2, rtol=1e-5, atol=1e-6)
    found = joint.weight.numpy().T @ h + joint.visible_bias.numpy()
    expected = [
        lower.down.weight.numpy() @ h + lower.down.bias.numpy(),
        top.weight.numpy() @ h + top.hidden_bias.numpy(),
    ]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-5, atol=1e-6)


def test_an_autoencoder_begins_unrolled(tmp_path: Path, data: str) -> None:
    path, network = dbn(tmp_path / "dbn.safetensors")
    given = {"hidden_sizes": f"{HIDDEN},{TOP}", "code_size": 2, "activation": "sigmoid"}
    function = made("autoencoder", data, layers=path, **given)
    encoder, decoder = function.encoder, function.decoder
    np.testing.assert_array_equal(encoder[0].weight, network.lower[0].up.weight.numpy())
    np.testing.assert_array_equal(encoder[1].bias, network.top.hidden_bias.numpy())
    np.testing.assert_array_equal(decoder[2].weight, network.lower[0].down.weight.numpy())
    np.testing.assert_array_equal(decoder[1].weight, network.top.weight.numpy().T)
    assert encoder[2].weight.shape == (2, TOP)


def test_layers_that_do_not_fit_are_named(tmp_path: Path, data: str) -> None:
    first, _ = rbm(tmp_path / "rbm.safetensors")
    second, _ = dbn(tmp_path / "dbn.safetensors")
    twice, _ = doubled(tmp_path / "twice.safetensors")
    small, _ = saved(tmp_path / "small", RBM, "rbm", image_size=9, hidden_size=5, steps=1)
    deep, _ = saved(
        tmp_path / "deep", DBM, "dbm", image_size=PIXELS, hidden_size=HIDDEN, top_size=TOP
    )
    sizes = {"hidden_size": HIDDEN, "top_size": TOP}
    cases: list[tuple[str, dict[str, Any], Any, str]] = [
        ("dbn", {"layers": first}, InputError, "expected --hidden-sizes 5, as the layers of"),
        ("dbn", {"layers": second}, InputError, "expected --hidden-sizes 5,3, as the layers"),
        ("dbn", {"layers": deep}, CheckpointError, "expected the checkpoint of one of rbm, dbn,"),
        ("dbn", {"layers": small, "hidden_sizes": "5"}, InputError, "images of 16 pixels, as the"),
        ("dbm", {"layers": second, **sizes}, InputError, "`cavs train rbm --doubled up`, then"),
        ("dbm", {"layers": twice}, InputError, "expected --hidden-size 5, as the layers of"),
        (
            "autoencoder",
            {"layers": second},
            InputError,
            "expected --layers with --activation sigmoid only, got relu",
        ),
        (
            "autoencoder",
            {"layers": first, "activation": "sigmoid"},
            InputError,
            "expected --hidden-sizes 5, as the layers of",
        ),
    ]
    for model, given, error, said in cases:
        with pytest.raises(error, match=said) as found:
            made(model, data, **given)
        assert str(found.value).count("\n") == 0


def test_a_layer_that_is_used_twice_has_no_probabilities_of_images() -> None:
    with pytest.raises(InputError, match="expected an RBM whose weights are used once, got a lay"):
        log_partition(RBM(4, 3, doubled="up"))


def config(epochs: int = 2, lr: float = 0.1) -> TrainingConfig:
    return TrainingConfig(epochs=epochs, batch_size=20, optimizer="sgd", lr=lr, patience=0)


def stop_after(batches: int | None) -> Any:
    """Says stop after so many batches; None: never."""
    left = itertools.count(1)
    return lambda: next(left) == batches


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("rbm", {"doubled": "up", "hidden_size": HIDDEN}),
        ("dbn", {"doubled": "down", "hidden_sizes": "5", "top_size": TOP}),
    ],
)
def test_a_doubled_layer_learns_to_give_its_images_back(
    tmp_path: Path, data: str, model: str, given: dict[str, Any]
) -> None:
    task, _ = make_task(model, {"data": data, **FEW, **given})
    run = TrainingRun.start(tmp_path / "run", task, config(15, 0.3))
    assert run.fit()
    errors = [row["dev"]["error"] for row in run.trainer.history]
    assert errors[-1] < errors[0]
    assert set(run.trainer.history[0]["dev"]) == {"error"}


def test_up_down_goes_on_from_greedy_layers_and_resumes_to_the_same_bits(
    tmp_path: Path, data: str
) -> None:
    path, network = dbn(tmp_path / "greedy.safetensors")
    sizes = {"data": data, "hidden_sizes": str(HIDDEN), "top_size": TOP, "up_down": True}
    runs = []
    for name, stop in (("whole", None), ("parts", 8)):
        task, _ = make_task("dbn", {**FEW, **sizes})
        run = TrainingRun.start(tmp_path / name, task, config())
        run.begin_with(Path(path), load_checkpoint(path))
        assert run.fit(should_stop=stop_after(stop)) == (stop is None)
        last = tmp_path / name / "last.safetensors"
        if stop is not None:
            resumed = load_checkpoint(last)
            run = TrainingRun.resume(last, resumed, run.trainer.config, last.parent)
            assert run.fit()
        runs.append(run)
    whole, parts = runs
    assert whole.test == parts.test
    found = whole.model.state_dict()
    for name, values in parts.model.state_dict().items():
        np.testing.assert_array_equal(values, found[name])
    for name, parameter in network.named_parameters():
        assert np.abs(found[name] - parameter.numpy()).max() > 1e-4, name
    assert not whole.task.remarks
