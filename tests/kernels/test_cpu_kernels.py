"""Every native kernel but `fused` (test_cpu_fused.py) against NumPy."""

import kernel_calls as kc
import numpy as np
import pytest

from cavs._native import core
from cavs.core.attributes import (
    AxisAttributes,
    ColumnsAttributes,
    EmbeddingAttributes,
    FillAttributes,
    ShapeAttributes,
)

pytestmark = pytest.mark.parametrize("dtype", kc.DTYPES)


def draw(rng, dtype, *shape):
    return rng.normal(size=shape).astype(kc.DTYPES[dtype])


def check(dtype, got, expected):
    np.testing.assert_allclose(got, expected, **kc.TOLERANCES[dtype])


@pytest.fixture(params=list(kc.LAYOUTS))
def layout(request):
    return kc.LAYOUTS[request.param]


def new(dtype, layout, rows, size):
    return layout(np.full((rows, size), 99, kc.DTYPES[dtype]))


@pytest.mark.parametrize("size", [1, 5, 16, 150])
def test_take_copy_load_store(dtype, layout, size, rng):
    x = layout(draw(rng, dtype, 8, size))
    index = np.array([3, -1, 0, 7, 7, 2])
    gathered = np.where(index[:, None] < 0, 0, x[index])
    for name in ("take", "load"):
        out = new(dtype, layout, 6, size)
        kc.call(name, dtype, [x], [out], tables=[{"index": index}])
        check(dtype, out, gathered)
        identity = new(dtype, layout, 8, size)
        kc.call(name, dtype, [x], [identity])
        check(dtype, identity, x)
    order = rng.permutation(8)
    for table, expected in (({"index": order}, x[np.argsort(order)]), ({}, x)):
        out = new(dtype, layout, 8, size)
        kc.call("store", dtype, [x], [out], tables=[table])
        check(dtype, out, expected)
    out = new(dtype, layout, 8, size)
    kc.call("copy", dtype, [x], [out], rows=(2, 5))
    check(dtype, out[2:5], x[2:5])
    assert (out[:2] == 99).all()
    assert (out[5:] == 99).all()


def test_copy_columns(dtype, layout, rng):
    matrices = draw(rng, dtype, 6, 3 * 7)
    x = layout(matrices)
    for index in (None, np.array([4, -1, 0, 4])):
        out = new(dtype, layout, 4, 3 * 9)
        tables = [{} if index is None else {"index": index}]
        kc.call(
            "copy_columns",
            dtype,
            [x],
            [out],
            attributes=ColumnsAttributes(3, 4, 2, 7, 1, 9),
            tables=tables,
        )
        expected = np.full((4, 3, 9), 99, kc.DTYPES[dtype])
        rows = np.arange(4) if index is None else index
        expected[:, :, 1:5] = matrices.reshape(6, 3, 7)[rows, :, 2:6]
        expected[rows < 0, :, 1:5] = 0
        check(dtype, out, expected.reshape(4, -1))


def test_load_of_integers(dtype, rng):
    ids = rng.integers(0, 2**31 - 1, size=(20, 1), dtype=np.int32)
    order = rng.permutation(20)
    out = np.empty((20, 1), np.int32)
    kc.call("load", dtype, [ids], [out], tables=[{"index": order}])
    np.testing.assert_array_equal(out, ids[order])
    kc.call("unique_ids", dtype, [], [out], tables=[{"index": order}])
    np.testing.assert_array_equal(out[:, 0], order)


@pytest.mark.parametrize("size", [1, 7, 33])
def test_segments(dtype, layout, size, rng):
    x = layout(draw(rng, dtype, 12, size))
    ptr = np.array([0, 3, 3, 4, 9])
    for rows in (np.arange(9), rng.integers(0, 12, size=9)):
        table = {"ptr": ptr, "list": rows} if rows[1] != 1 or rows[0] != 0 else {"ptr": ptr}
        segments = [x[rows[ptr[r] : ptr[r + 1]]] for r in range(4)]
        out = new(dtype, layout, 4, size)
        kc.call("segment_sum", dtype, [x], [out], tables=[table])
        check(dtype, out, [part.sum(0) for part in segments])
        kc.call("segment_max", dtype, [x], [out], tables=[table])
        check(dtype, out, [part.max(0) if len(part) else np.zeros(size) for part in segments])
        kc.call("segment_logsumexp", dtype, [x], [out], tables=[table])
        totals = [
            np.logaddexp.reduce(part.astype(np.float64), initial=-np.inf) for part in segments
        ]
        check(dtype, out, totals)
    edges = layout(draw(rng, dtype, 9, size) * 5)
    parent = np.repeat(np.arange(4), np.diff(ptr))
    weights = new(dtype, layout, 9, size)
    kc.call("segment_softmax", dtype, [edges], [weights], tables=[{"index": parent}])
    for r in range(4):
        e = np.exp(edges[ptr[r] : ptr[r + 1]].astype(np.float64))
        check(dtype, weights[ptr[r] : ptr[r + 1]], e / e.sum(0))
    before = weights[:4].copy()
    some = {"tables": [{"index": parent}], "rows": (4, 9)}  # of whole vertices
    kc.call("segment_softmax", dtype, [edges * 0], [weights], **some)
    np.testing.assert_array_equal(weights[:4], before)
    check(dtype, weights[4:], np.full((5, size), 0.2))
    parts = rng.integers(0, 3, size=9)
    beside = draw(rng, dtype, 12, 3 * size)  # three values a row, of which the first is the operand
    table = {"ptr": ptr, "list": rows, "part": parts}
    out = new(dtype, layout, 4, size)
    kc.call("segment_sum", dtype, [beside[:, :size]], [out], tables=[table])
    chosen = beside.reshape(12, 3, size)[rows, parts]
    check(dtype, out, [chosen[ptr[r] : ptr[r + 1]].sum(0) for r in range(4)])
    count = new(dtype, layout, 4, 1)
    kc.call("num_children", dtype, [], [count], tables=[{"ptr": ptr}])
    check(dtype, count[:, 0], np.diff(ptr))


def test_slots_to_edges(dtype, layout, rng):
    x = [layout(draw(rng, dtype, 4, 6)) for _ in range(2)]
    parent, slot = np.array([0, 0, 0, 2, 3]), np.array([0, 1, 2, 0, 1])
    out = new(dtype, layout, 5, 6)
    kc.call("slots_to_edges", dtype, x, [out], tables=[{"index": parent, "list": slot}])
    check(dtype, out, [x[0][0], x[1][0], np.zeros(6), x[0][2], x[1][3]])


def test_columns_of_children(dtype, layout, rng):
    """The last edge of a vertex has the last column."""
    x = layout(draw(rng, dtype, 4, 2 * 3))
    parent, ptr = np.array([0, 0, 2, 3, 3, 3]), np.array([0, 2, 2, 3, 6])
    out, back = new(dtype, layout, 6, 2), new(dtype, layout, 4, 6)
    kc.call("child_columns", dtype, [x], [out], tables=[{"index": parent}])
    columns = [1, 2, 2, 0, 1, 2]
    matrices = x.reshape(4, 2, 3)
    check(dtype, out, [matrices[p, :, c] for p, c in zip(parent, columns, strict=True)])
    kc.call("child_columns_grad", dtype, [out], [back], tables=[{"ptr": ptr}])
    expected = np.zeros((4, 2, 3), x.dtype)
    for edge, (p, c) in enumerate(zip(parent, columns, strict=True)):
        expected[p, :, c] = out[edge]
    check(dtype, back, expected.reshape(4, 6))


@pytest.mark.parametrize("length", [1, 3, 8, 13, 100])
@pytest.mark.parametrize("outer", [1, 4])
def test_rows_reduced_and_normalised(dtype, layout, outer, length, rng):
    x = layout(draw(rng, dtype, 9, outer * length) * 5)
    grid = x.reshape(9, outer, length).astype(np.float64)
    for name, expected in (("row_sum", grid.sum(-1)), ("row_max", grid.max(-1))):
        out = new(dtype, layout, 9, outer)
        kc.call(name, dtype, [x], [out], attributes=AxisAttributes(outer, length))
        np.testing.assert_allclose(
            out, expected, rtol=1e-5 if dtype == "float" else 1e-12, atol=1e-5
        )
    shifted = grid - grid.max(-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(-1, keepdims=True))
    out = new(dtype, layout, 9, outer)
    kc.call("logsumexp", dtype, [x], [out], attributes=AxisAttributes(outer, length))
    check(dtype, out, grid.max(-1) + log_total[..., 0])
    ties = np.round(x)  # the first of equal ones is chosen
    out = new(dtype, layout, 9, outer * length)
    kc.call(
        "one_hot_max", dtype, [layout(ties), x], [out], attributes=AxisAttributes(outer, length)
    )
    first = ties.reshape(9, outer, length).argmax(-1)[..., None] == np.arange(length)
    np.testing.assert_array_equal(out, first.reshape(9, -1))
    log_softmax = shifted - log_total
    dy = draw(rng, dtype, 9, outer)
    y = layout((grid.max(-1) + log_total[..., 0]).astype(x.dtype))
    kc.call(
        "logsumexp_grad", dtype, [layout(dy), y, x], [out], attributes=AxisAttributes(outer, length)
    )
    check(dtype, out, (np.exp(log_softmax) * dy[..., None]).reshape(9, -1))
    for name, expected in (("softmax", np.exp(log_softmax)), ("log_softmax", log_softmax)):
        out = new(dtype, layout, 9, outer * length)
        kc.call(name, dtype, [x], [out], attributes=AxisAttributes(outer, length))
        check(dtype, out, expected.reshape(9, -1))


def test_reductions_keep_nan(dtype):
    x = np.arange(40, dtype=kc.DTYPES[dtype]).reshape(1, 40)
    for place in (0, 17, 39):
        broken = x.copy()
        broken[0, place] = np.nan
        for name in ("row_sum", "row_max", "logsumexp"):
            out = np.empty((1, 1), x.dtype)
            kc.call(name, dtype, [broken], [out], attributes=AxisAttributes(1, 40))
            assert np.isnan(out).all()
        out = np.empty_like(x)
        kc.call("softmax", dtype, [broken], [out], attributes=AxisAttributes(1, 40))
        assert np.isnan(out).all()


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_cross_entropy(dtype, layout, classes, rng):
    logits = layout(draw(rng, dtype, 10, classes) * 50)
    label = rng.integers(0, classes, size=(10, 1), dtype=np.int32)
    label[4] = -1
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(-1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    expected = np.where(label < 0, 0, -np.take_along_axis(log_softmax, np.maximum(label, 0), 1))
    out = new(dtype, layout, 10, 1)
    kc.call("cross_entropy", dtype, [logits, label], [out])
    check(dtype, out, expected)
    dloss = layout(draw(rng, dtype, 10, 1))
    grad = new(dtype, layout, 10, classes)
    kc.call("cross_entropy_grad", dtype, [dloss, logits, label], [grad])
    onehot = np.arange(classes) == label
    check(dtype, grad, np.where(label < 0, 0, dloss * (np.exp(log_softmax) - onehot)))
    label[0] = classes
    kc.call("cross_entropy", dtype, [logits, label], [out])
    kc.call("cross_entropy_grad", dtype, [dloss, logits, label], [grad])
    assert np.isnan(out[0]).all()
    assert np.isnan(grad[0]).all()


def test_embedding(dtype, layout, rng):
    weight = draw(rng, dtype, 11, 19)
    ids = np.array([[0], [10], [-1], [3], [11]], np.int32)
    out = new(dtype, layout, 5, 19)
    kc.call(
        "embedding", dtype, [weight.reshape(-1), ids], [out], attributes=EmbeddingAttributes(11, 19)
    )
    check(dtype, out[:4], np.where(ids[:4] < 0, 0, weight[ids[:4, 0]]))
    assert np.isnan(out[4]).all()


def test_fill(dtype, layout, rng):
    x = draw(rng, dtype, 6, 28)
    out = layout(x)
    kc.call("fill", dtype, [], [out], attributes=FillAttributes(2.5), rows=(1, 4))
    assert (out[1:4] == 2.5).all()
    np.testing.assert_array_equal(out[[0, 4, 5]], x[[0, 4, 5]])


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ((), ()),
        ((1,), (7,)),
        ((5,), (5,)),
        ((3, 1), (3, 20)),
        ((1, 20), (3, 20)),
        ((1, 1), (4, 9)),
        ((2, 1, 5, 1), (2, 3, 5, 4)),
        ((1, 3, 1), (2, 3, 4)),
    ],
)
def test_broadcast_and_sum_to(dtype, layout, small, large, rng):
    x = layout(draw(rng, dtype, 4, int(np.prod(small))))
    y = layout(draw(rng, dtype, 4, int(np.prod(large))))
    out = new(dtype, layout, 4, y.shape[1])
    kc.call("broadcast", dtype, [x], [out], attributes=ShapeAttributes(small, large))
    check(dtype, out, np.broadcast_to(x.reshape(4, *small), (4, *large)).reshape(4, -1))
    out = new(dtype, layout, 4, x.shape[1])
    kc.call("sum_to", dtype, [y], [out], attributes=ShapeAttributes(large, small))
    axes = tuple(i + 1 for i, (s, n) in enumerate(zip(small, large, strict=True)) if s != n)
    check(dtype, out, y.reshape(4, *large).sum(axes).reshape(4, -1))


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (70, 3), (1000, 50), (333, 1040)])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_reduce_rows(dtype, layout, shape, num_threads, rng):
    x = layout(draw(rng, dtype, *shape))
    for goes_on in (False, True):
        out = np.full(shape[1], 9, x.dtype)
        for thread in range(num_threads):
            kc.call(
                "reduce_rows",
                dtype,
                [x, out] if goes_on else [x],
                [out],
                rows=(0, shape[0]),
                thread=thread,
                num_threads=num_threads,
            )
        expected = x.astype(np.float64).sum(0) + (9 if goes_on else 0)
        np.testing.assert_allclose(out, expected, **{**kc.TOLERANCES[dtype], "atol": 1e-4})


def test_unknown_names(dtype):
    with pytest.raises(ValueError, match="name of a kernel"):
        kc.call("no_such", dtype, [], [np.empty((1, 1))])
    assert {"fused", "matmul", "matmul_reduce"} <= set(core.kernel_names())


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (70, 3), (333, 1040)])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_max_rows(dtype, layout, shape, num_threads, rng):
    x = layout(draw(rng, dtype, *shape) - 3)
    for goes_on in (False, True):
        out = np.full(shape[1], -2.5, x.dtype)
        for thread in range(num_threads):
            kc.call(
                "max_rows",
                dtype,
                [x, out] if goes_on else [x],
                [out],
                rows=(0, shape[0]),
                thread=thread,
                num_threads=num_threads,
            )
        expected = x.max(0) if shape[0] else np.full(shape[1], -2.5 if goes_on else 0, x.dtype)
        np.testing.assert_array_equal(out, np.maximum(expected, -2.5) if goes_on else expected)
