"""Convolutions and transposed convolutions of images and sequences, as users call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cavs._arguments import integer, shown
from cavs.core.ops._def import apply, shape_of
from cavs.core.ops._protocols import Applies, R
from cavs.core.ops.convolution import (
    CONV,
    CONV_INPUT,
    Pair,
    check_groups,
    sizes_of_places,
)
from cavs.core.ops.shape import reshape
from cavs.errors import ShapeError

Sizes = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]


def sizes(component: str, name: str, value: Any, rank: int, least: int) -> tuple[int, ...]:
    """One number for each axis; one number serves all."""
    many = isinstance(value, (tuple, list))
    if many and len(value) != rank:
        raise ShapeError(
            f"[{component}] expected {rank} numbers as {name}, got {shown(value)}; pass one for "
            "each axis, or one for all"
        )
    given = value if many else [value] * rank
    return tuple(integer(component, name, n, least, error=ShapeError) for n in given)


def _padding(component: str, value: Any, rank: int) -> tuple[int, ...] | str:
    """Padding by side, (before, after) for each axis, or ``same``."""
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ShapeError(
                f"[{component}] expected padding 'same', 'valid' or numbers, got {shown(value)}; "
                "pass one of them"
            )
        return value if value == "same" else (0, 0) * rank
    pairs = isinstance(value, (tuple, list)) and len(value) == rank
    if pairs and all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in value):
        value = [side for pair in value for side in pair]  # as pools take it
    if isinstance(value, (tuple, list)) and len(value) == 2 * rank:
        return sizes(component, "padding", value, 2 * rank, 0)
    each = sizes(component, "padding", value, rank, 0)
    return tuple(n for n in each for _ in range(2))


class Settings:
    """How a kernel goes over images: checked, for two axes, the first of one line where there is
    one.

    Attributes:
        component: whose errors name it.
        rank: the axes of the caller: 1 or 2.
        stride, dilation, padding: as the caller gave them, for each axis or side.
        groups: into which channels and outputs are cut.
    """

    def __init__(
        self,
        component: str,
        rank: int,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: Any,
    ) -> None:
        self.component, self.rank = component, rank
        self.stride = sizes(component, "stride", stride, rank, 1)
        self.dilation = sizes(component, "dilation", dilation, rank, 1)
        self.padding = _padding(component, padding, rank)
        self.groups = integer(component, "groups", groups, 1, error=ShapeError)
        if self.padding == "same" and any(n > 1 for n in self.stride):
            raise ShapeError(
                f"[{component}] expected a stride of 1 with padding 'same', got "
                f"{shown(self.stride)}; pass numbers as padding"
            )

    def _two(self, values: tuple[int, ...], of_line: int) -> Pair:
        return (of_line, values[0]) if self.rank == 1 else (values[0], values[1])

    def attributes(self, kernel: Pair, taps: tuple[int, ...] = ()) -> dict[str, Any]:
        """The attributes of the operations, for a kernel (kh, kw)."""
        dilation = self._two(self.dilation, 1)
        padding = self.padding
        if isinstance(padding, str):
            sides: list[int] = []
            for n, d in zip(kernel, dilation, strict=True):
                total = d * (n - 1)
                sides += [total // 2, total - total // 2]
            padding = tuple(sides)
        elif self.rank == 1:
            padding = (0, 0, *padding)
        return {
            "stride": self._two(self.stride, 1),
            "padding": padding,
            "dilation": dilation,
            "groups": self.groups,
            "taps": taps,
        }

    def output_padding(self, given: Any) -> tuple[int, ...]:
        """What a transposed convolution adds to its output along each axis.

        Raises ShapeError where it is none, or where the padding is no number.
        """
        if self.padding == "same":
            raise ShapeError(
                f"[{self.component}] expected numbers as padding, got 'same'; pass numbers"
            )
        more = sizes(self.component, "output_padding", given, self.rank, 0)
        limits = map(max, self.stride, self.dilation)
        if any(n >= limit for n, limit in zip(more, limits, strict=True)):
            raise ShapeError(
                f"[{self.component}] expected an output_padding below the stride or the dilation, "
                f"got {shown(given)}; pass less"
            )
        return more

    def images(self, x: Any, weight: Any) -> Any:
        """`x` as images; those of one axis have one line."""
        shape = shape_of(self.component, x)
        names = "(C, L)" if self.rank == 1 else "(C, H, W)"
        traced = any(hasattr(v, "__cavs_symbol__") for v in (x, weight))
        if len(shape) < self.rank + 1 or (traced and len(shape) != self.rank + 1):
            remedy = (
                "add the axis of channels, as x[None]"
                if len(shape) <= self.rank
                else "leave out the axis of the batch: a vertex has one input"
            )
            raise ShapeError(
                f"[{self.component}] expected an input of shape {names}, got {shape}; {remedy}"
            )
        return x if self.rank == 2 else _reshaped(x, (*shape[:-1], 1, shape[-1]))

    def weight(self, weight: Any) -> Any:
        """The weight of two axes."""
        shape = shape_of(self.component, weight)
        if len(shape) != self.rank + 2 or 0 in shape:
            names = "(O, C, k)" if self.rank == 1 else "(O, C, kh, kw)"
            raise ShapeError(
                f"[{self.component}] expected a weight of shape {names}, got {shape}; reshape it"
            )
        return weight if self.rank == 2 else _reshaped(weight, (*shape[:-1], 1, shape[-1]))

    def finish(self, y: Any, bias: Any) -> Any:
        """The result of as many axes as the input, with the bias added."""
        if self.rank == 1:
            y = reshape(y, (*y.shape[:-2], y.shape[-1]))
        if bias is None:
            return y
        channels = y.shape[-1 - self.rank]
        if shape_of(self.component, bias) != (channels,):
            raise ShapeError(
                f"[{self.component}] expected a bias of shape ({channels},), got {bias.shape}; "
                "pass a number for each output channel"
            )
        return y + _reshaped(bias, (channels, *[1] * self.rank))


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    """`x` in this shape; an array stays one, since it alone says nothing of where it stands."""
    return x.reshape(shape) if isinstance(x, np.ndarray) else reshape(x, shape)


def taps_of(component: str, mask: Any, kernel: Pair, rank: int = 2) -> tuple[int, ...]:
    """The numbers of the taps that a mask leaves, row by row; () for all."""
    if mask is None:
        return ()
    try:
        given = np.asarray(mask)
        used = given.astype(bool)
        are_truths = bool(np.all(given == used))
    except Exception:  # an object may raise any error where it is converted
        used, are_truths = np.zeros(0, bool), False
    shapes = (kernel, kernel[1:]) if rank == 1 else (kernel,)
    if used.size != kernel[0] * kernel[1] or used.shape not in shapes:
        raise ShapeError(
            f"[{component}] expected a mask of the kernel's shape {shapes[-1]}, got "
            f"{shown(mask)}; pass a truth value for each tap"
        )
    if not are_truths:  # but weights, for one
        raise ShapeError(
            f"[{component}] expected truth values as mask, got {shown(mask)}; pass True or False, "
            "or 1 or 0"
        )
    taps = tuple(np.flatnonzero(used).tolist())
    if not taps:
        raise ShapeError(
            f"[{component}] expected a mask that leaves a tap, got {shown(mask)}; leave one"
        )
    return () if len(taps) == used.size else taps


_MOST = 2**28  # elements of all channels of an image with what the kernel reaches around it


def _check_reach(
    component: str, channels: int, image: Pair, places: Pair, kernel: Pair, attrs: dict[str, Any]
) -> None:
    """Kernels count by 32 bits, of images with a border and of what a stride steps over."""
    before = attrs["padding"][::2]
    axes = zip(before, image, attrs["dilation"], kernel, places, attrs["stride"], strict=True)
    high, wide = (p + n + d * k + count * s for p, n, d, k, count, s in axes)
    if high * wide * channels >= _MOST:
        raise ShapeError(
            f"[{component}] expected fewer than {_MOST:,} elements within the reach of the kernel, "
            f"got {high} x {wide} in {channels} channels; pad less, or take a smaller stride, "
            "dilation or image"
        )


def _convolve(settings: Settings, x: Any, weight: Any, bias: Any, mask: Any) -> Any:
    component = settings.component
    image, w = settings.images(x, weight), settings.weight(weight)
    kernel: Pair = (w.shape[-2], w.shape[-1])
    attrs = settings.attributes(kernel, taps_of(component, mask, kernel, settings.rank))
    channels, outputs = image.shape[-3], w.shape[-4]
    check_groups(component, channels, w.shape[-3], outputs, settings.groups)
    sizes: Pair = (image.shape[-2], image.shape[-1])
    places = sizes_of_places(component, sizes, kernel, attrs, settings.rank)
    _check_reach(component, max(channels, outputs), sizes, places, kernel, attrs)
    return settings.finish(apply(CONV, image, w, **attrs), bias)


def _convolve_transposed(
    settings: Settings, x: Any, weight: Any, bias: Any, output_padding: Any
) -> Any:
    component = settings.component
    more = settings.output_padding(output_padding)
    y, w = settings.images(x, weight), settings.weight(weight)
    kernel: Pair = (w.shape[-2], w.shape[-1])
    attrs = settings.attributes(kernel)
    # Added to the output is taken from the padding behind it, which may be negative then.
    top, bottom, left, right = attrs["padding"]
    high, wide = more if settings.rank == 2 else (0, *more)
    attrs["padding"] = (top, bottom - high, left, right - wide)
    if y.shape[-3] != w.shape[-4] or w.shape[-4] % settings.groups:
        raise ShapeError(
            f"[{component}] expected {w.shape[-4]} channels in groups of equal size, got "
            f"{y.shape[-3]} channels in {settings.groups}; change the weight or the groups"
        )
    size = _transposed_size((y.shape[-2], y.shape[-1]), kernel, attrs)
    if min(size) < 1:
        raise ShapeError(
            f"[{component}] expected an output that is left after padding, got sizes {size}; pad "
            "less"
        )
    channels = max(w.shape[-4], w.shape[-3] * settings.groups)
    given: Pair = (y.shape[-2], y.shape[-1])
    _check_reach(component, channels, size, given, kernel, attrs)
    return settings.finish(apply(CONV_INPUT, y, w, **attrs, size=size), bias)


def _transposed_size(given: Pair, kernel: Pair, attrs: dict[str, Any]) -> Pair:
    top, bottom, left, right = attrs["padding"]
    (sh, sw), (dh, dw) = attrs["stride"], attrs["dilation"]
    high = (given[0] - 1) * sh + dh * (kernel[0] - 1) + 1 - top - bottom
    wide = (given[1] - 1) * sw + dw * (kernel[1] - 1) + 1 - left - right
    return high, wide


def conv2d(
    x: Applies[R],
    weight: Any,
    bias: Any = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    mask: Any = None,
) -> R:
    """The convolution of each row's image (cross-correlation, as in PyTorch).

    Shapes: x (C, H, W), weight (O, C / groups, kh, kw), bias (O,) -> (O, OH, OW), where
    OH = (H + padding above and below - dilation (kh - 1) - 1) // stride + 1, OW likewise. Tensors
    have rows in front of x. A weight may also be a value of each vertex.

    Args:
        stride, dilation: a number for each axis, or one for both.
        padding: zeros at the borders: a number for each axis, one for both, four for the sides
            (above, below, left, right), flat or in pairs, ``"same"``, which keeps the sizes, or
            ``"valid"``, which is 0.
        groups: channels and outputs are cut into so many groups, each with a convolution of its
            own.
        mask: truth values (kh, kw); taps where it is False are not used, have no gradient, and take
            no time.

    Raises:
        ShapeError: shapes do not fit, or the kernel is larger than the padded image.
    """
    settings = Settings("conv2d", 2, stride, padding, dilation, groups)
    y: R = _convolve(settings, x, weight, bias, mask)
    return y


def conv1d(
    x: Applies[R],
    weight: Any,
    bias: Any = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    mask: Any = None,
) -> R:
    """The convolution of each row's sequence; see :func:`conv2d`.

    Shapes: x (C, L), weight (O, C / groups, k), bias (O,) -> (O, OL), where
    OL = (L + padding on both sides - dilation (k - 1) - 1) // stride + 1. Padding is one number, or
    one for each side: ``((k - 1) * dilation, 0)`` makes it causal. The mask has shape (k,).

    Raises:
        ShapeError: shapes do not fit, or the kernel is larger than the padded sequence.
    """
    settings = Settings("conv1d", 1, stride, padding, dilation, groups)
    y: R = _convolve(settings, x, weight, bias, mask)
    return y


def conv_transpose2d(
    x: Applies[R],
    weight: Any,
    bias: Any = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> R:
    """The transposed convolution of each row's image: the adjoint of :func:`conv2d` from O to C
    channels with these settings, which enlarges by the stride.

    Shapes: x (O, H, W), weight (O, C / groups, kh, kw), bias (C,) -> (C, TH, TW), where
    TH = (H - 1) stride + dilation (kh - 1) + 1 - padding above and below + output_padding.

    Raises:
        ShapeError: shapes do not fit, the padding takes all of the output, or output_padding is not
            below the stride or the dilation.
    """
    settings = Settings("conv_transpose2d", 2, stride, padding, dilation, groups)
    y: R = _convolve_transposed(settings, x, weight, bias, output_padding)
    return y


def conv_transpose1d(
    x: Applies[R],
    weight: Any,
    bias: Any = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> R:
    """The transposed convolution of each row's sequence; see :func:`conv_transpose2d`.

    Shapes: x (O, L), weight (O, C / groups, k), bias (C,) -> (C, TL), where
    TL = (L - 1) stride + dilation (k - 1) + 1 - padding on both sides + output_padding.

    Raises:
        ShapeError: as of :func:`conv_transpose2d`.
    """
    settings = Settings("conv_transpose1d", 1, stride, padding, dilation, groups)
    y: R = _convolve_transposed(settings, x, weight, bias, output_padding)
    return y
