"""Arrays of a GPU, and the verbs of its device, against those of the CPU."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs.device import Device, cpu, device_of, find_device, host, is_array, is_on_host
from cavs.device.taking import as_array, host_array, moved

pytestmark = pytest.mark.gpu

SHAPES = [(), (0,), (3,), (2, 3), (3, 0, 2)]
DTYPES = ["float32", "float64", "int32"]


@pytest.fixture(scope="module")
def gpu() -> Any:
    return find_device("cuda")


class Foreign:
    """An array of another library, by its interface alone."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.__cuda_array_interface__ = array.__cuda_array_interface__


def test_a_gpu_has_all_verbs(gpu: Any) -> None:
    verbs = {name for name in vars(Device) if not name.startswith("_")}
    assert all(hasattr(gpu, verb) for verb in verbs | set(Device.__annotations__))
    assert gpu is find_device("cuda:0")
    assert gpu.name == "cuda:0"
    assert pickle.loads(pickle.dumps(gpu)) is gpu


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_new_arrays(gpu: Any, shape: tuple[int, ...], dtype: str) -> None:
    for array in (gpu.empty(shape, dtype), gpu.zeros(shape, dtype), gpu.full(shape, 7, dtype)):
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert gpu.owns(array)
        assert device_of(array) is gpu
        assert is_array(array)
        assert not is_on_host(array)
    assert not gpu.to_host(gpu.zeros(shape, dtype)).any()
    assert (gpu.to_host(gpu.full(shape, 7, dtype)) == 7).all()


def test_copies_and_layouts(gpu: Any) -> None:
    values = np.arange(6.0).reshape(2, 3)
    array = gpu.asarray(values)
    assert gpu.contiguous(array) is array
    for part, of_host in (
        (array.T, values.T),
        (array[:, ::2], values[:, ::2]),
        (array[1], values[1]),
    ):
        assert not gpu.owns(part)
        assert gpu.shares_memory(part, array)
        for found in (gpu.copy(part), gpu.contiguous(part.T).T):
            np.testing.assert_array_equal(gpu.to_host(found), of_host)
        assert not gpu.shares_memory(gpu.copy(part), array)
    assert gpu.asarray(array) is array
    assert gpu.asarray(range(3), "int32").get().tolist() == [0, 1, 2]
    assert moved(array, gpu) is array
    assert type(moved(array, host)) is np.ndarray
    assert type(host_array(array, "test")) is np.ndarray
    for again in (copy.deepcopy(array), pickle.loads(pickle.dumps(array))):
        assert device_of(again) is gpu
        np.testing.assert_array_equal(gpu.to_host(again), values)


def test_arrays_refuse_arrays_of_the_host(gpu: Any) -> None:
    array, values = gpu.asarray(np.arange(3.0)), np.ones(3)
    assert gpu.to_host(array + 1 * np.float64(2)).tolist() == [2, 3, 4]
    with pytest.raises(TypeError):
        array + values
    with pytest.raises(TypeError):
        values + array
    with pytest.raises(TypeError):
        array += values
    with pytest.raises(TypeError):
        array.__array__()
    with pytest.raises(TypeError, match="initial"):
        array.max(initial=0.0)
    with pytest.raises(AttributeError):
        array.setflags(write=False)
    assert not hasattr(array.flags, "writeable")


def test_elements_stay_on_the_device(gpu: Any) -> None:
    array = gpu.asarray(np.arange(6.0).reshape(2, 3))
    for part in (array[0], array[0, 1], array[..., None], array.sum(), array.max(axis=1), -array):
        assert device_of(part) is gpu
    assert array[1, 2].item() == 5
    assert float(array.sum()) == 15
    array[0] = 7
    array[:, 1] = array[:, 2] * 2
    assert gpu.to_host(array).tolist() == [[7, 14, 7], [3, 10, 5]]
    rows = array[gpu.asarray(np.array([1, 0, 1]))]
    assert rows.shape == (3, 3)
    assert rows.base is None
    assert array[array > 6].get().tolist() == [7, 14, 7, 10]
    with pytest.raises(TypeError):
        iter(array.sum())


def test_memory_that_is_lent(gpu: Any) -> None:
    array = gpu.asarray(np.arange(6.0))
    lent, loan = gpu.lend(array)
    assert loan() is lent
    assert gpu.owner(lent) is array
    lent[0] = 5
    assert array[0].item() == 5
    view = lent[2:]
    assert gpu.owner(view) is array
    del lent
    again = loan()
    assert again is not None
    assert again.shape == (6,)
    del again, view
    assert loan() is None


def test_values_of_others_are_taken(gpu: Any) -> None:
    array = gpu.asarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))
    for value in (array, Foreign(array)):
        found = as_array(value)
        assert device_of(found) is gpu
        found[0, 0] += 1  # the same memory
    assert array[0, 0].item() == 2
    part = as_array(Foreign(array[:, 1:]))
    np.testing.assert_array_equal(gpu.to_host(part), gpu.to_host(array)[:, 1:])
    assert as_array(gpu.asarray(np.arange(3))).dtype == np.int32
    assert as_array(gpu.asarray(np.ones(3, bool))).dtype == np.float32
    with pytest.raises(cavs.InputError, match="fit int32"):
        as_array(gpu.asarray(np.array([2**40])))

    class Broken:
        __cuda_array_interface__ = {"shape": "wrong"}  # noqa: RUF012

    with pytest.raises(cavs.InputError, match=r"^\[tensor\] expected an array of a GPU"):
        as_array(Broken())


def test_bits(gpu: Any) -> None:
    values = np.array([0.0, np.nan, 1.0])
    a = gpu.asarray(values)
    assert gpu.same_bits(a, gpu.asarray(values.copy()))
    for other in (np.array([-0.0, np.nan, 1.0]), values.astype(np.float32), values[:2]):
        assert not gpu.same_bits(a, gpu.asarray(other))
    assert gpu.same_bits(a[::2], gpu.asarray(values[::2].copy()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_and_magnitudes(gpu: Any, dtype: str) -> None:
    array = np.random.default_rng(0).normal(size=(70, 3)).astype(dtype)
    there = gpu.asarray(array)
    for part, of_host in ((there, array), (there.T, array.T), (there[:0], array[:0])):
        total = gpu.sum(part)
        assert (total.shape, total.dtype) == ((), np.dtype(dtype))
        expected = math.fsum(of_host.astype(np.float64).reshape(-1))
        np.testing.assert_allclose(gpu.to_host(total), expected, rtol=1e-6, atol=1e-7)
        assert gpu.max_abs([part]) == cpu.max_abs([of_host])
    assert math.isnan(gpu.max_abs([gpu.asarray(np.array([1.0, np.nan]))])[0])
    assert gpu.max_abs([]) == []
    ids = np.array([[0, 2], [-1, 3]], np.int32)
    for low, high in ((-1, 4), (0, 4), (-1, 2)):
        assert gpu.first_outside(gpu.asarray(ids), low, high) == cpu.first_outside(ids, low, high)
    assert gpu.first_outside(gpu.asarray(ids[:0]), 0, 1) == -1


@given(
    st.lists(st.integers(-6, 5), max_size=12),
    st.integers(1, 3),
    st.sampled_from(["float32", "float64", "int32"]),
)
def test_rows_are_added_in_order(ids: list[int], width: int, dtype: str) -> None:
    gpu = find_device("cuda")
    rows = (8 * np.random.default_rng(0).normal(size=(len(ids), width))).astype(dtype)
    index = np.array(ids, np.int32)
    there = gpu.asarray(index), gpu.asarray(rows)
    for verb, start in (("add_at", 0), ("max_at", -9)):
        expected, found = cpu.full((6, width), start, dtype), gpu.full((6, width), start, dtype)
        getattr(cpu, verb)(expected, index, rows)
        getattr(gpu, verb)(found, *there)
        np.testing.assert_array_equal(gpu.to_host(found), expected)
    if dtype == "int32" or min(ids, default=0) < 0:
        return
    distinct, sums = gpu.sum_by_id(*there)
    known, expected = cpu.sum_by_id(index, rows)
    assert gpu.to_host(distinct).tolist() == known.tolist()
    np.testing.assert_allclose(gpu.to_host(sums), expected, rtol=1e-6, atol=1e-6)
    merged = gpu.merge_rows(distinct, sums, distinct[:1], sums[:1])
    twice = cpu.merge_rows(known, gpu.to_host(sums), known[:1], gpu.to_host(sums)[:1])
    for a, b in zip(merged, twice, strict=True):
        np.testing.assert_array_equal(gpu.to_host(a), b)


@pytest.mark.parametrize(
    "index",
    [1, slice(0, 2), (slice(None), 1), (Ellipsis, None), np.array([True, False, True])],
)
def test_any_index_is_added_to(gpu: Any, index: Any) -> None:
    expected, found = np.zeros((3, 4)), gpu.zeros((3, 4), "float64")
    values = np.random.default_rng(1).normal(size=expected[index].shape)
    np.add.at(expected, index, values)
    there = gpu.asarray(index) if isinstance(index, np.ndarray) else index
    gpu.add_at(found, there, gpu.asarray(values))
    np.testing.assert_array_equal(gpu.to_host(found), expected)


def test_a_table_counts_all_its_rows(gpu: Any) -> None:
    table = gpu.table(7, (3,), np.dtype("float32"))
    assert not gpu.to_host(table).any()
    assert gpu.table_bytes(np.array([1, 2]), 12, 7) == 84
