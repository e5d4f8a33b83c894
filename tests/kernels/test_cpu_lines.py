"""Native kernels along lines of a row, whose elements need not stand together, against NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kernel_calls as kc
import numpy as np
import pytest

from cavs.core.attributes import (
    AxisAttributes,
    OrderAttributes,
    PermuteAttributes,
    PickAttributes,
    ScanAttributes,
)

SIZES = [(1, 5, 3), (2, 17, 1), (3, 4, 16), (2, 1, 7), (1, 40, 33)]
ROWS = 6
each_dtype = pytest.mark.parametrize("dtype", kc.DTYPES)
each_layout = pytest.mark.parametrize("layout", kc.LAYOUTS)
each_size = pytest.mark.parametrize("sizes", SIZES)


def ran(
    name: str, dtype: str, layout: str, inputs: list[np.ndarray], shape: Any, **options: Any
) -> np.ndarray:
    """The kernel's result, of rows of this shape, in this layout; nothing beside it was written."""
    kind = options.pop("kind", kc.DTYPES[dtype])
    size = int(np.prod(shape))
    out = kc.LAYOUTS[layout](np.full((ROWS, size), 99, kind))
    around = kc.surroundings(out) if layout == "view" else None
    given = [kc.LAYOUTS[layout](np.ascontiguousarray(x.reshape(ROWS, -1))) for x in inputs]
    kc.call(name, dtype, given, [out], **options)
    if around is not None:
        np.testing.assert_array_equal(kc.surroundings(out), around)
    return out.reshape(ROWS, *shape)


def drawn(dtype: str, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return (rng.normal(size=(ROWS, *shape)) * 3).astype(kc.DTYPES[dtype])


@each_dtype
@each_layout
@each_size
def test_along_an_axis_that_is_not_the_last(
    dtype: str, layout: str, sizes: tuple[int, int, int]
) -> None:
    outer, _, inner = sizes
    x = drawn(dtype, *sizes)
    wide = x.astype(np.float64)
    shifted = wide - wide.max(2, keepdims=True)
    total = np.log(np.exp(shifted).sum(2, keepdims=True))
    expected = {
        "row_max": wide.max(2),
        "logsumexp": (wide.max(2, keepdims=True) + total)[:, :, 0],
        "softmax": np.exp(shifted - total),
        "log_softmax": shifted - total,
    }
    for name, value in expected.items():
        shape = (outer, inner) if name in ("row_max", "logsumexp") else sizes
        found = ran(name, dtype, layout, [x], shape, attributes=AxisAttributes(*sizes))
        np.testing.assert_allclose(found, value, err_msg=name, **kc.TOLERANCES[dtype])


@each_dtype
@each_layout
@each_size
def test_running_sums(dtype: str, layout: str, sizes: tuple[int, int, int]) -> None:
    x = drawn(dtype, *sizes)
    wide = x.astype(np.float64)
    back = np.flip(np.cumsum(np.flip(wide, 2), 2), 2)
    for reverse, expected in ((False, np.cumsum(wide, 2)), (True, back)):
        attributes = ScanAttributes(*sizes, reverse=reverse)
        found = ran("cumsum", dtype, layout, [x], sizes, attributes=attributes)
        rtol = 2e-5 if dtype == "float" else 1e-12
        np.testing.assert_allclose(found, expected, rtol, rtol)


@each_dtype
@each_layout
@each_size
def test_orders(dtype: str, layout: str, sizes: tuple[int, int, int]) -> None:
    """Equal elements stand as they did; NaN is the greatest."""
    outer, length, inner = sizes
    x = np.round(drawn(dtype, *sizes))
    x[0, ..., 0] = np.nan
    keys = np.where(np.isnan(x), 1e9, x)
    for descending, order in (
        (False, np.argsort(keys, 2, kind="stable")),
        (True, np.argsort(-keys, 2, kind="stable")),
    ):
        for count in {1, (length + 1) // 2, length}:
            attributes = OrderAttributes(*sizes, count=count, descending=descending)
            found = ran(
                *("argsort", dtype, layout, [x], (outer, count, inner)),
                attributes=attributes,
                kind=np.int32,
            )
            np.testing.assert_array_equal(found, order[:, :, :count])


@each_dtype
@each_layout
@each_size
@pytest.mark.parametrize("along", [False, True])
def test_elements_by_ids(dtype: str, layout: str, sizes: tuple[int, int, int], along: bool) -> None:
    outer, length, inner = sizes
    count = 5
    x, dy = drawn(dtype, *sizes), drawn(dtype, outer, count, inner)
    rng = np.random.default_rng(1)
    shape = (outer, count, inner) if along else (count,)
    ids = rng.integers(-1, length, (ROWS, *shape)).astype(np.int32)
    every = np.broadcast_to(ids if along else ids[:, None, :, None], (ROWS, outer, count, inner))
    attributes = PickAttributes(*sizes, count=count, along=along)
    found = ran(
        "pick_elements", dtype, layout, [x, ids], (outer, count, inner), attributes=attributes
    )
    taken = np.take_along_axis(x, np.maximum(every, 0), 2)
    np.testing.assert_array_equal(found, np.where(every < 0, 0, taken))
    put = ran("put_elements", dtype, layout, [dy, ids], sizes, attributes=attributes)
    ones = every[:, :, None] == np.arange(length)[:, None, None]
    expected = np.where(ones, dy[:, :, None].astype(np.float64), 0).sum(3)
    np.testing.assert_allclose(put, expected, **kc.TOLERANCES[dtype])
    beyond = np.full_like(ids, length)
    found = ran(
        "pick_elements", dtype, layout, [x, beyond], (outer, count, inner), attributes=attributes
    )
    assert np.isnan(found).all()
    put = ran("put_elements", dtype, layout, [dy, beyond], sizes, attributes=attributes)
    np.testing.assert_array_equal(put, 0)


@each_dtype
@each_layout
@each_size
def test_orders_of_axes(dtype: str, layout: str, sizes: tuple[int, int, int]) -> None:
    x = drawn(dtype, *sizes)
    steps = (sizes[1] * sizes[2], sizes[2], 1)
    for axes in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1)):
        shape = tuple(sizes[a] for a in axes)
        attributes = PermuteAttributes(shape, tuple(steps[a] for a in axes))
        found = ran("permute", dtype, layout, [x], shape, attributes=attributes)
        np.testing.assert_array_equal(found, x.transpose(0, *(1 + a for a in axes)))


def test_log_softmax_of_segments() -> None:
    for dtype in kc.DTYPES:
        for layout in kc.LAYOUTS.values():
            for size in (1, 3, 20):
                x = layout(drawn(dtype, 4, size).reshape(24, size)[:9].copy())
                parent = np.array([0, 0, 0, 1, 3, 3, 4, 4, 4])
                out = layout(np.full((9, size), 99, kc.DTYPES[dtype]))
                kc.call("segment_log_softmax", dtype, [x], [out], tables=[{"index": parent}])
                for p in set(parent.tolist()):
                    part = x[parent == p].astype(np.float64)
                    expected = part - np.log(np.exp(part).sum(0))
                    np.testing.assert_allclose(out[parent == p], expected, **kc.TOLERANCES[dtype])


@pytest.mark.parametrize(
    ("name", "attributes", "sizes"),
    [
        ("softmax", AxisAttributes(2, 3, 2), (11, 11)),
        ("row_sum", AxisAttributes(2, 3, 2), (12, 4)),
        ("cumsum", ScanAttributes(2, 3, 2), (12, 11)),
        ("permute", PermuteAttributes((3, 4), (1, 4)), (12, 12)),
        ("permute", PermuteAttributes((3, 3), (1, 3)), (12, 12)),
    ],
)
def test_attributes_that_do_not_fit_are_refused(
    name: str, attributes: Any, sizes: tuple[int, int]
) -> None:
    x, out = (np.zeros((2, size), np.float32) for size in sizes)
    with pytest.raises(ValueError, match=rf"\[program\] expected .* in '{name}'"):
        kc.call(name, "float", [x], [out], attributes=attributes)


def test_orders_and_ids_that_do_not_fit_are_refused() -> None:
    x, ids = np.zeros((2, 6), np.float32), np.zeros((2, 4), np.int32)
    for order in (OrderAttributes(1, 6, count=7), OrderAttributes(1, 6, count=3)):
        with pytest.raises(ValueError, match=r"\[program\] expected .* in 'argsort'"):
            kc.call("argsort", "float", [x], [ids], attributes=order)
    for pick in (PickAttributes(1, 6, count=3), PickAttributes(1, 5, count=4)):
        for name in ("pick_elements", "put_elements"):
            with pytest.raises(ValueError, match=rf"\[program\] expected .* in '{name}'"):
                kc.call(name, "float", [x, ids], [x + 1], attributes=pick)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx2", "generic"])
def test_other_instruction_sets(isa: str) -> None:
    environment = {**os.environ, "CAVS_ISA": isa}
    command = [sys.executable, "-m", "pytest", "-q", "-x", __file__, "-m", "not slow"]
    command += ["-p", "no:cacheprovider"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
