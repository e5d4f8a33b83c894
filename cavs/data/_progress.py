"""A progress bar while something long is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

from cavs._arguments import boolean

_T = TypeVar("_T")


def shown_while(items: Iterable[_T], progress: bool, unit: str, total: int) -> Iterable[_T]:
    """The items, with a bar on standard error if `progress`; `total` 0 is an unknown number. Raises
    InputError unless `progress` is a bool."""
    if not boolean("data", "progress", progress):
        return items
    return tqdm(items, total=total or None, unit=f" {unit}", leave=False, dynamic_ncols=True)
