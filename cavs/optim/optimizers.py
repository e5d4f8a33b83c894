"""SGD, Adagrad, Adam, AdamW, RMSprop: PyTorch's formulae, computed by native code in one pass each.

A row-sparse gradient changes its own rows and leaves the other rows alone: they neither decay nor
go on by momentum, so a step over a large vocabulary is cheap. Without decay and momentum, SGD and
Adagrad then give exactly the same parameters as with a dense gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs._arguments import boolean, shown
from cavs._native import core
from cavs.device import device_of
from cavs.errors import InputError
from cavs.optim._groups import Group, State
from cavs.optim._native import NativeOptimizer
from cavs.tensor import Parameter


class SGD(NativeOptimizer):
    """Stochastic gradient descent with momentum.

    g = grad + weight_decay * p;  b = momentum * b + g;  p -= lr * b, or, with `nesterov`,
    p -= lr * (g + momentum * b).
    """

    _native = True

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

    def _settings(self, group: Group) -> Any:
        options = (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"])
        return core.SgdSettings(*options)

    def _kept(self, group: Group) -> Sequence[str]:
        return ("momentum",) if group["momentum"] else ()

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        return (1, self._states[parameter]["momentum"]) if group["momentum"] else (1,)


class Adagrad(NativeOptimizer):
    """Adagrad (Duchi et al. 2011).

    g = grad + weight_decay * p;  s += g * g;  p -= lr * g / (sqrt(s) + eps).
    """

    _native = True
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
        if not start:
            return super()._new_state(parameter, group)
        device = device_of(parameter.read()[0])
        return {"sum": device.full(parameter.shape, start, parameter.dtype)}

    def _settings(self, group: Group) -> Any:
        return core.AdagradSettings(group["lr"], group["eps"], group["weight_decay"])

    def _kept(self, group: Group) -> Sequence[str]:
        return ("sum",)

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        return 1, self._states[parameter]["sum"]


class Adam(NativeOptimizer):
    """Adam (Kingma and Ba 2015), with weight decay added to the gradient.

    g = grad + weight_decay * p;  m = b1 * m + (1 - b1) * g;  v = b2 * v + (1 - b2) * g * g;
    p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps), t the number of the step.
    For row-sparse gradients the formula is that of torch.optim.SparseAdam, which adds eps to
    sqrt(v) itself.
    """

    _native = True
    _counts = True
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

    def _settings(self, group: Group) -> Any:
        betas, decay = (group["beta1"], group["beta2"]), group["weight_decay"]
        return core.AdamSettings(group["lr"], *betas, group["eps"], decay, self._decoupled)

    def _kept(self, group: Group) -> Sequence[str]:
        return ("exp_avg", "exp_avg_sq")

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        state = self._states[parameter]
        return int(state["step"]) + 1, state["exp_avg"], state["exp_avg_sq"]

    def updated(self, parameter: Parameter) -> None:
        self._states[parameter]["step"] += 1


class AdamW(Adam):
    """Adam with decoupled decay (Loshchilov and Hutter 2019): p *= 1 - lr * weight_decay first."""

    _native = True
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


class RMSprop(NativeOptimizer):
    """RMSprop (Tieleman and Hinton 2012), centered as by Graves (2013, eqs. 38-41).

    g = grad + weight_decay * p;  v = alpha * v + (1 - alpha) * g * g;  with `centered`
    a = alpha * a + (1 - alpha) * g, and v - a * a in place of v;  u = g / (sqrt(v) + eps);  with
    `momentum` b = momentum * b + u, and b in place of u;  p -= lr * u.

    The state of a parameter are arrays of its shape and dtype: ``square_avg``, which is v, with
    `momentum` ``momentum``, b, and with `centered` ``grad_avg``, a. Both options are chosen when
    the optimizer is made; later steps take no others that need more arrays.
    """

    _native = True
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

    def _settings(self, group: Group) -> Any:
        options = (group["lr"], group["alpha"], group["eps"], group["weight_decay"])
        return core.RmspropSettings(*options, group["momentum"], group["centered"])

    def _kept(self, group: Group) -> Sequence[str]:
        names = ["square_avg"]
        if group["momentum"]:
            names.append("momentum")
        if group["centered"]:
            names.append("grad_avg")
        return names
