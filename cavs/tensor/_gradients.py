"""Gradients that somebody assigned, and whether they fit their tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cavs._arrays import Array
from cavs.core.owners import name_of
from cavs.device import Device, device_of, host, is_array
from cavs.device.taking import as_array, moved
from cavs.errors import InputError, ShapeError
from cavs.tensor._row_sparse import RowSparse

if TYPE_CHECKING:
    from cavs.tensor._tensor import Tensor


def on(values: Any, device: Device) -> Any:
    """An array, or a gradient, on a device; what is neither stays."""
    if isinstance(values, RowSparse):
        return values._on(device)
    return moved(values, device) if is_array(values) else values


def cotangent_of(tensor: Tensor, given: Any) -> Array:
    """The cotangent that backward begins with; None: ones. Raises ShapeError."""
    device = device_of(tensor._values)
    if given is None:
        return device.full(tensor.shape, 1, tensor.dtype)
    values = getattr(given, "_values", given)
    cotangent = moved(as_array(values, "backward", tensor.dtype), device)
    if cotangent.shape != tensor.shape:
        raise ShapeError(
            f"[backward] expected a cotangent of shape {tensor.shape}, got {cotangent.shape}; give "
            "one like the tensor"
        )
    return cotangent


def check_place(tensor: Tensor, grad: Any) -> None:
    """Raises InputError for a gradient on another device than its tensor."""
    array = grad.values if isinstance(grad, RowSparse) else grad
    own = device_of(tensor._values)
    if is_array(array) and device_of(array) is not own:
        raise InputError(
            f"[grad] expected a gradient on {own.name}, where the tensor is, got one on "
            f"{device_of(array).name}; copy it there"
        )


def check_held(tensor: Tensor) -> None:
    """Raises InputError where no gradient can be added to the present one, which anyone may have
    assigned; one on the tape becomes an array."""
    held = tensor._grad
    if getattr(held, "_record", None) is not None:
        tensor._grad = held = device_of(held._values).copy(held._values)
    if held is not None and not _takes(tensor, held):
        raise InputError(
            f"[backward] expected a writable gradient {tensor.dtype} {tensor.shape} of "
            f"{name_of(tensor)} to add to, got {_described(held)}; call zero_grad, or "
            "assign an array like it"
        )


def _takes(tensor: Tensor, held: Any) -> bool:
    if isinstance(held, RowSparse):
        # Optimizers see to its dtype.
        return held.shape == tensor.shape and hasattr(tensor, "__cavs_parameter__")
    return (
        is_array(held)
        and held.shape == tensor.shape
        and held.dtype == tensor.dtype
        and device_of(held) is device_of(tensor._values)
        and _is_writable(held)
    )


def _described(grad: Any) -> str:
    if not (isinstance(grad, RowSparse) or is_array(grad)):
        return type(grad).__name__
    written = isinstance(grad, RowSparse) or _is_writable(grad)
    where = device_of(grad.values if isinstance(grad, RowSparse) else grad)
    place = "" if where is host else f" on {where.name}"
    return f"{grad.dtype} {grad.shape}{place}{'' if written else ', read-only'}"


def _is_writable(array: Array) -> bool:
    """Whether an array may be written to; CuPy knows no others."""
    return bool(getattr(array.flags, "writeable", True))
