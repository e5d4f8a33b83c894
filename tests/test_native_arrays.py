"""The door of arrays into native code: one for runs, optimisers and steps, for NumPy and DLPack."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs._native import core
from cavs.errors import InputError, ShapeError


class Foreign:
    """An array that has nothing of NumPy's but DLPack."""

    def __init__(self, array: np.ndarray, device: Any = None) -> None:
        self.array = array
        self.device = device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.device or self.array.__dlpack_device__()


class Unversioned(Foreign):
    """As of libraries from before DLPack 1.0."""

    def __dlpack__(self, stream: Any = None) -> Any:  # type: ignore[override]
        return self.array.__dlpack__()


class Broken(Foreign):
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("it is busy")


class Wrong(Foreign):
    def __dlpack__(self, **options: Any) -> Any:
        return 3


def floats(*shape: int) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)


def frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def shifted() -> np.ndarray:
    return np.zeros(4 * 4 + 1, np.uint8)[1:].view(np.float32)


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "a list": (lambda: [1.0] * 4, "a NumPy array{}, got list"),
    "None": (lambda: None, "a NumPy array{}, got NoneType"),
    "float16": (lambda: floats(4).astype(np.float16), "float32, float64 or int32{}, got float16"),
    "int64": (lambda: floats(4).astype(np.int64), "float32, float64 or int32{}, got int64"),
    "complex64": (lambda: floats(4).astype(np.complex64), "float32, float64 or int32{}, got compl"),
    "foreign order": (lambda: floats(4).astype(">f4"), "float32, float64 or int32{}, got >f4"),
    "gaps": (lambda: floats(8)[::2], "a C-contiguous, aligned array{}, got one with gaps"),
    "columns": (lambda: floats(2, 2).T, "a C-contiguous, aligned array{}, got one"),
    "backwards": (lambda: floats(4)[::-1], "a C-contiguous, aligned array{}, got one"),
    "broadcast": (lambda: np.broadcast_to(np.float32(1), 4), "a C-contiguous, aligned array{}"),
    "an odd address": (shifted, "a C-contiguous, aligned array{}, got one"),
    "read-only": (lambda: frozen(floats(4)), "a writable array{}, got a read-only one"),
    "DLPack with gaps": (lambda: Foreign(floats(8)[::2]), "a C-contiguous, aligned array{}"),
    "DLPack's columns": (lambda: Foreign(floats(2, 2).T), "a C-contiguous, aligned array{}"),
    "DLPack's int64": (
        lambda: Foreign(np.zeros(4, np.int64)),
        "float32, float64 or int32{}, got int64",
    ),
    "DLPack's bool": (
        lambda: Foreign(np.zeros(4, bool)),
        "float32, float64 or int32{}, got type 6",
    ),
    "DLPack, read-only": (
        lambda: Foreign(frozen(floats(4))),
        "a writable array{}, got a read-only",
    ),
    "another device": (
        lambda: Foreign(floats(4), (2, 1)),
        r"an array in this machine's memory{}, got Foreign on device 2:1",
    ),
    "no device": (lambda: Foreign(floats(4), "here"), "an array that can be read{}, got Foreign"),
    "an error": (
        lambda: Broken(floats(4)),
        r"an array that can be read{}, got Broken .it is busy.;",
    ),
    "no capsule": (lambda: Wrong(floats(4)), "an array that can be read{}, got Wrong"),
}


def optimizer(array: Any) -> None:
    core.update(core.SgdSettings(0.1), [array], [floats(4)])


def program() -> Any:
    model: Any = cavs.compile(Double())
    return model._executor.load(model._compiler.inference())


class Double(cavs.VertexFunction):
    """y = x + x."""

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 4)
        v.push(y=x + x)


GRAPHS = cavs.batch([cavs.InputGraph([[]])])


def run(x: Any, y: Any = None) -> Any:
    native = core.Run(program(), GRAPHS.schedule("batching"), GRAPHS.keys, 0, 0, False, False)
    return native.forward([], [x], [y])[0]


@pytest.mark.parametrize("case", BAD)
def test_optimisers_refuse(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(InputError, match=r"^\[optim\] param: expected " + message.format("")):
        optimizer(make())


@pytest.mark.parametrize("case", BAD)
def test_runs_refuse(case: str) -> None:
    make, message = BAD[case]
    value = make()
    if value is None:
        return  # an output to be made
    with pytest.raises(
        ShapeError, match=r"^\[runtime\] expected " + message.format(" as output 0")
    ):
        run(floats(1, 4), value)
    if "read-only" not in case:
        with pytest.raises(
            ShapeError, match=r"^\[runtime\] expected " + message.format(" as input 0")
        ):
            run(value)


@pytest.mark.parametrize("kind", [Foreign, Unversioned])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_by_dlpack(kind: Callable[[np.ndarray], Any], dtype: str) -> None:
    param, grad = floats(3, 4).astype(dtype), floats(3, 4).astype(dtype)
    core.update(core.SgdSettings(0.5), [kind(param)], [kind(grad)])
    np.testing.assert_array_equal(param, floats(3, 4) / 2)
    assert core.sum(kind(param)) == param.sum()
    core.scale_(kind(param[1]), 2.0)  # with an offset
    np.testing.assert_array_equal(param[1], floats(3, 4)[1])
    with pytest.raises(InputError, match="grad: expected memory of its own"):
        core.update(core.SgdSettings(0.5), [kind(param)], [kind(param)])
    empty = kind(np.zeros((0, 3), dtype))
    core.update(core.SgdSettings(0.5), [empty], [empty])
    scalar = np.ones((), dtype)
    core.scale_(kind(scalar), 2.0)
    assert scalar == 2


@pytest.mark.parametrize("kind", [Foreign, Unversioned])
def test_runs_over_dlpack(kind: Callable[[np.ndarray], Any]) -> None:
    x, y = floats(1, 4), np.zeros((1, 4), np.float32)
    given = kind(y)
    assert run(kind(x), given) is given
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(run(kind(x)), 2 * x)


def test_tensors_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    param, grad = torch.ones(2, 3), torch.full((2, 3), 2.0)
    core.update(core.SgdSettings(0.25), [param], [grad])
    assert param.tolist() == [[0.5] * 3] * 2
    with pytest.raises(InputError, match="param: expected a C-contiguous"):
        core.update(core.SgdSettings(0.25), [param.T], [grad])
    with pytest.raises(InputError, match="param: expected an array that can be read, got Tensor"):
        core.update(core.SgdSettings(0.25), [torch.ones(2, 3, requires_grad=True)], [grad])
    x = torch.arange(4.0).reshape(1, 4)
    np.testing.assert_array_equal(run(x), 2 * x.numpy())


def test_memory_that_dlpack_lends_is_given_back() -> None:
    array = floats(4)
    gone = weakref.ref(array)
    given = Foreign(array)
    core.scale_(given, 2.0)
    with pytest.raises(ShapeError, match="grad: expected 4 elements"):
        core.update(core.SgdSettings(0.1), [given], [floats(5)])
    del array, given
    gc.collect()
    assert gone() is None


def test_memory_that_dlpack_made_lives_as_long_as_the_run() -> None:
    """An export may be a copy, which nobody else holds."""

    class Copies(Foreign):
        def __dlpack__(self, **options: Any) -> Any:
            return self.array.copy().__dlpack__(**options)

    x = floats(4096, 4)
    graphs = cavs.batch([cavs.InputGraph([[]])] * len(x))
    for _ in range(20):
        native = core.Run(program(), graphs.schedule("batching"), graphs.keys, 0, 0, False, False)
        np.testing.assert_array_equal(native.forward([], [Copies(x)])[0], 2 * x)


def test_errors_of_signals_pass() -> None:
    class Interrupted(Foreign):
        def __dlpack__(self, **options: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        optimizer(Interrupted(floats(4)))
