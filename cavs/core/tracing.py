"""The trace that this thread is in: the one place that new nodes take their context from."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cavs.core.ops._spaces import Space, SpaceKind, Unique

if TYPE_CHECKING:
    from cavs.core.reads import Reads


@dataclass(frozen=True)
class SourceLine:
    """Where in the user's file a node was made."""

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" ({self.text})" if self.text else "")


def _no_line() -> SourceLine | None:
    return None


class Tracing(threading.local):
    """Values of one thread. A trace sets its own; at its end, errors or not, the old return.

    Attributes:
        tracing: whether a ``forward`` is being traced.
        locate: gives nodes their source line; nodes of autodiff and of passes have none.
        random_keys: numbers of random operations, from 0 in each trace, so that a function's
            samples are numbered the same every time.
        typed: whether the ``forward`` is of one type of several.
        leaves_apart: the types whose leaves have a function of their own: then the parents of
            edges are inner vertices.
        arrays: the operands made of arrays by the trace so far, by their content.
        reads: the reads of modules by the trace so far; None where they are not noted.
        depth: how many traces, one within another, note reads.
    """

    def __init__(self) -> None:
        self.tracing = False
        self.locate: Callable[[], SourceLine | None] = _no_line
        self.random_keys: Iterator[int] = itertools.count()
        self.typed = False
        self.leaves_apart: Collection[str] = ()
        self.arrays: dict[Any, Any] = {}
        self.reads: Reads | None = None
        self.depth = 0


here = Tracing()


@contextmanager
def _with(**values: Any) -> Iterator[None]:
    state = vars(here)
    before = {name: state[name] for name in values}
    state.update(values)
    try:
        yield
    finally:
        state.update(before)


def tracing() -> bool:
    """Whether this thread is tracing a ``forward`` right now."""
    return here.tracing


def recording(
    locate: Callable[[], SourceLine | None], keys_of_types: Iterator[int] | None = None
) -> AbstractContextManager[None]:
    """Nodes made inside, in this thread, belong to a trace, which may be within another. Where it
    is of one type of several, `keys_of_types` numbers the random operations of all."""
    return _with(
        tracing=True,
        locate=locate,
        random_keys=itertools.count() if keys_of_types is None else keys_of_types,
        typed=keys_of_types is not None,
        leaves_apart=(),
        arrays={},
    )


def apart_from_traces() -> AbstractContextManager[None]:
    """Nodes made inside belong to no trace, even if this thread is in the middle of one."""
    return _with(tracing=False, locate=_no_line, typed=False, leaves_apart=())


def located_at(line: SourceLine | None) -> AbstractContextManager[None]:
    """Nodes made inside have this source line."""
    return _with(locate=lambda: line)


def leaves_apart(types: Collection[str]) -> AbstractContextManager[None]:
    """Nodes made inside that go from edges to their parents have rows of inner vertices, if these
    are of one of the types."""
    return _with(leaves_apart=types)


def kind_of_parents(edges: Space) -> SpaceKind:
    """The kind of the vertices that have the edges."""
    if isinstance(edges, Unique) or edges.kind is not SpaceKind.EDGE:
        return SpaceKind.VERTEX
    return SpaceKind.INNER if edges.type in here.leaves_apart else SpaceKind.VERTEX


def new_random_key() -> int:
    """The next random operation's number."""
    return next(here.random_keys)
