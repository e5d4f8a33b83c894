"""Which attributes of modules a ``forward`` reads while it is traced."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

from cavs._arguments import printed
from cavs._locks import new_lock
from cavs.core.tracing import here
from cavs.core.vertex import Module, attributes

ABSENT = object()


class Reads:
    """Attributes of modules that ``forward`` read and did not set.

    Attributes:
        modules: the modules that were read from, by identity.
    """

    def __init__(self) -> None:
        self.modules: dict[int, Module] = {}
        # The values of each attribute when it was read first.
        self._held: dict[int, dict[str, list[tuple[str, Any]]]] = {}
        # Modules are kept beside their identities, which other objects may get after them.
        self._set: dict[tuple[int, str], Module] = {}

    def note(self, module: Module, name: str) -> None:
        """Notes that the attribute was read."""
        own = attributes(module)
        if name == "__dict__":
            for each in list(own):
                self.note(module, each)
        elif not (name.startswith("__") and name.endswith("__")):
            self.modules[id(module)] = module
            held = self._held.setdefault(id(module), {})
            if name not in held:
                held[name] = list(_leaves(name, own.get(name, ABSENT)))

    def note_set(self, module: Module, name: str) -> None:
        """Notes that the attribute was set."""
        self._set[id(module), name] = module

    def finish(self) -> None:
        """Forgets attributes that ``forward`` set or changed itself: the next trace does so too."""
        for key, held in self._held.items():
            own = attributes(self.modules[key])
            for name, first in list(held.items()):
                now = _leaves(name, own.get(name, ABSENT))
                same = all(
                    x is not None and y is not None and x[0] == y[0] and x[1] is y[1]
                    for x, y in zip_longest(first, now)
                )
                if not same or (key, name) in self._set:
                    del held[name]

    def update(self, other: Reads) -> None:
        """Adds the reads of another function."""
        self.modules.update(other.modules)
        for key, held in other._held.items():
            self._held.setdefault(key, {}).update(held)

    def names(self, module: Module) -> Collection[str]:
        """Names of the attributes that were read of a module."""
        return self._held.get(id(module), ())


class _Hooks:
    """The hooks that note reads. Every module has them as long as any thread traces, and no longer:
    each read of an attribute pays for them."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._traces = 0

    def change(self, by: int) -> None:
        """Counts one trace more, or one less."""
        with self._lock:
            self._set(self._traces + by)

    def forget_other_threads(self) -> None:
        """Keeps, in a child of fork(), the traces of its one thread."""
        self._set(here.depth)

    def _set(self, traces: int) -> None:
        for name, hook in (("__getattribute__", _get), ("__setattr__", _put)):
            if traces and not self._traces:
                setattr(Module, name, hook)
            elif self._traces and not traces:
                delattr(Module, name)
        self._traces = traces


def _get(module: Module, name: str) -> Any:
    reads = here.reads
    if reads is not None:
        # A cached property reads ``__dict__`` for its own value alone.
        cached = name == "__dict__" and sys._getframe(1).f_code.co_filename == functools.__file__
        if not cached:
            reads.note(module, name)
    return super(Module, module).__getattribute__(name)


def _put(module: Module, name: str, value: Any) -> None:
    if here.reads is not None:
        here.reads.note_set(module, name)
    super(Module, module).__setattr__(name, value)


_hooks = _Hooks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hooks.forget_other_threads)


@contextmanager
def recorded_reads() -> Iterator[Reads]:
    """Notes which attributes of modules this thread reads inside, apart from traces within it."""
    reads, before = Reads(), here.reads
    _hooks.change(1)
    here.reads, here.depth = reads, here.depth + 1
    try:
        yield reads
    finally:
        here.reads, here.depth = before, here.depth - 1
        _hooks.change(-1)
        reads.finish()


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple, dict)):
        yield path, type(value)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{path}[{printed(key)}]", item)
    else:
        yield path, value
