"""RMSprop: PyTorch's formula, computed by native code in one pass; rows as in `optimizers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs._arguments import boolean
from cavs._arrays import Array
from cavs._native import core
from cavs.device import device_of
from cavs.errors import InputError
from cavs.optim._groups import Group, State
from cavs.optim._optimizer import Optimizer
from cavs.optim.optimizers import zeros_like
from cavs.tensor import Parameter, RowSparse


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012), centered as by Graves (2013, eqs. 38-41).

    g = grad + weight_decay * p;  v = alpha * v + (1 - alpha) * g * g;  with `centered`
    a = alpha * a + (1 - alpha) * g, and v - a * a in place of v;  u = g / (sqrt(v) + eps);  with
    `momentum` b = momentum * b + u, and b in place of u;  p -= lr * u.
    """

    _non_negative = frozenset({"square_avg"})

    def __init__(
        self,
        parameters: Any,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        """Raises InputError for numbers out of range."""
        super().__init__(
            parameters,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=boolean("optim", "centered", centered),
        )

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if not group["alpha"] < 1:
            raise InputError(
                f"[optim] expected alpha in [0, 1), got {group['alpha']}; pass such a number"
            )

    def _new_state(self, parameter: Parameter, group: Group) -> State:
        return {name: zeros_like(parameter) for name in _names(group)}

    def native_settings(self, group: Group) -> Any | None:
        """See `Optimizer`."""
        if type(self) is not RMSprop:
            return None  # a subclass may have another formula
        return _settings(group)

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        """See `Optimizer`."""
        state = self._states[parameter]
        return (1, *[state[name] for name in _names(group)])

    def _update(
        self,
        values: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[State],
        group: Group,
    ) -> None:
        kept = [[state[name] for state in states] for name in _names(group)]
        device_of(values[0]).native.rmsprop_update(values, grads, kept, _settings(group))

    def _update_rows(
        self, parameter: Parameter, grad: RowSparse, state: State, group: Group
    ) -> None:
        kept = [state[name] for name in _names(group)]
        with parameter.writing() as values:
            device_of(values).native.rmsprop_update_rows(
                values, grad.indices, grad.values, kept, _settings(group)
            )


def _settings(group: Group) -> Any:
    options = (group["lr"], group["alpha"], group["eps"], group["weight_decay"])
    return core.RmspropSettings(*options, group["momentum"], group["centered"])


def _names(group: Group) -> list[str]:
    """Names of the arrays of a state, in the order of native code."""
    names = ["square_avg"]
    if group["momentum"]:
        names.append("momentum")
    if group["centered"]:
        names.append("grad_avg")
    return names
