"""Native pooling kernels against loops over windows in float64, in each layout of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import kernel_calls as kc
import numpy as np
import pytest

from cavs.core.attributes import PoolAttributes
from cavs.errors import CavsRuntimeError

ROWS = 5
# Windows that are tiles, that overlap by strides of 1, 2 and 3, and that leave elements out; lines
# that are longer than what a kernel takes at once.
SIZES = {
    "tiles": PoolAttributes(3, 6, 34, 3, 17, 2, 2, 2, 2),
    "dense": PoolAttributes(2, 5, 20, 5, 20, 3, 3, 1, 1, 1, 1),
    "halves": PoolAttributes(2, 7, 37, 4, 19, 3, 3, 2, 2, 1, 1),
    "wide": PoolAttributes(1, 4, 41, 3, 19, 2, 5, 1, 2, 0, 2, padded=True),
    "apart": PoolAttributes(2, 7, 19, 2, 6, 2, 1, 4, 3, 1, 0),
    "thirds": PoolAttributes(1, 1, 40, 1, 13, 1, 4, 1, 3, 0, 0, padded=True),
    "line": PoolAttributes(1, 1, 1200, 1, 600, 1, 3, 1, 2, 0, 1),
    "few": PoolAttributes(4, 2, 3, 1, 1, 2, 3, 1, 1),
    "beyond": PoolAttributes(1, 2, 3, 2, 2, 4, 6, 1, 3, 2, 3),
}
each_size = pytest.mark.parametrize("size", SIZES)
each_dtype = pytest.mark.parametrize("dtype", kc.DTYPES)
each_layout = pytest.mark.parametrize("layout", kc.LAYOUTS)


def windows(it: PoolAttributes) -> Iterator[tuple[tuple[int, int], tuple[slice, slice]]]:
    """Each window, and the elements of the image in it."""
    for y in range(it.windows_y):
        for x in range(it.windows_x):
            top, left = y * it.stride_y - it.top, x * it.stride_x - it.left
            lines = slice(max(top, 0), top + it.size_y)
            yield (y, x), (lines, slice(max(left, 0), left + it.size_x))


def expected(
    it: PoolAttributes, x: np.ndarray, d: np.ndarray, dy: np.ndarray
) -> dict[str, np.ndarray]:
    """The results of all kernels, of images x (rows, outer, h, w)."""
    y, mean, tangent = (np.zeros(dy.shape) for _ in range(3))
    slope, spread = np.zeros(x.shape), np.zeros(x.shape)
    for at, where in windows(it):
        part, place = x[..., where[0], where[1]], (..., *where)
        y[..., at[0], at[1]] = greatest = part.max((2, 3))
        is_it = part == greatest[..., None, None]
        share = is_it / is_it.sum((2, 3), keepdims=True)
        one = dy[..., at[0], at[1]][..., None, None]
        slope[place] += share * one
        tangent[..., at[0], at[1]] = (share * d[place]).sum((2, 3))
        count = it.size_y * it.size_x if it.padded else part.shape[2] * part.shape[3]
        mean[..., at[0], at[1]] = part.sum((2, 3)) / count
        spread[place] += one / count
    return {
        "max_pool": y,
        "max_pool_grad": slope,
        "max_pool_tangent": tangent,
        "avg_pool": mean,
        "avg_unpool": spread,
    }


def drawn(it: PoolAttributes, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images with equal elements, others, and a number for each window."""
    rng = np.random.default_rng(it.width)
    image, pooled = (it.height, it.width), (it.windows_y, it.windows_x)
    x, d = (rng.normal(size=(ROWS, it.outer, *image)) for _ in range(2))
    dy = rng.normal(size=(ROWS, it.outer, *pooled))
    kind = kc.DTYPES[dtype]
    return np.round(x).astype(kind), d.astype(kind), dy.astype(kind)


@each_dtype
@each_layout
@each_size
def test_pooling(dtype: str, layout: str, size: str) -> None:
    it = SIZES[size]
    x, d, dy = drawn(it, dtype)
    results = expected(it, *(a.astype(np.float64) for a in (x, d, dy)))
    y = results["max_pool"].astype(x.dtype)
    given = {
        "max_pool": [x],
        "max_pool_grad": [dy, y, x],
        "max_pool_tangent": [d, y, x],
        "avg_pool": [x],
        "avg_unpool": [dy],
    }
    for name, inputs in given.items():
        out = kc.LAYOUTS[layout](np.full((ROWS, results[name][0].size), 99, x.dtype))
        around = kc.surroundings(out) if layout == "view" else None
        arrays = [kc.LAYOUTS[layout](a.reshape(ROWS, -1)) for a in inputs]
        kc.call(name, dtype, arrays, [out], attributes=it)
        if around is not None:
            np.testing.assert_array_equal(kc.surroundings(out), around)
        found = out.reshape(results[name].shape)
        np.testing.assert_allclose(found, results[name], err_msg=name, **kc.TOLERANCES[dtype])


WRONG = {
    "a stride of none": {"stride_x": 0},
    "a window of nothing": {"size_y": 0},
    "a window before the image": {"top": 2},
    "a window behind it": {"windows_x": 18},
    "another height": {"height": 5},
    "another number of images": {"outer": 2},
    "a stride beyond all numbers": {"stride_y": 2**62},
}


@pytest.mark.parametrize("name", WRONG)
def test_windows_that_reach_beyond_the_rows_are_refused(name: str) -> None:
    it = SIZES["tiles"]
    x, _, dy = drawn(it, "float")
    wrong = replace(it, **WRONG[name])
    for kernel, inputs, out in (("max_pool", [x], dy), ("avg_unpool", [dy], x)):
        arrays = [a.reshape(ROWS, -1) for a in inputs]
        with pytest.raises((ValueError, CavsRuntimeError), match=kernel):
            kc.call(kernel, "float", arrays, [out.reshape(ROWS, -1)], attributes=wrong)
