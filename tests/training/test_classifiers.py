"""Classifiers of labelled images as the command line trains them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import write_labelled

from cavs.cli import main, predict
from cavs.errors import DataError, InputError
from cavs.models import DBM, DBN, RBM
from cavs.training import (
    Checkpoint,
    LabelledSource,
    TrainingRun,
    load_checkpoint,
    make_task,
    save_checkpoint,
)

SIDE = 3


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write_labelled(tmp_path / "images", SIDE, 120, 30))


def start(folder: Path, data: str, /, **given: Any) -> TrainingRun:
    settings = {"data": data, "hidden_sizes": "8", "lr": 0.05, "epochs": 6, "batch_size": 10}
    task, config = make_task("classifier", {**settings, **given})
    return TrainingRun.start(folder, task, config)


def machine(path: Path, name: str, kind: Any, **sizes: Any) -> tuple[str, Any]:
    """The path of the checkpoint of a machine, and the machine."""
    function = kind(**sizes)
    rng = np.random.default_rng(2)
    for parameter in function.parameters():
        parameter.data[...] = 0.3 * rng.normal(size=parameter.shape)
    save_checkpoint(path, Checkpoint(name, sizes, None, function.state_dict()))
    return str(path), function


def test_it_learns_and_resumes_to_the_same_bits(tmp_path: Path, data: str) -> None:
    whole = start(tmp_path / "whole", data)
    assert whole.fit()
    assert whole.test is not None
    assert whole.test["error"] == 0
    assert whole.task.sizes == {"train": 110, "dev": 10, "test": 30}
    parts = start(tmp_path / "parts", data)
    left = iter([False] * 14)
    assert not parts.fit(should_stop=lambda: next(left, True))
    path = tmp_path / "parts" / "last.safetensors"
    resumed = TrainingRun.resume(path, load_checkpoint(path), parts.trainer.config, path.parent)
    assert resumed.fit()
    assert resumed.test == whole.test
    for name, array in resumed.model.state_dict().items():
        np.testing.assert_array_equal(whole.model.state_dict()[name], array)


def test_labels_are_drawn_by_the_seed_alone(tmp_path: Path, data: str) -> None:
    path, _ = machine(tmp_path / "rbm", "rbm", RBM, image_size=9, hidden_size=8, steps=1)
    drawn = {
        (seed, begun): start(tmp_path, data, labelled=6, seed=seed, **given)
        for seed in (0, 1)
        for begun, given in (("random", {}), ("learnt", {"layers": path}))
    }
    images = {key: run.task.split("train").tobytes() for key, run in drawn.items()}
    assert images[0, "random"] == images[0, "learnt"] != images[1, "learnt"]
    assert images[1, "random"] == images[1, "learnt"]
    labels = drawn[0, "random"].task.corpus.train_labels
    np.testing.assert_array_equal(np.bincount(labels), [2, 2, 2])


def test_it_begins_with_the_layers_of_machines(tmp_path: Path, data: str) -> None:
    path, dbn = machine(
        tmp_path / "dbn", "dbn", DBN, image_size=9, hidden_sizes=[8], top_size=4, steps=1
    )
    run: Any = start(tmp_path / "a", data, layers=path, hidden_sizes="8,4")
    hidden = run.model.function.hidden
    np.testing.assert_array_equal(hidden[0].weight, dbn.lower[0].up.weight.numpy())
    np.testing.assert_array_equal(hidden[1].weight, dbn.top.weight.numpy())
    np.testing.assert_array_equal(hidden[1].bias, dbn.top.hidden_bias.numpy())
    path, dbm = machine(
        tmp_path / "dbm", "dbm", DBM, image_size=9, hidden_size=8, top_size=4, updates=3
    )
    run = start(tmp_path / "b", data, layers=path, hidden_sizes="8,4")
    assert run.model.function.hidden[0].weight.shape == (8, 9 + 4)
    assert run.fit()
    assert run.test["error"] < 0.2
    for name, parameter in run.model.function.machine.named_parameters():
        np.testing.assert_array_equal(parameter.numpy(), dbm.state_dict()[name])
    best = str(tmp_path / "b" / "best.safetensors")
    assert main(["evaluate", best, "--json"]) == 0


def test_what_does_not_fit_is_said_in_a_line(tmp_path: Path, data: str) -> None:
    small, _ = machine(tmp_path / "rbm", "rbm", RBM, image_size=4, hidden_size=8, steps=1)
    other, _ = machine(tmp_path / "other", "rbm", RBM, image_size=9, hidden_size=5, steps=1)
    none = str(tmp_path / "none.npz")
    cases: list[tuple[dict[str, Any], Any, str]] = [
        ({"labelled": 111}, DataError, "expected at least 111 labelled training images, as --lab"),
        ({"layers": small}, InputError, "expected --layers of images of 9 pixels, as the data"),
        ({"layers": other}, InputError, "expected --hidden-sizes 5, as the layers of .*, got 8;"),
        ({"data": none}, DataError, "none.npz: expected an .npz file with train, valid and test"),
        ({"hidden_sizes": "3,x"}, InputError, "expected sizes such as 1000,500 as hidden_sizes"),
    ]
    for given, error, said in cases:
        with pytest.raises(error, match=said) as found:
            start(tmp_path / "run", data, **given)
        assert str(found.value).count("\n") == 0
    (Path(data) / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="without train-labels-idx1-ubyte"):
        start(tmp_path / "run", data)


def test_unlabelled_images_are_refused(tmp_path: Path) -> None:
    bits = np.packbits(np.zeros((5, 784), np.uint8), axis=1)
    np.savez(tmp_path / "few.npz", train=bits, valid=bits, test=bits)
    with pytest.raises(DataError, match="expected the 10000 test images of MNIST, got 5; take"):
        LabelledSource(str(tmp_path / "few.npz")).load()


def test_small_digits_are_read_by_the_name_of_their_file(tmp_path: Path) -> None:
    rows = [[*np.full(64, n % 10), n % 10] for n in range(40)]
    file = tmp_path / "digits.csv"
    file.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    corpus = LabelledSource(str(file), labelled=10).load()
    np.testing.assert_array_equal(np.bincount(corpus.train_labels), np.ones(10))
    assert (corpus.height, corpus.levels) == (8, 16)


def test_it_predicts_classes_of_lines_of_pixels(
    tmp_path: Path,
    data: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert start(tmp_path / "run", data).fit()
    best = str(tmp_path / "run" / "best.safetensors")
    lines = ["0 0 0 .9 .9 1 0.1 0 0\n", "\n", "1,1,1,0,0,0,0,0,0\n"]
    monkeypatch.setattr(predict, "_lines", lambda: iter(lines))
    assert main(["predict", best]) == 0
    assert capsys.readouterr().out.split() == ["1", "0"]
    monkeypatch.setattr(predict, "_lines", lambda: iter(lines))
    assert main(["predict", best, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row in found:
        assert sum(row["probabilities"]) == pytest.approx(1)
        assert int(np.argmax(row["probabilities"])) == row["label"]
    for bad, said in (
        ("1 2 3\n", "line 1: expected pixels in 0..1, apart by blanks, got '1 2 3'; write"),
        ("0 x\n", "line 1: expected pixels in 0..1, apart by blanks, got '0 x'"),
        ("0 1\n", "image 1: expected 9 pixels, as the model has, got 2"),
    ):
        monkeypatch.setattr(predict, "_lines", lambda bad=bad: iter([bad]))
        assert main(["predict", best]) == 1
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
