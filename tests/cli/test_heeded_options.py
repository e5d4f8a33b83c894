"""Each option of what reads a checkpoint does something for each model, or is refused in one
line."""

import argparse
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from option_settings import MODEL_CASES, check_refusal, run, settings_of
from user_model_files import LATTICE

from cavs.cli import evaluate, predict, sample
from cavs.data import Loader
from cavs.errors import CheckpointError, InputError
from cavs.training import BoltzmannTask, ImageTask, load_checkpoint, save_checkpoint
from cavs.training.tasks import MODELS, Predicts, Samples, Trained

LINES = {
    "parser": ["so very\n", "bad so\n"],
    "tagger": ["so very\n", "bad so\n"],
    "seq2seq": ["a b\n", "b c\n"],
    "classifier": ["1 1 1 0 0 0 0 0 0\n", "0,0,0,0,0,0,1,1,0.5\n"],
    "lattice-lstm": ["2\n", *(2 * LATTICE).splitlines(keepends=True)],
}
SCORED_WITHOUT_SAMPLES = (
    *("tree-lstm", "nary-tree-lstm", "tree-gru", "tree-fc", "parser", "tagger", "seq2seq"),
    *("lattice-lstm", "classifier"),
)

SCORES = r"accuracy.*|F1.*|exact.*|error.*"


def test_all_models_are_here() -> None:
    assert set(MODEL_CASES) == set(MODELS)


# --- evaluate -------------------------------------------------------------------------------------


@pytest.fixture
def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of graphs in the batches that loaders give."""
    sizes: list[int] = []
    plain = Loader.__iter__

    def watched(self: Loader) -> Iterator[Any]:
        for batch, inputs in plain(self):
            sizes.append(batch.num_graphs)
            yield batch, inputs

    monkeypatch.setattr(Loader, "__iter__", watched)
    return sizes


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize("model", MODELS)
def test_the_batch_size_of_evaluation(
    capsys: pytest.CaptureFixture[str],
    runs: dict[str, Path],
    batch_sizes: list[int],
    model: str,
    split: str,
) -> None:
    judge = ["evaluate", runs[model] / "best.safetensors", "--split", split]
    code, plain = run(capsys, *judge)
    assert code == 0
    before = max(batch_sizes)
    batch_sizes.clear()
    size = 2 if MODEL_CASES[model][0] else 300
    code, found = run(capsys, *judge, "--batch-size", size)
    if model in ("lm", "transformer-xl"):
        assert found == (
            "cavs: [evaluate] expected --batch-size for models of separate graphs only, got it "
            f"for {model}; leave it out\n"
        )
        return
    assert code == 0
    assert max(batch_sizes) == size != before
    if model in SCORED_WITHOUT_SAMPLES:
        assert re.findall(SCORES, found) == re.findall(SCORES, plain)


@pytest.mark.parametrize("model", MODELS)
def test_the_batch_size_in_the_library(runs: dict[str, Path], model: str) -> None:
    trained = Trained.load(runs[model] / "best.safetensors")
    with pytest.raises(InputError, match=r"expected (no batch size|an integer batch_size)"):
        trained.task_type.evaluate(trained, "test", batch_size=0)


# Each option of the command beside those of tasks, with a value that changes the result.
EVALUATE = {"--data": "none", "--split": "dev", "--json": None}
OF_TASKS = {
    **dict.fromkeys(("--test-samples", "--test-images"), ImageTask),
    **dict.fromkeys(("--test-temperatures", "--test-chains"), BoltzmannTask),
}


@pytest.mark.parametrize("flag", [*EVALUATE, *OF_TASKS])
@pytest.mark.parametrize("model", MODELS)
def test_options_of_evaluate(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], model: str, flag: str
) -> None:
    judge = ["evaluate", runs[model] / "best.safetensors"]
    value = EVALUATE.get(flag, "4" if flag == "--test-chains" else "3")
    _, plain = run(capsys, *judge)
    code, found = run(capsys, *judge, flag, *([] if value is None else [value]))
    if flag == "--data":
        assert code == 1
        assert re.search(r"none\b", found)
    elif flag in OF_TASKS and MODELS[model] is not OF_TASKS[flag]:
        assert code == 1
        check_refusal(found, flag)
    else:
        assert code == 0
    assert found != plain


def test_a_split_of_one_file(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "some.txt"
    file.write_text("(3 (2 1) (4 2))\n")
    judge = ["evaluate", runs["tree-lstm"] / "best.safetensors", "--data", file]
    assert run(capsys, *judge)[0] == 0
    assert run(capsys, *judge, "--split", "test")[0] == 0
    for split in ("train", "dev"):
        code, said = run(capsys, *judge, "--split", split)
        assert code == 1
        check_refusal(said, f"--split {split}")


# --- predict and sample ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", [name for name, t in MODELS.items() if issubclass(t, Predicts)])
def test_options_of_predict(
    capsys: pytest.CaptureFixture[str],
    runs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    task, use = MODELS[model], ["predict", runs[model] / "best.safetensors"]
    lines = LINES.get(model, ["[MAX 1 2 ]\n", "[MIN 1 2 ]\n"])
    sizes: list[int] = []
    plain = task.predictor

    def predictor(*args: Any, **options: Any) -> Any:
        inner = plain(*args, **options)
        return lambda items: (sizes.append(len(items)), inner(items))[1]

    monkeypatch.setattr(task, "predictor", predictor)

    def printed(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(predict, "_lines", lambda: iter(lines))
        return run(capsys, *use, *words)

    code, expected = printed()
    assert (code, max(sizes)) == (0, 2)
    sizes.clear()
    assert printed("--batch-size", "1") == (0, expected)
    assert max(sizes) == 1
    for option, has in (("--all", model not in LINES), ("--beam 3", model == "seq2seq")):
        code, found = printed(*option.split())
        if has:
            assert code == 0
        else:
            check_refusal(found, option.split()[0])
    code, found = printed("--beam", "3", "--json") if model == "seq2seq" else printed("--all")
    assert found != expected


# Of autoencoders one kind is drawn from: tests/training/test_autoencoders.py.
SAMPLED = [x for x, task in MODELS.items() if issubclass(task, Samples) and x != "autoencoder"]
SAMPLE = {
    "-n": "3",
    "--seed": "5",
    "--temperature": "9",
    "--max-words": "1",
    "--steps": "2",
    "--complete": "left",
}


@pytest.mark.parametrize("flag", SAMPLE)
@pytest.mark.parametrize("model", SAMPLED)
def test_options_of_sample(
    capsys: pytest.CaptureFixture[str],
    runs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model: str,
    flag: str,
) -> None:
    pictures: list[Any] = []
    monkeypatch.setattr(sample, "write_images", lambda path, images: pictures.append(images))
    monkeypatch.chdir(tmp_path)

    def drawn(*words: str) -> tuple[int, Any]:
        pictures.clear()
        code, out = run(capsys, "sample", runs[model] / "best.safetensors", *words)
        return code, pictures[0].tobytes() if pictures else out

    code, plain = drawn()
    assert code == 0
    code, found = drawn(flag, SAMPLE[flag])
    assert found != plain
    own = {option.flag for option in MODELS[model].sampling_options}
    of_tasks = ("--temperature", "--max-words", "--steps", "--complete")
    if (flag in of_tasks and flag not in own) or (flag, model) == ("--complete", "dbn"):
        check_refusal(found, flag)
    else:
        assert code == 0


def test_no_option_is_left_out_of_these_tables() -> None:
    parser = argparse.ArgumentParser()
    commands: Any = parser.add_subparsers()
    for command in (evaluate, predict, sample):
        command.add_parser(commands)
    common = {"-h", "--model", "--threads", "--device"}
    wanted = {
        # Of models of many orders, as in test_train_models.py.
        "evaluate": {*EVALUATE, *OF_TASKS, "--batch-size", "--test-orders"},
        "predict": {"--batch-size", "--all", "--beam", "--json"},
        "sample": {*SAMPLE, "--output"},
    }
    for name, known in wanted.items():
        actions = commands.choices[name]._actions
        assert {a.option_strings[0] for a in actions if a.option_strings} == common | known


@pytest.mark.parametrize("option", ["--test-samples", "--test-images"])
def test_evaluation_names_an_option_beyond_the_bounds_of_the_source(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], option: str
) -> None:
    code, found = run(capsys, "evaluate", runs["vae"] / "best.safetensors", option, 2_000_000)
    assert code != 0
    assert f"{option}: expected an integer in 1..1000000, got '2000000'" in found


def test_data_may_be_named_for_a_checkpoint_that_records_none(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(runs["lm"] / "best.safetensors")
    training = {k: v for k, v in checkpoint.training.items() if k != "source"}
    file = tmp_path / "without.safetensors"
    save_checkpoint(file, dataclasses.replace(checkpoint, training=training))
    code, found = run(capsys, "evaluate", file, "--data", data / "text")
    assert code == 0, found
    assert "perplexity" in found


@pytest.mark.parametrize("source", ["missing", None, 5, "a", ["path"]])
def test_a_checkpoint_without_the_source_of_its_data(
    capsys: pytest.CaptureFixture[str],
    runs: dict[str, Path],
    data: Path,
    tmp_path: Path,
    source: Any,
) -> None:
    """Options that change the source need the place of the data, from the file or by --data."""
    checkpoint = load_checkpoint(runs["vae"] / "best.safetensors")
    training = {**checkpoint.training, "source": source}
    if source == "missing":
        del training["source"]
    without = dataclasses.replace(checkpoint, training=training)
    trained = Trained(tmp_path / "without", without, MODELS["vae"])
    got = None if source == "missing" else source
    said = f"expected the source of the data that it was trained on, got {got!r}; name data by "
    for use in (trained.source, lambda: trained.with_source(test_samples=3)):
        with pytest.raises(CheckpointError, match=re.escape(said)):
            use()
    assert trained.with_source(path="a", samples=2).source().samples == 2
    if source != "missing":  # which is read from no file
        return
    file = tmp_path / "without.safetensors"
    save_checkpoint(file, without)
    code, found = run(capsys, "evaluate", file, "--test-samples", 3)
    assert code == 1
    assert said in found
    place = settings_of("vae", data)["data"]
    code, found = run(capsys, "evaluate", file, "--test-samples", 3, "--data", place)
    assert code == 0, found
