"""Writes files so that a whole file is there at any moment, and removes the unfinished files of
killed processes."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cavs.errors import CheckpointError

_SUFFIX = ".tmp"


def write_atomically(path: str | Path, content: bytes, component: str = "checkpoint") -> None:
    """Writes a file so that, even after an error, either the old or the new one is there, whole.
    Raises CheckpointError, from `component`, where it cannot be written."""
    try:
        _write(Path(path), content)
    except OSError as error:
        raise CheckpointError(
            f"[{component}] {path}: expected to write it, got {error.strerror or error}, and what "
            "was there before is unchanged; free some space or choose another place"
        ) from error


def _write(target: Path, content: bytes) -> None:
    handle, name = _new_file(target)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_directory(target.parent)


def remove_unfinished(directory: Path, names: Iterable[str]) -> None:
    """Removes the unfinished files of these names that killed processes left. Nobody else may be
    writing to these files."""
    own = re.compile(rf"\.(?:{'|'.join(map(re.escape, names))})\.\w{{8}}{re.escape(_SUFFIX)}")
    for path in directory.iterdir():
        if own.fullmatch(path.name):
            with suppress(FileNotFoundError):
                path.unlink()


def _new_file(target: Path) -> tuple[int, Path]:
    """A file beside `target`, open for writing. It is as public as any file of the process, unlike
    one of mkstemp. (A process cannot read its umask without setting it, for all threads.)"""
    while True:
        name = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_SUFFIX}")
        with suppress(FileExistsError):
            return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), name


def _sync_directory(directory: Path) -> None:
    # Makes the renaming last through a power cut, where the file system can do that.
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
