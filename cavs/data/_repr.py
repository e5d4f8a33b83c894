"""How data print themselves: on one short line, however many samples they hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import islice
from typing import Any

from cavs._arguments import printed
from cavs._arguments import shown as shown_value

_PARTS = ("train", "dev", "test")
_WORDS, _LONGEST = 10, 20


class Printed(ABC):
    """A base of classes that say in `_summary` what they print of themselves. A dataclass that
    derives from it is made with ``repr=False``."""

    __slots__ = ()

    @abstractmethod
    def _summary(self) -> str:
        """What to print of it, on one line."""

    def __repr__(self) -> str:
        try:
            summary = self._summary()
        except Exception:  # fields are not checked: they may hold anything, which has to print too
            summary = "with fields of other kinds than its own"
        return f"<{type(self).__name__} {summary}>"


class Corpus(Printed):
    """A base of dataclasses with a `name` and samples for training, development and test."""

    __slots__ = ()
    _unit = "samples"

    def _details(self) -> str:
        """What there is to say beside the counts."""
        return ""

    def _summary(self) -> str:
        parts = [name for name in _PARTS if hasattr(self, name)]
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in parts)
        details = self._details()
        name = shown_value(getattr(self, "name", None))
        return f"{name}: {counts} {self._unit}{'; ' * bool(details)}{details}"


def first_words(words: Iterable[str | None]) -> str:
    """The first words of a sentence, each cut where it is long."""
    found = list(islice((word for word in words if word is not None), _WORDS + 1))
    more = " ..." if len(found) > _WORDS else ""
    return " ".join(_cut(word) for word in found[:_WORDS]) + more


def listed_inputs(arrays: Iterable[tuple[str, Any]]) -> str:
    """Names of inputs with their dtypes, and the shape of a row where it has one; the first few."""
    given = list(islice(arrays, _WORDS + 1))
    shown = [_cut(name) + f" {values.dtype}" + _row(values) for name, values in given[:_WORDS]]
    return ", ".join([*shown, *["..."] * (len(given) > _WORDS)])


def _row(values: Any) -> str:
    return f" {tuple(values.shape[1:])}" if values.ndim > 1 else ""


def _cut(word: str) -> str:
    text = printed(word)[1:-1]  # escaped: it stays on the line
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
