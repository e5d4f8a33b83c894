"""Whether gradients fit their parameters, and errors that name a parameter where one does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs._arrays import Array
from cavs.device import device_of, is_array
from cavs.errors import CavsError, InputError, ShapeError
from cavs.optim._groups import Group, State, name_in
from cavs.tensor import Parameter, RowSparse


def is_like(grad: Any, parameter: Parameter) -> bool:
    """Whether a gradient has the shape and dtype of its parameter."""
    if not (isinstance(grad, RowSparse) or is_array(grad)):
        return False
    array = grad.values if isinstance(grad, RowSparse) else grad
    like = grad.shape == parameter.shape and grad.dtype == parameter.dtype
    return like and device_of(array).name == parameter.device


def unlike(parameter: Parameter, group: Group) -> CavsError:
    """The error of a parameter whose gradient is not like it."""
    name = name_in(group, parameter)
    grad: Any = parameter.grad
    if not (isinstance(grad, RowSparse) or is_array(grad)):
        return InputError(
            f"[optim] expected an array as gradient of parameter {name!r}, got "
            f"{type(grad).__name__}; convert it with numpy.asarray"
        )
    array = grad.values if isinstance(grad, RowSparse) else grad
    if device_of(array).name != parameter.device:
        return InputError(
            f"[optim] expected a gradient on {parameter.device} of parameter {name!r}, got one on "
            f"{device_of(array).name}; assign one that is where the parameter is"
        )
    return ShapeError(
        f"[optim] expected a gradient {parameter.dtype} {parameter.shape} of parameter {name!r}, "
        f"got {grad.dtype} {grad.shape}; call zero_grad, and assign a gradient like the parameter"
    )


def check_like(params: Sequence[Parameter], values: Sequence[Array], group: Group) -> None:
    """Raises the error of the first parameter whose gradient, no row-sparse one, is not like its
    values."""
    grads: list[Any] = [p.grad for p in params]
    if not all(map(is_array, grads)) or not device_of(values[0]).alike(grads, values):
        raise unlike(next(p for p in params if not is_like(p.grad, p)), group)


def check_devices(params: Sequence[Parameter]) -> None:
    """Raises InputError for parameters of several devices, which no native update takes at once."""
    devices = list(dict.fromkeys(p.device for p in params))
    if len(devices) > 1:
        raise InputError(
            f"[optim] expected the parameters of a group on one device, got some on {devices[0]} "
            f"and some on {devices[1]}; make an optimizer for each device"
        )


def check_gradient(parameter: Parameter, state: State, group: Group) -> None:
    """Raises an error with the parameter's name if a native update cannot take its arrays."""
    name = name_in(group, parameter)
    values: Array = parameter.read()[0]
    grad: Any = parameter.grad
    if not (grad.flags.c_contiguous and getattr(grad.flags, "aligned", True)):
        raise InputError(
            f"[optim] expected a C-contiguous gradient of parameter {name!r}, got one with "
            "gaps or in another order; assign a copy"
        )
    if device_of(values).shares_memory(values, grad):
        raise InputError(
            f"[optim] expected a gradient of parameter {name!r} in memory of its own, got its "
            "values; assign a copy"
        )
    check_state(parameter, state, group)


def check_state(parameter: Parameter, state: State, group: Group) -> None:
    """Raises ShapeError with the parameter's name if its dtype or shape is another than that of the
    arrays which are kept for it."""
    name = name_in(group, parameter)
    for key, kept in state.items():
        if kept.ndim == 0:
            continue  # a count of steps
        where = device_of(kept).name
        if (kept.shape, kept.dtype, where) != (parameter.shape, parameter.dtype, parameter.device):
            raise ShapeError(
                f"[optim] expected parameter {name!r} as {kept.dtype} {kept.shape} on {where}, for "
                f"which {key} is kept, got {parameter.dtype} {parameter.shape} on "
                f"{parameter.device}; make a new optimizer"
            )
