"""When to stop a training, for tests that leave one in the middle."""

from __future__ import annotations

__all__ = ["StopAfter"]


class StopAfter:
    """Says stop when it is asked for the n-th time."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0
