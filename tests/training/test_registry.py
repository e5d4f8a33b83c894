"""Every task and every built-in model by what the registry says of it: options, training, use."""

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bars import write_labelled
from user_model_files import LATTICE, LATTICES, write_digits

from cavs.cli.main import make_parser
from cavs.errors import InputError
from cavs.models import CLASSIFIERS
from cavs.training import TrainingConfig, TrainingRun, UserModel, load_checkpoint, make_task
from cavs.training.options import Flag, Integer, Option
from cavs.training.tasks import MODELS, TASKS, Predicts, Samples, Task, Trained, find_task

SMALL: dict[str, Any] = {
    "hidden_size": 4,
    "embedding_size": 3,
    "latent_size": 2,
    "num_layers": 1,
    "epochs": 1,
    "batch_size": 8,
    "dev_samples": 2,
    "test_samples": 4,
    "test_images": 3,
    "dev_temperatures": 2,
    "test_temperatures": 4,
    "test_chains": 3,
    "top_size": 3,
    "hidden_sizes": "5",
    "length": 5,
    "memory": 4,
    "size": 4,
    "num_heads": 2,
    "inner_size": 5,
    "character_size": 2,
    "character_hidden_size": 3,
}


#: What tasks predict for, a line or several.
ITEMS = {
    "parser": ["so bad\n"],
    "tagger": ["so bad\n"],
    "seq2seq": ["b a\n"],
    "classifier": ["0 0 0 1 1 1 0 0 0\n"],
    "lattice-lstm": ["1\n", *LATTICE.splitlines(keepends=True)],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for the data of each task, by the task's name."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    bits = {name: rng.integers(0, 2, (12, 784)) for name in ("train", "valid", "test")}
    packed = {k: np.packbits(x.astype(np.uint8), axis=1) for k, x in bits.items()}
    for task in ("images", "boltzmann", "densities", "autoencoders"):
        with (folder / task).open("wb") as file:
            np.savez(file, **packed)
    write_digits(folder / "flows.csv", 40)
    for task in ("text", "segments", "sentences", "reversal"):
        (folder / task).mkdir()
        for name in ("train", "valid", "test"):
            (folder / task / f"{name}.txt").write_text("a b c\nb a\nc b a c\n" * 6)
    tagged = [f"it|O is|O Jan{i}|I-PER\nand|O Ann|I-PER is|O it|O\n" for i in range(9)]
    (folder / "tagging").write_text("".join(tagged))
    for task in ("trees", "parser"):
        (folder / task).mkdir()
        for name in ("train", "dev", "test"):
            lines = "(3 (2 so) (4 (2 very) (3 good)))\n(1 (1 bad) (2 film))\n"
            (folder / task / f"{name}.txt").write_text(lines * 4)
    write_labelled(folder / "labelled-images", 3, 36, 6)
    (folder / "lattices").mkdir()
    for name in ("train", "dev"):
        (folder / "lattices" / f"{name}.txt").write_text(LATTICES)
    return folder


def data_of(task: type[Task], data: Path) -> str:
    return str(data / ("flows.csv" if task.task_name == "flows" else task.task_name))


def options_of(task: type[Task], model: str, data: Path) -> dict[str, Any]:
    """A small training of a model."""
    names = {option.name for option in task.options_of(model)}
    given = {name: value for name, value in SMALL.items() if name in names}
    if "data" in names:
        return {**given, "data": data_of(task, data)}
    return {**given, "num_train": 20, "max_depth": 3}


def stop_after(steps: int) -> Any:
    """Says stop once so many steps are done."""
    left = iter(range(steps - 1))
    return lambda: next(left, None) is None


def help_of(model: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What ``cavs train MODEL --help`` prints, in one line."""
    with pytest.raises(SystemExit):
        make_parser().parse_args(["train", model, *options, "--help"])
    return " ".join(capsys.readouterr().out.split())


def words(text: str) -> str:
    """As help prints it: lines broken at blanks, and at dashes within words."""
    return re.escape(" ".join(text.split())).replace(r"\ ", " ").replace(r"\-", r"\- ?")


def test_names_are_of_one_task() -> None:
    names = [name for task in TASKS for name in (model.name for model in task.models)]
    assert len(set(names)) == len(names)
    assert list(MODELS) == names
    assert len({task.task_name for task in TASKS}) == len(TASKS)
    for task in TASKS:
        assert find_task(task.task_name) is task
        assert task.model_of(task.task_name) is task.models[0]
        assert {model.contract.base for model in task.models} == {task.models[0].contract.base}
        for model in task.models:
            assert issubclass(model.make, model.contract.base)
            assert {*model.defaults, *model.lacks} <= {
                option.name for option in (*task.own_options, *task.training_options)
            }
    with pytest.raises(InputError, match=r"\[train\] expected a task among trees, images, "):
        find_task("nonsense")
    assert MODELS["tree-lstm"].model_of("tree-lstm").make is CLASSIFIERS["tree-lstm"]


@pytest.mark.parametrize("model", MODELS)
def test_options_and_their_defaults_are_said_in_help(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    task = MODELS[model]
    text = help_of(model, capsys)
    assert re.search(words(task.model_of(model).meaning), text)
    for option in task.options_of(model):
        usage = option.flag if isinstance(option.kind, Flag) else f"{option.flag} "
        assert usage in text
        assert re.search(words(option.help), text), option.help
        if option.default is not None and not isinstance(option.kind, Flag) and not option.said:
            assert f"(default: {option.default}" in option.help
        if option.otherwise is not None:
            assert f"; {option.otherwise[1]} for {option.otherwise[0]})" in option.help
    for_users = help_of("a.py:A", capsys, "--task", model)
    for option in task.options_of(model):
        assert f"{option.flag}" in for_users


@pytest.mark.parametrize("model", MODELS)
def test_options_are_parsed_to_what_libraries_give(model: str) -> None:
    options = [o for o in MODELS[model].options_of(model) if o.default is not None]
    command = ["train", model]
    for option in options:
        flags = [option.flag] if option.default else []
        command += flags if isinstance(option.kind, Flag) else [option.flag, str(option.default)]
    parsed = vars(make_parser().parse_args(command))
    for option in options:
        if not isinstance(option.kind, Flag):
            assert parsed[option.name] == option.default
            assert type(parsed[option.name]) is type(option.default)
            assert option.kind.admits(option.default)


@pytest.mark.parametrize("model", MODELS)
def test_each_trains_a_step_is_kept_judged_and_used(tmp_path: Path, data: Path, model: str) -> None:
    kind = MODELS[model]
    given = options_of(kind, model, data)
    if model == "autoencoder":
        given["kind"] = "adversarial"  # of which there are samples
    task, config = make_task(model, given)
    assert isinstance(task, kind)
    assert (task.name, task.user) == (model, None)
    run = TrainingRun.start(tmp_path, task, config)
    run.fit(should_stop=stop_after(1))
    assert run.trainer.step == 1
    checkpoint = load_checkpoint(tmp_path / "last.safetensors")
    assert (checkpoint.model, checkpoint.user) == (model, None)
    trained = Trained.load(tmp_path / "last.safetensors")
    assert trained.task_type is kind
    for split in ("dev", "test"):
        found = kind.evaluate(trained, split)
        assert found.scores[task.objective.best] is not None
        assert f"{split} set of {task.source.name}" in found.text
    if isinstance(task, Predicts):
        lines = ["\n", *ITEMS.get(model, ["(2 (2 so) (2 bad))\n"])]
        items = list(task.read_items(lines, "here"))
        assert len(task.predictor(trained, "here")(items)) == len(items) == 1
    if isinstance(task, Samples):
        assert len(task.sample(trained, 3, seed=0)) == 3
    assert isinstance(task, (Predicts, Samples))


@pytest.mark.parametrize("model", MODELS)
def test_built_in_models_keep_their_contracts(data: Path, model: str) -> None:
    """A class of a user's that is the same is taken, and is built with the same arguments."""
    kind = MODELS[model]
    given = options_of(kind, model, data)
    built_in, config = make_task(model, given)
    user = UserModel("mine.py", "A", model, make=kind.model_of(model).make)
    task, same = make_task(user, given)
    assert task.arguments == built_in.arguments
    assert same.to_dict() == {**config.to_dict(), "embedding_lr": same.embedding_lr}
    one, other = built_in.compile(config.seed), task.compile(config.seed)
    for name, values in one.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], values)


@pytest.mark.parametrize("model", [m for m in MODELS if m not in ("tree-gru", "tree-fc")])
def test_docs_name_what_models_are_built_with(data: Path, model: str) -> None:
    task, _ = make_task(model, options_of(MODELS[model], model, data))
    page = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.count("|") == 5]
    columns = {name: row[2] for row in rows for name in re.findall(r"`([\w-]+)`", row[1])}
    kind = MODELS[model]
    built = columns[model] if model in columns else columns[kind.task_name]
    named = set(re.findall(r"`(\w+)`", built))
    if "the same" in built:
        named |= set(re.findall(r"`(\w+)`", columns[kind.task_name]))
    # An embedding of another size than the states alone is named to a language model.
    assert named - set(task.arguments) <= ({"embedding_size"} if model == "lm" else set())
    assert set(task.arguments) <= named


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.task_name)
def test_defaults_are_the_same_without_the_command_line(data: Path, task: type[Task]) -> None:
    given = {"data": data_of(task, data)} if task.task_name != "expressions" else {}
    if not given:
        given = {"num_train": 5}
    made, config = make_task(task.models[0].name, given)
    settings = {**config.to_dict(), **made.source.to_dict(), **made.arguments}
    for option in task.options_of(task.models[0].name):
        if option.name in settings and option.name not in given:
            wanted = settings[option.follows] if option.follows else option.default
            found = settings[option.name]
            if isinstance(found, list):  # sizes are text on the command line
                found = ",".join(map(str, found))
            assert found == wanted, option.name
    assert isinstance(config, TrainingConfig)


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        ("tree-lstm", {"width": 3}, r"expected options among data, num_train, .*, got 'width'"),
        (
            "tree-lstm",
            {"hidden_size": 0},
            "expected an integer of at least 1 as hidden_size, got 0",
        ),
        ("tree-lstm", {"hidden_size": 2.5}, "expected an integer of at least 1 as hidden_size"),
        ("tree-lstm", {"dropout": 1.0}, "expected a number of at least 0 and below 1 as dropout"),
        ("tree-lstm", {"lr": float("nan")}, "expected a number above 0 as lr, got nan"),
        ("tree-lstm", {"optimizer": "none"}, "expected one of adagrad, adam, adamw, rmsprop, sgd"),
        ("vae", {"with_dev": 1, "data": "x"}, "expected True or False as with_dev, got 1"),
        ("vae", {"data": 3}, "expected a text as data, got 3"),
        ("vae", {"seed": 2**64}, r"expected an integer in 0..18446744073709551615 as seed"),
        ("vae", {"samples": 3}, "expected options among"),
        ("vae", {}, r"\[train\] expected --data, got none; say where the data are"),
        ("nonsense", {}, "expected a task among"),
    ],
)
def test_wrong_options_are_refused(model: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_task(model, given)


def test_an_option_says_its_default() -> None:
    assert Option("a_b", Flag(), False, "yes").help == "yes"
    assert Option("a_b", Flag()).flag == "--a-b"
    assert Option("a", Flag(), None, "yes", said="no").help == "yes (default: no)"
    assert Option("a", Flag(), None, "yes", follows="b_c").help == "yes (default: that of --b-c)"


def test_tasks_know_nothing_of_the_command_line() -> None:
    for path in sorted((Path(__file__).resolve().parents[2] / "cavs" / "training").rglob("*.py")):
        assert "argparse" not in path.read_text(encoding="utf-8"), path.name


def test_the_command_line_names_no_model() -> None:
    """What it knows of them comes from the tasks."""
    folder = Path(__file__).resolve().parents[2] / "cavs" / "cli"
    names = {*MODELS, *CLASSIFIERS}
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said = set(re.findall(r"(?<![\w-])[a-z]+(?:-[a-z]+)*(?![\w-])", node.value))
                named = (
                    (names - {"parser", "tagger", "made", "classifier"}) & said
                    if " " in node.value
                    else {node.value} & names
                )
                assert not named, f"{path.name}: {textwrap.shorten(node.value, 60)}"


@pytest.mark.parametrize("model", MODELS)
def test_help_shows_integers_as_n(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["train", model, "--help"])
    said = capsys.readouterr().out
    options = MODELS[model].options_of(model)
    wanted = {option.flag for option in options if isinstance(option.kind, Integer)}
    assert {"--epochs", "--batch-size", "--seed", "--patience"} <= wanted
    shown = dict(re.findall(r"^ +(--[a-z-]+) ([A-Z]+)\b", said, re.M))
    assert {shown[flag] for flag in wanted} == {"N"}
    assert shown["--lr"] == "X"


@pytest.mark.parametrize("command", ["predict", "evaluate", "sample", "draw", "bench"])
def test_no_help_shows_a_value_by_the_name_of_its_option(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args([command, "--help"])
    shown = re.findall(
        r"^ +(?:-\w [A-Z]+, )?--([a-z-]+) ([A-Z_]+)\b", capsys.readouterr().out, re.M
    )
    assert shown
    assert not [name for name, value in shown if value == name.upper().replace("-", "_") != "TREE"]
