"""Convolutions over the axes of a row and their transposes, by lists of what meets what."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import tape
from operations import Operation
from tape import Array, Value

from cavs import ops

Shape = tuple[int, ...]
Sides = tuple[tuple[int, int], ...]


class Kernel(NamedTuple):
    """How a kernel goes over images, one number for each axis.

    Attributes:
        padding: (before, behind) of each axis; None keeps the sizes, ``same``.
        taps: which of the kernel are used; None for all.
        more: what is added to the sizes of a transposed convolution.
    """

    stride: Shape
    padding: Sides | None
    dilation: Shape
    groups: int = 1
    taps: tuple[bool, ...] | None = None
    more: Shape = ()

    def sides(self, kernel: Shape) -> Sides:
        if self.padding is not None:
            return self.padding
        total = [d * (k - 1) for d, k in zip(self.dilation, kernel, strict=True)]
        return tuple((n // 2, n - n // 2) for n in total)

    def places(self, image: Shape, kernel: Shape) -> Shape:
        """How many there are along each axis; below 1 where the kernel does not fit."""
        axes = zip(image, kernel, self.stride, self.dilation, self.sides(kernel), strict=True)
        return tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in axes)

    def enlarged(self, given: Shape, kernel: Shape) -> Shape:
        """The sizes of a transposed convolution of what has the sizes `given`."""
        sides, more = self.sides(kernel), self.more or (0,) * len(given)
        axes = zip(given, kernel, self.stride, self.dilation, sides, more, strict=True)
        return tuple((n - 1) * s + d * (k - 1) + 1 - sum(p) + m for n, k, s, d, p, m in axes)

    def written(self, kernel: Shape) -> dict[str, Any]:
        """As arguments of cavs, with one number where it serves all axes."""

        def short(values: Shape) -> Any:
            return values[0] if len(set(values)) == 1 else values

        padding: Any = "same"
        if self.padding is not None:
            even = all(before == behind for before, behind in self.padding)
            padding = tuple(n for pair in self.padding for n in pair)
            padding = short(padding[::2]) if even else padding
        given = {"stride": short(self.stride), "dilation": short(self.dilation), "padding": padding}
        if self.taps is not None:
            given["mask"] = np.reshape(self.taps, kernel)
        if self.more:
            given["output_padding"] = short(self.more)
        return {**given, "groups": self.groups}


@lru_cache(maxsize=256)
def _meetings(image: Shape, weight: Shape, places: Shape, kernel: Kernel) -> tuple[Array, ...]:
    """The numbers of the elements of places, image and weight whose products are added up:
    y[o, u] += w[o, c, t] x[c, u * stride + t * dilation - padding]."""
    outputs, inner, *size = weight
    own, step = outputs // kernel.groups, [before for before, _ in kernel.sides(tuple(size))]
    found: list[tuple[int, int, int]] = []
    y, x, w = (np.arange(math.prod(s)).reshape(s) for s in (places, image, weight))
    for number, tap in enumerate(np.ndindex(*size)):
        if kernel.taps is not None and not kernel.taps[number]:
            continue
        for place in np.ndindex(*places[1:]):
            axes = zip(place, tap, kernel.stride, kernel.dilation, step, strict=True)
            at = tuple(u * s + t * d - before for u, t, s, d, before in axes)
            if any(not 0 <= p < n for p, n in zip(at, image[1:], strict=True)):
                continue
            for output in range(outputs):
                for c in range(inner):
                    channel = output // own * inner + c
                    meets = y[(output, *place)], x[(channel, *at)], w[(output, c, *tap)]
                    found.append(tuple(map(int, meets)))  # type: ignore[arg-type]
    return tuple(np.array(found, int).reshape(-1, 3).T)


def _sum_of_products(a: Value, b: Value, at: tuple[Array, Array, Array], shape: Shape) -> Value:
    """result[at[0]] += a[at[1]] * b[at[2]] of each row; a single row serves all."""
    (rows,) = np.broadcast_shapes(a.data.shape[:1], b.data.shape[:1])

    def flat(x: Array) -> Array:
        return np.broadcast_to(x, (rows, *x.shape[1:])).reshape(rows, math.prod(x.shape[1:]))

    def added(to: Array, x: Array, at_x: Array, y: Array, at_y: Array, shape: Shape) -> Array:
        pairs = zip(x, y, strict=True)
        size = math.prod(shape)
        sums = [np.bincount(to, p[at_x] * q[at_y], minlength=size) for p, q in pairs]
        return np.reshape(sums, (rows, *shape)) if sums else np.zeros((rows, *shape))

    of, at_a, at_b = at
    x, w = flat(a.data), flat(b.data)
    return Value(
        added(of, x, at_a, w, at_b, shape),
        [
            (a, lambda dy: added(at_a, flat(dy), of, w, at_b, a.data.shape[1:])),
            (b, lambda dy: added(at_b, flat(dy), of, x, at_a, b.data.shape[1:])),
        ],
    )


def _biased(y: Value, bias: tuple[Value, ...]) -> Value:
    channels = y.data.shape[1]
    column = (channels, *[1] * (y.features - 1))
    return tape.add(y, tape.reshape(bias[0], column)) if bias else y


def _convolution(x: Value, weight: Value, *bias: Value, kernel: Kernel) -> Value:
    image, of_weight = x.data.shape[1:], weight.data.shape[1:]
    places = (of_weight[0], *kernel.places(image[1:], of_weight[2:]))
    of, at_x, at_w = _meetings(image, of_weight, places, kernel)
    return _biased(_sum_of_products(x, weight, (of, at_x, at_w), places), bias)


def _transposed(y: Value, weight: Value, *bias: Value, kernel: Kernel) -> Value:
    places, of_weight = y.data.shape[1:], weight.data.shape[1:]
    channels = of_weight[1] * kernel.groups
    image = (channels, *kernel.enlarged(places[1:], of_weight[2:]))
    at_y, of, at_w = _meetings(image, of_weight, places, kernel)
    return _biased(_sum_of_products(y, weight, (of, at_y, at_w), image), bias)


def _write(name: str) -> Any:
    def write(*given: Any) -> Any:
        *operands, kernel = given
        size = tuple(operands[1].shape[2:])
        return getattr(ops, name)(*operands, **kernel.written(size))

    return write


OPERATIONS: dict[str, Operation] = {
    "conv1d": Operation(_write("conv1d"), _convolution),
    "conv2d": Operation(_write("conv2d"), _convolution),
    "conv_transpose1d": Operation(_write("conv_transpose1d"), _transposed),
    "conv_transpose2d": Operation(_write("conv_transpose2d"), _transposed),
}
