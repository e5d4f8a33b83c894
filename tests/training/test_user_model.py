"""Users' models apart from commands, which tests/cli/test_user_models.py tries."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import cavs
from cavs.errors import InputError
from cavs.training import (
    Checkpoint,
    TrainingRun,
    load_checkpoint,
    load_user_model,
    make_task,
    save_checkpoint,
)
from cavs.training._fields import Fields
from cavs.training.tasks import Trained
from cavs.training.user_model import UserModel, parse_arg, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("True", True),
        ("None", None),
        ("(1, 2)", (1, 2)),
        ("{'a': [1]}", {"a": [1]}),
        (" 'x y' ", "x y"),
        ("tanh", "tanh"),
        (r"'\d'", r"\d"),
        ("1if 2else 3", "1if 2else 3"),
        ("true", "true"),
        ("", ""),
        ("a=b", "a=b"),
        ("1 + 1", "1 + 1"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("[" * 3000, "[" * 3000),
        ("-" * 4000 + "1", "-" * 4000 + "1"),
        ("{[1]: 2}", "{[1]: 2}"),
        ("{[]}", "{[]}"),
    ],
)
def test_values_are_literals_or_strings(text: str, value: Any) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)
    assert parse_arg(f"a={text}") == ("a", text)


@pytest.mark.parametrize("text", ["", "a", "=", "=1", "1a=2", "a.b=2", "a =2", "a=" + "x" * 5000])
def test_other_words_are_no_arguments(text: str) -> None:
    with pytest.raises(InputError, match="expected --arg NAME=VALUE"):
        parse_arg(text)


def test_what_is_recorded_is_read_again(tmp_path: Path) -> None:
    user = UserModel(os.fsdecode(b"a/\xff b.py"), "Mine", "trees", {"a": "(1, 2)", "b": "\u00e9"})
    said = json.loads(json.dumps(user.to_dict()))
    found = UserModel.read(Fields("file", "user_model", said))
    assert (found.class_name, found.task, found.args) == ("Mine", "trees", user.args)
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Checkpoint("a", {}, None, {}, user=found))
    assert load_checkpoint(path).user == found
    save_checkpoint(path, Checkpoint("a", {}, None, {}))
    assert load_checkpoint(path).user is None


def test_libraries_train_and_load_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from cavs.models import TreeFC\n\n"
        "class Mine(TreeFC):\n"
        "    def __init__(self, *, depth, **given):\n"
        "        super().__init__(**given)\n"
        "        self.depth = depth\n"
    )
    model = load_user_model(f"{file}:Mine", "tree-fc", {"depth": "[2]"})
    lines = "(3 (2 so) (4 (2 very) (3 good)))\n(1 (1 bad) (2 film))\n"
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text(lines)
    given = {"data": str(tmp_path), "hidden_size": 3, "embedding_size": 2, "epochs": 1}
    run = TrainingRun.start(tmp_path / "run", *make_task(model, given))
    assert run.fit()
    assert run.metrics()["user_model"] == model.to_dict()
    code = load_user_model(f"{file}:Mine")
    loaded = Trained.load(tmp_path / "run" / "best.safetensors", code).model()
    assert isinstance(loaded, cavs.Model)
    assert type(loaded.function).__name__ == "Mine"
    assert loaded.function.depth == [2]


def test_errors_of_code_name_the_line_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class A:\n    def f(self):\n        raise ValueError('no')\n")
    model = load_user_model(f"{file}:A")
    said = rf"^\[model\] {file}, line 3: expected x, got ValueError: no; mend it there$"
    with pytest.raises(InputError, match=said), model.said_of("x"):
        model.make().f()

    class Silent(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(InputError, match="got Silent; mend"), model.said_of("x"):
        raise Silent
    with pytest.raises(MemoryError), model.said_of("x"):
        raise MemoryError
    with pytest.raises(InputError, match=f"^already said at {file}:3; do$"), model.said_of("x"):
        raise InputError(f"already said at {file}:3; do")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_user_model(3), "expected text as the name of a model, got 3"),
        (lambda: load_user_model("a.py:A", 3), "expected text as task, got 3"),
        (lambda: load_user_model("a.py:A", args=3), "expected a dictionary as args, got 3"),
        (lambda: load_user_model("a.py:A", args={"a": 3}), r"expected text as args\['a'\], got 3"),
        (lambda: load_user_model("a.py:A", args={3: "a"}), "expected text as a name in args"),
        (lambda: make_task("tree-lstm", 3), "expected a dictionary as given, got 3"),
        (lambda: make_task("tree-lstm", 0), "expected a dictionary as given, got 0"),
        (lambda: make_task(None), "expected text as model, got None"),
    ],
)
def test_wrong_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_a_users_model_has_a_hash() -> None:
    one, other = UserModel("a.py", "A", args={"a": "1"}), UserModel("a.py", "A", args={"a": "1"})
    assert one == other
    assert hash(one) == hash(other)
