"""Tells of a run whose loss grows instead of falling, though it is finite."""

from __future__ import annotations

from typing import Any

from cavs.training._fields import Fields

# A healthy loss stays below its beginning, but for noise; ten times as much above it is no noise.
_TIMES = 10.0


class Divergence:
    """Notes the first step by which an epoch's mean loss is far above the loss of the first step.

    Attributes:
        began: the loss of the first step, for each graph; None before.
        found: ``step``, counted from the beginning, ``loss``, the mean of its epoch so far, and
            ``began``; None while nothing was found.
    """

    def __init__(self) -> None:
        self.began: float | None = None
        self.found: dict[str, Any] | None = None

    def note(self, step: int, loss: float) -> None:
        """Looks at the mean loss of the epoch under way, after step number `step`."""
        began = self.began
        if began is None:
            self.began = loss
        elif self.found is None and loss - began > _TIMES * max(abs(began), 1.0):
            self.found = {"step": step, "loss": loss, "began": began}

    def state_dict(self) -> dict[str, Any]:
        """The state, as values for JSON."""
        return {"began": self.began, "found": self.found}

    @staticmethod
    def read(progress: Fields) -> Divergence:
        """The state that a checkpoint holds as ``divergence``; older ones have none."""
        state = Divergence()
        if "divergence" in progress.values:
            fields = progress.take_fields("divergence")
            if fields.values.get("began") is not None:
                state.began = fields.take_number("began")
            if fields.values.get("found") is not None:
                state.found = read_found(fields, "found")
        return state


def read_found(fields: Fields, name: str) -> dict[str, Any]:
    """What was found, from a checkpoint."""
    found = fields.take_fields(name)
    return {
        "step": found.take_whole("step", 1),
        "loss": found.take_number("loss"),
        "began": found.take_number("began"),
    }
