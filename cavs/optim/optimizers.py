"""SGD, Adagrad, Adam, AdamW: PyTorch's formulae, computed by native code in one pass each.

A row-sparse gradient changes its own rows and leaves the other rows alone: they neither decay nor
go on by momentum, so a step over a large vocabulary is cheap. Without decay and momentum, SGD and
Adagrad then give exactly the same parameters as with a dense gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs._arguments import boolean, shown
from cavs._arrays import Array
from cavs._native import core
from cavs.device import device_of
from cavs.errors import InputError
from cavs.optim._groups import Group, State
from cavs.optim._optimizer import Optimizer
from cavs.tensor import Parameter, RowSparse


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    g = grad + weight_decay * p;  b = momentum * b + g;  p -= lr * b, or, with `nesterov`,
    p -= lr * (g + momentum * b).
    """

    def __init__(
        self,
        parameters: Any,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        """Raises InputError for numbers out of range, or `nesterov` without momentum."""
        super().__init__(
            parameters,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=boolean("optim", "nesterov", nesterov),
        )

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if group["nesterov"] and not group["momentum"]:
            raise InputError(
                "[optim] expected momentum > 0 with nesterov, got 0; raise it, or leave nesterov "
                "out"
            )

    def _new_state(self, parameter: Parameter, group: Group) -> State:
        return {"momentum": zeros_like(parameter)} if group["momentum"] else {}

    def native_settings(self, group: Group) -> Any | None:
        """See `Optimizer`."""
        if type(self) is not SGD:
            return None  # a subclass may have another formula
        options = (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"])
        return core.SgdSettings(*options)

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        """See `Optimizer`."""
        return (1, self._states[parameter]["momentum"]) if group["momentum"] else (1,)

    def _update(
        self,
        values: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[State],
        group: Group,
    ) -> None:
        device_of(values[0]).native.sgd_update(
            values,
            grads,
            [state["momentum"] for state in states] if group["momentum"] else None,
            group["lr"],
            group["momentum"],
            group["weight_decay"],
            group["nesterov"],
        )

    def _update_rows(
        self, parameter: Parameter, grad: RowSparse, state: State, group: Group
    ) -> None:
        with parameter.writing() as values:
            device_of(values).native.sgd_update_rows(
                values,
                grad.indices,
                grad.values,
                group["lr"],
                state["momentum"] if group["momentum"] else None,
                group["momentum"],
                group["weight_decay"],
                group["nesterov"],
            )


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011).

    g = grad + weight_decay * p;  s += g * g;  p -= lr * g / (sqrt(s) + eps).
    """

    _non_negative = frozenset({"sum"})

    def __init__(
        self,
        parameters: Any,
        lr: float = 0.01,
        eps: float = 1e-10,
        initial_accumulator_value: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        """Raises InputError for numbers out of range."""
        super().__init__(
            parameters,
            lr=lr,
            eps=eps,
            initial_accumulator_value=initial_accumulator_value,
            weight_decay=weight_decay,
        )

    def _new_state(self, parameter: Parameter, group: Group) -> State:
        start = group["initial_accumulator_value"]
        # Zeros take no memory until they are touched.
        if not start:
            return {"sum": zeros_like(parameter)}
        device = device_of(parameter.read()[0])
        return {"sum": device.full(parameter.shape, start, parameter.dtype)}

    def native_settings(self, group: Group) -> Any | None:
        """See `Optimizer`."""
        if type(self) is not Adagrad:
            return None  # a subclass may have another formula
        return core.AdagradSettings(group["lr"], group["eps"], group["weight_decay"])

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        """See `Optimizer`."""
        return 1, self._states[parameter]["sum"]

    def _update(
        self,
        values: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[State],
        group: Group,
    ) -> None:
        sums = [state["sum"] for state in states]
        device_of(values[0]).native.adagrad_update(
            values, grads, sums, group["lr"], group["eps"], group["weight_decay"]
        )

    def _update_rows(
        self, parameter: Parameter, grad: RowSparse, state: State, group: Group
    ) -> None:
        with parameter.writing() as values:
            device_of(values).native.adagrad_update_rows(
                values,
                grad.indices,
                grad.values,
                state["sum"],
                group["lr"],
                group["eps"],
                group["weight_decay"],
            )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with weight decay added to the gradient.

    g = grad + weight_decay * p;  m = b1 * m + (1 - b1) * g;  v = b2 * v + (1 - b2) * g * g;
    p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps), t the number of the step.
    For row-sparse gradients the formula is that of torch.optim.SparseAdam, which adds eps to
    sqrt(v) itself.
    """

    _decoupled = False
    _non_negative = frozenset({"exp_avg_sq"})

    def __init__(
        self,
        parameters: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        """Raises InputError for numbers out of range."""
        given: Any = betas
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise InputError(
                f"[optim] expected two betas, got {shown(betas)}; pass a pair of numbers"
            )
        super().__init__(
            parameters,
            lr=lr,
            beta1=betas[0],
            beta2=betas[1],
            eps=eps,
            weight_decay=weight_decay,
        )

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        for name in ("beta1", "beta2"):
            if not group[name] < 1:
                raise InputError(
                    f"[optim] expected {name} in [0, 1), got {group[name]}; pass such a number"
                )

    def _new_state(self, parameter: Parameter, group: Group) -> State:
        return {
            "exp_avg": zeros_like(parameter),
            "exp_avg_sq": zeros_like(parameter),
            "step": np.zeros((), np.int64),
        }

    def native_settings(self, group: Group) -> Any | None:
        """See `Optimizer`."""
        if type(self) not in (Adam, AdamW):
            return None  # a subclass may have another formula
        betas, decay = (group["beta1"], group["beta2"]), group["weight_decay"]
        return core.AdamSettings(group["lr"], *betas, group["eps"], decay, self._decoupled)

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        """See `Optimizer`."""
        state = self._states[parameter]
        return int(state["step"]) + 1, state["exp_avg"], state["exp_avg_sq"]

    def updated(self, parameter: Parameter) -> None:
        """See `Optimizer`."""
        self._states[parameter]["step"] += 1

    def _update(
        self,
        values: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[State],
        group: Group,
    ) -> None:
        for state in states:
            state["step"] += 1
        device_of(values[0]).native.adam_update(
            values,
            grads,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [int(state["step"]) for state in states],
            group["lr"],
            group["beta1"],
            group["beta2"],
            group["eps"],
            group["weight_decay"],
            self._decoupled,
        )

    def _update_rows(
        self, parameter: Parameter, grad: RowSparse, state: State, group: Group
    ) -> None:
        state["step"] += 1
        with parameter.writing() as values:
            device_of(values).native.adam_update_rows(
                values,
                grad.indices,
                grad.values,
                state["exp_avg"],
                state["exp_avg_sq"],
                int(state["step"]),
                group["lr"],
                group["beta1"],
                group["beta2"],
                group["eps"],
                group["weight_decay"],
                self._decoupled,
            )


class AdamW(Adam):
    """Adam with decoupled decay (Loshchilov and Hutter 2019): p *= 1 - lr * weight_decay first."""

    _decoupled = True

    def __init__(
        self,
        parameters: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        """Raises InputError for numbers out of range."""
        super().__init__(parameters, lr, betas, eps, weight_decay)


def zeros_like(parameter: Parameter) -> Array:
    """Zeros like the parameter, which take no memory until they are touched."""
    return device_of(parameter.read()[0]).zeros(parameter.shape, parameter.dtype)
