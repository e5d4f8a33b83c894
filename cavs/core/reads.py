"""Which attributes of modules a ``forward`` reads while it is traced."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from threading import get_ident
from typing import Any

from cavs.core.vertex import Module, attributes

ABSENT = object()


class Reads:
    """Attributes of modules that ``forward`` read and did not set.

    Attributes:
        modules: those read from, by identity.
    """

    def __init__(self) -> None:
        self.modules: dict[int, Module] = {}
        # What each attribute held when it was read first.
        self._held: dict[int, dict[str, list[tuple[str, Any]]]] = {}
        self._set: set[tuple[int, str]] = set()

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
        self._set.add((id(module), name))

    def finish(self) -> None:
        """Forgets what ``forward`` set itself, or changed within, which the next trace does too."""
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
        """Adds another function's."""
        self.modules.update(other.modules)
        for key, held in other._held.items():
            self._held.setdefault(key, {}).update(held)

    def names(self, module: Module) -> Collection[str]:
        """Of the attributes that were read of a module."""
        return self._held.get(id(module), ())


@contextmanager
def recorded_reads() -> Iterator[Reads]:
    """Notes what this thread reads of modules inside; one thread traces at a time."""
    reads, thread = Reads(), get_ident()

    def get(module: Module, name: str) -> Any:
        # A cached property looks for itself alone.
        cached = name == "__dict__" and sys._getframe(1).f_code.co_filename == functools.__file__
        if get_ident() == thread and not cached:
            reads.note(module, name)
        return super(Module, module).__getattribute__(name)

    def put(module: Module, name: str, value: Any) -> None:
        if get_ident() == thread:
            reads.note_set(module, name)
        super(Module, module).__setattr__(name, value)

    hooks = {"__getattribute__": get, "__setattr__": put}
    before = {name: vars(Module)[name] for name in hooks if name in vars(Module)}
    for name, hook in hooks.items():
        setattr(Module, name, hook)
    try:
        yield reads
    finally:
        for name in hooks:
            if name in before:
                setattr(Module, name, before[name])
            else:
                delattr(Module, name)
        reads.finish()


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple, dict)):
        yield path, type(value)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{path}[{key!r}]", item)
    else:
        yield path, value
