"""The arguments of ``cavs train``: a model, and the options that its task gives it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cavs.cli._config import read_config, task_of
from cavs.cli._options import add_device, add_options, add_threads, nearest
from cavs.errors import InputError
from cavs.training.checkpoint import peek_checkpoint
from cavs.training.held import LAST
from cavs.training.tasks import MODELS, TASKS, Task, find_task

_HELP = ("-h", "--help")


class ModelAction(argparse.Action):
    """Reads the arguments behind the name of a model with a parser made for that model."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Reads them; see `argparse.Action`."""
        model, *words = values
        make = type(parser)
        if ":" in model:
            own = _user_parser(make, parser.prog, model, words)
        elif model in MODELS:
            meaning = MODELS[model].model_of(model).meaning
            own = _new(make, parser.prog, model, f"Trains {model}: {meaning}.")
            add_task_options(own, MODELS[model], model)
        elif model.endswith(".py"):
            raise InputError(
                f"[train] expected FILE.py:CLASS, got {model}; name the class in it too"
            )
        elif model.endswith(".safetensors"):
            raise InputError(
                f"[train] expected the name of a model first, got {model}; write `cavs train MODEL "
                f"--resume {model}`"
            )
        else:
            (near, *_) = [*nearest(model, MODELS), ""]
            parser.error(
                f"argument MODEL: expected one of {', '.join(MODELS)}, or FILE.py:CLASS, got "
                f"{model!r}{near and f'; {near} is near'}"
            )
        namespace.model = model
        own.parse_args(words, namespace)


def models_and_tasks() -> str:
    """The models and tasks to train, one on a line."""
    lines = ["models:"]
    lines += [f"  {name:<16} {task.model_of(name).meaning}" for name, task in MODELS.items()]
    lines += ["", "tasks, for a model of your own (--task; a model's name is one, too):"]
    for task in TASKS:
        lines.append(f"  {task.task_name:<16} {', '.join(m.name for m in task.models)}")
    return "\n".join(lines)


def _new(make: Any, prog: str, model: str, description: str) -> Any:
    """A parser of a model's options, which has the options of every run already."""
    parser = make(
        prog=f"{prog} {model}", description=description, argument_default=argparse.SUPPRESS
    )
    group = parser.add_argument_group("run")
    group.add_argument(
        "--output", type=Path, metavar="DIR", help="for checkpoints and metrics (default: runs/...)"
    )
    group.add_argument(
        "--overwrite", action="store_true", help="replace a run that DIR holds already"
    )
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="options from a TOML file, or from metrics.json of a run; those given here win",
    )
    group.add_argument("--resume", type=Path, metavar="FILE", help=f"go on from a run's {LAST}")
    group.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="begin with the parameters of a checkpoint whose model has the same ones",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write curves for TensorBoard into DIR"
    )
    group.add_argument("--quiet", action="store_true", help="print the result and warnings only")
    add_device(group)
    add_threads(group)
    return parser


def add_task_options(parser: argparse.ArgumentParser, task: type[Task], name: str) -> None:
    """Adds the options of a model, or of a task under its own name, in groups."""
    options = task.options_of(name)
    for title in dict.fromkeys(option.group for option in options):
        group = parser.add_argument_group(title)
        add_options(group, [option for option in options if option.group == title])


def _user_parser(make: Any, prog: str, model: str, words: Sequence[str]) -> Any:
    """The parser for a model of a file, whose options are those of the task that `words` name."""
    task = _task_named(words)
    about = f" on {task}" if task is not None else ""
    parser = _new(make, prog, model, f"Trains {model}, a vertex function of a file{about}.")
    group = parser.add_argument_group("model of a file")
    group.add_argument(
        "--task",
        metavar="TASK",
        help=f"what to train it for: {', '.join(task.task_name for task in TASKS)}, or a model in "
        "whose place it stands; `--task TASK --help` lists its options",
    )
    group.add_argument(
        "--arg",
        action="append",
        metavar="NAME=VALUE",
        help="one more argument of the constructor: a Python literal, or else a string",
    )
    if task is not None:
        add_task_options(parser, find_task(task), task)
    elif not any(word in _HELP for word in words):
        raise InputError(
            f"[train] expected --task with {model}, got none; name one of "
            f"{', '.join(task.task_name for task in TASKS)}"
        )
    return parser


def _task_named(words: Sequence[str]) -> str | None:
    """The task that the words, their file of options or the checkpoint they resume name."""
    scout = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, argument_default=None, exit_on_error=False
    )
    scout.add_argument("--task")
    scout.add_argument("--config", type=Path)
    scout.add_argument("--resume", type=Path)
    try:
        found, _ = scout.parse_known_args(list(words))
    except argparse.ArgumentError:  # the parser proper reports it
        return None
    if found.task is None and found.config is not None:
        found.task = task_of(read_config(found.config))
    if found.task is None and found.resume is not None:
        user = peek_checkpoint(found.resume).user
        return None if user is None else user.task
    task: str | None = found.task
    if task is not None:
        find_task(task)  # checked now: without a task there are no options
    return task
