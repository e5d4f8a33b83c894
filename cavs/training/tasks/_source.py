"""The sources of a task's data, and the checks of their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, get_args, get_type_hints

from cavs.errors import InputError
from cavs.training._fields import is_number, is_text, is_whole, shown


class Source(Protocol):
    """A source of data; a dataclass whose fields are values for JSON."""

    @property
    def name(self) -> str:
        """A short name."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as values for JSON."""


def check_source(source: Any) -> None:
    """Checks the types of a source's fields, which may come from a file.

    Raises:
        InputError: a path that no file can have, an integer or number out of range, or a value of
            another type.
    """
    for name, kind in get_type_hints(type(source)).items():
        value = getattr(source, name)
        if value is None and type(None) in get_args(kind):
            continue
        (wanted,) = [k for k in get_args(kind) or (kind,) if k is not type(None)]
        what, good = _KINDS[wanted]
        if not good(value):
            raise InputError(f"[train] expected {what} as {name}, got {shown(value)}; pass one")


#: The most graphs that are generated, and the most samples for one graph: more would not fit
#: memory.
MOST_GRAPHS, MOST_SAMPLES = 10_000_000, 1_000_000


def _is_path(value: Any) -> bool:
    """Whether `value` can be the name of a file, or another name."""
    return is_text(value) and "\0" not in value and len(value) < 4096


_KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    str: ("a path or name", _is_path),
    int: ("an integer below 2**31", lambda value: is_whole(value, -(2**31), 2**31 - 1)),
    float: ("a finite number", is_number),
    bool: ("true or false", lambda value: isinstance(value, bool)),
}


def check_ranges(source: Any, ranges: Mapping[str, tuple[int, int]]) -> None:
    """Raises InputError for an integer of a source that is not within its range."""
    for name, (least, most) in ranges.items():
        if not least <= getattr(source, name) <= most:
            raise InputError(
                f"[train] expected {name} in {least}..{most}, got {getattr(source, name)}; pass "
                "such an integer"
            )


class Corpus(Protocol):
    """Data in three splits, each of which has a length."""

    @property
    def train(self) -> Any:
        """The data to train on."""

    @property
    def dev(self) -> Any:
        """The data that epochs are judged by."""

    @property
    def test(self) -> Any:
        """The data that the finished run is judged by."""
