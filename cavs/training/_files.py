"""Writing files so that a whole one is there at any moment, and clearing away what a killed process
left of one."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_SUFFIX = ".tmp"


def write_atomically(path: str | Path, content: bytes) -> None:
    """Writes a file so that, whatever fails, either the old or the new one is there, whole."""
    target = Path(path)
    # mkstemp makes files that only their owner can read; a checkpoint is as public as any file.
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_SUFFIX, dir=target.parent)
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


def remove_unfinished(directory: Path, names: Iterable[str]) -> None:
    """Removes what processes that were killed left of writing files of these names. Nobody else may
    be writing them."""
    own = re.compile(rf"\.(?:{'|'.join(map(re.escape, names))})\.\w{{8}}{re.escape(_SUFFIX)}")
    for path in directory.iterdir():
        if own.fullmatch(path.name):
            with suppress(FileNotFoundError):
                path.unlink()


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
