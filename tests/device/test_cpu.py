"""The verbs of the CPU against what they say, in plain loops."""

from __future__ import annotations

import math
import mmap
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.device import cpu

SHAPES = [(), (0,), (3,), (2, 3), (3, 0, 2)]
DTYPES = ["float32", "float64", "int32"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_new_arrays(shape: tuple[int, ...], dtype: str) -> None:
    for array in (cpu.empty(shape, dtype), cpu.zeros(shape, dtype), cpu.full(shape, 7, dtype)):
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert array.flags.c_contiguous
        assert array.base is None
    assert not cpu.zeros(shape, dtype).any()
    assert (cpu.full(shape, 7, dtype) == 7).all()


def test_copies_are_contiguous_and_others_memory() -> None:
    for array in (np.arange(6.0).reshape(2, 3).T, np.arange(6)[::2], np.array(3.0)):
        copy = cpu.copy(array)
        np.testing.assert_array_equal(copy, array)
        assert copy.shape == array.shape
        assert copy.flags.c_contiguous
        assert not np.shares_memory(copy, array)


def test_contiguous_copies_where_it_must() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert cpu.contiguous(array) is array
    odd = np.zeros(17, np.uint8)[1:].view(np.float64)
    for other in (array.T, array[:, ::2], odd):
        found = cpu.contiguous(other)
        np.testing.assert_array_equal(found, other)
        assert found.flags.c_contiguous
        assert found.flags.aligned


def test_arrays_of_the_host() -> None:
    array = np.arange(3.0)
    assert cpu.asarray(array) is array
    assert cpu.to_host(array) is array
    assert cpu.asarray(2, "float32").dtype == np.float32
    assert cpu.asarray(range(3), "int32").tolist() == [0, 1, 2]


def test_memory_that_meets() -> None:
    array = np.zeros(6)
    assert cpu.shares_memory(array[:4], array[3:])
    assert not cpu.shares_memory(array[:3], array[3:])


def test_bits() -> None:
    a = np.array([0.0, np.nan, 1.0])
    assert cpu.same_bits(a, a.copy())
    for b in (np.array([-0.0, np.nan, 1.0]), a.astype(np.float32), a[:2], np.array([0.0, 2, 1])):
        assert not cpu.same_bits(a, b)
    assert cpu.same_bits(a[::2], np.array([0.0, 1.0]))


def test_evaluation_is_silent_and_of_the_dtype() -> None:
    def reference(np: Any, x: Any, *, by: float) -> Any:
        return np.log(x) / by

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = cpu.evaluate(reference, [np.array([-1.0, 0.0, 1.0])], {"by": 2.0}, np.dtype("float32"))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.array([np.nan, -np.inf, 0], np.float32))
    view = np.zeros((2, 3))
    assert np.shares_memory(cpu.evaluate(lambda np, x: x.T, [view], {}, view.dtype), view)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.log(np.zeros(1))  # as before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums(dtype: str) -> None:
    array = np.random.default_rng(0).normal(size=(70, 3)).astype(dtype)
    for part in (array, array.T, array[::3], array[:0], array[0, 0]):
        total = cpu.sum(part)
        assert (total.shape, total.dtype) == ((), np.dtype(dtype))
        expected = math.fsum(np.asarray(part, np.float64).reshape(-1))
        np.testing.assert_allclose(total, expected, rtol=1e-6, atol=1e-7)


def test_magnitudes_and_ids() -> None:
    a = np.array([[1.0, -3.0], [2.0, 0.0]])
    assert cpu.max_abs([a, a.T, a[:0], a.astype(np.float32)[:, :1]]) == [3.0, 3.0, 0.0, 2.0]
    assert math.isnan(cpu.max_abs([np.array([1.0, np.nan])])[0])
    ids = np.array([[0, 2], [-1, 3]], np.int32)
    assert cpu.first_outside(ids, -1, 4) == -1
    assert cpu.first_outside(ids, 0, 4) == 2
    assert cpu.first_outside(ids, -1, 2) == 1


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 3))
def test_rows_are_added_by_number(ids: list[int], width: int) -> None:
    rows = np.random.default_rng(0).normal(size=(len(ids), width))
    index = np.array(ids, np.int32)
    sums, greatest = np.zeros((6, width)), np.full((6, width), -np.inf)
    for number, row in zip(ids, rows, strict=True):
        sums[number] += row
        greatest[number] = np.maximum(greatest[number], row)
    found = cpu.zeros((6, width), "float64")
    cpu.add_at(found, index, rows)
    np.testing.assert_array_equal(found, sums)
    found = cpu.full((6, width), -math.inf, "float64")
    cpu.max_at(found, index, rows)
    np.testing.assert_array_equal(found, greatest)
    distinct, by_id = cpu.sum_by_id(index, rows)
    assert distinct.dtype == np.int32
    assert distinct.tolist() == sorted(set(ids))
    assert by_id.shape == (len(distinct), width)
    np.testing.assert_allclose(by_id, sums[distinct], rtol=1e-12, atol=1e-15)


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_merged_rows(first: set[int], second: set[int]) -> None:
    parts = []
    dense = np.zeros((10, 2))
    for given_ids in (first, second):
        ids = np.array(sorted(given_ids), np.int32)
        rows = np.random.default_rng(len(ids)).normal(size=(len(ids), 2))
        dense[ids] += rows
        parts += [ids, rows]
    ids, rows = cpu.merge_rows(*parts)
    assert ids.tolist() == sorted(first | second)
    np.testing.assert_array_equal(rows, dense[ids])


def test_tables_count_the_pages_that_are_written() -> None:
    table = cpu.table(1000, (3, 4), np.dtype("float32"))
    assert (table.shape, table.dtype) == ((1000, 3, 4), np.dtype("float32"))
    assert not table.any()
    table[5] = 1
    assert cpu.table(0, (3,), np.dtype("float32")).shape == (0, 3)
    page = mmap.PAGESIZE
    rows = np.array([0, 1, 999])
    assert cpu.table_bytes(rows, page, 1000) == 3 * page
    assert cpu.table_bytes(rows, page // 4, 1000) == 2 * page
    assert cpu.table_bytes(rows, page + 1, 1000) == 5 * page
    assert cpu.table_bytes(rows[:0], page, 1000) == 0
