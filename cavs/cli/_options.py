"""Options of tasks, and numbers, as arguments that are checked where they are read."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from typing import Any

from cavs.training.options import Choice, Flag, Integer, Number, Option


def nearest(name: str, among: Iterable[str]) -> list[str]:
    """The name among these that is written most like `name`; none where all are far from it."""
    from difflib import get_close_matches  # few need it

    return get_close_matches(name.lower(), list(among), 1, 0.75)


def integer(least: int, most: int = 2**31 - 1) -> Callable[[str], Any]:
    """A type for integers from `least` to `most`."""
    return _reader(Integer(least, most))


def number(
    least: float, below: float = math.inf, *, exclusive: bool = False
) -> Callable[[str], Any]:
    """A type for numbers from `least` (above it if `exclusive`) to below `below`."""
    return _reader(Number(least, below, exclusive))


def _reader(kind: Integer | Number) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value: int | float | None
        try:
            value = kind.parse(text)
        except ValueError:
            value = None
        if not kind.admits(value):
            raise argparse.ArgumentTypeError(f"expected {kind.wanted(value)}, got {text!r}")
        return value

    return read


def add_options(
    parser: argparse._ActionsContainer, options: Iterable[Option], **settings: Any
) -> None:
    """Adds options of a task; `settings` are argparse's, for each of them."""
    for option in options:
        wanted: dict[str, Any] = {"help": option.help, **settings}
        if isinstance(option.kind, Flag):
            wanted["action"] = "store_true"
        elif isinstance(option.kind, Choice):
            wanted["choices"] = option.kind.values
        else:
            wanted["metavar"] = option.placeholder
            if isinstance(option.kind, (Integer, Number)):
                wanted["type"] = _reader(option.kind)
        parser.add_argument(option.flag, **wanted)


def add_device(parser: argparse._ActionsContainer) -> None:
    """Adds --device."""
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="cpu, cuda or cuda:1; cavs info lists the GPUs (default: cpu)",
    )


def add_threads(parser: argparse._ActionsContainer) -> None:
    """Adds --threads."""
    parser.add_argument(
        "--threads",
        type=integer(1),
        metavar="N",
        help="threads (default: the cores that the process may use)",
    )
