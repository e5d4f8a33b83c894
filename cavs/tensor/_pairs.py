"""Sums over all pairs of rows of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs._arguments import items, number
from cavs._arrays import INT32, Array, curve_of_kernels, sum_of_kernels
from cavs.core.tracing import tracing
from cavs.device import device_of, host
from cavs.errors import DeviceError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor._tape import is_grad_enabled, sole_cotangent
from cavs.tensor._tensor import Tensor, record
from cavs.tensor._watch import Watch, written_since


def pairwise_kernel_sum(x: Any, y: Any, widths: Any) -> Tensor:
    """The sum over all pairs of rows, and all widths w, of exp(-|x_i - y_j|^2 / (2 w^2)).

    Of this the kernel two-sample statistic is made (Gretton et al., "A Kernel Two-Sample Test",
    2012, equation 5): ``sum(x, x) / n**2 - 2 * sum(x, y) / (n * m) + sum(y, y) / m**2`` is the
    squared maximum mean discrepancy of n and m samples. Value and gradient are computed together,
    block by block, in memory of the size of the operands, and so is the gradient's gradient. All
    have the same bits with any number of threads.

    Args:
        x: (n, d), float32 or float64.
        y: (m, d), of the same dtype; it may be `x` itself.
        widths: one number, or several, greater than 0.

    Returns:
        (), of the same dtype; it can be differentiated twice.

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
    inputs, slopes = ([left], [by_left]) if same else ([left, right], [by_left, by_right])
    watch = Watch([x._values for x in inputs], inputs)

    def backward(dys: Sequence[Any], place: Any = None) -> list[Any]:
        dy = sole_cotangent(dys)
        if place is None:
            return [None if slope is None else slope * dy for slope in slopes]
        if watch.first_changed() >= 0:
            raise written_since(_NAME)
        return [x if x is None else x * dy for x in _differentiable(inputs, slopes, found)]

    value = host.full((), total, left.dtype)
    return record([value], inputs, backward, name=_NAME, derives=())[0]


def _differentiable(
    inputs: Sequence[Tensor], slopes: Sequence[Array | None], widths: Sequence[float]
) -> list[Tensor | None]:
    """The gradients by the inputs as tensors on the tape, those that there are."""
    arrays = [device_of(x._values).contiguous(x._values) for x in inputs]
    known = [i for i, slope in enumerate(slopes) if slope is not None]

    def backward(dys: Sequence[Array | None]) -> list[Array | None]:
        turns = [host.zeros(x.shape, x.dtype) for x in arrays]
        for i, dy in zip(known, dys, strict=True):
            if dy is not None:
                turns[i] = dy
        found: list[Array | None] = []
        for i, x in enumerate(arrays):
            if i not in known:
                found.append(None)
                continue
            curve = host.empty(x.shape, x.dtype)
            curve_of_kernels(x, turns[i], arrays[-1 - i], turns[-1 - i], widths, curve)
            found.append(curve + curve if len(arrays) == 1 else curve)
        return found

    made = record(
        [slope for slope in slopes if slope is not None],
        inputs,
        backward,
        name=f"the gradient of {_NAME}",
        reads=[x._values for x in inputs],
    )
    tensors: list[Tensor | None] = [None] * len(inputs)
    for i, tensor in zip(known, made, strict=True):
        tensors[i] = tensor
    return tensors


_NAME = "pairwise_kernel_sum"


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
