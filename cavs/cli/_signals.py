"""Stopping at the next good place when the user, or the system, asks."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopOnSignal:
    """Within the context SIGINT, SIGTERM and SIGHUP, the end of the terminal, only set a flag; a
    second one ends the program. One that the caller ignores, as nohup does, stays ignored.

    Attributes:
        code: the exit code that says which signal it was; 0 before.
    """

    def __init__(self) -> None:
        self.code = 0
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.code != 0

    def __enter__(self) -> StopOnSignal:
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.code = 128 + number
        self._restore()
        # Not print: the signal may have come in the middle of one.
        with suppress(OSError):  # nobody may read it any more
            os.write(2, b"\ncavs: stopping after this batch; once more to stop at once\n")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
