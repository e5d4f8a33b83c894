"""Indices of values of a vertex function, over their feature axes, as NumPy's."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from cavs._arguments import printed, shown
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.shape import reshape, slice_last
from cavs.errors import ShapeError, TraceError


def indexed(x: Any, key: Any) -> Any:
    """The features of `x` that the index names: numbers, slices of step 1, ``...`` and None.

    Raises:
        TraceError: another index, which needs values; ShapeError: it is out of range.
    """
    y, shape = x, []
    axis = 0
    for each in _keys(x, key):
        if each is None:
            shape.append(1)
            continue
        start, stop = _range(x, each, axis)
        y = _cut(y, axis, start, stop)
        if isinstance(each, slice):
            shape.append(stop - start)
        axis += 1
    return reshape(y, tuple(shape))


def _keys(x: Any, key: Any) -> list[Any]:
    """The index of each axis, with None where a new one goes."""
    keys = list(key) if isinstance(key, tuple) else [key]
    whole = [i for i, each in enumerate(keys) if each is Ellipsis]
    given = len([each for each in keys if each is not Ellipsis and each is not None])
    ndim = len(x.shape)
    if len(whole) > 1 or given > ndim:
        raise ShapeError(
            f"[index] expected an index for each of {ndim} feature axes or fewer, got "
            f"{printed(key)} for {x!r}; leave one out"
        )
    first = next((each for each in keys if each is not None), ...)
    if x.space.kind is SpaceKind.EDGE and not (whole or isinstance(first, slice)):
        raise x._refuse(
            "a slice or ... in the index of a value of each child",
            "use v.gather(k, ...) for the state of the k-th child, x[..., i] for a feature",
            f"{printed(key)} for {x!r}",
        )
    at = whole[0] if whole else len(keys)
    return [*keys[:at], *[slice(None)] * (ndim - given), *keys[at + 1 :]]


def _range(x: Any, key: Any, axis: int) -> tuple[int, int]:
    """First element, and the one after the last, of an index of an axis."""
    size = x.shape[axis]
    step = getattr(key, "step", None)
    if isinstance(key, slice) and (step is None or (type(step) is int and step == 1)):
        try:
            start, stop, _ = key.indices(size)
        except TypeError:
            raise TraceError(
                f"[index] expected a slice of integers, got {printed(key)}; correct it"
            ) from None
        if start >= stop:
            raise ShapeError(
                f"[index] expected a slice with start < stop within 0..{size}, got {start}:{stop} "
                f"of axis {axis} of {x!r}; correct it"
            )
        return start, stop
    symbol = hasattr(type(key), "__cavs_symbol__")
    try:
        number = None if symbol or isinstance(key, (bool, slice)) else operator.index(key)
    except Exception:  # of any object that stands for an index
        number = None
    if number is None:
        instead = "use ops.split or ops.reshape"
        if symbol:
            instead = "use ops.take or ops.pick for ids, ops.where for masks"
        elif isinstance(key, (list, np.ndarray)):
            instead = "take elements by ops.take(x, ids, axis), or use ops.split"
        raise x._refuse("a number or a slice a:b as index", instead, f"{shown(key)} for {x!r}")
    if not -size <= number < size:
        raise ShapeError(
            f"[index] expected an index in {-size}..{size - 1} of axis {axis}, got "
            f"{printed(number)}; correct it"
        )
    return number % size, number % size + 1


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    """Elements start..stop-1 of an axis, which stays."""
    shape = x.shape
    if (start, stop) == (0, shape[axis]):
        return x
    behind = math.prod(shape[axis + 1 :])
    flat = reshape(x, (*shape[:axis], shape[axis] * behind))
    return reshape(
        slice_last(flat, start * behind, stop * behind),
        (*shape[:axis], stop - start, *shape[axis + 1 :]),
    )
