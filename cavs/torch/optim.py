"""Optimizers of PyTorch that compute by the native updates of :mod:`cavs.optim`.

Each is a ``torch.optim.Optimizer``: schedules, hooks, closures, ``param_groups`` and ``state_dict``
are PyTorch's, and so are the names in them, so that a state of the optimizer of the same name in
``torch.optim`` loads here, and the other way round. They take any parameters of float32 or float64
on the CPU or on GPUs, a layer's and those of other modules, with dense and sparse gradients side by
side. A sparse gradient changes its own rows alone: other rows neither decay nor go on by momentum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cavs._native import core
from cavs.errors import InputError
from cavs.torch._optimizer import Group, NativeOptimizer, number_of

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]


class SGD(NativeOptimizer):
    """Stochastic gradient descent with momentum: see :class:`cavs.optim.SGD`."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **others: Any,
    ) -> None:
        """See :class:`NativeOptimizer`; also raises InputError for `nesterov` without momentum."""
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**options, "nesterov": nesterov, "dampening": 0.0}, others)

    def _check_options(self, group: Group) -> None:
        super()._check_options(group)
        if group["nesterov"] and not group["momentum"]:
            raise InputError(
                "[torch] expected momentum > 0 with nesterov, got 0; raise it, or leave nesterov "
                "out"
            )

    def _settings(self, group: Group) -> Any:
        options = group["momentum"], group["weight_decay"], group["nesterov"]
        return core.SgdSettings(number_of(group["lr"]), *options)

    def _kept(self, group: Group) -> Sequence[str]:
        return ("momentum_buffer",) if group["momentum"] else ()


class Adagrad(NativeOptimizer):
    """Adagrad (Duchi et al. 2011): see :class:`cavs.optim.Adagrad`."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        *,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **others: Any,
    ) -> None:
        """See :class:`NativeOptimizer`."""
        options = {"lr": lr, "weight_decay": weight_decay, "eps": eps, "lr_decay": 0.0}
        start = {"initial_accumulator_value": initial_accumulator_value}
        super().__init__(params, {**options, **start}, others)

    def _settings(self, group: Group) -> Any:
        return core.AdagradSettings(number_of(group["lr"]), group["eps"], group["weight_decay"])

    def _kept(self, group: Group) -> Sequence[str]:
        return ("sum",)

    def _first(self, parameter: torch.Tensor, group: Group) -> torch.Tensor:
        first, start = super()._first(parameter, group), group["initial_accumulator_value"]
        return first.fill_(start) if start else first


class Adam(NativeOptimizer):
    """Adam (Kingma and Ba 2015): see :class:`cavs.optim.Adam`. For a sparse gradient the formula is
    that of ``torch.optim.SparseAdam``."""

    _counts = True
    _decoupled = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **others: Any,
    ) -> None:
        """See :class:`NativeOptimizer`."""
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options, others)

    def _settings(self, group: Group) -> Any:
        options = *group["betas"], group["eps"], group["weight_decay"]
        return core.AdamSettings(number_of(group["lr"]), *options, self._decoupled)

    def _kept(self, group: Group) -> Sequence[str]:
        return ("exp_avg", "exp_avg_sq")


class AdamW(Adam):
    """Adam with decoupled decay (Loshchilov and Hutter 2019): see :class:`cavs.optim.AdamW`."""

    _decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        **others: Any,
    ) -> None:
        """See :class:`NativeOptimizer`."""
        super().__init__(params, lr, betas, eps=eps, weight_decay=weight_decay, **others)


class RMSprop(NativeOptimizer):
    """RMSprop (Tieleman and Hinton 2012): see :class:`cavs.optim.RMSprop`."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        **others: Any,
    ) -> None:
        """See :class:`NativeOptimizer`."""
        options = {"alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {"lr": lr, **options, "centered": centered}, others)

    def _settings(self, group: Group) -> Any:
        options = group["alpha"], group["eps"], group["weight_decay"], group["momentum"]
        return core.RmspropSettings(number_of(group["lr"]), *options, group["centered"])

    def _kept(self, group: Group) -> Sequence[str]:
        names = ["square_avg"]
        if group["momentum"]:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return names
