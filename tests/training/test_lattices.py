"""The tagger of lattices as the command line trains it, and what it reads and prints."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from user_model_files import LATTICE, LATTICES, run

import cavs
from cavs.cli import main
from cavs.data import load_lattices, read_lattices
from cavs.errors import DataError
from cavs.training import TrainingRun, load_checkpoint, make_task
from cavs.training.tasks import LatticeSource, Trained

OTHER = "5\n0 1 1 1 1\n0\n1 0 1\n1 1 1\n1 2 3\n2 3 0 1 2\n"
SMALL = [
    "--embedding-size",
    "8",
    "--hidden-size",
    "10",
    "--epochs",
    "12",
    "--lr",
    "0.02",
    "--quiet",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lattices")
    for name in ("train", "dev"):
        (folder / f"{name}.txt").write_text(LATTICES)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    directory = tmp_path_factory.mktemp("run")
    given = ["--data", str(data), *SMALL, "--output", str(directory)]
    assert main(["train", "lattice-lstm", *given]) == 0
    return directory / "best.safetensors"


def predict(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: Path,
    text: str,
    *options: str,
    code: int = 0,
) -> str:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    return run(capsys, "predict", path, *options, code=code)


def test_it_learns_and_tags_what_it_reads(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, "evaluate", trained)
    assert "F1 100.00 %  precision 100.00 %  recall 100.00 %  tags 100.00 %" in out
    without_tags = LATTICE.replace("0 2 3 1", "9 9 9 9")
    text = f"2\n{without_tags}\n{OTHER}"
    found = predict(monkeypatch, capsys, trained, text)
    assert found == "2 3 1\n1 1 1 1\n"
    assert predict(monkeypatch, capsys, trained, text, "--batch-size", "1") == found
    rows = predict(monkeypatch, capsys, trained, text, "--json").splitlines()
    shares = [np.array(json.loads(row)["probabilities"]) for row in rows]
    assert [json.loads(row)["tags"] for row in rows] == [[2, 3, 1], [1, 1, 1, 1]]
    for share in shares:
        assert share.shape[1] == 4
        np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-5)


def test_scores_as_json(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = json.loads(run(capsys, "evaluate", trained, "--json", "--split", "dev"))
    assert {"f1", "precision", "recall", "accuracy", "loss"} <= set(scores)
    assert scores["f1"] == 1


@pytest.mark.parametrize(
    ("text", "message", "lines"),
    [
        ("", "line 1: expected the number of lattices, got the end of the file", 0),
        ("x\n", "line 1: expected the number of lattices, got 'x'", 0),
        (f"2\n{LATTICE}3\n", "line 9: expected 3 tags, got the end of the file", 1),
        (
            f"2\n{LATTICE}{LATTICE.replace('1 0 2', '1 0 9')}",
            "lattice 2: expected characters below",
            0,
        ),
        (f"1\n{LATTICE.replace('0 0 1', '0 0 7')}", "lattice 1: expected words below 3, as the", 0),
    ],
)
def test_what_it_cannot_read(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    message: str,
    lines: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["predict", str(trained)]) == 1
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert len(out.splitlines()) == lines


def test_a_resumed_run_ends_as_one_without_a_stop(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data), "embedding_size": 4, "hidden_size": 5, "epochs": 4, "seed": 3}
    ends = []
    for stops in ((), (1, 7)):
        folder = tmp_path / str(len(stops))
        task, config = make_task("lattice-lstm", given)
        training = TrainingRun.start(folder, task, config)
        for steps in stops:
            left = iter(range(steps))
            assert not training.fit(should_stop=lambda left=left: next(left, None) is None)
            last = folder / "last.safetensors"
            training = TrainingRun.resume(last, load_checkpoint(last), config, folder)
        assert training.fit()
        ends.append(load_checkpoint(folder / "last.safetensors").parameters)
    for name, values in ends[0].items():
        np.testing.assert_array_equal(values, ends[1][name], err_msg=name)


def test_a_tenth_of_train_is_the_test_set(data: Path, tmp_path: Path) -> None:
    corpus = LatticeSource(str(data)).load()
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (29, 32, 3)
    again = LatticeSource(str(data)).load()
    assert [x.tags.tolist() for x in corpus.test] == [x.tags.tolist() for x in again.test]
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text(f"1\n{LATTICE}")
    corpus = LatticeSource(str(tmp_path)).load()
    assert [len(x) for x in (corpus.train, corpus.dev, corpus.test)] == [1, 1, 1]
    (tmp_path / "test.txt").unlink()
    with pytest.raises(DataError, match=r"at least 2 lattices in train\.txt, got 1"):
        LatticeSource(str(tmp_path)).load()


def test_numbers_that_training_lacks_begin_as_zeros(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        text = f"1\n{LATTICE}" if name == "train" else f"1\n{OTHER}"
        (tmp_path / f"{name}.txt").write_text(text)
    task, _ = make_task("lattice-lstm", {"data": str(tmp_path), "embedding_size": 4})
    state = task.compile(0).state_dict()
    zero = {
        name: (~state[f"{name}.embedding.weight"].any(axis=1)).tolist() for name in ("char", "word")
    }
    assert zero == {"char": [False, False, False, True], "word": [True, False, True]}


def test_data_that_do_not_fit_a_checkpoint(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.txt").write_text(
            f"2\n{LATTICE}{LATTICE.replace('0 2 3 1', '0 2 9 1')}"
        )
    said = run(capsys, "evaluate", trained, "--data", tmp_path, code=1)
    assert "expected tags below 4, as the model has, got 9" in said


OWN = """
import cavs
from cavs import nn, ops
from cavs.models.lattice_lstm import LatticeWord


class Char(cavs.VertexFunction):
    def __init__(self, num_characters, size, num_classes):
        self.size = size
        self.embedding = nn.Embedding(num_characters, size)
        self.out = nn.Linear(size, num_classes)

    def forward(self, v):
        words = v.gather(of="word", c=self.size)
        before = v.gather(0, of="char", h=self.size, c=self.size)
        h = ops.tanh(self.embedding(v.pull("character", dtype="int32")) + before.h + words.c.sum())
        v.scatter(h=h, c=h)
        logits = self.out(h)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


class Tagger(cavs.TypedFunction):
    def __init__(self, num_characters, num_words, num_classes, hidden_size, **given):
        char = Char(num_characters, hidden_size, num_classes)
        super().__init__({"char": char, "word": LatticeWord(num_words, hidden_size, hidden_size)})
"""


def test_a_model_of_a_users(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    model, folder = f"{file}:Tagger", tmp_path / "run"
    given = ["--task", "lattices", "--data", data, *SMALL, "--output", folder]
    run(capsys, "train", model, *given, "--embedding-lr", "0.01")
    best = folder / "best.safetensors"
    assert "F1" in run(capsys, "evaluate", best, "--model", model)
    run(
        capsys, "train", model, "--resume", folder / "last.safetensors", "--epochs", "13", "--quiet"
    )
    trained = Trained.load(best, load_checkpoint(best).user.loaded(make_user(model)))
    (found,) = trained.task_type.predictor(trained, "here")(read_lattices_of(LATTICE))
    assert len(found.split()) == 3


def make_user(model: str):  # type: ignore[no-untyped-def]
    return cavs.training.load_user_model(model, "lattices")


def read_lattices_of(text: str):  # type: ignore[no-untyped-def]
    return list(cavs.data.parse_lattices(["1", *text.splitlines()]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(cavs.TypedFunction)", "(cavs.VertexFunction)", "derived from cavs.TypedFunction"),
        (
            '"word": LatticeWord',
            '"term": LatticeWord',
            "expected the types char, word, got char, term",
        ),
        ('pull("label"', 'pull("tag"', "expected pulls of character, label, word, which the task"),
        ("logits=logits, loss", "scores=logits, loss", "expected pushes of logits, loss"),
        ("num_words, num_classes", "num_classes", "one without num_words"),
    ],
)
def test_a_model_of_a_users_that_does_not_fit(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    message: str,
) -> None:
    assert old in OWN
    text = OWN.replace(old, new)
    if "num_words" in old:
        text = text.replace(", **given", "")
    (tmp_path / "own.py").write_text(text)
    model = f"{tmp_path / 'own.py'}:Tagger"
    given = ["--task", "lattices", "--data", data, *SMALL, "--output", tmp_path / "run"]
    assert message in run(capsys, "train", model, *given, code=1)


@pytest.mark.slow
def test_real_lattices(data_dir: Path, tmp_path: Path) -> None:
    given = {"hidden_size": 32, "epochs": 4, "lr": 0.01, "dropout": 0.1}
    task, config = make_task("lattice-lstm", {"data": str(data_dir / "lattice"), **given})
    assert task.sizes == {"train": 1_032, "dev": 113, "test": 115}
    assert TrainingRun.start(tmp_path, task, config).fit()
    trained = Trained.load(tmp_path / "best.safetensors")
    assert trained.task_type.evaluate(trained, "test").scores["f1"] > 0.1
    lattices = read_lattices(data_dir / "lattice" / "dev.txt")
    assert len(load_lattices(data_dir / "lattice").dev) == len(lattices)
    lines = trained.task_type.predictor(trained, "here")(lattices[:3])
    assert [len(line.split()) for line in lines] == [len(x.tags) - 1 for x in lattices[:3]]
