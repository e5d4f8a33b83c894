"""Tasks and models as checkpoints hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cavs
from cavs.core.vertex import named_values
from cavs.data import Vocabulary
from cavs.device import find_device
from cavs.errors import CavsError, CheckpointError
from cavs.tensor import bounded_parameters
from cavs.training._fields import in_brief, shown
from cavs.training.arrays import check_arrays
from cavs.training.checkpoint import Checkpoint, load_checkpoint
from cavs.training.tasks._task import Function, Task
from cavs.training.tasks.registry import MODELS, find_task
from cavs.training.tasks.tree_models import TREE_MODELS
from cavs.training.user_model import UserModel, said_of

_FEW_ELEMENTS, _LONGEST_NAME = 1 << 20, 500


@dataclass(frozen=True)
class Trained:
    """A checkpoint, with its task and its user's model.

    Attributes:
        path: the path of the checkpoint, for errors.
        checkpoint: its content.
        task_type: the class of the task.
        user: a user's model with its class, None for a built-in one.
        device: the device that the model runs on; the checkpoint may have been trained on another.
    """

    path: str | Path
    checkpoint: Checkpoint
    task_type: type[Task]
    user: UserModel | None = None
    device: str = "cpu"

    @classmethod
    def load(cls, path: str | Path, code: UserModel | None = None, device: str = "cpu") -> Trained:
        """Reads a checkpoint.

        Args:
            path: the path of the checkpoint.
            code: the class of a user's model; None for a built-in one.
            device: that the model runs on.

        Raises:
            InputError: no device has such a name; DeviceError: the GPU cannot be used;
            CheckpointError: it cannot be read, its model does not exist, or `code` is missing for a
                user's model or given for a built-in one; InputError: `code` holds another class.
        """
        found = find_device(device, "device").name
        checkpoint = load_checkpoint(path)
        user = user_of(path, checkpoint, code)
        return cls(path, checkpoint, task_of(path, checkpoint), user, found)

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.checkpoint.model

    @property
    def words(self) -> Vocabulary:
        """The vocabulary of a model that has one; loading has checked it."""
        assert self.checkpoint.vocabulary is not None
        return self.checkpoint.vocabulary

    def with_source(self, **changes: Any) -> Trained:
        """The same checkpoint with other data: fields of its source.

        Raises:
            CheckpointError: it records no source, and the changes do not name the ``path`` of the
                data.
        """
        training = self.checkpoint.training
        known = {}
        if "path" not in changes or isinstance(training.get("source"), dict):
            known = recorded_source(self.path, self.checkpoint)
        training = {**training, "source": {**known, **changes}}
        return replace(self, checkpoint=replace(self.checkpoint, training=training))

    def source(self) -> Any:
        """See `source_of`."""
        return source_of(self.path, self.checkpoint)

    def task(self) -> Task:
        """See `restore_task`."""
        return restore_task(self.checkpoint, self.path, self.user)

    def model(self, outputs: Iterable[str] | None = None) -> Any:
        """See `load_model`."""
        checkpoint = self.checkpoint
        return load_model(
            self.path, checkpoint, checkpoint.parameters, outputs=outputs, code=self.user
        ).to(self.device)


def make_function(name: str, config: Mapping[str, Any]) -> Function:
    """The built-in vertex function `name` with the arguments `config`, with fresh parameters.

    Raises:
        CheckpointError: there is no such model, or it does not take these arguments.
    """
    if name not in MODELS:
        raise CheckpointError(
            f"[checkpoint] expected one of the models {', '.join(MODELS)}, got {shown(name)}; "
            "save one by `cavs train`"
        )
    try:
        function: Function = MODELS[name].build(name, config)
    except MemoryError:
        raise
    except Exception as error:  # arguments of a file may raise anything
        raise CheckpointError(
            f"[checkpoint] expected arguments of the model {name}, got {shown(dict(config))} "
            f"({in_brief(error)}); save one by `cavs train`"
        ) from error
    return function


def load_model(
    path: str | Path,
    checkpoint: Checkpoint,
    parameters: Mapping[str, Any],
    seed: int | None = None,
    outputs: Iterable[str] | None = None,
    code: UserModel | None = None,
) -> Any:
    """The compiled model, or program, of a checkpoint, with its `parameters` and these `outputs`.
    It takes no more memory than `parameters` do, for any sizes that the checkpoint claims. For a
    user's model `code` holds the class.

    Raises:
        CheckpointError: the parameters are not those of the model that the checkpoint names, its
            arguments or vocabulary do not fit them, or `code` is missing for a user's model;
            InputError: the user's class does not take its arguments, or does not fit the task.
    """
    user = user_of(path, checkpoint, code)
    # Twice the elements that there are, and some more: a parameter that is missing or too large can
    # then be built, and the error can name it.
    elements = sum(array.size for array in parameters.values())
    with bounded_parameters(2 * elements + _FEW_ELEMENTS):
        function = _built(path, checkpoint, user)
    check_arrays(path, parameters, dict(named_values(function)))
    with said_of_file(path), said_of(user, "a vertex function"):
        model: Any = cavs.compile(function, outputs=outputs, seed=seed)
    model.load_state_dict(parameters)
    return model


def _built(path: str | Path, checkpoint: Checkpoint, user: UserModel | None) -> Any:
    """The function of a checkpoint, with fresh parameters."""
    if user is None:
        with said_of_file(path):
            function: Any = make_function(checkpoint.model, arguments_of(checkpoint))
            _check_fit(MODELS[checkpoint.model], checkpoint)
        return function
    task = task_of(path, checkpoint)
    with said_of_file(path):
        _check_fit(task, checkpoint)
    contract = task.contract_of(user.task, checkpoint.config)
    user.check_class(contract.base)
    function = user.build(arguments_of(checkpoint))
    contract.check(function, user, checkpoint.config)
    return function


def _check_fit(task: type[Task], checkpoint: Checkpoint) -> None:
    task.check_fit(checkpoint.config, checkpoint.vocabulary, checkpoint.vocabularies)


@contextmanager
def said_of_file(path: str | Path) -> Iterator[None]:
    """Inside, where values of a file are used, any error names the file at `path`."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # values of a file may raise anything
        if isinstance(error, CavsError) and f"{path}:" in str(error):
            raise
        raise CheckpointError(
            f"[checkpoint] {path}: expected values that go together, got others "
            f"({in_brief(error)}); name a checkpoint of `cavs train` that is whole"
        ) from error


def words_of(path: str | Path, checkpoint: Checkpoint) -> Vocabulary:
    """The vocabulary of a classifier of trees. Raises CheckpointError for another model."""
    if checkpoint.model not in TREE_MODELS or checkpoint.vocabulary is None:
        raise CheckpointError(
            f"[checkpoint] {path}: expected a classifier of trees ({', '.join(TREE_MODELS)}), got "
            f"{shown(checkpoint.model)}; name the checkpoint of one"
        )
    return checkpoint.vocabulary


def user_of(path: str | Path, checkpoint: Checkpoint, code: UserModel | None) -> UserModel | None:
    """The user's model that a checkpoint holds, with the class of `code`; None for a built-in one.

    Raises:
        CheckpointError: `code` is missing for a user's model, or given for a built-in one;
            InputError: `code` holds another class.
    """
    user = checkpoint.user
    if user is None:
        if code is not None:
            raise CheckpointError(
                f"[checkpoint] {path}: expected no --model for {shown(checkpoint.model)}, which is "
                f"no model of a user's, got {code}; leave it out"
            )
        return None
    if code is None:
        named = str(user)
        wanted = named if len(named) <= _LONGEST_NAME else "FILE.py:CLASS"
        raise CheckpointError(
            f"[checkpoint] {path}: expected the file of a user's model, since a checkpoint runs no "
            f"code, got none; give --model {wanted}, if you trust that file"
        )
    return user.loaded(code)


def task_of(path: str | Path, checkpoint: Checkpoint) -> type[Task]:
    """The task of a checkpoint. Raises CheckpointError for an unknown task."""
    if checkpoint.user is not None:
        with said_of_file(path):
            return find_task(checkpoint.user.task)
    if checkpoint.model not in MODELS:
        raise CheckpointError(
            f"[checkpoint] {path}: expected one of the models {', '.join(MODELS)}, got "
            f"{shown(checkpoint.model)}; save one by `cavs train`"
        )
    return MODELS[checkpoint.model]


def source_of(path: str | Path, checkpoint: Checkpoint) -> Any:
    """The source of the data that a checkpoint was trained on.

    Raises:
        CheckpointError: it names no source, or `cavs train` does not train its model.
    """
    task = task_of(path, checkpoint)
    source = recorded_source(path, checkpoint)
    with said_of_file(path):
        return task.source_type(**source)


def recorded_source(path: str | Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """The fields of that source, unchecked. Raises CheckpointError if there are none."""
    source = checkpoint.training.get("source")
    if not isinstance(source, dict):
        raise CheckpointError(
            f"[checkpoint] {path}: expected the source of the data that it was trained on, got "
            f"{shown(source)}; name data by --data, or take a checkpoint of `cavs train`"
        )
    return source


def restore_task(
    checkpoint: Checkpoint, path: str | Path = "checkpoint", code: UserModel | None = None
) -> Task:
    """The task of a checkpoint, with its data. `path` is for errors; for a user's model `code`
    holds the class.

    Raises:
        CheckpointError: the model, its arguments, its vocabulary or the source of its data are not
            as `cavs train` writes them, or `code` is missing for a user's model; DataError: the
            data are missing or malformed.
    """
    user, kind = user_of(path, checkpoint, code), task_of(path, checkpoint)
    source = source_of(path, checkpoint)
    with said_of_file(path):
        _check_fit(kind, checkpoint)
    corpus = source.load()
    name = checkpoint.model if user is None else user.task
    with said_of_file(path):
        task = kind(
            name,
            arguments_of(checkpoint),
            checkpoint.vocabulary,
            source,
            corpus,
            checkpoint.vocabularies,
        )
        task.made_with = dict(checkpoint.training.get("made_with", {}))
    return task if user is None else task.of_user(user)


def arguments_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """The arguments of a checkpoint's vertex function. If they do not mention the dropout of
    embeddings, the checkpoint is an old one: then `dropout` dropped embeddings too, by vertex, and
    the run goes on in the same way."""
    config = dict(checkpoint.config)
    task = MODELS.get(checkpoint.model)
    if task is not None and any(o.name == "embedding_dropout" for o in task.own_options):
        config.setdefault("embedding_dropout", config.get("dropout", 0.0))
        config.setdefault("embedding_dropout_by", "vertex")
    return config
