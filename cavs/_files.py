"""Writes files so that a whole file is there at any moment, removes the unfinished files of killed
processes, and says what is no file to read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cavs.errors import CheckpointError

_SUFFIX = ".tmp"
_LONGEST_NAME = 255  # bytes of a file's name, on every file system of Linux


def write_atomically(path: str | Path, content: bytes) -> None:
    """Writes a file so that, even after an error, either the old or the new one is there, whole.

    A link stays, and what it points to is written; the new file may be read by those who could read
    the old one. What is no regular file, such as ``/dev/stdout`` or a pipe, is written to as it
    stands.

    Raises:
        OSError: it cannot be written; names `path`.
    """
    try:
        _write(Path(os.path.realpath(path)), content)
    except OSError as error:
        error.filename = os.fspath(path)  # else the unfinished file's, or none
        raise


def save_atomically(path: str | Path, content: bytes, component: str) -> None:
    """The same for a checkpoint or saved model; raises CheckpointError, from `component`, where it
    cannot be written."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise CheckpointError(
            f"[{component}] {path}: expected to write it, got {error.strerror or error}, and what "
            "was there before is unchanged; make its folder, free space, or choose another place"
        ) from error


def is_device(path: str | Path) -> bool:
    """Whether it is a device, such as ``/dev/zero``, whose content may have no end. Raises OSError
    where there is no file."""
    mode = os.stat(path).st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def remove_unfinished(directory: Path, names: Iterable[str]) -> None:
    """Removes the unfinished files of these names that killed processes left. Nobody else may be
    writing to these files."""
    own = re.compile(rf"\.(?:{'|'.join(map(re.escape, names))})\.\w{{8}}{re.escape(_SUFFIX)}")
    for path in directory.iterdir():
        if own.fullmatch(path.name):
            with suppress(FileNotFoundError):
                path.unlink()


def _write(target: Path, content: bytes) -> None:
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        target.write_bytes(content)
        return
    handle, name = _new_file(target)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if mode is not None:
                os.fchmod(handle, stat.S_IMODE(mode))
            os.fsync(handle)
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_directory(target.parent)


def _mode(target: Path) -> int | None:
    """The mode of a file; None if there is none yet."""
    try:
        return target.stat().st_mode
    except FileNotFoundError:
        return None


def _new_file(target: Path) -> tuple[int, Path]:
    """A file beside `target`, open for writing. It is as public as any file of the process, unlike
    one of mkstemp. (A process cannot read its umask without setting it, for all threads.)"""
    while True:
        name = f".{target.name}.{os.urandom(4).hex()}{_SUFFIX}"
        if len(os.fsencode(target.name)) <= _LONGEST_NAME < len(os.fsencode(name)):
            name = f".{os.urandom(8).hex()}{_SUFFIX}"
        path = target.with_name(name)
        with suppress(FileExistsError):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), path


def _sync_directory(directory: Path) -> None:
    # Makes the renaming last through a power cut, where the file system can do that.
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
