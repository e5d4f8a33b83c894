"""The base of optimizers whose update native code computes in one pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs._arrays import Array
from cavs.device import device_of
from cavs.optim._groups import Group, State
from cavs.optim._optimizer import Optimizer
from cavs.tensor import Parameter, RowSparse


class NativeOptimizer(Optimizer):
    """An optimizer with the formula of its native settings."""

    #: Whether the formula has the number of the update in it.
    _counts = False
    #: Whether native code alone knows the formula. Each class says so itself: one that is derived
    #: from it may have another.
    _native = False

    @abstractmethod
    def _settings(self, group: Group) -> Any:
        """The options as native code takes them."""

    @abstractmethod
    def _kept(self, group: Group) -> Sequence[str]:
        """Names of the arrays that are kept for each parameter, in the order of native code."""

    def _new_state(self, parameter: Parameter, group: Group) -> State:
        state = {name: zeros_like(parameter) for name in self._kept(group)}
        if self._counts:
            state["step"] = np.zeros((), np.int64)
        return state

    def native_settings(self, group: Group) -> Any | None:
        return self._settings(group) if "_native" in vars(type(self)) else None

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        """See `Optimizer`; those of many users say it without a list of names, for every step calls
        it for every parameter."""
        state = self._states[parameter]
        return (1, *[state[name] for name in self._kept(group)])

    def _update(
        self,
        values: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[State],
        group: Group,
    ) -> None:
        kept = [[state[name] for state in states] for name in self._kept(group)]
        steps = [int(state["step"]) + 1 for state in states] if self._counts else []
        device_of(values[0]).native.update(self._settings(group), values, grads, kept, steps)
        if self._counts:  # not before: the update may refuse
            for state in states:
                state["step"] += 1

    def _update_rows(
        self, parameter: Parameter, grad: RowSparse, state: State, group: Group
    ) -> None:
        kept = [state[name] for name in self._kept(group)]
        step = int(state["step"]) + 1 if self._counts else 1
        settings, rows = self._settings(group), (grad.indices, grad.values)
        with parameter.writing() as values:
            device_of(values).native.update_rows(settings, values, *rows, kept, step)
        if self._counts:
            state["step"] += 1


def zeros_like(parameter: Parameter) -> Array:
    """Zeros like the parameter, which take no memory until they are touched."""
    return device_of(parameter.read()[0]).zeros(parameter.shape, parameter.dtype)
