"""Denormal numbers: zero in native calls in float32 by default, kept in float64 and on request.
Of single threads and helpers see tests/csrc/test_denormals.cpp."""

from typing import Any

import kernel_calls as kc
import numpy as np
import pytest
from denormal_numbers import (
    DTYPES,
    FACTORS,
    GROWTH,
    NEEDS_FLUSHING,
    TINY,
    Layers,
    by_rows,
    check,
    dense,
    kept_by_graph,
    numpy_keeps_denormals,
    scalar,
)

import cavs
from cavs import ops
from cavs._native import core
from cavs.core.attributes import MatmulAttributes
from cavs.errors import InputError

pytestmark = NEEDS_FLUSHING


def test_setting() -> None:
    assert cavs.get_flush_denormals() is True
    cavs.set_flush_denormals(False)
    assert cavs.get_flush_denormals() is False
    cavs.set_flush_denormals(True)
    for wrong in (1, None, "on"):
        with pytest.raises(InputError, match=r"\[denormals\] expected True or False, got"):
            cavs.set_flush_denormals(wrong)  # type: ignore[arg-type]
    assert cavs.get_flush_denormals() is True


# --- Programs -------------------------------------------------------------------------------------


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
