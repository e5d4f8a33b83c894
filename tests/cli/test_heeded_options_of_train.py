"""Each option of `cavs train` does something for each model, or is refused in one line."""

from pathlib import Path
from typing import Any

import pytest
from option_settings import TREES, WORDS, check_refusal, other_value, run, settings_of, words_of

from cavs.errors import InputError
from cavs.training import load_checkpoint, make_task, save_checkpoint
from cavs.training.options import Integer, Option, Text
from cavs.training.tasks import MODELS, TASKS

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
        "momentum": config.optimizer not in ("sgd", "rmsprop"),
        "alpha": config.optimizer != "rmsprop",
        "centered": config.optimizer != "rmsprop",
        "min_count": "data" not in settings,  # of ListOps
        "num_train": "data" in settings and model != "seq2seq",
        "max_depth": "data" in settings,
        "chains": not settings.get("persistent"),
    }
    if option.needs is not None and option.name not in refused:
        values = {o.name: settings.get(o.name, o.default) for o in task.options_of(model)}
        refused[option.name] = not option.is_heeded(values)
    if refused.get(option.name):
        with pytest.raises(InputError, match=f"expected {option.flag} .*, got .*; leave"):
            make_task(model, changed)
        return
    if option.name == "embedding_dropout_by":
        changed["embedding_dropout"] = settings["embedding_dropout"] = 0.5
    deep = option.group == "model"
    assert seen(model, changed, deep) != seen(model, settings, deep)


@pytest.mark.parametrize("model", ["tree-lstm", "lm"])
def test_options_of_rmsprop(data: Path, model: str) -> None:
    """PyTorch's defaults, momentum too, whatever that of sgd is."""
    settings = {**settings_of(model, data), "optimizer": "rmsprop"}
    _, config = make_task(model, settings)
    assert (config.momentum, config.alpha, config.centered) == (0.0, 0.99, False)
    more = {"momentum": 0.9, "alpha": 0.5, "centered": True}
    _, config = make_task(model, {**settings, **more})
    assert (config.momentum, config.alpha, config.centered) == (0.9, 0.5, True)
    for name, value in more.items():
        wanted = "sgd or rmsprop" if name == "momentum" else "rmsprop"
        message = f"expected --{name} with --optimizer {wanted} only, got adam; leave one out"
        with pytest.raises(InputError, match=message):
            make_task(model, {**settings, "optimizer": "adam", name: value})
    with pytest.raises(InputError, match="below 1 as alpha, got 1"):
        make_task(model, {**settings, "alpha": 1})


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
        check_refusal(said, f"({option.flag}|{option.name})")


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
                    other, values = option.needs
                    for value in values if isinstance(values, tuple) else (values,):
                        assert options[other].kind.admits(value)


def test_options_of_sources_have_the_bounds_of_their_sources() -> None:
    bounds = {"num_train": 10_000_000, "samples": 1_000_000, "dev_samples": 1_000_000}
    found = {
        option.name: option.kind.most
        for model, task in MODELS.items()
        for option in task.options_of(model)
        if option.name in bounds and isinstance(option.kind, Integer)
    }
    assert found == bounds
