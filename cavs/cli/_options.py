"""Numbers as arguments, checked where they are read."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def integer(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """A type for integers from `least` to `most`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            # A bound that nobody comes to by mistake is not worth its digits.
            wanted = (
                f"of at least {least}" if value < least and most < 2**32 else f"in {least}..{most}"
            )
            raise argparse.ArgumentTypeError(f"expected an integer {wanted}, got {text!r}")
        return value

    return read


def number(
    least: float, below: float = math.inf, *, exclusive: bool = False
) -> Callable[[str], float]:
    """A type for numbers from `least` (above it if `exclusive`) to below `below`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (least < value if exclusive else least <= value) or not value < below:
            bound = f" and below {below}" if below < math.inf else ""
            raise argparse.ArgumentTypeError(
                f"expected a number {'above' if exclusive else 'of at least'} {least}{bound}, got "
                f"{text!r}"
            )
        return value + 0.0  # no negative zero

    return read


def add_threads(parser: argparse._ActionsContainer) -> None:
    """Adds --threads."""
    parser.add_argument(
        "--threads",
        type=integer(1),
        metavar="N",
        help="threads (default: the cores that the process may use)",
    )
