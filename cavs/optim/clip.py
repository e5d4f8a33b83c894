"""Clipping of gradients by their common norm."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from cavs._native import core
from cavs.errors import InputError
from cavs.tensor import RowSparse, Tensor


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scales all gradients by one factor, in place, so that their norm is at most `max_norm`.

    Gradients are seen as one long vector; row-sparse ones count as the matrix they stand for.

    Args:
        parameters: tensors with or without a gradient.
        max_norm: above 0.

    Returns:
        The norm before. Where it is not finite, nothing is scaled.

    Raises:
        InputError: `max_norm` is not above 0.
    """
    if not max_norm > 0:
        raise InputError(f"[clip_grad_norm] expected max_norm > 0, got {max_norm}; raise it")
    arrays = []
    for parameter in parameters:
        grad = parameter.grad
        if isinstance(grad, RowSparse):
            arrays.append(grad.values)
        elif grad is not None:
            if not grad.flags.c_contiguous:
                parameter.grad = grad = np.array(grad, order="C")
            arrays.append(grad)
    norm = math.sqrt(sum(core.sum_squares(array) for array in arrays))
    if norm > max_norm and math.isfinite(norm):
        for array in arrays:
            core.scale_(array, max_norm / norm)
    return norm
