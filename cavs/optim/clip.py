"""Clipping of gradients by their common norm."""

from __future__ import annotations

import math
from collections.abc import Iterable

from cavs._arguments import items, number, shown
from cavs.device import device_of, is_array
from cavs.errors import InputError
from cavs.tensor import RowSparse, Tensor


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scales all gradients by one factor, in place, so that their norm is at most `max_norm`.

    Gradients are seen as one long vector; row-sparse ones count as the matrix they stand for.

    Args:
        parameters: tensors with or without a gradient.
        max_norm: above 0.

    Returns:
        The norm before scaling. If it is not finite, nothing is scaled.

    Raises:
        InputError: `max_norm` is not above 0.
    """
    max_norm = number("clip_grad_norm", "max_norm", max_norm, 0, above=True)
    parameters = items(
        *("clip_grad_norm", "parameters", parameters, Tensor, "tensors of cavs"),
        pytorch="use cavs.torch.clip_grad_norm_",
    )
    arrays = []
    for parameter in parameters:
        grad = parameter.grad
        if isinstance(grad, RowSparse):
            arrays.append(grad.values)
        elif grad is not None:
            if not is_array(grad):
                raise InputError(
                    f"[clip_grad_norm] expected an array as grad, got {shown(grad)}; pass one"
                )
            if grad.dtype.kind != "f":
                raise InputError(
                    f"[clip_grad_norm] expected a float gradient, got {grad.dtype}; convert it"
                )
            if not grad.flags.c_contiguous:
                parameter.grad = grad = device_of(grad).copy(grad)
            arrays.append(grad)
    norm = math.sqrt(sum(device_of(array).native.sum_squares(array) for array in arrays))
    if norm > max_norm and math.isfinite(norm):
        for array in arrays:
            device_of(array).native.scale_(array, max_norm / norm)
    return norm
