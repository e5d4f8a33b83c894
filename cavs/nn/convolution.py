"""Convolutional layers of images and sequences."""

from __future__ import annotations

import math
from typing import Any

from cavs._arguments import boolean, integer, is_among, shown
from cavs.core import ops
from cavs.core.ops._def import shape_of
from cavs.core.ops.convolve import Padding, Settings, Sizes, sizes
from cavs.core.vertex import Module
from cavs.errors import InputError, ShapeError
from cavs.nn import init
from cavs.nn.layers import empty


class _Convolution(Module):
    """What convolutional layers share: weight, bias and how the kernel goes over an input.

    The attributes are drawn as in PyTorch, uniform within 1 / sqrt(fan in) of 0.
    """

    _component: str
    _rank: int
    _transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        component, rank = self._component, self._rank
        boolean(component, "bias", bias)
        size_in = integer(component, "in_channels", in_channels, 1, error=ShapeError)
        size_out = integer(component, "out_channels", out_channels, 1, error=ShapeError)
        settings = Settings(component, rank, stride, padding, dilation, groups)
        kernel = sizes(component, "kernel_size", kernel_size, rank, 1)
        self.in_channels, self.out_channels, self.kernel_size = size_in, size_out, kernel
        self.stride, self.dilation = settings.stride, settings.dilation
        self.padding, self.groups = settings.padding, settings.groups
        if size_in % self.groups or size_out % self.groups:
            raise ShapeError(
                f"[{component}] expected channels that {self.groups} groups divide, got {size_in} "
                f"in and {size_out} out; change the groups"
            )
        outer, inner = (size_in, size_out) if self._transposed else (size_out, size_in)
        shape = (outer, inner // self.groups, *kernel)
        bound = 1.0 / math.sqrt(math.prod(shape[1:]))
        self.weight = init.uniform_(empty(shape, dtype), -bound, bound)
        self.bias = init.uniform_(empty((size_out,), dtype), -bound, bound) if bias else None

    def _settings(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def _check(self, x: Any) -> None:
        shape, at = shape_of(self._component, x), -1 - self._rank
        axes = len(shape) - self._rank
        batched = axes > 1 and getattr(x, "__cavs_symbol__", False)
        if axes < 1 or batched or shape[at] != self.in_channels:
            names = "L" if self._rank == 1 else "H, W"
            remedy = "make the layer of the input's channels"
            if axes != 1:
                remedy = (
                    "add the axis of channels, as x[None]"
                    if axes < 1
                    else "leave out the axis of the batch: a vertex has one input"
                )
            raise ShapeError(
                f"[{self._component}] expected an input of shape ({self.in_channels}, {names}), "
                f"got {shape}; {remedy}"
            )

    def __repr__(self) -> str:
        parts = [str(self.in_channels), str(self.out_channels), f"kernel_size={self.kernel_size}"]
        plain = {"padding": 0, "output_padding": 0}
        for name, value in self._settings().items():
            given = value if isinstance(value, tuple) else (value,)
            if any(n != plain.get(name, 1) for n in given):
                parts.append(f"{name}={value!r}")
        if self.bias is None:
            parts.append("bias=False")
        return f"{type(self).__name__}({', '.join(parts)})"


class Conv1d(_Convolution):
    """A convolution of sequences; see :func:`cavs.ops.conv1d`, whose arguments it takes.

    Attributes:
        weight: (out, in / groups, k), uniform within 1 / sqrt(in / groups * k) of 0, as in PyTorch.
        bias: (out,), drawn likewise; None in a layer without bias.
    """

    _component, _rank = "conv1d", 1

    def forward(self, x: Any) -> Any:
        """Shapes: x (in, L) -> (out, OL). Raises ShapeError where it does not fit."""
        self._check(x)
        return ops.conv1d(x, self.weight, self.bias, **self._settings())


class Conv2d(_Convolution):
    """A convolution of images; see :func:`cavs.ops.conv2d`, whose arguments it takes.

    Attributes:
        weight: (out, in / groups, kh, kw), uniform within 1 / sqrt(in / groups * kh * kw) of 0, as
            in PyTorch.
        bias: (out,), drawn likewise; None in a layer without bias.
    """

    _component, _rank = "conv2d", 2

    def forward(self, x: Any) -> Any:
        """Shapes: x (in, H, W) -> (out, OH, OW). Raises ShapeError where it does not fit."""
        self._check(x)
        return ops.conv2d(x, self.weight, self.bias, **self._settings())


class MaskedConv2d(Conv2d):
    """A convolution of images in which a pixel sees those before it alone, line by line and from
    the left (van den Oord et al. 2016, sec. 3.4). Taps that are masked take no time; their weights
    have no gradient.

    Attributes:
        weight, bias: as of :class:`Conv2d`.
        kind: ``A`` leaves out the pixel itself, for the first layer; ``B`` sees it.
        mask: (kh, kw), True where a tap is used.
    """

    _component = "masked_conv2d"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        kind: str,
        *,
        padding: Padding = "same",
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: Any = "float32",
    ) -> None:
        """Raises ShapeError for a kernel of even size, which has no centre, or for one that ``A``
        leaves no tap of; InputError for another kind."""
        if not is_among(kind, ("A", "B")):
            raise InputError(
                f"[{self._component}] expected kind 'A' or 'B', got {shown(kind)}; pass one of them"
            )
        sizes_of_weight = (in_channels, out_channels, kernel_size)
        super().__init__(*sizes_of_weight, 1, padding, dilation, groups, bias, dtype)
        self.kind = kind
        high, wide = self.kernel_size
        if high % 2 == 0 or wide % 2 == 0:
            raise ShapeError(
                f"[{self._component}] expected a kernel of odd sizes, which has a centre, got "
                f"{high} x {wide}; add a line or a column"
            )
        before = high * wide // 2 + (kind == "B")
        if before == 0:
            raise ShapeError(
                f"[{self._component}] expected a kernel with pixels before its centre, got 1 x 1 "
                "of kind 'A'; take a larger one, or kind 'B'"
            )
        self.mask = tuple(tuple(i * wide + j < before for j in range(wide)) for i in range(high))

    def forward(self, x: Any) -> Any:
        """Shapes: x (in, H, W) -> (out, OH, OW). Raises ShapeError where it does not fit."""
        self._check(x)
        return ops.conv2d(x, self.weight, self.bias, mask=self.mask, **self._settings())

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, kind={self.kind!r})"


class _Transposed(_Convolution):
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        dtype: Any = "float32",
    ) -> None:
        sizes_of_weight = (in_channels, out_channels, kernel_size)
        super().__init__(*sizes_of_weight, stride, padding, dilation, groups, bias, dtype)
        settings = Settings(self._component, self._rank, stride, padding, dilation, groups)
        self.output_padding = settings.output_padding(output_padding)

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "output_padding": self.output_padding}


class ConvTranspose1d(_Transposed):
    """A transposed convolution of sequences; see :func:`cavs.ops.conv_transpose1d`, whose arguments
    it takes.

    Attributes:
        weight: (in, out / groups, k), uniform within 1 / sqrt(out / groups * k) of 0, as in
            PyTorch.
        bias: (out,), drawn likewise; None in a layer without bias.
    """

    _component, _rank = "conv_transpose1d", 1

    def forward(self, x: Any) -> Any:
        """Shapes: x (in, L) -> (out, TL). Raises ShapeError where it does not fit."""
        self._check(x)
        return ops.conv_transpose1d(x, self.weight, self.bias, **self._settings())


class ConvTranspose2d(_Transposed):
    """A transposed convolution of images; see :func:`cavs.ops.conv_transpose2d`, whose arguments it
    takes.

    Attributes:
        weight: (in, out / groups, kh, kw), uniform within 1 / sqrt(out / groups * kh * kw) of 0, as
            in PyTorch.
        bias: (out,), drawn likewise; None in a layer without bias.
    """

    _component, _rank = "conv_transpose2d", 2

    def forward(self, x: Any) -> Any:
        """Shapes: x (in, H, W) -> (out, TH, TW). Raises ShapeError where it does not fit."""
        self._check(x)
        return ops.conv_transpose2d(x, self.weight, self.bias, **self._settings())
