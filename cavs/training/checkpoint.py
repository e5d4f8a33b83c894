"""Checkpoints: one safetensors file with all that a run needs to go on, or a user to predict.

Tensors are named ``model.NAME``, ``optimizer.NAME``, ``best.NAME``, ``average.NAME`` and
``objective.NAME``; everything else is JSON in the file's metadata. A file is written beside the old
one and renamed, so that there is a whole checkpoint at any moment, even after an error.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cavs._files import save_atomically
from cavs.data import Vocabulary
from cavs.errors import CheckpointError, InputError
from cavs.training._fields import Fields, in_brief, is_text, parse_json, shown
from cavs.training.arrays import Arrays
from cavs.training.user_model import UserModel

FORMAT = "cavs-checkpoint"
FORMAT_VERSION = 1
_FEW_BYTES = 1 << 24  # that Python may need besides


@dataclass(repr=False)
class Checkpoint:
    """The content of a checkpoint. ``cavs.training.tasks.Trained.load(path).model()`` makes a model
    of one.

    Attributes:
        model: name of the model, as the command line calls it.
        config: arguments that make the model.
        vocabulary: the vocabulary of the words; None if there are none.
        vocabularies: further vocabularies by name, such as that of tags.
        parameters: maps each attribute path to the values of its parameter.
        optimizer: the optimizer's arrays; empty where a run cannot go on from here.
        best: the best parameters so far; empty if they equal `parameters`.
        average: the parameters averaged over epochs so far; empty while nothing is averaged.
        objective: arrays of the objective, such as states that the next batch goes on from.
        training: the state and the settings of the run, as values for JSON.
        user: the record of a user's model; None for a built-in model.
    """

    model: str
    config: dict[str, Any]
    vocabulary: Vocabulary | None
    parameters: Arrays
    optimizer: Arrays = field(default_factory=dict)
    best: Arrays = field(default_factory=dict)
    average: Arrays = field(default_factory=dict)
    objective: Arrays = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    user: UserModel | None = None
    vocabularies: dict[str, Vocabulary] = field(default_factory=dict)

    def __repr__(self) -> str:
        held = f"{len(self.parameters)} parameters, vocabulary {shown(self.vocabulary)}"
        return f"<Checkpoint of the model {shown(self.model)}: {held}>"


_GROUPS = (
    ("model", "parameters"),
    ("optimizer", "optimizer"),
    ("best", "best"),
    ("average", "average"),
    ("objective", "objective"),
)


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; a file that was there stays whole until it is replaced.

    Raises:
        CheckpointError: it cannot be written, for want of space for example.
    """
    tensors = {
        f"{prefix}.{name}": np.asarray(array, order="C")
        for prefix, attribute in _GROUPS
        for name, array in getattr(checkpoint, attribute).items()
    }
    others = {name: _values_of(other) for name, other in checkpoint.vocabularies.items()}
    try:
        metadata = {
            "format": FORMAT,
            "format_version": str(FORMAT_VERSION),
            "model": checkpoint.model,
            "config": json.dumps(checkpoint.config),
            "vocabulary": json.dumps(_values_of(checkpoint.vocabulary)),
            "training": json.dumps(checkpoint.training),
        }
        if checkpoint.user is not None:
            metadata["user_model"] = json.dumps(checkpoint.user.to_dict())
        if others:
            metadata["vocabularies"] = json.dumps(others)
        content = to_bytes(tensors, metadata)
    except (TypeError, ValueError, RecursionError, SafetensorError) as error:
        raise CheckpointError(
            f"[checkpoint] {path}: expected arrays of numbers, and a model's name, config and "
            f"training that JSON holds, got something else ({error}); nothing was written"
        ) from error
    save_atomically(path, content, "checkpoint")


def _values_of(vocabulary: Vocabulary | None) -> dict[str, Any] | None:
    """A vocabulary as values for JSON."""
    if vocabulary is None:
        return None
    return {"tokens": vocabulary.to_list(), "unknown": vocabulary.unknown}


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint. The file may come from anywhere: none of its code runs, and reading takes
    memory for the bytes that it holds, not for the sizes that it claims.

    Raises:
        CheckpointError: there is no such file, or it is truncated, damaged, of another program or
            of another version.
    """
    metadata, tensors = read_safetensors(path, _check_format)
    groups: dict[str, Arrays] = {attribute: {} for _, attribute in _GROUPS}
    attributes = dict(_GROUPS)
    for full, array in tensors.items():
        prefix, _, name = full.partition(".")
        if prefix not in attributes:
            raise CheckpointError(
                f"[checkpoint] {path}: expected tensors of {sorted(attributes)}, got "
                f"{shown(full)}; save one by `cavs train`"
            )
        groups[attributes[prefix]][name] = array
    return _read_metadata(path, metadata, groups)


def peek_checkpoint(path: str | Path) -> Checkpoint:
    """A checkpoint without its arrays. Raises as :func:`load_checkpoint`."""
    metadata, _ = read_safetensors(path, _check_format, with_tensors=False)
    return _read_metadata(path, metadata, {"parameters": {}})


class _NoFileError(Exception):
    """A path names something that cannot be read as a file."""


#: The errors that reading raises. The last three come from dtypes and shapes that NumPy lacks, and
#: from paths that no file can have.
_UNREADABLE = (OSError, SafetensorError, _NoFileError, AttributeError, TypeError, ValueError)


def to_bytes(arrays: Arrays, metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file. Raises MemoryError if they do not fit in memory."""
    _check_memory(2 * sum(array.nbytes for array in arrays.values()))
    return save(arrays, metadata)


def _check_memory(size: int) -> None:
    """Raises MemoryError if so many bytes are not there: where memory runs out within the library
    of safetensors, it prints a trace, and may end the process."""
    np.empty(size + _FEW_BYTES, np.uint8)


def read_safetensors(
    path: str | Path,
    check: Callable[[Any, Mapping[str, str]], None],
    *,
    with_tensors: bool = True,
    component: str = "checkpoint",
) -> tuple[Mapping[str, str], Arrays]:
    """Metadata and tensors of a file; the library has checked that the file has the length that
    they state.

    Args:
        path: the path of the file.
        check: raises CheckpointError for the path and metadata of a file that is another.
        with_tensors: whether the tensors are read.
        component: the component that asks, for errors.

    Raises:
        CheckpointError: there is no such file, or it cannot be read; MemoryError: it does not fit
            in memory.
    """
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            raise _NoFileError("it is no regular file")
        with open(path, "rb"):  # the library takes what may not be read for what is not there
            pass
        with safe_open(str(path), framework="numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            check(path, metadata)
            names = file.keys() if with_tensors else []
            _check_memory(Path(path).stat().st_size if with_tensors else 0)
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise CheckpointError(
            f"[{component}] {path}: expected a checkpoint, got no such file; {_instead_of(path)}"
        ) from error
    except PermissionError as error:
        raise CheckpointError(
            f"[{component}] {path}: expected a checkpoint, got one that may not be read; check its "
            "permissions"
        ) from error
    except IsADirectoryError as error:
        best = Path(path) / "best.safetensors"
        remedy = f"take {best}, which is there" if best.is_file() else "name the file in it"
        raise CheckpointError(
            f"[{component}] {path}: expected a checkpoint, got a directory; {remedy}"
        ) from error
    except _UNREADABLE as error:
        raise CheckpointError(
            f"[{component}] {path}: expected a checkpoint, got one that cannot be read "
            f"({in_brief(error)}), since it is truncated, damaged or a file of another kind; name "
            "another"
        ) from error
    return metadata, tensors


def _instead_of(path: str | Path) -> str:
    """What to do where there is no such file: a run has no best checkpoint in its first epoch."""
    last = Path(path).with_name("last.safetensors")
    return f"take {last}, which is there" if last.is_file() else "check the path"


def _check_format(path: str | Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"[checkpoint] {path}: expected a checkpoint of cavs, got a safetensors file of format "
            f"{shown(metadata.get('format'))}; save one by `cavs train`"
        )
    version = metadata.get("format_version", "none")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"[checkpoint] {path}: expected format version {FORMAT_VERSION}, got "
            f"{version[:20]}; read it with the version of cavs that wrote it"
        )


def _read_metadata(
    path: str | Path, metadata: Mapping[str, str], groups: dict[str, Arrays]
) -> Checkpoint:
    try:
        parts = {name: parse_json(metadata[name]) for name in ("vocabulary", "config", "training")}
        for name in ("user_model", "vocabularies"):  # which not all have, nor have older ones
            if name in metadata:
                parts[name] = parse_json(metadata[name])
        model = metadata["model"]
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"[checkpoint] {path}: expected metadata of cavs, got something else "
            f"({type(error).__name__}: {in_brief(error)}); save one by `cavs train`"
        ) from error
    fields = Fields(path, "metadata", parts)
    config, training = fields.take_fields("config"), fields.take_fields("training")
    for name in ("source", "made_with", "settings", "progress"):
        if name in training.values:
            training.take_fields(name)
    others = fields.take_fields("vocabularies") if "vocabularies" in parts else None
    return Checkpoint(
        model=model,
        config=dict(config.values),
        vocabulary=_read_vocabulary(path, fields, "vocabulary"),
        training=dict(training.values),
        user=UserModel.read(fields.take_fields("user_model")) if "user_model" in parts else None,
        vocabularies=_read_vocabularies(path, others),
        **groups,
    )


def _read_vocabularies(path: str | Path, others: Fields | None) -> dict[str, Vocabulary]:
    found = {} if others is None else {n: _read_vocabulary(path, others, n) for n in others.values}
    return {name: vocabulary for name, vocabulary in found.items() if vocabulary is not None}


def _read_vocabulary(path: str | Path, fields: Fields, name: str) -> Vocabulary | None:
    if fields.values[name] is None:
        return None
    words = fields.take_fields(name)
    tokens = words.take_list("tokens", "a list of words", is_text)
    unknown = words.take("unknown", "a word or null", lambda word: word is None or is_text(word))
    try:
        return Vocabulary(tokens, unknown)
    except InputError as error:
        raise CheckpointError(
            f"[checkpoint] {path}: expected metadata of cavs, got another vocabulary "
            f"({in_brief(error)}); save one by `cavs train`"
        ) from error
