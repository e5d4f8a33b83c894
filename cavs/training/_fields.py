"""Reads the metadata of a file and checks its values: a wrong value is an error of one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from cavs._arguments import printed
from cavs.errors import CheckpointError

_SHOWN, _LINE = 60, 500


def shown(value: Any) -> str:
    """A value as errors show it: in one line, not too long."""
    text = printed(value[:_SHOWN] if isinstance(value, (str, list, tuple)) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def in_brief(error: BaseException) -> str:
    """The message of an error, on one line and not too long: it may quote values of a file."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LINE else f"{text[:_LINE]}..."


class NestedError(ValueError):
    """JSON is nested so deeply that Python does not read it."""


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError if it is no JSON, or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise NestedError("it is nested too deeply") from None


def is_text(value: Any) -> bool:
    """Whether `value` is a string that UTF-8 can encode: JSON may hold half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number, and no bool; an integer may be too large for a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max


def is_whole(value: Any, least: int = 0, most: int = 2**53) -> bool:
    """Whether `value` is an integer from `least` to `most`, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


class Fields:
    """A dictionary that a checkpoint holds, whose values are checked where they are taken.

    Attributes:
        source: the file, with which errors begin.
        where: the name of the dictionary in errors.
        values: the dictionary.
    """

    def __init__(self, source: Any, where: str, values: Any) -> None:
        """Raises CheckpointError if `values` is no dictionary."""
        self.source, self.where = source, where
        self.values: Mapping[str, Any] = values
        if not isinstance(values, Mapping):
            self.refuse("a dictionary", values)

    def take(self, name: str, what: str, good: Callable[[Any], bool]) -> Any:
        """The value of `name`, which must exist and which `good` must accept.

        Raises:
            CheckpointError: says that `what` was expected.
        """
        value = self.values.get(name)
        if name not in self.values or not good(value):
            self.refuse(what, value, name, missing=name not in self.values)
        return value

    def take_whole(self, name: str, least: int = 0, most: int = 2**53) -> int:
        """An integer; see `take`."""
        found: int = self.take(
            name, f"an integer in {least}..{most}", lambda value: is_whole(value, least, most)
        )
        return found

    def take_number(self, name: str) -> float:
        """A finite number; see `take`."""
        return float(self.take(name, "a finite number", is_number))

    def take_fields(self, name: str) -> Fields:
        """A dictionary within it; see `take`."""
        values = self.take(name, "a dictionary", lambda value: isinstance(value, dict))
        return Fields(self.source, f"{self.where}.{name}", values)

    def take_list(self, name: str, what: str, good: Callable[[Any], bool]) -> list[Any]:
        """A list of good values; see `take`."""
        return list(
            self.take(name, what, lambda value: isinstance(value, list) and all(map(good, value)))
        )

    def refuse(
        self, what: str, value: Any, name: str | None = None, missing: bool = False
    ) -> NoReturn:
        """Raises CheckpointError: `what` was expected of the dictionary, or of a value in it."""
        place = self.where if name is None else f"{self.where}.{name}"
        came = "none" if missing else shown(value)
        raise CheckpointError(
            f"[checkpoint] {self.source}: expected {what} as {place}, got {came}; the file is "
            "damaged, or of another version of cavs"
        )
