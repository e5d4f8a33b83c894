"""Maxima and means over windows of the trailing axes of a row, and nearest upsampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from cavs._arguments import boolean, integer
from cavs.core.attributes import PoolAttributes
from cavs.core.ops._def import OpDef, Shape, apply, define, shape_of, size_of
from cavs.core.ops._protocols import Applies, R, apply_to
from cavs.core.ops.shape import broadcast, reshape
from cavs.errors import ShapeError

Sizes = int | tuple[int, ...]
"""Of one axis, an integer or a tuple of one; of two axes, a tuple of two."""

Padding = int | Sequence[int | tuple[int, int]]
"""Elements on both sides of each axis: one number for all of them, or for each axis a number, or
those before and behind it."""

Pad = tuple[tuple[int, int], ...]
"""Elements before and behind each axis."""


def _pooled(shape: Shape, size: Shape, stride: Shape, pad: Pad) -> Shape:
    """The shape of the results of all windows."""
    at = len(shape) - len(size)
    count = [
        (n + sum(p) - k) // s + 1 for n, k, s, p in zip(shape[at:], size, stride, pad, strict=True)
    ]
    return (*shape[:at], *count)


def _infer_pool(
    shape: Shape, *, size: Shape, stride: Shape, pad: Pad, padded: bool = True
) -> Shape:
    return _pooled(shape, size, stride, pad)


def _infer_unpool(
    dy: Shape, *, size: Shape, stride: Shape, pad: Pad, image: Shape, padded: bool = True
) -> Shape:
    whole = (*dy[: len(dy) - len(image)], *image)
    if dy != _pooled(whole, size, stride, pad):
        raise ShapeError(
            f"[avg_unpool] expected a value for each window of images of {image}, got shape {dy}; "
            f"pass {_pooled(image, size, stride, pad)} of each"
        )
    return whole


def _infer_max_pool_grad(
    dy: Shape, y: Shape, x: Shape, *, size: Shape, stride: Shape, pad: Pad
) -> Shape:
    expected = _pooled(x, size, stride, pad)
    if dy != expected or y != expected:
        raise ShapeError(
            f"[max_pool_grad] expected results of {expected}, got {(dy, y)}; pass those of x"
        )
    return x


def _infer_max_pool_tangent(
    d: Shape, y: Shape, x: Shape, *, size: Shape, stride: Shape, pad: Pad
) -> Shape:
    expected = _pooled(x, size, stride, pad)
    if d != x or y != expected:
        raise ShapeError(
            f"[max_pool_tangent] expected shapes {(x, expected)}, got {(d, y)}; pass those of x"
        )
    return y


def _attributes(image: Shape, windows: Shape, attrs: Mapping[str, Any]) -> PoolAttributes:
    def of_axes(values: Sequence[int], missing: int = 1) -> tuple[int, int]:
        y, x = (missing, *values)[-2:]
        return y, x

    rank = len(attrs["size"])
    return PoolAttributes(
        size_of(image[: len(image) - rank]),
        *of_axes(image[-rank:]),
        *of_axes(windows[-rank:]),
        *of_axes(attrs["size"]),
        *of_axes(attrs["stride"]),
        *of_axes([before for before, _ in attrs["pad"]], 0),
        attrs.get("padded", False),
    )


def _taps(size: Shape, stride: Shape, windows: Shape) -> Iterator[Any]:
    """For each element of a window, the index of its elements of all windows in padded images."""
    for offsets in product(*map(range, size)):
        along = zip(offsets, stride, windows[-len(size) :], strict=True)
        yield (..., *(slice(o, o + s * (n - 1) + 1, s) for o, s, n in along))


def _inner(shape: Shape, pad: Pad) -> Any:
    """The index of what is not padding."""
    sizes = shape[len(shape) - len(pad) :]
    return (..., *(slice(p[0], p[0] + n) for p, n in zip(pad, sizes, strict=True)))


def _around(np: Any, shape: Shape, pad: Pad, fill: float, dtype: Any) -> Any:
    """An array for images of this shape with their padding."""
    at = len(shape) - len(pad)
    sizes = [n + sum(p) for n, p in zip(shape[at:], pad, strict=True)]
    return np.full((*shape[:at], *sizes), fill, dtype)


def _padded(np: Any, x: Any, pad: Pad, fill: float) -> Any:
    whole = _around(np, x.shape, pad, fill, x.dtype)
    whole[_inner(x.shape, pad)] = x
    return whole


def _reference_max_pool(np: Any, x: Any, *, size: Shape, stride: Shape, pad: Pad) -> Any:
    y = np.full(_pooled(x.shape, size, stride, pad), -math.inf, x.dtype)
    whole = _padded(np, x, pad, -math.inf)
    for tap in _taps(size, stride, y.shape):
        y = np.maximum(y, whole[tap])
    return y


def _maxima(np: Any, y: Any, x: Any, size: Shape, stride: Shape, pad: Pad) -> tuple[list[Any], Any]:
    """Where each element of the windows is a maximum, and how many of a window are."""
    whole = _padded(np, x, pad, math.nan)
    masks = [whole[tap] == y for tap in _taps(size, stride, y.shape)]
    return masks, sum(mask.astype(x.dtype) for mask in masks)


def _reference_max_pool_grad(
    np: Any, dy: Any, y: Any, x: Any, *, size: Shape, stride: Shape, pad: Pad
) -> Any:
    masks, count = _maxima(np, y, x, size, stride, pad)
    zero = np.zeros((), x.dtype)
    share, other = dy / count, np.where(np.isnan(y), y, zero)
    shape = (*share.shape[: -len(size)], *x.shape[-len(size) :])
    whole = _around(np, shape, pad, 0.0, x.dtype)
    for tap, mask in zip(_taps(size, stride, share.shape), masks, strict=True):
        whole[tap] += np.where(mask, share, other)
    return np.ascontiguousarray(whole[_inner(shape, pad)])


def _reference_max_pool_tangent(
    np: Any, d: Any, y: Any, x: Any, *, size: Shape, stride: Shape, pad: Pad
) -> Any:
    masks, count = _maxima(np, y, x, size, stride, pad)
    whole, zero = _padded(np, d, pad, 0.0), np.zeros((), x.dtype)
    taps = _taps(size, stride, y.shape)
    found = sum(np.where(mask, whole[tap], zero) for tap, mask in zip(taps, masks, strict=True))
    return np.where(np.isnan(y), y, found / np.maximum(count, 1))


def _count(np: Any, shape: Shape, attrs: Mapping[str, Any], dtype: Any) -> Any:
    """By what the sum of each window of such images is divided."""
    size, stride, pad = attrs["size"], attrs["stride"], attrs["pad"]
    if attrs.get("padded", False):
        return np.full((), size_of(size), dtype)
    image = shape[-len(size) :]
    ones = _padded(np, np.full(image, 1.0, dtype), pad, 0.0)
    return sum(ones[tap] for tap in _taps(size, stride, _pooled(image, size, stride, pad)))


def _reference_avg_pool(np: Any, x: Any, **attrs: Any) -> Any:
    size, stride, pad = attrs["size"], attrs["stride"], attrs["pad"]
    whole, windows = _padded(np, x, pad, 0.0), _pooled(x.shape, size, stride, pad)
    total = sum(whole[tap] for tap in _taps(size, stride, windows))
    return total / _count(np, x.shape, attrs, x.dtype)


def _reference_avg_unpool(np: Any, dy: Any, *, image: Shape, **attrs: Any) -> Any:
    size, stride, pad = attrs["size"], attrs["stride"], attrs["pad"]
    share = dy / _count(np, image, attrs, dy.dtype)
    shape = (*dy.shape[: -len(size)], *image)
    whole = _around(np, shape, pad, 0.0, dy.dtype)
    for tap in _taps(size, stride, dy.shape):
        whole[tap] += share
    return np.ascontiguousarray(whole[_inner(shape, pad)])


MAX_POOL: OpDef = define(
    "max_pool",
    arity=1,
    infer=_infer_pool,
    flops=lambda shapes, out: size_of(shapes[0]),
    vjp=lambda dy, y, x, **attrs: (apply(MAX_POOL_GRAD, dy, y, x, **attrs),),
    attributes=lambda shapes, out, attrs: _attributes(shapes[0], out, attrs),
    reference=_reference_max_pool,
)
# Equal maxima share the cotangent evenly; a maximum of NaN gives NaN to all elements of its window.
MAX_POOL_GRAD: OpDef = define(
    "max_pool_grad",
    arity=3,
    infer=_infer_max_pool_grad,
    flops=lambda shapes, out: 3 * size_of(out),
    vjp=lambda d, dx, dy, y, x, **attrs: (apply(MAX_POOL_TANGENT, d, y, x, **attrs), None, None),
    constant_in=(1, 2),
    zero_with=(0,),
    attributes=lambda shapes, out, attrs: _attributes(out, shapes[0], attrs),
    reference=_reference_max_pool_grad,
)
# The adjoint: the mean of the first operand over the maxima of each window of x, 0 where there is
# none.
MAX_POOL_TANGENT: OpDef = define(
    "max_pool_tangent",
    arity=3,
    infer=_infer_max_pool_tangent,
    flops=lambda shapes, out: 3 * size_of(shapes[0]),
    vjp=lambda dt, t, d, y, x, **attrs: (apply(MAX_POOL_GRAD, dt, y, x, **attrs), None, None),
    constant_in=(1, 2),
    zero_with=(0,),
    attributes=lambda shapes, out, attrs: _attributes(shapes[0], out, attrs),
    reference=_reference_max_pool_tangent,
)
AVG_POOL: OpDef = define(
    "avg_pool",
    arity=1,
    infer=_infer_pool,
    flops=lambda shapes, out: size_of(shapes[0]),
    vjp=lambda dy, y, x, **attrs: (
        apply(AVG_UNPOOL, dy, image=x.shape[-len(attrs["size"]) :], **attrs),
    ),
    zero_with=(0,),
    attributes=lambda shapes, out, attrs: _attributes(shapes[0], out, attrs),
    reference=_reference_avg_pool,
)
AVG_UNPOOL: OpDef = define(
    "avg_unpool",
    arity=1,
    infer=_infer_unpool,
    flops=lambda shapes, out: size_of(out),
    vjp=lambda d, dx, dy, *, image, **attrs: (apply(AVG_POOL, d, **attrs),),
    zero_with=(0,),
    attributes=lambda shapes, out, attrs: _attributes(out, shapes[0], attrs),
    reference=_reference_avg_unpool,
)


def _sizes(component: str, name: str, given: Any, rank: int | None = None) -> Shape:
    """One integer, or one for each axis; `rank`: for how many axes, None for one or two."""
    several = isinstance(given, (tuple, list))
    ranks = (1, 2) if rank is None else (rank,)
    if several and len(given) not in ranks:
        expected = " or ".join(map(str, ranks))
        raise ShapeError(
            f"[{component}] expected {expected} integers as {name}, for as many axes, got "
            f"{given}; pass one for each axis"
        )
    each = given if several else (given,) * (rank or 1)
    return tuple(integer(component, name, n, 1, error=ShapeError) for n in each)


def _pad(component: str, given: Any, size: Shape) -> Pad:
    several = isinstance(given, (tuple, list))
    if several and len(given) != len(size):
        raise ShapeError(
            f"[{component}] expected padding of {len(size)} axes, as the window has, got {given}; "
            "pass a number, or (before, behind), for each axis"
        )
    pad = []
    for each, k in zip(given if several else (given,) * len(size), size, strict=True):
        pair = each if isinstance(each, (tuple, list)) else (each, each)
        if len(pair) != 2:
            raise ShapeError(
                f"[{component}] expected padding (before, behind) of an axis, got {each}; pass two "
                "integers"
            )
        before, behind = (integer(component, "padding", n, 0, error=ShapeError) for n in pair)
        if 2 * max(before, behind) > k:
            raise ShapeError(
                f"[{component}] expected padding of at most half of the window, {k // 2} of {k}, "
                f"got {max(before, behind)}; pad less, or concatenate what shall stand there"
            )
        pad.append((before, behind))
    return tuple(pad)


def _windows(component: str, x: Any, size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    """The attributes of the windows; raises ShapeError where there are none."""
    shape = shape_of(component, x)
    sizes = _sizes(component, "size", size)
    rank = len(sizes)
    steps = sizes if stride is None else _sizes(component, "stride", stride, rank)
    pad = _pad(component, padding, sizes)
    if len(shape) < rank:
        raise ShapeError(
            f"[{component}] expected at least {rank} feature axes for a window of {sizes}, got "
            f"shape {shape}; reshape it"
        )
    for n, k, p in zip(shape[-rank:], sizes, pad, strict=True):
        if n < 1 or k > n + sum(p):
            raise ShapeError(
                f"[{component}] expected a window within the image of {shape[-rank:]}"
                f"{' and its padding' if any(map(sum, pad)) else ''}, got one of {sizes}; make it "
                "smaller"
            )
    return {"size": sizes, "stride": steps, "pad": pad}


def max_pool(x: Applies[R], size: Sizes, stride: Sizes | None = None, padding: Padding = 0) -> R:
    """The greatest element of each window of the last feature axis, or of the last two.

    Equal maxima of a window share its gradient evenly, as with :func:`max`. Padding is never the
    greatest: it counts as minus infinity. A window with NaN gives NaN, and so does its gradient.

    Args:
        x: (..., n), or (..., h, w): what stands before are channels, of which each is an image.
        size: of a window: k for one axis, (k_h, k_w) for two.
        stride: from one window to the next, one number or one for each axis; None for the size.
        padding: a number, or one for each axis, or (before, behind) for each axis: at most half of
            the window. What does not fill a window at the end is left out.

    Returns:
        (..., (n + before + behind - k) // stride + 1), and so for each axis.

    Raises:
        ShapeError: a window that is larger than the image with its padding, too much padding, fewer
            axes than the window has, or numbers that are no sizes.
    """
    return apply_to(MAX_POOL, x, **_windows("max_pool", x, size, stride, padding))


def avg_pool(
    x: Applies[R],
    size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> R:
    """The mean of each window of the last feature axis, or of the last two; see :func:`max_pool`.

    Padding counts as zeros; with ``count_include_pad=False`` it does not count, and a mean is over
    the elements of the image alone.
    """
    boolean("avg_pool", "count_include_pad", count_include_pad)
    attrs = _windows("avg_pool", x, size, stride, padding)
    return apply_to(AVG_POOL, x, **attrs, **({"padded": True} if count_include_pad else {}))


def upsample(x: Applies[R], scale: Sizes) -> R:
    """Each element of the last feature axis, or of the last two, repeated: the nearest one of a
    larger image.

    Args:
        x: (..., n), or (..., h, w).
        scale: how often: s for one axis, (s_h, s_w) for two; integers of 1 or more.

    Returns:
        (..., n * s), or (..., h * s_h, w * s_w).

    Raises:
        ShapeError: fewer axes than the scale has, or numbers that are no scale.
    """
    shape, scales = shape_of("upsample", x), _sizes("upsample", "scale", scale)
    at = len(shape) - len(scales)
    if at < 0:
        raise ShapeError(
            f"[upsample] expected at least {len(scales)} feature axes for a scale of {scales}, got "
            f"shape {shape}; reshape it"
        )
    given: Any = x
    axes = list(zip(shape[at:], scales, strict=True))
    apart = (*shape[:at], *(m for n, _ in axes for m in (n, 1)))
    repeated = (*shape[:at], *(m for pair in axes for m in pair))
    large = (*shape[:at], *(n * s for n, s in axes))
    y: R = reshape(broadcast(reshape(given, apart), repeated), large)
    return y
