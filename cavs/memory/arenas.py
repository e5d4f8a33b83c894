"""Arenas that runs have given back, which later runs take again."""

from __future__ import annotations

from cavs._native import core as _core


def pooled_bytes() -> int:
    """Bytes that the engine holds for later runs and that no run has at the moment."""
    return int(_core.pooled_bytes())


def release_memory() -> None:
    """Gives the held bytes back to the system; the next runs ask it for new ones."""
    _core.release_memory()
