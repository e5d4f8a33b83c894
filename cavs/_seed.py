"""The seed of what draws random numbers and was given no seed of its own."""

from __future__ import annotations

_default = 0


def seed_or_default(seed: int | None) -> int:
    """`seed`; where it is None the one that :func:`cavs.manual_seed` set last, else 0."""
    return _default if seed is None else seed


def set_default_seed(seed: int) -> None:
    """Makes `seed`, which is checked, the default from now on, in all threads."""
    global _default
    _default = seed
