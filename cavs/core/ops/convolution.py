"""Convolution over the feature axes of a row: three bilinear operations, each the derivative of the
others.

With images x (C, H, W), a weight w (O, C / groups, kh, kw) and places y (O, OH, OW), in one group,
tap (i, j) of place (u, v) meets the pixel p = (s u + d i - top, s v + d j - left), zero outside:
    conv         y[o, u, v] = sum over c, i, j of w[o, c, i, j] x[c, p]
    conv_input   x[c, p] = sum over all o and taps that meet p of w[o, c, i, j] y[o, u, v]
    conv_weight  w[o, c, i, j] = sum over u, v of y[o, u, v] x[c, p]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cavs.core.attributes import ConvolutionAttributes
from cavs.core.ops._def import Between, Shape, apply, define, size_of
from cavs.core.ops._spaces import SpaceKind, rows
from cavs.errors import ShapeError

Pair = tuple[int, int]
Attrs = Mapping[str, Any]


def places(size: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """How many places a kernel has along an axis; below 1 if it is larger than the padded axis."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


def check_groups(component: str, channels: int, given: int, outputs: int, groups: int) -> None:
    """Raises ShapeError unless `groups` divide the outputs, and a weight takes `given` of as many
    groups of the channels."""
    if outputs % groups or channels != given * groups:
        raise ShapeError(
            f"[{component}] expected {given * groups} channels and outputs in groups of equal "
            f"size, got {channels} channels and {outputs} outputs in {groups} "
            f"group{'s' if groups > 1 else ''}; change the weight or the groups"
        )


def sizes_of_places(component: str, image: Pair, kernel: Pair, attrs: Attrs, rank: int = 2) -> Pair:
    """The sizes (OH, OW). Raises ShapeError for a kernel that is larger than the padded image;
    `rank`: 1 if the user has sequences."""
    top, bottom, left, right = attrs["padding"]
    (sh, sw), (dh, dw) = attrs["stride"], attrs["dilation"]
    high = places(image[0], kernel[0], sh, dh, top, bottom)
    wide = places(image[1], kernel[1], sw, dw, left, right)
    if high < 1 or wide < 1:
        reach = f"{dh * (kernel[0] - 1) + 1} x {dw * (kernel[1] - 1) + 1}"
        padded = f"{image[0] + top + bottom} x {image[1] + left + right}"
        what = "image"
        if rank == 1:
            reach, padded, what = (
                f"{dw * (kernel[1] - 1) + 1}",
                f"{image[1] + left + right}",
                "line",
            )
        raise ShapeError(
            f"[{component}] expected a kernel within the padded {what} of {padded}, got one that "
            f"reaches over {reach}; pad more, or take a smaller kernel"
        )
    return high, wide


def _split(component: str, x: Shape, rank: int) -> tuple[Shape, Shape]:
    """The axes in front, and those of one row."""
    if len(x) < rank:
        names = "(C, H, W)" if rank == 3 else "(O, C, kh, kw)"
        raise ShapeError(f"[{component}] expected an operand of shape {names}, got {x}; reshape it")
    return x[: len(x) - rank], x[len(x) - rank :]


def _rows_in_front(component: str, x: Shape, w: Shape) -> Shape:
    # Tensors alone have axes in front; a weight without them serves all rows.
    if w and w != x:
        raise ShapeError(
            f"[{component}] expected a weight for each of {x}, or one for all, got {w}; reshape one"
        )
    return x


def _infer(x: Shape, w: Shape, *, groups: int, **attrs: Any) -> Shape:
    lead, (channels, *image) = _split("conv", x, 3)
    own, (outputs, given, *kernel) = _split("conv", w, 4)
    check_groups("conv", channels, given, outputs, groups)
    high, wide = sizes_of_places("conv", (image[0], image[1]), (kernel[0], kernel[1]), attrs)
    return (*_rows_in_front("conv", lead, own), outputs, high, wide)


def _infer_input(dy: Shape, w: Shape, *, groups: int, size: Pair, **attrs: Any) -> Shape:
    lead, (outputs, *given_places) = _split("conv_input", dy, 3)
    own, (expected, given, *kernel) = _split("conv_input", w, 4)
    if outputs != expected or outputs % groups:
        raise ShapeError(
            f"[conv_input] expected {expected} channels, in groups of equal size, got {outputs} "
            f"in {groups}; change the weight or the groups"
        )
    found = sizes_of_places("conv_input", size, (kernel[0], kernel[1]), attrs)
    if tuple(given_places) != found:
        raise ShapeError(
            f"[conv_input] expected places {found}, those of images {size}, got "
            f"{tuple(given_places)}; change the size"
        )
    return (*_rows_in_front("conv_input", lead, own), given * groups, *size)


def _infer_weight(x: Shape, dy: Shape, *, groups: int, kernel: Pair, **attrs: Any) -> Shape:
    lead, (channels, *image) = _split("conv_weight", x, 3)
    own, (outputs, *given_places) = _split("conv_weight", dy, 3)
    check_groups("conv_weight", channels, channels // groups, outputs, groups)
    found = sizes_of_places("conv_weight", (image[0], image[1]), kernel, attrs)
    if tuple(given_places) != found or (lead and own and lead != own):
        raise ShapeError(
            f"[conv_weight] expected images and their places {found}, got {x} and {dy}; pass "
            "those of one convolution"
        )
    return (*(lead or own), outputs, channels // groups, *kernel)


def _infer_weight_reduce(x: Shape, dy: Shape, **attrs: Any) -> Shape:
    return _infer_weight(x, dy, **attrs)[-4:]


def _taps(attrs: Attrs, kernel: Sequence[int]) -> Sequence[int]:
    taps: Sequence[int] = attrs["taps"]
    return taps or range(size_of(tuple(kernel)))


def _of_kernel(shapes: Sequence[Shape], out: Shape, attrs: Attrs) -> tuple[Shape, Shape, Shape]:
    """The shapes of image, weight and places."""
    if "size" in attrs:
        return out, shapes[1], shapes[0]
    if "kernel" in attrs:
        return shapes[0], out, shapes[1]
    return shapes[0], shapes[1], out


def _flops(shapes: Sequence[Shape], out: Shape, attrs: Attrs) -> int:
    _, w, y = _of_kernel(shapes, out, attrs)
    return 2 * size_of(y) * w[1] * len(_taps(attrs, w[2:]))


def _attributes(shapes: Sequence[Shape], out: Shape, attrs: Attrs) -> ConvolutionAttributes:
    x, w, y = _of_kernel(shapes, out, attrs)
    top, _, left, _ = attrs["padding"]
    return ConvolutionAttributes(
        image=x,
        places=y,
        kernel=w[2:],
        stride=attrs["stride"],
        padding=(top, left),
        dilation=attrs["dilation"],
        groups=attrs["groups"],
        taps=attrs["taps"],
    )


def _has_rows(x: Any, rank: int) -> bool:
    return bool(x.space != SpaceKind.NONE or len(x.shape) > rank)


def _input(dy: Any, w: Any, like: Any, attrs: Attrs) -> Any:
    size = tuple(like.shape[-2:])
    return apply(CONV_INPUT, dy, w, **_common(attrs), size=size)


def _weight(x: Any, dy: Any, like: Any, attrs: Attrs) -> Any:
    """The cotangent of the weight `like`: summed over rows if it has none."""
    sums = (_has_rows(x, 3) or _has_rows(dy, 3)) and not _has_rows(like, 4)
    op = CONV_WEIGHT_REDUCE if sums else CONV_WEIGHT
    return apply(op, x, dy, **_common(attrs), kernel=tuple(like.shape[-2:]))


def _common(attrs: Attrs) -> dict[str, Any]:
    return {k: attrs[k] for k in ("stride", "padding", "dilation", "groups", "taps")}


def _vjp(dy: Any, y: Any, x: Any, w: Any, **attrs: Any) -> tuple[Any, Any]:
    return _input(dy, w, x, attrs), _weight(x, dy, w, attrs)


def _vjp_input(d: Any, y: Any, dy: Any, w: Any, **attrs: Any) -> tuple[Any, Any]:
    return apply(CONV, d, w, **_common(attrs)), _weight(d, dy, w, attrs)


def _vjp_weight(d: Any, y: Any, x: Any, dy: Any, **attrs: Any) -> tuple[Any, Any]:
    return _input(dy, d, x, attrs), apply(CONV, x, d, **_common(attrs))


class _Taps:
    """The parts of images that each tap of a kernel meets, for the references."""

    def __init__(self, image: Pair, kernel: Sequence[int], attrs: Attrs) -> None:
        self.padding, self.groups = attrs["padding"], attrs["groups"]
        self.high, self.wide = sizes_of_places("conv", image, (kernel[0], kernel[1]), attrs)
        self.taps = [divmod(t, kernel[1]) for t in _taps(attrs, kernel)]
        self._stride, self._dilation = attrs["stride"], attrs["dilation"]

    def padded(self, np: Any, x: Any) -> Any:
        """Images with their borders. What stands before a negative one stays: no tap meets it."""
        top, bottom, left, right = (max(n, 0) for n in self.padding)
        return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)])

    def part(self, i: int, j: int) -> Any:
        """Where tap (i, j) meets a padded image."""
        (sh, sw), (dh, dw) = self._stride, self._dilation
        lines = slice(i * dh, i * dh + sh * (self.high - 1) + 1, sh)
        return (..., lines, slice(j * dw, j * dw + sw * (self.wide - 1) + 1, sw))

    def by_group(self, x: Any) -> Any:
        """(..., channels, OH, OW) as (..., groups, channels of one, places)."""
        own = (self.groups, x.shape[-3] // self.groups, x.shape[-2] * x.shape[-1])
        return x.reshape((*x.shape[:-3], *own))

    def weight(self, w: Any, i: int, j: int) -> Any:
        """A tap of the weight, (..., groups, outputs, channels)."""
        tap = w[..., i, j]
        own = (self.groups, tap.shape[-2] // self.groups, tap.shape[-1])
        return tap.reshape((*tap.shape[:-2], *own))


def _reference(np: Any, x: Any, w: Any, **attrs: Any) -> Any:
    taps = _Taps(x.shape[-2:], w.shape[-2:], attrs)
    lead = max(x.shape[:-3], w.shape[:-4], key=len)
    y = np.zeros((*lead, w.shape[-4], taps.high, taps.wide), x.dtype)
    image = taps.padded(np, x)
    for i, j in taps.taps:
        met = taps.by_group(image[taps.part(i, j)])
        y += np.matmul(taps.weight(w, i, j), met).reshape(y.shape)
    return y


def _reference_input(np: Any, dy: Any, w: Any, *, size: Pair, **attrs: Any) -> Any:
    taps = _Taps(size, w.shape[-2:], attrs)
    lead = max(dy.shape[:-3], w.shape[:-4], key=len)
    top, _, left, _ = taps.padding
    channels = w.shape[-3] * taps.groups
    x = taps.padded(np, np.zeros((*lead, channels, *size), dy.dtype))
    given = taps.by_group(dy)
    for i, j in taps.taps:
        part = x[taps.part(i, j)]
        part += np.matmul(np.swapaxes(taps.weight(w, i, j), -1, -2), given).reshape(part.shape)
    return x[..., top : top + size[0], left : left + size[1]].copy()


def _reference_weight(np: Any, x: Any, dy: Any, *, kernel: Pair, **attrs: Any) -> Any:
    taps = _Taps(x.shape[-2:], kernel, attrs)
    lead = max(x.shape[:-3], dy.shape[:-3], key=len)
    outputs, given = dy.shape[-3], x.shape[-3] // taps.groups
    w = np.zeros((*lead, outputs, given, *kernel), x.dtype)
    image, dys = taps.padded(np, x), taps.by_group(dy)
    for i, j in taps.taps:
        met = np.swapaxes(taps.by_group(image[taps.part(i, j)]), -1, -2)
        w[..., i, j] = np.matmul(dys, met).reshape((*lead, outputs, given))
    return w


def _reference_weight_reduce(np: Any, x: Any, dy: Any, **attrs: Any) -> Any:
    w = _reference_weight(np, x, dy, **attrs)
    return w.sum(axis=tuple(range(w.ndim - 4)))


CONV = define(
    "conv",
    arity=2,
    infer=_infer,
    flops_of=_flops,
    zero_with=(0, 1),
    attributes=_attributes,
    vjp=_vjp,
    reference=_reference,
)
CONV_INPUT = define(
    "conv_input",
    arity=2,
    infer=_infer_input,
    flops_of=_flops,
    zero_with=(0, 1),
    attributes=_attributes,
    vjp=_vjp_input,
    reference=_reference_input,
)
CONV_WEIGHT = define(
    "conv_weight",
    arity=2,
    infer=_infer_weight,
    flops_of=_flops,
    zero_with=(0, 1),
    attributes=_attributes,
    vjp=_vjp_weight,
    reference=_reference_weight,
)
CONV_WEIGHT_REDUCE = define(
    "conv_weight_reduce",
    arity=2,
    infer=_infer_weight_reduce,
    flops_of=_flops,
    space=rows(SpaceKind.NONE),
    reduces=Between.ALL,
    zero_with=(0, 1),
    attributes=_attributes,
    vjp=_vjp_weight,
    reference=_reference_weight_reduce,
)
