"""Learning-rate schedules: each gives a factor of the learning rates that the groups began with."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from cavs._arguments import boolean, instance, integer, number, printed, shown
from cavs.errors import CheckpointError, InputError
from cavs.optim._optimizer import Optimizer
from cavs.tensor import Tensor

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
        # Groups that were added since begin with the rates that they were given.
        self.base_lrs += [g["lr"] for g in self.optimizer.groups[len(self.base_lrs) :]]
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
        groups = len(self.optimizer.groups)
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


class ReduceLROnPlateau:
    """Multiplies the learning rates by `factor` when a score has not become better for more than
    `patience` steps in a row, as PyTorch's does.

    Args:
        optimizer: whose groups' ``lr`` it changes, each from its present value.
        factor: from 0 to below 1.
        patience: steps without a better score that are let pass.
        greater: whether a greater score is better, as of an accuracy; else a smaller one, as of a
            loss.
        threshold: a score is better if it is better than the best one by more than this part of it:
            ``score < best - threshold * abs(best)``, or ``>`` and ``+`` with `greater`.
        min_lr: no rate falls below it.

    Attributes:
        best: the best score so far; None before the first.
        num_bad: steps since then, or since the rates fell.

    Raises:
        InputError: an argument out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        factor: float = 0.1,
        patience: int = 10,
        greater: bool = False,
        threshold: float = 1e-4,
        min_lr: float = 0.0,
    ) -> None:
        instance("optim", "optimizer", optimizer, Optimizer, "an optimizer of cavs.optim")
        self.optimizer = optimizer
        self.factor = number("optim", "factor", factor, 0, 1)
        self.patience = integer("optim", "patience", patience, 0)
        self.greater = boolean("optim", "greater", greater)
        self.threshold = number("optim", "threshold", threshold, 0)
        self.min_lr = number("optim", "min_lr", min_lr, 0)
        self.best: float | None = None
        self.num_bad = 0

    def step(self, score: Any) -> None:
        """Judges the score of an epoch, after which the rates may be lower.

        Args:
            score: a number, or an array or tensor of one; one that is NaN is not better.

        Raises:
            InputError: no number.
        """
        found = _as_score(score)
        if self._is_better(found):
            self.best, self.num_bad = found, 0
            return
        self.num_bad += 1
        if self.num_bad > self.patience:
            self.num_bad = 0
            for group in self.optimizer.groups:
                lr = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lr > _LEAST_CHANGE:
                    group["lr"] = lr

    def _is_better(self, score: float) -> bool:
        if math.isnan(score) or self.best is None:
            return not math.isnan(score)
        # A part of the magnitude: of a negative best, PyTorch's factor would ask for less.
        margin = self.threshold * abs(self.best) if math.isfinite(self.best) else 0.0
        return score > self.best + margin if self.greater else score < self.best - margin

    def state_dict(self) -> dict[str, Any]:
        """The state: ``best``, a number or None, and ``num_bad``. The rates are the optimizer's, in
        its own state."""
        return {"best": self.best, "num_bad": self.num_bad}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a result of :meth:`state_dict`.

        Raises:
            CheckpointError: `state` is no such state; nothing has changed then.
        """
        given: Any = state  # from a file, perhaps
        good = isinstance(given, Mapping) and set(given) == {"best", "num_bad"}
        best, bad = (given["best"], given["num_bad"]) if good else (None, None)
        if isinstance(best, (int, float)) and not isinstance(best, bool):
            good = good and (abs(best) <= _MOST or best in _INFINITE)
        else:
            good = good and best is None
        if not (good and type(bad) is int and 0 <= bad < 2**53):
            raise CheckpointError(
                "[optim] expected a plateau's best score and num_bad, got "
                f"{printed(state)[:200]}; load the state of a ReduceLROnPlateau"
            )
        self.best, self.num_bad = None if best is None else float(best), bad


_LEAST_CHANGE = 1e-8  # of a learning rate, as in PyTorch
_INFINITE = (math.inf, -math.inf)


def _as_score(score: Any) -> float:
    if isinstance(score, Tensor):
        score = score.detach().numpy()
    if not isinstance(score, (bool, str, bytes)):
        try:
            array = np.asarray(score)
            if array.size == 1 and array.dtype.kind in "fiu":
                return float(array.item())
        except Exception:  # an object's own conversion may raise any error
            pass
    raise InputError(f"[optim] expected a number as score, got {shown(score)}; pass one")


def _count(count: Any) -> int:
    return count if type(count) is int else integer("optim", "count", count, 0)


def _positive(name: str, value: int) -> int:
    return integer("optim", name, value, 1)
