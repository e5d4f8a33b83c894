"""Denormal numbers: zero in native calls in float32 by default, kept in float64 and on request. The
caller's own mode comes back. Of single threads and helpers see tests/csrc/test_denormals.cpp."""

import ctypes
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import kernel_calls as kc
import numpy as np
import pytest

import cavs
from cavs import ops
from cavs._native import core
from cavs.core.attributes import DropoutAttributes, MatmulAttributes
from cavs.errors import InputError

pytestmark = pytest.mark.skipif(
    not core.can_flush_denormals(), reason="this processor cannot take denormals for zero"
)
DTYPES = ["float32", "float64"]
# A denormal number, normal ones whose product is denormal, and what makes a denormal normal again.
# Of their own dtypes: where the caller flushes, NumPy's conversion would make a zero of the first.
TINY: dict[str, Any] = {"float32": np.float32(1e-39), "float64": np.float64(1e-310)}
FACTORS = {"float32": (1e-25, 1e-15), "float64": (1e-180, 1e-131)}
GROWTH = 1e10
Control = Callable[..., int]


@pytest.fixture(params=[True, False], ids=["flush", "keep"])
def flush(request: pytest.FixtureRequest) -> Iterator[bool]:
    assert cavs.get_flush_denormals()
    cavs.set_flush_denormals(request.param)
    yield request.param
    cavs.set_flush_denormals(True)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = cavs.get_num_threads()
    cavs.set_num_threads(request.param)
    yield request.param
    cavs.set_num_threads(before)


def numpy_keeps_denormals() -> bool:
    x = np.full(64, TINY["float32"], np.float32)
    return bool((x * np.float32(GROWTH)).all() and (np.float32(1.2e-38) * np.float32(0.5)) != 0)


@pytest.fixture(autouse=True)
def _caller_keeps_denormals() -> Iterator[None]:
    assert numpy_keeps_denormals()
    yield
    assert numpy_keeps_denormals()


def check(got: np.ndarray, kept: Any, flush: bool) -> None:
    """All of `got` is `kept`, or zero where the dtype and the setting say so."""
    assert got.size
    if got.dtype == np.float32 and flush:
        assert not got.any()
    else:
        np.testing.assert_allclose(got, kept, rtol=1e-3)


def test_setting() -> None:
    assert cavs.get_flush_denormals() is True
    cavs.set_flush_denormals(False)
    assert cavs.get_flush_denormals() is False
    cavs.set_flush_denormals(True)
    for wrong in (1, None, "on"):
        with pytest.raises(InputError, match=r"\[denormals\] expected True or False, got"):
            cavs.set_flush_denormals(wrong)  # type: ignore[arg-type]
    assert cavs.get_flush_denormals() is True


def scalar(dtype: str, value: float) -> Any:
    return np.dtype(dtype).type(value)


# --- Programs -------------------------------------------------------------------------------------


class Layer(cavs.VertexFunction):
    """A product, an elementwise group and a sum over children."""

    def __init__(self, width: int, dtype: str) -> None:
        self.width = width
        self.w = cavs.nn.Linear(width, width, bias=False, dtype=dtype)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", self.width)
        children = v.gather(h=self.width).h.sum()
        v.scatter(h=x)
        v.push(product=self.w(x), grown=x * GROWTH, children=children * GROWTH)


class Layers:
    """A model, graphs of an inner vertex with two leaves each, and its calls."""

    def __init__(self, dtype: str, width: int, count: int) -> None:
        self.dtype, self.width = dtype, width
        self.graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])] * count)
        self.model = cavs.compile(Layer(width, dtype), dtype=dtype)
        (self.weight,) = self.model.parameters()

    def __call__(self, x: float, weight: float) -> tuple[dict[str, Any], cavs.Tensor]:
        self.weight.data = np.full((self.width, self.width), weight, self.dtype)
        rows = self.graphs.num_vertices
        pulled = cavs.tensor(np.full((rows, self.width), x, self.dtype), requires_grad=True)
        return self.model(self.graphs, x=pulled), pulled


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("width", "count"), [(4, 1), (32, 1), (64, 700)])
def test_programs(dtype: str, width: int, count: int, flush: bool, threads: int) -> None:
    layers, tiny = Layers(dtype, width, count), TINY[dtype]
    rows = layers.graphs.num_vertices
    outputs, _ = layers(GROWTH, tiny)
    check(outputs["product"].data, width * tiny * GROWTH, flush)
    outputs, _ = layers(*FACTORS[dtype])
    check(outputs["product"].data, width * FACTORS[dtype][0] * FACTORS[dtype][1], flush)
    outputs, pulled = layers(tiny, tiny)
    check(outputs["grown"].data, tiny * GROWTH, flush)
    inner = np.arange(rows) % 3 == 2
    check(outputs["children"].data[inner], 2 * tiny * GROWTH, flush)
    assert not outputs["children"].data[~inner].any()
    (outputs["product"] * GROWTH).sum().backward()
    check(layers.weight.grad, rows * tiny * GROWTH, flush)
    check(pulled.grad, width * tiny * GROWTH, flush)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inference_forgets_what_it_computed_otherwise(dtype: str) -> None:
    class Words(cavs.VertexFunction):
        def __init__(self) -> None:
            self.embedding = cavs.nn.Embedding(5, 8, dtype=dtype)

        def forward(self, v: cavs.Vertex) -> None:
            word = v.pull("word", dtype="int32")
            v.push(y=self.embedding(word) * ops.exp(self.embedding(word)) * GROWTH)

    model = cavs.compile(Words(), dtype=dtype)
    for parameter in model.parameters():
        parameter.data = np.full(parameter.shape, TINY[dtype], dtype)
    graphs = cavs.batch([cavs.InputGraph([[], []])])
    for setting in (True, False, True):
        cavs.set_flush_denormals(setting)
        with cavs.no_grad():
            y = model(graphs, word=np.array([1, 4], np.int32))["y"].data
        check(y, TINY[dtype] * GROWTH, setting)


# --- Optimisers and tensors -----------------------------------------------------------------------


def dense(name: str, dtype: str, size: int) -> list[np.ndarray]:
    """Updates a denormal parameter, and optimiser's states, by a gradient of zeros."""
    param, grad, first, second = (np.full(size, v, dtype) for v in (TINY[dtype], 0, 0, 0))
    if name == "sgd":
        core.update(core.SgdSettings(0.1), [param], [grad])
    elif name == "momentum":
        core.update(core.SgdSettings(0.1, 0.9, 1e-4), [param], [grad], [[first]])
    elif name == "adagrad":
        core.update(core.AdagradSettings(0.1), [param], [grad], [[first]])
    else:
        core.update(core.AdamSettings(0.1), [param], [grad], [[first], [second]], [1])
    return [param]


def by_rows(name: str, dtype: str, size: int) -> list[np.ndarray]:
    """The same for each second row."""
    rows = size // 8
    param, first, second = (np.full((rows, 8), v, dtype) for v in (TINY[dtype], 0, 0))
    ids = np.arange(0, rows, 2, dtype=np.int32)
    grad = np.zeros((len(ids), 8), dtype)
    if name == "sgd":
        core.update_rows(core.SgdSettings(0.1), param, ids, grad)
    elif name == "adagrad":
        core.update_rows(core.AdagradSettings(0.1), param, ids, grad, [first])
    else:
        core.update_rows(core.AdamSettings(0.1), param, ids, grad, [first, second])
    assert (param[1::2] == TINY[dtype]).all()
    return [param[::2]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [24, 100_000])
@pytest.mark.parametrize(
    ("update", "name"),
    [
        *((dense, name) for name in ("sgd", "momentum", "adagrad", "adam")),
        *((by_rows, name) for name in ("sgd", "adagrad", "adam")),
    ],
)
def test_optimisers(
    dtype: str, size: int, update: Any, name: str, flush: bool, threads: int
) -> None:
    for values in update(name, dtype, size):
        check(values, TINY[dtype], flush)


def test_optimisers_of_both_dtypes_in_one_call(flush: bool, threads: int) -> None:
    params = [np.full(50_000, TINY[dtype], dtype) for dtype in DTYPES * 2]
    core.update(core.SgdSettings(0.1), params, [np.zeros_like(p) for p in params])
    for param in params:
        check(param, TINY[str(param.dtype)], flush)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [24, 100_000])
def test_sums_norms_and_scales(dtype: str, size: int, flush: bool, threads: int) -> None:
    tiny, one = TINY[dtype], np.ones(size, dtype)
    small = np.full(size, tiny, dtype)
    total = cavs.tensor(small).sum().data * scalar(dtype, GROWTH)
    check(np.atleast_1d(total), size * tiny * GROWTH, flush)
    x = small.copy()
    core.scale_(x, GROWTH)
    check(x, tiny * GROWTH, flush)
    x = small.copy()
    core.add_(x, one, 0.0)
    check(x, tiny, flush)
    if dtype == "float32":  # squares are summed in double precision
        check(np.atleast_1d(np.float32(core.sum_squares(small) * 1e70)), size * 1e-8, flush)
        parameter = cavs.Parameter(np.ones(size, dtype))
        parameter.grad = small.copy()
        norm = cavs.optim.clip_grad_norm([parameter], 1.0)
        check(np.atleast_1d(np.float32(norm * 1e20)), np.sqrt(size) * tiny * 1e20, flush)


# --- Kernels --------------------------------------------------------------------------------------


def product(dtype: str, rows: int, width: int) -> np.ndarray:
    x, w = (np.full((rows, width), GROWTH, dtype), np.full(width * width, TINY[dtype], dtype))
    out = np.empty((rows, width), dtype)
    kc.load_blas()
    kc.call(
        "matmul", dtype, [x, w], [out], attributes=MatmulAttributes(False, True, 1, width, width)
    )
    return out / scalar(dtype, GROWTH * width)


def column_sums(dtype: str, rows: int, width: int) -> np.ndarray:
    x, out = np.full((rows, width), TINY[dtype], dtype), np.empty(width, dtype)
    kc.call("reduce_rows", dtype, [x], [out], rows=(0, rows))
    return out / scalar(dtype, rows)


def group(dtype: str, rows: int, width: int) -> np.ndarray:
    x, y = (np.full((rows, width), v, dtype) for v in (TINY[dtype], GROWTH))
    out = np.empty((rows, width), dtype)
    product = kc.Registers(width, 1, [("mul", 0, 0, 1)], [0])
    compiled = dtype == "float32" and width >= 16 and core.can_compile_groups()
    kc.call("fused", dtype, [x, y], [out], attributes=product, compile=compiled)
    return out / scalar(dtype, GROWTH)


def kept_by_graph(rows: int) -> dict[str, Any]:
    """What dropout is told that keeps all elements of a row per graph."""
    random = {"graph_key": np.arange(rows)}
    attributes = DropoutAttributes(1, 0.0)
    return {"attributes": attributes, "space": core.SpaceKind.GRAPH, "random": random}


def scaled_mask(dtype: str, rows: int, width: int) -> np.ndarray:
    x, out = (np.full((rows, width), v, dtype) for v in (TINY[dtype], 1))
    kc.call("dropout", dtype, [x], [out], **kept_by_graph(rows))
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [product, column_sums, group, scaled_mask])
@pytest.mark.parametrize(("rows", "width"), [(1, 3), (2, 40), (400, 128)])
def test_kernels(dtype: str, kernel: Any, rows: int, width: int, flush: bool) -> None:
    got = kernel(dtype, rows, width)
    assert numpy_keeps_denormals()
    check(got, TINY[dtype], flush)


def test_functions_of_denormals(flush: bool) -> None:
    """What else differs: logarithms of them and quotients by them are infinite."""

    class Functions(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 20)
            v.push(log=ops.log(x), inverse=1e-5 / x, root=ops.sqrt(x), power=ops.exp(x * 0 - 88.0))

    model = cavs.compile(Functions())
    x = np.full((1, 20), 1e-39, np.float32)
    y = model(cavs.batch([cavs.InputGraph([[]])]), x=x)
    expected = [-np.inf, np.inf, 0, 0] if flush else [np.log(1e-39), 1e34, 1e-39**0.5, np.exp(-88)]
    for name, value in zip(("log", "inverse", "root", "power"), expected, strict=True):
        np.testing.assert_allclose(y[name].data, value, rtol=1e-4)


# --- The caller's mode ----------------------------------------------------------------------------

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
