"""Native loops over arrays, against NumPy."""

import numpy as np
import pytest

from cavs._arrays import first_outside, first_unlike, rows_of_samples, total
from cavs.errors import InputError


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64, ">i4"])
def test_first_outside(dtype: str) -> None:
    values = np.array([3, 0, 7, 4, 9], dtype)
    assert first_outside(values, 0, 10) == -1
    assert first_outside(values, 1, 10) == 1
    assert first_outside(values, -1, 7) == 2
    assert first_outside(values[::2], 0, 9) == 2
    assert first_outside(values[:0], 0, 0) == -1
    assert first_outside(values, 5, 5) == 0


def test_first_outside_at_the_borders_of_its_integers() -> None:
    assert first_outside(np.array([-1, -2], np.int32), -1, 5) == 1
    assert first_outside(np.array([1, 2**64 - 1], np.uint64), -1, 2**31) == 1
    assert first_outside(np.array([2**62], np.int64), -1, 2**31) == 0
    unaligned = np.frombuffer(b"\0" + np.array([1, 9], np.int32).tobytes(), np.int32, offset=1)
    assert first_outside(unaligned, 0, 9) == 1


def test_first_unlike() -> None:
    arrays = [np.zeros((2, 3)), np.zeros(4, np.float32)]
    assert first_unlike(arrays, [x.copy() for x in arrays]) == -1
    assert first_unlike([], []) == -1
    for wrong in (np.zeros((3, 2)), np.zeros(6), np.zeros((2, 3), np.float32)):
        assert first_unlike([arrays[1], wrong], [arrays[1], arrays[0]]) == 1
    assert first_unlike(arrays, arrays[:1]) == 1


def test_rows_of_samples() -> None:
    ptr = np.array([0, 3, 4, 4, 7])
    assert rows_of_samples(ptr, np.array([3, 0, 2, 3])).tolist() == [4, 5, 6, 0, 1, 2, 4, 5, 6]
    assert rows_of_samples(ptr, np.array([], np.int64)).dtype == np.int64
    for wrong in (4, -1):
        with pytest.raises(InputError, match=f"sample numbers from 0 to 3, got {wrong}"):
            rows_of_samples(ptr, np.array([0, wrong]))
    with pytest.raises(InputError, match="ascending offsets, got -2 rows of sample 0"):
        rows_of_samples(np.array([2, 0]), np.array([0]))


@pytest.mark.parametrize("size", [0, 1, 7, 20_000, 300_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_total(size: int, dtype: type) -> None:
    x = np.random.default_rng(0).normal(size=size).astype(dtype)
    np.testing.assert_allclose(total(x), x.sum(dtype=np.float64), rtol=1e-7, atol=1e-10)
    assert np.dtype(dtype).type(total(x)) == total(x)


def test_totals_overflow_silently() -> None:
    assert total(np.full(4, 3e38, np.float32)) == np.inf
    assert np.isnan(total(np.array([np.inf, -np.inf])))
