"""Learning-rate schedules: each gives a factor of the learning rates that the groups began with."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from cavs._arguments import instance, integer, number, printed
from cavs.errors import CheckpointError, InputError
from cavs.optim._optimizer import Optimizer

_MOST = sys.float_info.max


class LRSchedule(ABC):
    """Sets ``lr`` of all groups of an optimizer to the first one times :meth:`factor`.

    Attributes:
        count: calls of :meth:`step` so far.
        base_lrs: learning rate of each group at the beginning.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        instance("optim", "optimizer", optimizer, Optimizer, "an optimizer of cavs.optim")
        self.optimizer = optimizer
        self.count = 0
        self.base_lrs: list[float] = [group["lr"] for group in optimizer.groups]
        self._apply()

    @abstractmethod
    def factor(self, count: int) -> float:
        """The factor of the first learning rate after `count` steps."""

    def step(self) -> None:
        """Counts one more step. Call it after each optimizer step, or after each epoch if `count`
        means epochs."""
        self.count += 1
        self._apply()

    def _apply(self) -> None:
        factor = self.factor(self.count)
        for group, lr in zip(self.optimizer.groups, self.base_lrs, strict=True):
            group["lr"] = lr * factor

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule: numbers and lists of numbers."""
        return {"count": self.count, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a result of :meth:`state_dict`.

        Raises:
            CheckpointError: `state` is of another number of groups, or no state.
        """
        groups = len(self.base_lrs)
        if not _is_state(state, groups):
            raise CheckpointError(
                f"[optim] expected a schedule's count and {groups} base_lrs, got "
                f"{printed(state)[:200]}; load the state of the same schedule"
            )
        try:
            self.factor(state["count"])
        except OverflowError:
            raise CheckpointError(
                f"[optim] expected a count to which there is a learning rate, got "
                f"{state['count']}; load the state of the same schedule"
            ) from None
        self.count = int(state["count"])
        self.base_lrs = [float(lr) for lr in state["base_lrs"]]
        self._apply()


def _is_state(state: Any, groups: int) -> bool:
    """Whether `state` has a count, and a finite learning rate of 0 or more for each group."""
    if not isinstance(state, Mapping) or set(state) != {"count", "base_lrs"}:
        return False
    count, lrs = state["count"], state["base_lrs"]
    numbers = isinstance(lrs, (list, tuple)) and all(
        isinstance(lr, (int, float)) and not isinstance(lr, bool) and 0 <= lr < _MOST for lr in lrs
    )
    whole = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**53
    return numbers and len(lrs) == groups and whole


class ConstantLR(LRSchedule):
    """Leaves the learning rate as it is."""

    def factor(self, count: int) -> float:
        """1."""
        return 1.0


class StepLR(LRSchedule):
    """Multiplies the learning rate by `gamma` after every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = _positive("step_size", step_size)
        self.gamma = number("optim", "gamma", gamma, 0)
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """gamma ^ (count // step_size)."""
        return float(self.gamma ** (_count(count) // self.step_size))


class ExponentialLR(LRSchedule):
    """Multiplies the learning rate by `gamma` after every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = number("optim", "gamma", gamma, 0)
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """gamma ^ count."""
        return float(self.gamma ** _count(count))


class CosineLR(LRSchedule):
    """The factor falls as half a cosine from 1 to `final` at `total_steps`, and stays there."""

    def __init__(self, optimizer: Optimizer, total_steps: int, final: float = 0.0) -> None:
        self.total_steps = _positive("total_steps", total_steps)
        self.final = number("optim", "final", final, 0)
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """final + (1 - final) * (1 + cos(pi * count / total_steps)) / 2."""
        done = min(_count(count) / self.total_steps, 1.0)
        return self.final + (1.0 - self.final) * (1.0 + math.cos(math.pi * done)) / 2.0


class WarmupLinear(LRSchedule):
    """The factor rises linearly from 0 to 1 in `warmup_steps`, then falls linearly to 0 at
    `total_steps`."""

    def __init__(self, optimizer: Optimizer, warmup_steps: int, total_steps: int) -> None:
        self.warmup_steps = _positive("warmup_steps", warmup_steps)
        self.total_steps = _positive("total_steps", total_steps)
        if self.total_steps <= self.warmup_steps:
            raise InputError(
                f"[optim] expected total_steps > warmup_steps ({warmup_steps}), got "
                f"{total_steps}; raise total_steps"
            )
        super().__init__(optimizer)

    def factor(self, count: int) -> float:
        """count / warmup_steps during the warm-up, then the share of the other steps that is
        left."""
        if _count(count) < self.warmup_steps:
            return count / self.warmup_steps
        return max(0.0, (self.total_steps - count) / (self.total_steps - self.warmup_steps))


def _count(count: Any) -> int:
    return count if type(count) is int else integer("optim", "count", count, 0)


def _positive(name: str, value: int) -> int:
    return integer("optim", name, value, 1)
