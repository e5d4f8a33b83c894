"""The caller's own mode comes back after native calls, and is no other thread's."""

import ctypes
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import kernel_calls as kc
import numpy as np
import pytest
from denormal_numbers import (
    DTYPES,
    GROWTH,
    NEEDS_FLUSHING,
    TINY,
    Layers,
    by_rows,
    check,
    dense,
    kept_by_graph,
    numpy_keeps_denormals,
)

from cavs._native import core
from cavs.errors import InputError

pytestmark = NEEDS_FLUSHING
Control = Callable[..., int]
# Where C's floating-point environment holds the control register, and the bits of it.
_PLACES = {"x86_64": (28, {"both": 0x8040, "results": 0x8000, "operands": 0x0040})}
_PLACES["aarch64"] = (0, {"both": 1 << 24})


@pytest.fixture
def control() -> Iterator[Control]:
    """Reads the bits of this thread's register, and sets them where it is given some."""
    if sys.platform != "linux" or platform.machine() not in _PLACES:
        pytest.skip("where the register stands is known of Linux on x86-64 and arm64")
    library, (place, names) = ctypes.CDLL("libm.so.6"), _PLACES[platform.machine()]
    mask = names["both"]

    def call(bits: int | None = None) -> int:
        environment = ctypes.create_string_buffer(64)
        assert library.fegetenv(environment) == 0
        word = int.from_bytes(environment[place : place + 4], "little")
        if bits is not None:
            environment[place : place + 4] = (word & ~mask | bits).to_bytes(4, "little")
            assert library.fesetenv(environment) == 0
        return word & mask

    yield call
    call(0)


def one_of_each_kind(dtype: str) -> list[np.ndarray]:
    """What native calls make of a denormal number that they multiply by 1 or subtract zero from."""
    x, y = (np.full(100_000, TINY[dtype], dtype) for _ in range(2))
    core.scale_(x, 1.0)
    rows = y.reshape(1000, 100)
    kc.call("dropout", dtype, [rows], [rows], **kept_by_graph(1000))
    return [*dense("sgd", dtype, 100_000), *by_rows("adam", dtype, 100_000), x, y]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", ["none", "both", "results", "operands"])
def test_callers_mode_comes_back_and_does_not_matter(
    control: Control, dtype: str, bits: str, flush: bool, threads: int
) -> None:
    names = {"none": 0, **_PLACES[platform.machine()][1]}
    if bits not in names:
        pytest.skip("one bit stands for both here")
    layers = Layers(dtype, 32, 40)
    control(names[bits])
    try:
        values = one_of_each_kind(dtype)
        assert control() == names[bits]
        outputs, pulled = layers(TINY[dtype], TINY[dtype])
        assert control() == names[bits]
        outputs["grown"].sum().backward()
        assert control() == names[bits]
    finally:
        control(0)
    for value in values:
        check(value, TINY[dtype], flush)
    check(outputs["grown"].data, TINY[dtype] * GROWTH, flush)
    check(pulled.grad, GROWTH, False)


def test_callers_mode_comes_back_after_errors(control: Control, threads: int) -> None:
    x, y = np.ones((3, 20), np.float32), np.ones((3, 20), np.float32)
    unknown = kc.Registers(20, 1, [("cube root", 0, 0)], [0])
    with pytest.raises(InputError, match="cube root"):
        kc.call("fused", "float", [x], [y], attributes=unknown)
    assert control() == 0
    layers = Layers("float32", 32, 40)
    executor: Any = layers.model._executor
    native = core.Run(
        executor.load(executor.compiler.inference()),
        layers.graphs.schedule(executor.policy),
        layers.graphs.keys,
        0,
        0,
        True,
        False,
    )
    with pytest.raises(Exception, match="elements"):
        native.forward([layers.weight.data], [np.ones((5, 32), np.float32)])
    assert control() == 0
    assert numpy_keeps_denormals()


# --- Side by side ---------------------------------------------------------------------------------


def test_both_dtypes_in_turn_with_the_same_helpers(threads: int) -> None:
    values = {dtype: np.full(200_000, TINY[dtype], dtype) for dtype in DTYPES}
    for _ in range(20):
        for dtype, x in values.items():
            grown = x.copy()
            core.scale_(grown, GROWTH)
            check(grown, TINY[dtype] * GROWTH, True)


def test_other_threads_have_their_own_mode(threads: int) -> None:
    layers = {dtype: Layers(dtype, 32, 60) for dtype in DTYPES}
    done = threading.Event()
    wrong: list[str] = []

    def work() -> None:
        while not done.is_set():
            outputs, _ = layers["float32"](TINY["float32"], 1.0)
            if outputs["grown"].data.any() or not numpy_keeps_denormals():
                wrong.append("float32")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(40):
            outputs, _ = layers["float64"](TINY["float64"], 1.0)
            check(outputs["grown"].data, TINY["float64"] * GROWTH, True)
            assert numpy_keeps_denormals()
    finally:
        done.set()
        thread.join()
    assert not wrong
