"""The common parts of the commands that read a checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import cavs
from cavs.errors import CheckpointError, InputError
from cavs.training._fields import shown
from cavs.training.options import Option
from cavs.training.tasks import MODELS, TASKS, Trained
from cavs.training.user_model import load_user_model

_Able = TypeVar("_Able")


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds the checkpoint, and --model."""
    parser.add_argument("checkpoint", type=Path, help="such as runs/NAME/best.safetensors")
    parser.add_argument(
        "--model",
        metavar="FILE.py:CLASS",
        help="of a model of a file: its class, since a checkpoint runs no code",
    )


@dataclass(frozen=True)
class Use(Generic[_Able]):
    """What a command does with a checkpoint.

    Attributes:
        command: the name of the command.
        able: the class of the tasks that can do it.
        model: what errors call a model of such a task.
        options_of: gives the options that such a task has for it.
    """

    command: str
    able: Any
    model: str
    options_of: Callable[[Any], Sequence[Option]]

    def options(self) -> list[Option]:
        """The options of all tasks, each once."""
        able = (task for task in TASKS if issubclass(task, self.able))
        return list({o.name: o for task in able for o in self.options_of(task)}.values())

    def begin(self, options: argparse.Namespace) -> tuple[Trained, type[_Able], dict[str, Any]]:
        """Sets the number of threads and reads the checkpoint; returns it, its task, and the values
        of the given options among those of the task.

        Raises:
            CheckpointError: the task cannot do it; InputError: an option that the task does not
                have; and as `Trained.load` and `load_user_model`.
        """
        if options.threads is not None:
            cavs.set_num_threads(options.threads)
        code = None if options.model is None else load_user_model(options.model)
        device = "cpu" if options.device is None else options.device
        trained = Trained.load(options.checkpoint, code, device)
        task: Any = trained.task_type
        if not issubclass(task, self.able):
            able = [name for name, other in MODELS.items() if issubclass(other, self.able)]
            raise CheckpointError(
                f"[checkpoint] {options.checkpoint}: expected {self.model} ({', '.join(able)}), "
                f"got {shown(trained.name)}; name the checkpoint of one"
            )
        own = {option.name for option in self.options_of(task)}
        given = {}
        for option in self.options():
            value = getattr(options, option.name)
            if value is None or value is False:
                continue
            if option.name not in own:
                raise InputError(
                    f"[{self.command}] expected {option.flag} for {option.only} only, "
                    f"got it for {trained.name}; leave it out"
                )
            given[option.name] = value
        return trained, task, given
