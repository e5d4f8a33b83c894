"""Checkpoints: one safetensors file with all that a run needs to go on, or a user to predict.

Tensors are named ``model.NAME``, ``optimizer.NAME``, ``best.NAME``, ``average.NAME`` and
``objective.NAME``; everything else is JSON in the file's metadata. A file is written beside the old
one and renamed, so that there is a whole checkpoint at any moment, whatever fails.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cavs.data import Vocabulary
from cavs.errors import CheckpointError

FORMAT = "cavs-checkpoint"
FORMAT_VERSION = 1

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


def copies(arrays: Mapping[str, Array]) -> Arrays:
    """The same arrays in memory of their own."""
    return {name: array.copy() for name, array in arrays.items()}


@dataclass
class Checkpoint:
    """What is kept of a run.

    Attributes:
        model: name of the model, as the command line calls it.
        config: arguments that make the model.
        vocabulary: of the words; None where there are none.
        parameters: by attribute path.
        optimizer: the optimizer's arrays; empty where a run cannot go on from here.
        best: the best parameters so far; empty where they are those of `parameters`.
        average: the parameters averaged over epochs so far; empty where none is under way.
        objective: arrays of the objective, such as states that the next batch goes on from.
        training: where the run stands and how it was set, as JSON holds it.
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
    words = checkpoint.vocabulary
    vocabulary = words and {"tokens": words.to_list(), "unknown": words.unknown}
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "model": checkpoint.model,
        "config": json.dumps(checkpoint.config),
        "vocabulary": json.dumps(vocabulary),
        "training": json.dumps(checkpoint.training),
    }
    try:
        write_atomically(path, save(tensors, metadata))
    except OSError as error:
        raise CheckpointError(
            f"[checkpoint] {path}: expected to write it, got {error.strerror or error}, and what "
            "was there before is unchanged; free some space or choose another place"
        ) from error


def write_atomically(path: str | Path, content: bytes) -> None:
    """Writes a file so that, whatever fails, either the old or the new one is there, whole."""
    target = Path(path)
    # mkstemp makes files that only their owner can read; a checkpoint is as public as any file.
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_directory(target.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_directory(directory: Path) -> None:
    # Makes the renaming last through a power cut, where the file system can do that.
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: there is no such file, or it is truncated, of another program or of
            another version.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            _check_format(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(
            f"[checkpoint] {path}: expected a checkpoint, got no such file; check the path"
        ) from error
    except (OSError, SafetensorError) as error:
        reason = "it is a directory" if Path(path).is_dir() else str(error)
        raise CheckpointError(
            f"[checkpoint] {path}: expected a checkpoint, got one that cannot be read ({reason}), "
            "since it is truncated, damaged or a file of another kind; name another"
        ) from error
    groups: dict[str, Arrays] = {attribute: {} for _, attribute in _GROUPS}
    attributes = dict(_GROUPS)
    for full, array in tensors.items():
        prefix, _, name = full.partition(".")
        if prefix not in attributes:
            raise CheckpointError(
                f"[checkpoint] {path}: expected tensors of {sorted(attributes)}, got {full!r}; "
                "save one by `cavs train`"
            )
        groups[attributes[prefix]][name] = array
    return _read_metadata(path, metadata, groups)


def _check_format(path: str | Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"[checkpoint] {path}: expected a checkpoint of cavs, got a safetensors file of "
            f"format {metadata.get('format')!r}; save one by `cavs train`"
        )
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"[checkpoint] {path}: expected format version {FORMAT_VERSION}, got {version}; read "
            "it with the version of cavs that wrote it"
        )


def _read_metadata(
    path: str | Path, metadata: Mapping[str, str], groups: dict[str, Arrays]
) -> Checkpoint:
    try:
        words = json.loads(metadata["vocabulary"])
        return Checkpoint(
            model=metadata["model"],
            config=dict(json.loads(metadata["config"])),
            vocabulary=words and Vocabulary(words["tokens"], words["unknown"]),
            training=dict(json.loads(metadata["training"])),
            **groups,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"[checkpoint] {path}: expected metadata of cavs, got something else "
            f"({type(error).__name__}: {error}); save one by `cavs train`"
        ) from error


def check_arrays(path: str | Path, found: Mapping[str, Array], expected: Mapping[str, Any]) -> None:
    """Checks that a checkpoint's arrays are those of a model.

    Args:
        path: of the checkpoint, for errors.
        found: the checkpoint's arrays.
        expected: the model's arrays or parameters, of which name, shape and dtype count.

    Raises:
        CheckpointError: names the first mismatch.
    """
    for name, array in expected.items():
        if name not in found:
            raise CheckpointError(
                f"[checkpoint] {path}: expected parameter {name!r} of shape {tuple(array.shape)}, "
                "got none; name a checkpoint of this model"
            )
        got = found[name]
        if tuple(got.shape) != tuple(array.shape) or got.dtype != array.dtype:
            raise CheckpointError(
                f"[checkpoint] {path}: expected parameter {name!r} as {array.dtype} "
                f"{tuple(array.shape)}, got {got.dtype} {tuple(got.shape)}; name a checkpoint of "
                "this model"
            )
    for name in found:
        if name not in expected:
            raise CheckpointError(
                f"[checkpoint] {path}: expected parameters {sorted(expected)}, got {name!r} too; "
                "name a checkpoint of this model"
            )
