"""Each option of each command does something for each model, or is refused in one line."""

import argparse
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from user_model_files import write_small_data

from cavs.cli import evaluate, main, predict, sample
from cavs.data import Loader
from cavs.errors import CheckpointError, InputError
from cavs.training import ImageTask, load_checkpoint, make_task, save_checkpoint
from cavs.training.options import Choice, Flag, Integer, Option, Text
from cavs.training.tasks import MODELS, TASKS, Predicts, Samples, Trained

TREES = {"num_train": 30, "max_depth": 3}
WORDS = {"embedding_size": 4, "hidden_size": 5}
LATENT = {**WORDS, "latent_size": 3}
IMAGES = {"hidden_size": 4, "dev_samples": 3, "test_samples": 10, "test_images": 5}
# Maps each model to its data and to small sizes.
MODEL_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **dict.fromkeys(("tree-lstm", "nary-tree-lstm", "tree-gru"), ("", {**TREES, **WORDS})),
    "tree-fc": ("trees", WORDS),
    **dict.fromkeys(("vae", "iwae"), ("digits.npz", {**IMAGES, "latent_size": 3})),
    "sbn": ("digits.npz", IMAGES),
    "lm": ("text", {"hidden_size": 5, "length": 4, "batch_size": 4}),
    "sentence-vae": ("text", LATENT),
    "tree-vae": ("", {**TREES, **LATENT}),
    "parser": ("trees", {**WORDS, "min_count": 1}),
}
SCORED_WITHOUT_SAMPLES = ("tree-lstm", "nary-tree-lstm", "tree-gru", "tree-fc", "parser")


def test_all_models_are_here() -> None:
    assert set(MODEL_CASES) == set(MODELS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_data(tmp_path_factory.mktemp("data"))


def settings_of(model: str, data: Path) -> dict[str, Any]:
    name, sizes = MODEL_CASES[model]
    return {**({"data": str(data / name)} if name else {}), **sizes}


def words_of(settings: dict[str, Any]) -> list[str]:
    """Settings as arguments of a command."""
    words = []
    for name, value in settings.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(str(value))
    return words


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[str, Path]:
    """The folder of a short run of each model."""
    folder = tmp_path_factory.mktemp("runs")
    for model in MODELS:
        given = words_of({**settings_of(model, data), "epochs": 1})
        assert main(["train", model, *given, "--quiet", "--output", str(folder / model)]) == 0
    return {model: folder / model for model in MODELS}


def run(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str]:
    """The exit code of a command, and what it prints: its result, or its error."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out if code == 0 else err


def check_refusal(said: str, flag: str) -> None:
    """Checks the form of the error of an option that a command does not take."""
    assert re.fullmatch(rf"cavs: \[\w+\] [^\n]*expected [^\n]*{flag}[^\n]*, got [^\n]*; .*\n", said)


def other_value(option: Option, value: Any) -> Any:
    """A value of an option other than `value`."""
    if isinstance(option.kind, Integer):
        return (value or option.kind.least) + 1
    if isinstance(option.kind, Choice):
        return next(choice for choice in option.kind.values if choice != value)
    return True if isinstance(option.kind, Flag) else (value or 0.5) / 2


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
    if model == "lm":
        assert found == (
            "cavs: [evaluate] expected --batch-size for models of separate graphs only, got it "
            "for lm; leave it out\n"
        )
        return
    assert code == 0
    assert max(batch_sizes) == size != before
    if model in SCORED_WITHOUT_SAMPLES:
        assert re.findall(r"accuracy.*|F1.*", found) == re.findall(r"accuracy.*|F1.*", plain)


@pytest.mark.parametrize("model", MODELS)
def test_the_batch_size_in_the_library(runs: dict[str, Path], model: str) -> None:
    trained = Trained.load(runs[model] / "best.safetensors")
    with pytest.raises(InputError, match=r"expected (no batch size|an integer batch_size)"):
        trained.task_type.evaluate(trained, "test", batch_size=0)


# Each option of the command beside those of tasks, with a value that changes the result.
EVALUATE = {"--data": "none", "--split": "dev", "--json": None}


@pytest.mark.parametrize("flag", [*EVALUATE, "--test-samples", "--test-images"])
@pytest.mark.parametrize("model", MODELS)
def test_options_of_evaluate(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], model: str, flag: str
) -> None:
    judge = ["evaluate", runs[model] / "best.safetensors"]
    value = EVALUATE.get(flag, "3")
    _, plain = run(capsys, *judge)
    code, found = run(capsys, *judge, flag, *([] if value is None else [value]))
    if flag == "--data":
        assert code == 1
        assert re.search(r"none\b", found)
    elif flag.startswith("--test") and MODELS[model] is not ImageTask:
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
    lines = ["so very\n", "bad so\n"] if model == "parser" else ["[MAX 1 2 ]\n", "[MIN 1 2 ]\n"]
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
    code, found = printed("--all")
    assert found != expected
    if model == "parser":
        check_refusal(found, "--all")
    else:
        assert code == 0


SAMPLE = {"-n": "3", "--seed": "5", "--temperature": "9", "--max-words": "1"}


@pytest.mark.parametrize("flag", SAMPLE)
@pytest.mark.parametrize("model", [name for name, t in MODELS.items() if issubclass(t, Samples)])
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
    if flag in ("--temperature", "--max-words") and MODELS[model].kind != "text":
        check_refusal(found, flag)
    else:
        assert code == 0


def test_no_option_is_left_out_of_these_tables() -> None:
    parser = argparse.ArgumentParser()
    commands: Any = parser.add_subparsers()
    for command in (evaluate, predict, sample):
        command.add_parser(commands)
    common = {"-h", "--model", "--threads"}
    wanted = {
        "evaluate": {*EVALUATE, "--batch-size", "--test-samples", "--test-images"},
        "predict": {"--batch-size", "--all"},
        "sample": {*SAMPLE, "--output"},
    }
    for name, known in wanted.items():
        actions = commands.choices[name]._actions
        assert {a.option_strings[0] for a in actions if a.option_strings} == common | known


# --- train ----------------------------------------------------------------------------------------

TRAINED = [(model, o) for model, task in MODELS.items() for o in task.options_of(model)]
TRAINED = [(model, option) for model, option in TRAINED if not isinstance(option.kind, Text)]
_IDS = [f"{model}-{option.name}" for model, option in TRAINED]


def seen(model: str, settings: dict[str, Any], deep: bool) -> list[Any]:
    """All that a run of these settings begins with."""
    task, config = make_task(model, settings)
    parts = [config, task.source, task.arguments, list(task.vocabulary or ())]
    parts.append(len(task.split("train")))
    if deep:
        compiled = task.compile(config.seed)
        arrays = {name: p.numpy().tobytes() for name, p in compiled.named_parameters()}
        programs = [compiled[f] for f in compiled] if hasattr(compiled, "keys") else [compiled]
        parts = [arrays, [str(program.explain()) for program in programs]]
    return parts


@pytest.mark.parametrize(("model", "option"), TRAINED, ids=_IDS)
def test_options_of_train(data: Path, model: str, option: Option) -> None:
    settings = settings_of(model, data)
    task, config = make_task(model, settings)
    known = {**config.to_dict(), **task.source.to_dict(), **task.arguments}
    value = other_value(option, known.get(option.name, settings.get(option.name)))
    changed = {**settings, option.name: value}
    refused = {
        "momentum": config.optimizer != "sgd",
        "min_count": "data" not in settings,  # of ListOps
        "num_train": "data" in settings,
        "max_depth": "data" in settings,
    }
    if refused.get(option.name):
        with pytest.raises(InputError, match=f"expected {option.flag} .*, got .*; leave"):
            make_task(model, changed)
        return
    if option.name == "embedding_dropout_by":
        changed["embedding_dropout"] = settings["embedding_dropout"] = 0.5
    deep = option.group == "model"
    assert seen(model, changed, deep) != seen(model, settings, deep)


@pytest.mark.parametrize("model", MODELS)
def test_options_of_train_when_a_run_goes_on(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], model: str
) -> None:
    """What a run began with is kept, and what it does not tell is asked for in vain."""
    last = runs[model] / "last.safetensors"
    checkpoint = load_checkpoint(last)
    known = {
        **checkpoint.config,
        **checkpoint.training["settings"],
        **checkpoint.training["source"],
        **checkpoint.training["made_with"],
    }
    for option in MODELS[model].options_of(model):
        if option.name in ("epochs", "patience"):
            continue
        value = "x" if option.name == "data" else other_value(option, known.get(option.name))
        code, said = run(capsys, "train", model, "--resume", last, *words_of({option.name: value}))
        assert code == 1, option.name
        name = {"data": "path"}.get(option.name, option.name)
        check_refusal(said, f"({option.flag}|{name})")


@pytest.mark.parametrize("model", MODELS)
def test_a_run_goes_on_with_the_options_that_it_began_with(
    capsys: pytest.CaptureFixture[str],
    runs: dict[str, Path],
    data: Path,
    model: str,
    tmp_path: Path,
) -> None:
    last, given = runs[model] / "last.safetensors", words_of(settings_of(model, data))
    words = ["train", model, "--resume", last, *given, "--quiet", "--output", tmp_path / "more"]
    code, said = run(capsys, *words)
    assert code == 0, said


@pytest.mark.parametrize(("model", "count"), [("tree-lstm", 3), ("tree-lstm", 1), ("parser", 3)])
def test_a_run_keeps_the_options_that_made_its_words(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, model: str, count: int
) -> None:
    """The value that it began with is one to go on with, also where it went on before."""
    made = {"min_count": count, **({} if model == "parser" else {"embedding_std": 0.5})}
    given = words_of({"data": str(data / "trees"), **WORDS, **made, "epochs": 1})
    code, said = run(capsys, "train", model, *given, "--quiet", "--output", tmp_path)
    assert code == 0, said
    last = tmp_path / "last.safetensors"
    for epochs in (2, 3):
        words = words_of({**made, "epochs": epochs})
        code, said = run(capsys, "train", model, "--resume", last, *words, "--quiet")
        assert code == 0, said
        assert load_checkpoint(last).training["made_with"] == made
    for name, value in made.items():
        words = words_of({name: value + 1})
        code, said = run(capsys, "train", model, "--resume", last, *words)
        assert code == 1
        check_refusal(said, f"{name} {value}, as the run began")
    # Of a run from before they were kept, nothing can be said.
    checkpoint = load_checkpoint(last)
    del checkpoint.training["made_with"]
    save_checkpoint(last, checkpoint)
    code, said = run(capsys, "train", model, "--resume", last, *words_of(made))
    assert code == 1
    check_refusal(said, "--min-count")
    code, said = run(capsys, "train", model, "--resume", last, "--quiet", "--epochs", 4)
    assert code == 0, said


def test_a_setting_that_an_older_run_lacks(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], tmp_path: Path
) -> None:
    """It has its default there, and no other value."""
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    last = runs["tree-lstm"] / "last.safetensors"
    with safe_open(str(last), framework="numpy") as file:
        metadata = file.metadata()
    assert '"average": 0, ' in metadata["training"]
    metadata["training"] = metadata["training"].replace('"average": 0, ', "")
    older = tmp_path / "last.safetensors"
    save_file(load_file(last), older, metadata)
    code, said = run(capsys, "train", "tree-lstm", "--resume", older, "--average", 2)
    assert code == 1
    check_refusal(said, "average")


MINE = """
import cavs
from cavs import nn, ops


class A(cavs.VertexFunction):
    def __init__(self, vocab_size, num_classes, **given):
        self.NAME = nn.Embedding(vocab_size, num_classes)

    def forward(self, v):
        x = self.NAME(v.pull("word", dtype="int32"))
        v.push(logits=x, loss=ops.cross_entropy(x, v.pull("label", dtype="int32")))
"""


@pytest.mark.parametrize("name", ["embedding_std", "embedding_lr", "embedding_weight_decay"])
def test_options_of_an_embedding_that_a_users_model_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for attribute, wanted in (("words", 1), ("embedding", 0)):
        file = tmp_path / f"{attribute}.py"
        file.write_text(MINE.replace("NAME", attribute))
        given = words_of({**TREES, name: 0.5, "epochs": 1})
        output = ["--quiet", "--output", tmp_path / attribute]
        code, said = run(capsys, "train", f"{file}:A", "--task", "trees", *given, *output)
        assert code == wanted, said
        if wanted:
            flag = "--" + name.replace("_", "-")
            assert f"as its attribute embedding, got none; leave {flag} out, or name it so" in said


def test_a_value_that_another_option_needs_is_one_of_its_values() -> None:
    for task in TASKS:
        for name in (task.task_name, *(model.name for model in task.models)):
            options = {option.name: option for option in task.options_of(name)}
            for option in options.values():
                if option.needs is not None:
                    other, value = option.needs
                    assert options[other].kind.admits(value)


@pytest.mark.parametrize("option", ["--test-samples", "--test-images"])
def test_evaluation_names_an_option_beyond_the_bounds_of_the_source(
    capsys: pytest.CaptureFixture[str], runs: dict[str, Path], option: str
) -> None:
    code, found = run(capsys, "evaluate", runs["vae"] / "best.safetensors", option, 2_000_000)
    assert code != 0
    assert f"{option}: expected an integer in 1..1000000, got '2000000'" in found


def test_options_of_sources_have_the_bounds_of_their_sources() -> None:
    bounds = {"num_train": 10_000_000, "samples": 1_000_000, "dev_samples": 1_000_000}
    found = {
        option.name: option.kind.most
        for model, task in MODELS.items()
        for option in task.options_of(model)
        if option.name in bounds and isinstance(option.kind, Integer)
    }
    assert found == bounds


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
