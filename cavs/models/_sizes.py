"""Checks of the sizes that models are made with, before layers compute with them."""

from __future__ import annotations

from typing import Any

from cavs._arguments import integer
from cavs.errors import ShapeError


def check_sizes(**sizes: Any) -> None:
    """Raises ShapeError for a size that is no integer of 1 or more, and names it."""
    for name, value in sizes.items():
        integer("models", name, value, 1, error=ShapeError)
