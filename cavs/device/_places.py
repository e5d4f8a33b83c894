"""The classes of arrays that stand on GPUs, as far as any GPU was used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PLACES: dict[type, Callable[[Any], Any]] = {}
"""The function that gives an array's device, by the class of the array."""
