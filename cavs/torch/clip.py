"""Clipping of gradients, dense and sparse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from cavs._arguments import boolean, items, number
from cavs._native import core
from cavs.torch import _device


def clip_grad_norm_(
    parameters: torch.Tensor | Iterable[torch.Tensor],
    max_norm: float,
    *,
    error_if_nonfinite: bool = False,
) -> torch.Tensor:
    """Scales gradients in place so that their norm is at most `max_norm`: as
    ``torch.nn.utils.clip_grad_norm_``, which takes no sparse ones.

    Args:
        parameters: a parameter or several, on the CPU or on GPUs, float32 or float64; those without
            a gradient are passed over.
        max_norm: >= 0.
        error_if_nonfinite: whether a norm that is NaN or infinite is an error.

    Returns:
        The Euclidean norm of all gradients together, before; float64, of no dimensions, on the GPU
        of the first gradient that is on one.

    Raises:
        InputError: something else than a parameter, `max_norm` out of its range, or a gradient that
            is dense on neither the CPU nor a GPU; RuntimeError: the norm is not finite and
            `error_if_nonfinite`.
    """
    single = isinstance(parameters, torch.Tensor)
    many: Any = [parameters] if single else parameters
    given = items("torch", "parameters", many, torch.Tensor, "torch.nn.Parameter objects")
    most = number("torch", "max_norm", max_norm, 0)
    boolean("torch", "error_if_nonfinite", error_if_nonfinite)
    grads = []
    for parameter in given:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse and not parameter.grad.is_coalesced():
            parameter.grad = parameter.grad.coalesce()
        grad = parameter.grad.detach()
        grads.append(grad._values() if grad.is_sparse else grad)
    norm = _norm(grads)
    if error_if_nonfinite and not norm.isfinite():
        raise RuntimeError(
            f"[torch] expected gradients with a finite norm, got {norm.item()}; lower the learning "
            "rate, or leave error_if_nonfinite out"
        )
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    scale = factor.item() if norm.is_cpu else None
    for grad in grads:
        grad.mul_(factor.to(grad.device, grad.dtype) if scale is None else scale)
    return norm


def _norm(grads: list[torch.Tensor]) -> torch.Tensor:
    """The norm of all of them; on a GPU if one of them is there, where nobody waits for it."""
    total, others = 0.0, list[torch.Tensor]()
    for grad in grads:
        place = _device.place_of(grad)
        if place is _device.HOST:
            total += core.sum_squares(place.array_of(grad.contiguous(), "a gradient"))
        else:
            others.append(torch.linalg.vector_norm(grad, dtype=torch.float64).square())
    device = others[0].device if others else "cpu"
    squares = torch.tensor(total, dtype=torch.float64, device=device)
    for square in others:
        squares += square.to(device)
    return squares.sqrt()
