"""Sums over all pairs of rows of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs._arguments import items, number
from cavs._arrays import INT32, Array, sum_of_kernels
from cavs.core.tracing import tracing
from cavs.device import device_of, host
from cavs.errors import DeviceError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor._tape import is_grad_enabled, sole_cotangent
from cavs.tensor._tensor import Tensor, record


def pairwise_kernel_sum(x: Any, y: Any, widths: Any) -> Tensor:
    """The sum over all pairs of rows, and all widths w, of exp(-|x_i - y_j|^2 / (2 w^2)).

    Of this the kernel two-sample statistic is made (Gretton et al., "A Kernel Two-Sample Test",
    2012, equation 5): ``sum(x, x) / n**2 - 2 * sum(x, y) / (n * m) + sum(y, y) / m**2`` is the
    squared maximum mean discrepancy of n and m samples. Value and gradient are computed together,
    block by block, in memory of the size of the operands. Both have the same bits with any number
    of threads.

    Args:
        x: (n, d), float32 or float64.
        y: (m, d), of the same dtype; it may be `x` itself.
        widths: one number, or several, greater than 0.

    Returns:
        (), of the same dtype; it can be differentiated once.

    Raises:
        ShapeError: not two matrices with rows of one size. DTypeError: integers, or two dtypes.
        InputError: no widths, or one that is not a finite number greater than 0. DeviceError: on a
        GPU. TraceError: in a vertex function.
    """
    left = _matrix("x", x)
    right = left if y is x else _matrix("y", y)
    if left.shape[1] != right.shape[1]:
        raise ShapeError(
            f"[pairwise_kernel_sum] expected rows of one size, got shapes {left.shape} and "
            f"{right.shape}; reshape one"
        )
    if left.dtype != right.dtype:
        raise DTypeError(
            f"[pairwise_kernel_sum] expected operands of one dtype, got {left.dtype} and "
            f"{right.dtype}; convert one with astype"
        )
    found = _widths(widths)
    a, b = (device_of(each._values).contiguous(each._values) for each in (left, right))
    learn = [each.requires_grad and is_grad_enabled() for each in (left, right)]
    # The gradients of a scalar are its own, times the cotangent: made with it, they cost no second
    # round of exponentials.
    by_left = host.empty(a.shape, a.dtype) if learn[0] else None
    total = sum_of_kernels(a, b, found, by_left)
    same = left is right
    if same and by_left is not None:
        by_left += by_left  # a row is the first of some pairs and the second of as many
    by_right = host.empty(b.shape, b.dtype) if learn[1] and not same else None
    if by_right is not None:
        sum_of_kernels(b, a, found, by_right)
    kept = [by_left] if same else [by_left, by_right]

    def backward(dys: Sequence[Array | None]) -> list[Array | None]:
        dy = sole_cotangent(dys)
        return [None if grad is None else grad * dy for grad in kept]

    inputs = [left] if same else [left, right]
    value = host.full((), total, left.dtype)
    return record([value], inputs, backward, name="pairwise_kernel_sum")[0]


def _matrix(name: str, given: Any) -> Tensor:
    if hasattr(type(given), "__cavs_symbol__") or (
        tracing() and getattr(given, "__cavs_parameter__", False)
    ):
        raise TraceError(
            f"[pairwise_kernel_sum] expected a tensor as {name}, got a value of a vertex function; "
            "push it, and compute with the output of the model"
        )
    x = given if isinstance(given, Tensor) else Tensor(given)
    if len(x.shape) != 2:
        raise ShapeError(
            f"[pairwise_kernel_sum] expected rows, (n, d), as {name}, got shape {x.shape}; reshape "
            "it"
        )
    if x.dtype == INT32:
        raise DTypeError(
            f"[pairwise_kernel_sum] expected floats as {name}, got int32; convert it with astype"
        )
    if device_of(x._values) is not host:
        raise DeviceError(
            f"[pairwise_kernel_sum] expected {name} on the CPU, where pairs are summed, got a "
            f'tensor on {x.device}; move it by x.to("cpu"), through which gradients flow'
        )
    return x


def _widths(given: Any) -> list[float]:
    single = isinstance(given, (int, float))
    listed = [given] if single else items("pairwise_kernel_sum", "widths", given, object, "numbers")
    if not listed:
        raise InputError("[pairwise_kernel_sum] expected at least one width, got none; pass one")
    return [number("pairwise_kernel_sum", "width", w, 0.0, above=True) for w in listed]
