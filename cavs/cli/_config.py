"""``cavs train --config FILE``: options from TOML, or those of a run from its metrics.json."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from cavs._files import is_device
from cavs.errors import CheckpointError, InputError
from cavs.training._fields import is_text, shown
from cavs.training.options import Choice, Flag, Integer, Option, voided
from cavs.training.tasks import find_task

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES = 1 << 26  # a metrics.json of a hundred thousand epochs has fewer
_FLAG = "true or false"  # as TOML and JSON write it

# Options of every run, and of models of a file.
_OF_RUNS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("overwrite", "quiet", "tensorboard"), (Flag().admits, _FLAG)),
    **dict.fromkeys(("output", "init"), (is_text, "a path")),
    "device": (is_text, "the name of a device"),
    "threads": (Integer(1).admits, Integer(1).wanted()),
    "task": (is_text, "the name of a task"),
    "model": (is_text, "the name of a model"),
    "arg": (lambda value: isinstance(value, dict), "a table of arguments"),
}
_PATHS = ("output", "init")
_CONSTANTS = {True: "true", False: "false", None: "null"}  # as the files write them


def read_config(path: Path) -> dict[str, Any]:
    """The content of a file of options: TOML, or JSON where it begins with a brace.

    Raises:
        InputError: the file cannot be read, or is neither.
    """
    try:
        wrong = "a device" if is_device(path) else ""
        if path.stat().st_size > _MOST_BYTES:
            wrong = f"one of more than {_MOST_BYTES} bytes"
        text = "" if wrong else path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise InputError(
            f"[train] {path}: expected a file of options, got {reason}; name one"
        ) from None
    if wrong:
        raise InputError(f"[train] {path}: expected a file of options, got {wrong}; name another")
    kind = "JSON" if text.lstrip().startswith("{") else "TOML"
    try:
        found: dict[str, Any] = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # both parsers' errors are ValueErrors
        raise InputError(
            f"[train] {path}: expected {kind}, got {error}; write options as in lr = 0.05"
        ) from None
    return found


def task_of(config: Mapping[str, Any]) -> str | None:
    """The task that a file names for a model of one's own."""
    found = _of_user(config).get("task", config.get("task"))
    return found if isinstance(found, str) else None


def options_of(path: Path, config: Mapping[str, Any], model: str, task: str) -> dict[str, Any]:
    """The values of options that a file gives, by name, for a model of a task.

    Raises:
        InputError: a key is no option of the model, a value of a run's option is none, or the file
            is of another model.
    """
    options = {option.name: option for option in find_task(task).options_of(task)}
    if "settings" in config and "history" in config:
        return _of_metrics(path, config, model, task, options)
    given: dict[str, Any] = {}
    for key, value in config.items():
        name = key.replace("-", "_")
        if name in given:
            raise InputError(f"[train] {path}: expected {name} once, got it twice; leave one out")
        if name in _OF_RUNS and (name not in ("task", "arg") or ":" in model):
            admits, wanted = _OF_RUNS[name]
            if not admits(value):
                _refuse(path, name, wanted, value)
        elif name in options:
            if not options[name].kind.admits(value):
                _refuse(path, name, _wanted(options[name], value), value)
        else:
            raise InputError(
                f"[train] {path}: expected options of {model}, got {shown(key)}; "
                f"`cavs train {model if ':' not in model else task} --help` lists them"
            )
        given[name] = Path(value) if name in _PATHS else value
    _check_model(path, given.pop("model", model), model)
    if "arg" in given:
        given["arg"] = [f"{name}={_text(value)}" for name, value in given["arg"].items()]
    return given


def _of_metrics(
    path: Path, config: Mapping[str, Any], model: str, task: str, options: Mapping[str, Option]
) -> dict[str, Any]:
    """The options that a run was given, from its metrics.json; defaults are left to be defaults."""
    user = _of_user(config)
    if not user:
        _check_model(path, config.get("model"), model)
    known: dict[str, Any] = {}
    for part in ("arguments", "data", "made_with", "settings"):
        values = config.get(part, {} if part == "made_with" else None)  # which older runs lack
        if not isinstance(values, dict):
            _refuse(path, part, "a dictionary", values)
        known |= {("data" if name == "path" else name): value for name, value in values.items()}
    found = {name: known[name] for name in options if known.get(name) is not None}
    # The size of vectors is theirs, and that of an embedding only where it has none.
    for name in [name for given in found for name in options[given].voids if name in found]:
        found.pop(name, None)
    for name, value in found.items():
        if not options[name].kind.admits(value):
            _refuse(path, name, _wanted(options[name], value), value)
    case = find_task(task).case(found)
    given = {
        name: value
        for name, value in found.items()
        if value != options[name].default_in(case, found)
        and value != found.get(options[name].follows or "")
    }
    if isinstance(user.get("args"), dict):
        given["arg"] = [f"{name}={value}" for name, value in user["args"].items()]
    if user:
        given["task"] = task
    return given


def without_voided(
    task: str, config: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The options of a file that something reads beside those of the command line, and lines about
    the others."""
    found = voided(find_task(task).options_of(task), given, config)
    lines = []
    for name, option in found.items():
        chosen = f" {given[option.name]}" if isinstance(option.kind, Choice) else ""
        lines.append(f"{name} is left out: nothing reads it beside {option.flag}{chosen}")
    left = {name: value for name, value in config.items() if name not in found}
    if "resume" in given and left.pop("init", None) is not None:
        lines.append("init is left out: nothing reads it beside --resume")
    return left, lines


@contextmanager
def said_of_config(path: Path | None, config: Mapping[str, Any]) -> Iterator[None]:
    """Inside, an error about options says which ones are of the file, of which `config` are."""
    try:
        yield
    except (InputError, CheckpointError) as error:
        named = [name for name in config if _is_named(name, str(error))]
        if not named:
            raise
        flags = ", ".join("--" + name.replace("_", "-") for name in named)
        are = "is" if len(named) == 1 else "are"
        raise type(error)(f"{error} ({flags} {are} of {path})") from error


def _is_named(name: str, message: str) -> bool:
    """Whether an error names an option: as a flag, by a name that is no word of English, or as what
    a run began with."""
    bare = rf"\b{name}\b" if "_" in name else rf"\bexpected {name} .*, as the run began"
    flag = rf"--{name.replace('_', '-')}(?![\w-])"
    return re.search(f"{flag}|{bare}", message) is not None


def merged(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a file and of the command line, which wins."""
    both = {**config, **given}
    if "arg" in config and "arg" in given:
        named = {text.partition("=")[0] for text in given["arg"]}
        kept = [text for text in config["arg"] if text.partition("=")[0] not in named]
        both["arg"] = [*kept, *given["arg"]]
    return both


def _of_user(config: Mapping[str, Any]) -> Mapping[str, Any]:
    user = config.get("user_model")
    return user if isinstance(user, dict) else {}


def _check_model(path: Path, found: Any, model: str) -> None:
    if found != model:
        raise InputError(
            f"[train] {path}: expected options of {model}, got those of {shown(found)}; name its "
            "model, or leave the key out"
        )


def _wanted(option: Option, value: Any) -> str:
    """The values that a file may give an option in place of `value`."""
    return _FLAG if isinstance(option.kind, Flag) else option.kind.wanted(value)


def _refuse(path: Path, name: str, wanted: str, value: Any) -> NoReturn:
    got = _CONSTANTS[value] if value is None or isinstance(value, bool) else shown(value)
    raise InputError(f"[train] {path}: expected {wanted} as {name}, got {got}; correct it")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
