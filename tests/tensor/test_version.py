"""Versions of parameters: another one after every write, none while others may write unseen."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parameter_versions import GRAPHS, WORDS, Words, parameter, version

import cavs
from cavs import ops
from cavs.tensor import Parameter, Tensor, no_grad

# ---- Arrays that were given out

HOLDS: dict[str, Callable[[Parameter], Any]] = {
    "data": lambda p: p.data,
    "a view": lambda p: p.data[1:],
    "a view of a view": lambda p: p.data[1:][::-1],
    "another shape": lambda p: p.data.reshape(3, 1).T,
    "other elements": lambda p: p.data.view(np.uint8),
    "a subclass": lambda p: p.data.view(np.recarray),
    "a view by a subclass": lambda p: p.data.view(np.recarray)[1:].view(np.ndarray),
    "masked": lambda p: np.ma.asarray(p.data),
    "strided": lambda p: np.lib.stride_tricks.as_strided(p.data, (2,), (4,)),
    "broadcast": lambda p: np.broadcast_to(p.data, (2, 3)),
    "an element": lambda p: p.data[1:2].reshape(()),
    "memoryview": lambda p: memoryview(p.data),
    "a cast memoryview": lambda p: memoryview(p.data).cast("B")[4:],
    "bytes of a buffer": lambda p: np.frombuffer(p.data, np.uint8),
    "a ctypes array": lambda p: (ctypes.c_float * 3).from_buffer(p.data),
    "ctypes": lambda p: p.data.ctypes,
    "flat": lambda p: p.data.flat,
    "nditer": lambda p: np.nditer(p.data, op_flags=[["readwrite"]]),
    "DLPack": lambda p: p.data.__dlpack__(),
    "an array by DLPack": lambda p: np.from_dlpack(p.data),
    "DLPack of the parameter": lambda p: np.from_dlpack(p),
    "numpy()": lambda p: p.numpy(),
    "asarray": lambda p: np.asarray(p)[1:],
    "a tensor": lambda p: cavs.tensor(p),
    "a tensor of data": lambda p: cavs.tensor(p.data),
    "detach": lambda p: p.detach(),
    "data of detach": lambda p: p.detach().data[1:],
    "reshape": lambda p: p.reshape(3, 1),
    "data of reshape": lambda p: p.reshape(3, 1).data,
    "a slice": lambda p: p[1:],
    "identity": lambda p: ops.stop_gradient(p),
    "a parameter": lambda p: Parameter(p),
    "a parameter of data": lambda p: Parameter(p.data),
    "a shallow copy": lambda p: __import__("copy").copy(p),
    "a closure": lambda p: p.data.fill,
    "a cycle": lambda p: cycle(p.data[1:]),
}


def cycle(array: np.ndarray) -> Any:
    held: list[Any] = [array]
    held.append(held)
    return held


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS)
def test_no_version_while_somebody_may_write(hold: Callable[[Parameter], Any]) -> None:
    p = parameter()
    with no_grad():
        before = version(p)
        held = hold(p)
        assert version(p) == -1
        assert version(p) == -1
        del held
        gc.collect()
        after = version(p)
        assert after not in (before, -1)
        assert version(p) == after


def test_no_version_while_pytorch_may_write() -> None:
    torch = pytest.importorskip("torch")
    for hold in (
        lambda p: torch.from_numpy(p.data),
        lambda p: torch.from_numpy(p.data)[1:].view(2, 1),
        lambda p: torch.from_dlpack(p),
        lambda p: torch.from_dlpack(p.data).numpy(),
        lambda p: torch.as_tensor(p.data).detach(),
    ):
        p = parameter()
        before = version(p)
        held = hold(p)
        held += 1
        assert version(p) == -1
        del held
        assert version(p) not in (before, -1)
        assert p.read()[0].max() == 4


def test_data_is_one_array_as_long_as_it_is_held() -> None:
    p = parameter()
    held = p.data
    assert p.data is held
    assert p.numpy() is held
    part = held[1:]
    del held
    assert np.shares_memory(p.data, part)
    assert p.data is p.data


def test_what_holders_do_to_their_array_is_no_change_of_the_parameter() -> None:
    p = parameter()
    held = p.data
    held.shape = (3, 1)
    assert p.shape == p.data.shape == (3,)
    assert version(p) == -1
    held[0] = 7
    assert p.data[0] == 7
    del held
    assert version(p) >= 0
    held = p.data
    held.dtype = np.int32  # type: ignore[misc]
    assert p.dtype == p.data.dtype == np.float32


def test_each_holder_counts_where_the_array_changed_its_shape() -> None:
    p = parameter()
    first = p.data
    first.shape = (3, 1)
    second = p.data
    del second
    assert version(p) == -1
    second = p.data
    del first
    assert version(p) == -1
    del second
    assert version(p) >= 0


def test_another_version_each_time_data_is_asked_for() -> None:
    p = parameter()
    held = p.data
    numbers = [p.version]
    for _ in range(3):
        assert p.data is held
        numbers.append(p.version)
    del held
    numbers.append(p.version)
    assert numbers == sorted(set(numbers))


def test_data_in_place_leaves_a_version() -> None:
    p = parameter()
    before = version(p)
    p.data += 1
    p.data *= 2
    p.data[...] -= 1
    p.data -= np.float32(1)
    assert version(p) not in (before, -1)
    np.testing.assert_array_equal(p.read()[0], [2, 4, 6])


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 0), (2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_shape(shape: tuple[int, ...], dtype: str) -> None:
    p = Parameter(np.zeros(shape, dtype))
    before = version(p)
    assert before >= 0
    held = p.data
    assert (held.shape, held.dtype) == (shape, np.dtype(dtype))
    assert held.flags.c_contiguous
    assert held.flags.writeable
    assert held.flags.aligned
    assert version(p) == -1
    del held
    assert version(p) not in (before, -1)


# ---- Arrays that a parameter was given

GIVEN: dict[str, Callable[[np.ndarray], Any]] = {
    "itself": lambda a: a,
    "a view": lambda a: a[1:],
    "memoryview": lambda a: memoryview(a),
    "an iterator": lambda a: a.flat,
    "a tensor": lambda a: cavs.tensor(a),
    "a cycle": lambda a: cycle(a),
}


@pytest.mark.parametrize("way", ["constructor", "data"])
@pytest.mark.parametrize("hold", GIVEN.values(), ids=GIVEN)
def test_what_was_given_may_be_written_by_its_giver(
    hold: Callable[[np.ndarray], Any], way: str
) -> None:
    array = np.ones(3, np.float32)
    held = hold(array)
    if way == "data":
        p = parameter()
        p.data = array
    else:
        p = Parameter(array)
    before = p.version
    assert np.shares_memory(p.data, array)
    del array
    assert version(p) == -1
    del held
    gc.collect()
    assert version(p) not in (before, -1)


def test_memory_of_others_has_no_version() -> None:
    for array in (
        np.zeros(6, np.float32).reshape(2, 3),
        np.frombuffer(bytearray(8), np.float32),
        np.zeros(4, np.float32).view(np.recarray).view(np.ndarray)[:2],
    ):
        p = Parameter(array)
        del array
        assert version(p) == -1
        p.data = p.data.copy()
        assert version(p) >= 0


# ---- Never missed


@settings(max_examples=30)
@given(st.lists(st.integers(0, 11), min_size=1, max_size=25), st.integers(0, 2**31))
def test_inference_sees_every_write(steps: list[int], seed: int) -> None:
    """Whatever is held, written, let go and put in place: a call that keeps results by id and
    packed weights gives what one without any memory does."""
    random = np.random.default_rng(seed)
    function = Words()
    m = cavs.compile(function).eval()
    plain = cavs.compile(function, passes=(), executor="reference").eval()
    parameters = m.parameters()
    held: list[Any] = []
    with no_grad():
        for step in steps:
            p = parameters[random.integers(len(parameters))]
            values = random.normal(size=p.shape).astype(np.float32)
            if step == 0:
                held.append(p.data[1:])
            elif step == 1:
                held.append(p.reshape(-1))
            elif step == 2 and held:
                got = held[random.integers(len(held))]
                (got.data if isinstance(got, Tensor) else got)[...] += 1
            elif step == 3 and held:
                held.pop(random.integers(len(held)))
            elif step == 4:
                with p.writing() as array:
                    array[...] = values
            elif step == 5:
                p.data = values
            elif step == 6:
                p.data = values
                held.append(values)
            elif step == 7:
                p.data += values
            elif step == 8:
                p.data[0] = 3
            elif step == 9:
                m.load_state_dict(m.state_dict())
            elif step == 10:
                memoryview(p.data).cast("B").cast("f")[0] = 5.0
            expected = plain(GRAPHS, word=WORDS)["y"].data
            for _ in range(2):
                y = m(GRAPHS, word=WORDS)["y"].data
                np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-4)
            held = [x.data if isinstance(x, Tensor) and step % 3 == 0 else x for x in held]


def test_what_one_thread_holds_another_does_not_know() -> None:
    p = parameter()
    held, known, over = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        array = p.data
        held.set()
        known.wait(60)
        array[0] = 9
        del array
        over.set()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    assert version(p) == -1
    known.set()
    over.wait(60)
    thread.join()
    assert version(p) >= 0
    assert p.read()[0][0] == 9


def test_threads_that_hold_and_let_go_leave_a_version() -> None:
    p = parameter()

    def work() -> None:
        for _ in range(2000):
            p.data[0] += 1
            assert p.read()[1] >= -1
            with p.writing():
                pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = version(p)
    assert last >= 0
    assert version(p) == last


# ---- Gradients


def test_memory_of_gradients_is_not_used_while_somebody_has_it() -> None:
    holds: dict[str, Callable[[Any], Any]] = {
        "itself": lambda g: g,
        "a view": lambda g: g[1:],
        "memoryview": memoryview,
        "DLPack": np.from_dlpack,
        "a tensor": cavs.tensor,
    }
    p = parameter()
    for hold in holds.values():
        p.accumulate_grad(np.ones(3, np.float32))
        assert isinstance(p.grad, np.ndarray)
        address = p.grad.ctypes.data
        held = hold(p.grad)
        p.zero_grad()
        other = p.take_grad_buffer()
        assert other.ctypes.data != address
        other[...] = 7
        np.testing.assert_array_equal(np.asarray(held), np.ones(3)[-len(np.asarray(held)) :])
        del held, other


def test_gradients_of_other_values_are_in_other_memory() -> None:
    p = parameter()
    p.take_grad_buffer()
    p.data = np.ones(p.shape)
    buffer = p.take_grad_buffer()
    assert (buffer.shape, buffer.dtype) == (p.shape, np.float64)


def test_nothing_rests_on_counts_of_references() -> None:
    """Without the interpreter's lock they say little."""
    for path in Path(cavs.__file__).parent.rglob("*.py"):
        assert "getrefcount" not in path.read_text(encoding="utf-8"), path
