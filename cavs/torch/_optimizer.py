"""The base of optimizers of PyTorch that compute by cavs's native updates."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import inf, isfinite
from operator import is_
from typing import Any

import torch
import torch.optim.optimizer as _hooks
from torch.autograd.graph import increment_version

from cavs._arguments import boolean, listed, number, shown
from cavs._arrays import INT32, Array
from cavs.errors import DTypeError, InputError
from cavs.tensor import describe, detecting, magnitudes, nonfinite
from cavs.torch import _device
from cavs.torch._device import HOST, Place

Group = dict[str, Any]

# Options of torch.optim that stand for another formula where they are not 0. Groups hold those that
# a state of torch.optim must have.
_OTHER_FORMULAE = ("amsgrad", "dampening", "lr_decay", "maximize")
# Those that say how PyTorch computes it.
_OF_PYTORCH = ("capturable", "differentiable", "foreach", "fused")


class _Arrays:
    """The memory of a parameter and of its state.

    Attributes:
        parameter: the parameter.
        values: its values.
        kept: what is kept for it, in the order of native code.
        step: the number of its steps, an array of no dimensions, on the host.
    """

    __slots__ = ("_pointer", "_tensors", "kept", "parameter", "step", "values")

    def __init__(
        self, parameter: torch.Tensor, state: dict[str, torch.Tensor], names: Sequence[str]
    ) -> None:
        place = _device.place_of(parameter)
        self.parameter, self._pointer = parameter, parameter.data_ptr()
        self.values: Array = place.array_of(torch.Tensor.detach(parameter))
        self._tensors = [state[name] for name in ("step", *names)]
        self.step: Array = HOST.array_of(state["step"])
        self.kept = [place.array_of(state[name], f"{name!r} of a parameter") for name in names]

    def are_of(self, state: dict[str, torch.Tensor], names: Sequence[str]) -> bool:
        """Whether the parameter and `state` are still in this memory."""
        if self.parameter.data_ptr() != self._pointer or len(self._tensors) != 1 + len(names):
            return False
        step, *kept = self._tensors
        if state.get("step") is not step:
            return False
        return all(map(is_, map(state.get, names), kept))

    def next_step(self) -> int:
        """The number of the step to come."""
        return int(self.step) + 1


class NativeOptimizer(torch.optim.Optimizer, ABC):
    """The base of these optimizers, which change all parameters of a group in one native call."""

    #: Whether the formula has the number of the step in it.
    _counts = False

    def __init__(self, params: Any, defaults: Group, others: Group) -> None:
        """Takes parameters, (name, parameter) pairs or groups, as any optimizer of PyTorch.

        Args:
            params: the parameters.
            defaults: the options of groups that give none of their own.
            others: options of ``torch.optim``; those that say how PyTorch computes, such as
                ``fused``, have no effect.

        Raises:
            InputError: an option out of its range, one that stands for another formula, or a
                parameter that is not contiguous, or on neither the CPU nor a GPU; DeviceError: one
                on a GPU that cavs cannot use; DTypeError: one that is neither float32 nor float64;
                TypeError, ValueError: as PyTorch raises them, for no parameter
                or one twice.
        """
        unknown = set(others) - {*_OTHER_FORMULAE, *_OF_PYTORCH}
        if unknown:
            raise InputError(
                f"[torch] expected options among {sorted(defaults)}, got {listed(unknown)}; leave "
                "the others out"
            )
        self._check_formula(others)
        self._arrays: dict[torch.Tensor, _Arrays] = {}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Group) -> None:
        """As of any optimizer; raises as a new one does, and has then added nothing."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._check_options(group)
            for parameter in group["params"]:
                _check_parameter(parameter)
        except Exception:
            self.param_groups.pop()
            raise

    def _check_options(self, group: Group) -> None:
        """Raises InputError for options out of their ranges."""
        self._check_formula(group)
        for name in self.defaults:
            option = group[name]
            if name in ("nesterov", "centered"):
                boolean("torch", name, option)
            elif name == "betas":
                if not isinstance(option, (tuple, list)) or len(option) != 2:
                    raise InputError(
                        f"[torch] expected two betas, got {shown(option)}; pass a pair of numbers"
                    )
                for beta in option:
                    number("torch", "beta", beta, 0, 1)
            else:
                value = number_of(option) if name == "lr" else option
                number("torch", name, value, 0, 1 if name == "alpha" else inf)

    def _check_formula(self, options: Group) -> None:
        for name in _OTHER_FORMULAE:
            option = options.get(name)
            is_zero = isinstance(option, (int, float)) and option == 0  # False is, too
            if option is not None and not is_zero:
                raise InputError(
                    f"[torch] expected no {name}, got {shown(option)}; take "
                    f"torch.optim.{type(self).__name__}, which has it"
                )

    @abstractmethod
    def _settings(self, group: Group) -> Any:
        """The options as native code takes them."""

    @abstractmethod
    def _kept(self, group: Group) -> Sequence[str]:
        """Names of the tensors that are kept for each parameter, in the order of native code."""

    def _first(self, parameter: torch.Tensor, group: Group) -> torch.Tensor:
        """What is kept before the first step. Zeros take no memory until they are touched."""
        return torch.zeros_like(parameter, memory_format=torch.contiguous_format)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes every parameter that has a gradient.

        Args:
            closure: computes gradients and gives the loss, as for any optimizer.

        Returns:
            What `closure` gives; None without one.

        Raises:
            InputError: an option is out of its range, or a gradient shares memory with the
                parameter; no parameter of its group has changed then. NonFiniteError: a gradient,
                or a parameter after the step, is not finite, see :class:`cavs.detect_nonfinite`; no
                parameter has changed then.
        """
        if closure is None and not _is_watched(self):
            self._step_all()
            return None
        return self._watched_step(closure)

    # PyTorch would wrap every step in code that calls hooks and tells its profiler, which costs as
    # much as the update of a small model. Only steps that are watched go that way.
    step.hooked = True  # type: ignore[attr-defined]

    @torch.optim.Optimizer.profile_hook_step
    def _watched_step(self, closure: Callable[[], Any] | None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_all()
        return loss

    def _step_all(self) -> None:
        if detecting():
            self._look()
        for group in self.param_groups:
            self._step_group(group)

    def _look(self) -> None:
        """Looks for a gradient that is not finite, and for a parameter that would not be: all
        updates are done on copies."""
        for group in self.param_groups:
            for place, parameter in enumerate(group["params"]):
                if parameter.grad is not None:
                    _check_finite("gradient", group, place, parameter.grad)
        kind: Any = type(self)
        for group in self.param_groups:
            copies = copy.deepcopy(group["params"])
            trial = kind([{"params": copies, **{name: group[name] for name in self.defaults}}])
            for own, parameter in zip(copies, group["params"], strict=True):
                own.grad = parameter.grad
                if parameter in self.state:
                    trial.state[own] = copy.deepcopy(self.state[parameter])
            trial._step_group(trial.param_groups[0])
            for place, own in enumerate(copies):
                _check_finite("value after the update", group, place, own)

    def _step_group(self, group: Group) -> None:
        places = dict[Place, list[torch.Tensor]]()
        for parameter in group["params"]:
            places.setdefault(_device.place_of(parameter), []).append(parameter)
        for place, parameters in places.items():
            with place.ordered():
                self._step_at(place, parameters, group)

    def _step_at(self, place: Place, parameters: list[torch.Tensor], group: Group) -> None:
        """A step of parameters of one device."""
        settings, names = self._settings(group), self._kept(group)
        dense, grads, by_rows = list[_Arrays](), list[Array](), list[tuple[_Arrays, Any]]()
        native = place.device.native
        for parameter in parameters:
            grad = parameter.grad
            if grad is None:
                continue
            arrays = self._arrays_of(parameter, names, group)
            if grad.is_sparse and parameter.ndim == 2:
                by_rows.append((arrays, grad.coalesce()))
            else:
                dense.append(arrays)
                grads.append(_contiguous(grad, place))
        if dense:
            kept = [[arrays.kept[i] for arrays in dense] for i in range(len(names))]
            steps = [arrays.next_step() for arrays in dense] if self._counts else []
            native.update(settings, [arrays.values for arrays in dense], grads, kept, steps)
            increment_version([arrays.parameter for arrays in dense])
            for arrays in dense:
                arrays.step += 1
        for arrays, grad in by_rows:
            ids = place.array_of(grad._indices()[0]).astype(INT32)
            rows, step = _contiguous(grad._values(), place), arrays.next_step()
            native.update_rows(settings, arrays.values, ids, rows, arrays.kept, step)
            increment_version(arrays.parameter)
            arrays.step += 1

    def _arrays_of(self, parameter: torch.Tensor, names: Sequence[str], group: Group) -> _Arrays:
        """The arrays of a parameter and of its state, which is made where it is missing."""
        state: dict[str, Any] = self.state[parameter]
        found = self._arrays.get(parameter)
        if found is None or not found.are_of(state, names):
            step = state.get("step")
            if step is None:  # torch.optim.SGD counts none
                state["step"] = torch.zeros((), device="cpu")
            elif not step.is_cpu:  # as fused optimizers have it
                state["step"] = step.cpu()
            for name in names:
                if state.get(name) is None:
                    state[name] = self._first(parameter, group)
            found = self._arrays[parameter] = _Arrays(parameter, state, names)
        return found

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As of any optimizer."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def load_state_dict(self, state_dict: Any) -> None:
        """Goes on from a state of such an optimizer, or of the same one in ``torch.optim``.

        Raises:
            InputError: it is none, or its options stand for another formula, such as ``amsgrad``,
                or are out of their ranges; and what PyTorch raises.
        """
        groups = state_dict.get("param_groups") if isinstance(state_dict, Mapping) else None
        wanted = set(self.defaults)
        if not isinstance(groups, list) or any(wanted - set(group) for group in groups):
            raise InputError(
                f"[torch] expected a state of {type(self).__name__} of PyTorch, with the options "
                f"{sorted(wanted)} in each of its param_groups, got {shown(state_dict)} without; "
                "load it into an optimizer of its own kind"
            )
        for group in groups:
            self._check_options(group)
        super().load_state_dict(state_dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._arrays = {}


def _check_finite(what: str, group: Group, place: int, tensor: torch.Tensor) -> None:
    values = tensor.detach()
    values = values.coalesce()._values() if values.is_sparse else values
    where = _device.place_of(values)
    with where.ordered():
        array = _contiguous(values, where)
        found = magnitudes([array])[0]
    if not isfinite(found):
        names = group.get("param_names")
        name = repr(names[place]) if names else f"{place} of its group"
        raise nonfinite(
            f"expected a finite {what} of parameter {name}, got {describe(array)}; no parameter "
            "was changed: lower the learning rate or clip gradients"
        )


def _is_watched(optimizer: Any) -> bool:
    """Whether there are hooks of steps, or PyTorch's profiler is on."""
    try:
        before, after = _hooks._global_optimizer_pre_hooks, _hooks._global_optimizer_post_hooks
        own = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
        # One of those after is that of `_parameters`, which looks for fused optimizers alone.
        return bool(own or before or len(after) > 1 or torch.autograd._profiler_enabled())
    except AttributeError:  # of another version of PyTorch
        return True


def number_of(option: Any) -> Any:
    """A learning rate as a number, which may be the element of a tensor; else what it is."""
    single = isinstance(option, torch.Tensor) and option.numel() == 1 and not option.is_sparse
    return option.item() if single else option


def _check_parameter(parameter: torch.Tensor) -> None:
    if parameter.dtype not in (torch.float32, torch.float64):
        raise DTypeError(
            f"[torch] expected parameters of torch.float32 or torch.float64, got {parameter.dtype};"
            " give the others to an optimizer of torch.optim"
        )
    if parameter.device.type not in ("cpu", "cuda") or not parameter.is_contiguous():
        raise InputError(
            "[torch] expected contiguous parameters on the CPU or on a GPU of CUDA, got one "
            f"on {parameter.device} with strides {parameter.stride()}; give the others to an "
            "optimizer of torch.optim"
        )
    _device.place_of(parameter)


def _contiguous(tensor: torch.Tensor, place: Place) -> Array:
    """A tensor of the place as an array without gaps; a copy only where it must be."""
    try:
        array = place.array_of(tensor)
    except InputError:  # it is sparse, or negative by a bit alone
        dense = tensor.to_dense() if tensor.is_sparse else tensor
        array = place.array_of(dense.detach().resolve_neg().contiguous())
    return place.device.contiguous(array)
