"""Arenas and dynamic tensors: growth, reuse, alignment, and views that outlive their tensors."""

import gc

import numpy as np
import pytest

from cavs.errors import CavsRuntimeError, InputError
from cavs.memory import Arena, DynamicTensor


@pytest.mark.parametrize(("size", "ld"), [(1, 1), (15, 15), (16, 16), (17, 32), (300, 304)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_rows_are_padded_and_aligned(size: int, ld: int, dtype: str) -> None:
    tensor = DynamicTensor(Arena(), size, dtype)
    tensor.allocate(5)
    view = tensor.numpy()
    assert tensor.ld == ld
    assert view.shape == (5, size)
    assert view.dtype == dtype
    assert view.strides == (ld * view.itemsize, view.itemsize)
    assert view.ctypes.data % 64 == 0
    assert tensor.offset % 64 == 0
    assert tensor.nbytes == 5 * ld * view.itemsize


def test_growth_keeps_rows() -> None:
    arena = Arena()
    first, second = DynamicTensor(arena, 20), DynamicTensor(arena, 3, "float64")
    first.allocate(4)
    second.allocate(2)
    first.numpy()[:] = np.arange(80).reshape(4, 20)
    second.numpy()[:] = np.arange(6).reshape(2, 3)
    for rows in (10, 1000, 50000):
        first.grow(rows)
        second.grow(rows)
        np.testing.assert_array_equal(first.numpy()[:4], np.arange(80).reshape(4, 20))
        np.testing.assert_array_equal(second.numpy()[:2], np.arange(6).reshape(2, 3))
    assert first.rows == second.rows == 50000
    first.grow(5)
    assert first.rows == 50000


def test_reset_reuses_memory() -> None:
    arena = Arena()
    tensor = DynamicTensor(arena, 64)
    tensor.allocate(1000)
    place, capacity, mark = tensor.numpy().ctypes.data, arena.capacity, arena.high_water
    arena.reset()
    assert arena.used == 0
    tensor.allocate(1000)
    assert tensor.numpy().ctypes.data == place
    assert arena.capacity == capacity
    assert arena.high_water == mark == 1000 * 64 * 4


def test_view_outlives_arena_and_tensor() -> None:
    tensor = DynamicTensor(Arena(), 4)
    tensor.allocate(1000)
    view = tensor.numpy()
    view[:] = 3
    tensor.grow(1000000)
    assert (tensor.numpy()[:1000] == 3).all()
    del tensor
    gc.collect()
    assert (view == 3).all()


def test_use_without_memory() -> None:
    arena = Arena()
    tensor = DynamicTensor(arena, 4)
    with pytest.raises(CavsRuntimeError, match="call allocate"):
        tensor.numpy()
    tensor.allocate(3)
    arena.reset()
    with pytest.raises(CavsRuntimeError, match="reset"):
        tensor.numpy()
    with pytest.raises(CavsRuntimeError, match="reset"):
        tensor.grow(9)


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="got 'float16'"):
        DynamicTensor(Arena(), 4, "float16")
    with pytest.raises(InputError, match="elements in a row, got 0"):
        DynamicTensor(Arena(), 0)
    with pytest.raises(InputError, match="0 or more rows, got -1"):
        DynamicTensor(Arena(), 4).allocate(-1)


def test_no_rows() -> None:
    tensor = DynamicTensor(Arena(), 4)
    tensor.allocate(0)
    assert tensor.numpy().shape == (0, 4)
