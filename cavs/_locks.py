"""Locks of the process that fork() waits for.

A child has the forking thread alone. If another thread held a lock at that moment, the child would
find its data half changed and the lock closed for ever. So fork() takes all of these locks first,
and parent and child open them again. They are held for short work of the package's own and never
while code of the user runs, which may wait for the thread that forks.
"""

from __future__ import annotations

import os
from threading import RLock
from typing import Any

_locks: list[Any] = []


def new_lock() -> Any:
    """A lock for a module to keep; a thread may take it several times, since signal handlers and
    finalizers run in between."""
    return wait_at_fork(RLock())


def wait_at_fork(lock: Any) -> Any:
    """`lock`, for which fork() waits from now on. It is kept for ever."""
    _locks.append(lock)
    return lock


def _take_all() -> None:
    for lock in _locks:
        lock.acquire()


def _open_all() -> None:
    for lock in reversed(_locks):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_all, after_in_parent=_open_all, after_in_child=_open_all)
