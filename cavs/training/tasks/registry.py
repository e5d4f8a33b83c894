"""All tasks, and their models by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cavs._arguments import boolean, mapping, text
from cavs.errors import InputError
from cavs.training._fields import shown
from cavs.training.config import TrainingConfig
from cavs.training.tasks._task import Task
from cavs.training.tasks.autoencoders import AutoencoderTask
from cavs.training.tasks.boltzmann import BoltzmannTask
from cavs.training.tasks.classifiers import ClassifierTask
from cavs.training.tasks.densities import DensityTask
from cavs.training.tasks.expressions import ExpressionTask
from cavs.training.tasks.flows import FlowTask
from cavs.training.tasks.images import ImageTask
from cavs.training.tasks.lattices import LatticeTask
from cavs.training.tasks.parser import ParserTask
from cavs.training.tasks.segments import SegmentTask
from cavs.training.tasks.sentences import SentenceTask
from cavs.training.tasks.seq2seq import ReversalTask
from cavs.training.tasks.tagging import TaggingTask
from cavs.training.tasks.text import TextTask
from cavs.training.tasks.trees import TreeTask
from cavs.training.user_model import UserModel

TASKS: tuple[type[Task], ...] = (
    TreeTask,
    ImageTask,
    BoltzmannTask,
    DensityTask,
    AutoencoderTask,
    FlowTask,
    ClassifierTask,
    TextTask,
    SegmentTask,
    SentenceTask,
    ExpressionTask,
    ParserTask,
    TaggingTask,
    ReversalTask,
    LatticeTask,
)

#: Maps each built-in model's name to its task.
MODELS: dict[str, type[Task]] = {model.name: task for task in TASKS for model in task.models}


def find_task(name: str) -> type[Task]:
    """The task of a name, or of a built-in model.

    Raises:
        InputError: there is none.
    """
    named = {**MODELS, **{task.task_name: task for task in TASKS}}
    if name not in named:
        raise InputError(
            f"[train] expected a task among {', '.join(task.task_name for task in TASKS)}, or a "
            f"built-in model ({', '.join(MODELS)}), got {shown(name)}; choose one of these"
        )
    return named[name]


def make_task(
    model: str | UserModel,
    given: Mapping[str, Any] | None = None,
    *,
    progress: bool = False,
) -> tuple[Task, TrainingConfig]:
    """The task that ``cavs train`` trains, and its settings.

    Args:
        model: the name of a built-in model, or a user's (`cavs.training.load_user_model`).
        given: values of options by name, such as ``{"data": "sst", "hidden_size": 100}``; the other
            options have their defaults. `Task.options_of` lists all options.
        progress: show a bar on standard error while word vectors are read.

    Raises:
        InputError: a name is no model or no option, an option does not take its value, or a user's
            class does not fit the task; DataError: names the missing or malformed data.
    """
    user = model if isinstance(model, UserModel) else None
    name = user.task if user is not None else text("train", "model", model)
    return find_task(name).configure(
        name,
        {} if given is None else mapping("train", "given", given),
        user,
        progress=boolean("train", "progress", progress),
    )
