"""The folder of a run: one process at a time writes to it."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cavs._files import remove_unfinished
from cavs.errors import CavsRuntimeError, CheckpointError, InputError

LOCK = ".lock"
# The error numbers of flock for a file system, or a kind of file, that it cannot lock.
_CANNOT_LOCK = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


class RunFolder:
    """A folder that a run writes to; between :meth:`open` and :meth:`close` no other run does.

    The lock is the kernel's (``flock``) on the folder itself: it ends with the process, even with a
    killed one, and leaves nothing behind. If a file system locks files only, as NFS does, a file
    ``.lock`` in the folder is locked.

    Attributes:
        path: the path of the folder; `open` chooses the path of a new folder.
        locked: whether the lock keeps others out; False if the file system can lock neither.
    """

    def __init__(self, path: Path, *, new: bool = False) -> None:
        """With `new`, `open` makes a folder that was not there: `path`, or ``PATH-2``, or ..."""
        self.path = path
        self.locked = False
        self._new = new
        self._made = False
        self._directory: int | None = None
        self._lock_file: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether this run has the folder open now."""
        return self._directory is not None

    @contextmanager
    def opened(self) -> Iterator[RunFolder]:
        """Opens the folder and closes it at the end; within another `opened` it does nothing."""
        if self.is_open:
            yield self
            return
        self.open()
        try:
            yield self
        finally:
            self.close()

    def open(self) -> None:
        """Makes the folder if it is missing, and takes it for this run alone.

        Raises:
            InputError: another run has it; CheckpointError: it cannot be written to; OSError: it
                cannot be made.
        """
        if self._new:
            self.path, self._new = _make_new(self.path), False
            self._made = True
        elif not self.path.is_dir():
            self.path.mkdir(parents=True, exist_ok=True)
            self._made = True
        self._directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._lock()
            self._check_writable()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Releases the folder; removes it if `open` made it and nothing was written to it."""
        if self._directory is None:
            return
        if self._made:
            with suppress(OSError):
                self.path.rmdir()
        for handle in (self._lock_file, self._directory):
            if handle is not None:
                os.close(handle)
        self._directory = self._lock_file = None
        self.locked = False

    def check(self) -> None:
        """Checks that the folder is still the one that was opened.

        Raises:
            CheckpointError: it was removed, or another stands in its place.
        """
        if self._directory is None:
            raise CavsRuntimeError(f"[train] expected an open folder, got {self.path}; open it")
        opened = os.fstat(self._directory)
        try:
            now: os.stat_result | None = os.stat(self.path)
        except OSError:
            now = None
        if now is None or not os.path.samestat(opened, now):
            raise CheckpointError(
                f"[train] expected the folder {self.path} that the run began in, got "
                f"{'none' if now is None else 'another one in its place'}; leave it where it is, "
                "and train again"
            )

    def clear(self, names: tuple[str, ...]) -> None:
        """Removes the unfinished files of these names that killed runs left. It removes nothing if
        the folder could not be locked: another run may be writing to them."""
        if self.locked:
            remove_unfinished(self.path, names)

    def _lock(self) -> None:
        assert self._directory is not None
        try:
            if not self._flock(self._directory):
                self._lock_file = os.open(
                    LOCK, os.O_RDWR | os.O_CREAT, 0o666, dir_fd=self._directory
                )
                self.locked = self._flock(self._lock_file)
            else:
                self.locked = True
        except BlockingIOError:
            self._made = False
            raise InputError(
                f"[train] expected a folder that no other run writes to, got {self.path}, which "
                "one is writing to now; wait for it, or choose another folder with --output"
            ) from None
        except OSError as error:
            raise self._not_writable(error) from error

    def _flock(self, handle: int) -> bool:
        """Locks `handle`; False if the file system cannot, BlockingIOError if another process has
        it."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                raise
            return False
        return True

    def _check_writable(self) -> None:
        """Checks now, rather than after an epoch, that the folder can be written to."""
        try:
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise self._not_writable(error) from error

    def _not_writable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"[train] expected a folder that can be written to, got {self.path} "
            f"({error.strerror or error}); choose another folder with --output"
        )


def _make_new(path: Path) -> Path:
    """Makes `path`, or the first of ``PATH-2``, ``PATH-3``, ... that was not there. Several
    processes that do so at once get different folders."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise CheckpointError(
            f"[train] expected a folder in folders, got {path}, in whose way a file is; choose "
            "another folder with --output"
        ) from None
    tried, number = path, 1
    while True:
        try:
            tried.mkdir()
        except FileExistsError:
            number += 1
            tried = path.with_name(f"{path.name}-{number}")
        else:
            return tried
