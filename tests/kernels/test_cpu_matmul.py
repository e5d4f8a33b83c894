"""`matmul` and `matmul_reduce` against NumPy, in every arrangement of rows and shared operands."""

import itertools

import kernel_calls as kc
import numpy as np
import pytest

import cavs
from cavs.core.attributes import MaskedMatmulAttributes, MatmulAttributes
from cavs.errors import CavsRuntimeError


@pytest.fixture(scope="module", autouse=True)
def _blas():
    kc.load_blas()


def check(dtype, got, expected):
    tolerance = {"float": 2e-5, "double": 1e-12}[dtype]
    np.testing.assert_allclose(got, expected, tolerance, tolerance * 10)


def operand(rng, dtype, rows, shape, transposed, layout):
    """What the kernel gets, and the (rows or 1, *shape) array that it means."""
    stored = shape[::-1] if transposed else shape
    count = 1 if rows is None else rows
    values = rng.normal(size=(count, stored[0] * stored[1])).astype(kc.DTYPES[dtype])
    meaning = values.reshape(count, *stored).astype(np.float64)
    if transposed:
        meaning = meaning.swapaxes(1, 2)
    return values[0].copy() if rows is None else kc.LAYOUTS[layout](values), meaning


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize(("ta", "tb"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    "shape", [(1, 5, 3), (1, 150, 70), (1, 1, 4), (4, 3, 1), (3, 4, 5), (17, 30, 20), (2, 0, 3)]
)
def test_matmul(shape, ta, tb, layout, dtype, rng):
    m, k, n = shape
    for rows, a_rows, b_rows in itertools.product((1, 2, 3, 20), (True, False), (True, False)):
        a, a_meaning = operand(rng, dtype, rows if a_rows else None, (m, k), ta, layout)
        b, b_meaning = operand(rng, dtype, rows if b_rows else None, (k, n), tb, layout)
        out = kc.LAYOUTS[layout](np.full((rows, m * n), 99, kc.DTYPES[dtype]))
        around = kc.surroundings(out) if layout == "view" else None
        first = 1 if rows > 2 else 0
        kc.call(
            "matmul",
            dtype,
            [a, b],
            [out],
            attributes=MatmulAttributes(ta, tb, m, k, n),
            rows=(first, rows),
        )
        expected = np.broadcast_to(a_meaning @ b_meaning, (rows, m, n)).reshape(rows, -1)
        check(dtype, out[first:], expected[first:])
        assert (out[:first] == 99).all()
        if around is not None:
            np.testing.assert_array_equal(kc.surroundings(out), around)


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize(("ta", "tb"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("shape", [(5, 1, 3), (150, 1, 40), (3, 1, 64), (3, 4, 5), (40, 2, 17)])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_matmul_reduce(shape, ta, tb, layout, num_threads, dtype, rng):
    m, k, n = shape
    for rows, a_rows, b_rows in itertools.product((0, 1, 30), (True, False), (True, False)):
        a, a_meaning = operand(rng, dtype, rows if a_rows else None, (m, k), ta, layout)
        b, b_meaning = operand(rng, dtype, rows if b_rows else None, (k, n), tb, layout)
        products = a_meaning @ b_meaning
        if not a_rows and not b_rows:
            products = np.broadcast_to(products, (rows, m, n))
        for goes_on in (False, True):
            out = np.full(m * n, 9, kc.DTYPES[dtype])
            for thread in range(num_threads):
                kc.call(
                    "matmul_reduce",
                    dtype,
                    [a, b, out] if goes_on else [a, b],
                    [out],
                    attributes=MatmulAttributes(ta, tb, m, k, n),
                    rows=(0, rows),
                    thread=thread,
                    num_threads=num_threads,
                )
            before = 9 if goes_on else 0
            check(dtype, out.reshape(m, n), before + products[:rows].sum(0))


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize(
    ("k", "n"), [(1, 1), (16, 16), (17, 5), (30, 33), (150, 70), (3, 200), (1100, 20), (3, 3100)]
)
def test_product_with_a_packed_weight(k, n, transposed, layout, dtype, rng):
    for rows in (*range(1, 15), 40, 100):
        x, x_meaning = operand(rng, dtype, rows, (1, k), 0, layout)
        w, w_meaning = operand(rng, dtype, None, (k, n), transposed, layout)
        out = kc.LAYOUTS[layout](np.full((rows, n), 99, kc.DTYPES[dtype]))
        around = kc.surroundings(out) if layout == "view" else None
        first = 1 if rows > 2 else 0
        padded = [False, False, layout == "padded"]
        options = {"rows": (first, rows), "packed": 1, "padded": padded}
        kc.call(
            "matmul",
            dtype,
            [x, w],
            [out],
            attributes=MatmulAttributes(0, transposed, 1, k, n),
            **options,
        )
        check(dtype, out[first:], (x_meaning @ w_meaning)[first:, 0])
        assert (out[:first] == 99).all()
        if around is not None:
            np.testing.assert_array_equal(kc.surroundings(out), around)


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize(
    ("m", "n"), [(18, 150), (150, 9), (150, 20), (450, 300), (5, 150), (20, 20), (64, 64), (40, 3)]
)
def test_sums_have_the_same_bits_with_any_number_of_threads(m, n, goes_on, dtype, rng):
    if dtype == "float" and cavs.instruction_set() != "avx512":
        pytest.skip("OpenBLAS adds in other orders at the ends of parts")
    for rows in (1, 31, 150, 200, 500, 886, 2000):
        dy, x = (rng.normal(size=(rows, size)).astype(kc.DTYPES[dtype]) for size in (m, n))
        found = set()
        for num_threads in (1, 2, 3, 4, 7):
            out = np.full(m * n, 2, kc.DTYPES[dtype])
            for thread in range(num_threads):
                inputs = [dy, x, out] if goes_on else [dy, x]
                options = {"thread": thread, "num_threads": num_threads, "rows": (0, rows)}
                kc.call(
                    "matmul_reduce",
                    dtype,
                    inputs,
                    [out],
                    attributes=MatmulAttributes(1, 0, m, 1, n),
                    **options,
                )
            found.add(out.tobytes())
        assert len(found) == 1, rows


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize(
    ("k", "n"),
    [
        *((1, 1), (5, 150), (16, 16), (17, 5), (30, 33), (3, 2200), (15, 5000), (1100, 20)),
        *((513, 40), (700, 300), (20, 1100)),
    ],
)
def test_the_bits_of_a_row_depend_on_it_and_the_weight_alone(k, n, transposed, dtype, rng):
    """Not on how many rows there are, on who stands beside it, or on whether there are panels."""
    x = rng.normal(size=(40, k)).astype(kc.DTYPES[dtype])
    w = rng.normal(size=k * n).astype(kc.DTYPES[dtype])
    whole = None
    for count in (40, *range(1, 15), 25, 29):
        for packed in (1, -1):
            first = (40 - count) // 2
            out = np.full((count, n), 99, kc.DTYPES[dtype])
            rows = x[first : first + count].copy()
            product = MatmulAttributes(0, transposed, 1, k, n)
            kc.call("matmul", dtype, [rows, w], [out], attributes=product, packed=packed)
            whole = out if whole is None else whole
            assert out.tobytes() == whole[first : first + count].tobytes(), (count, packed)
    for packed in (1, -1):
        out = np.full_like(whole, 99)
        for thread in range(3):
            kc.call(
                "matmul",
                dtype,
                [x, w],
                [out],
                attributes=MatmulAttributes(0, transposed, 1, k, n),
                packed=packed,
                thread=thread,
                num_threads=3,
            )
        assert out.tobytes() == whole.tobytes(), packed


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("packed", [-1, 1])
@pytest.mark.parametrize("index", [None, [4, -1, 0, 4, 2]])
@pytest.mark.parametrize(("m", "k", "n"), [(2, 16, 16), (5, 30, 33), (50, 20, 50)])
def test_matrices_of_rows_with_a_weight(m, k, n, index, packed, layout, dtype, rng):
    x, x_meaning = operand(rng, dtype, 5, (m, k), 0, layout)
    w, w_meaning = operand(rng, dtype, None, (k, n), 1, layout)
    expected = (x_meaning @ w_meaning).reshape(5, m * n)
    if index is not None:
        expected = np.where(np.array(index)[:, None] < 0, 0, expected[index])
    out = kc.LAYOUTS[layout](np.full((5, m * n), 99, kc.DTYPES[dtype]))
    around = kc.surroundings(out) if layout == "view" else None
    tables = [{"index": index}, {}] if index else []
    for thread in range(2):
        options = {"thread": thread, "num_threads": 2, "packed": packed, "tables": tables}
        kc.call(
            "matmul", dtype, [x, w], [out], attributes=MatmulAttributes(0, 1, m, k, n), **options
        )
    check(dtype, out, expected)
    if around is not None:
        np.testing.assert_array_equal(kc.surroundings(out), around)


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize(("ta", "tb"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("shape", [(1, 20, 30), (3, 4, 5), (20, 1, 20)])
def test_products_find_rows_through_indices(shape, ta, tb, dtype, rng):
    m, k, n = shape
    a, a_meaning = operand(rng, dtype, 6, (m, k), ta, "padded")
    b, b_meaning = operand(rng, dtype, 4, (k, n), tb, "view")
    first, second = np.array([5, 0, -1, 2, 2]), np.array([3, -1, 0, 1, 1])
    for tables in ([first, second], [first, None], [None, second]):
        out = np.full((4, m * n), 99, kc.DTYPES[dtype])
        given = [{} if t is None else {"index": t} for t in tables]
        kc.call(
            "matmul",
            dtype,
            [a, b],
            [out],
            attributes=MatmulAttributes(ta, tb, m, k, n),
            tables=given,
        )
        rows = [np.arange(4) if t is None else t[:4] for t in tables]
        expected = (a_meaning[rows[0]] @ b_meaning[rows[1]]).reshape(4, m * n)
        expected[(rows[0] < 0) | (rows[1] < 0)] = 0
        check(dtype, out, expected)


def masks_of(chosen, dtype):
    """What says of each row whether it is multiplied: a mask, and ids, with `by_id`."""
    mask = chosen.astype(kc.DTYPES[dtype])[:, None] * -0.5
    return [(mask, 0), (np.where(chosen, 3, -1).astype(np.int32)[:, None], 1)]


# Rows of which none, some here and there, all in long runs with gaps, or all are multiplied.
CHOSEN = {
    "none": lambda rows, rng: np.zeros(rows, bool),
    "some": lambda rows, rng: rng.random(rows) < 0.4,
    "runs": lambda rows, rng: np.arange(rows) % (rows // 2 + 1) > 1,
    "all": lambda rows, rng: np.ones(rows, bool),
}


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("kind", CHOSEN)
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    ("k", "n", "rows"), [(1, 3, 5), (20, 33, 9), (20, 5, 300), (150, 70, 40), (900, 600, 61)]
)
def test_products_leave_out_rows(k, n, rows, indexed, kind, layout, dtype, rng):
    chosen = CHOSEN[kind](rows, rng)
    index = rng.integers(-1, 7, size=rows) if indexed else np.arange(rows)
    x, x_meaning = operand(rng, dtype, 7 if indexed else rows, (1, k), 0, layout)
    x[~np.isin(np.arange(len(x)), index[chosen])] = np.nan  # so that a product with it shows
    w, w_meaning = operand(rng, dtype, None, (k, n), 1, layout)
    found = np.where(chosen[:, None] & (index[:, None] >= 0), x_meaning[index, 0], 0)
    tables = [{"index": index}, {}, {}] if indexed else []
    for mask, by_id in masks_of(chosen, dtype):
        for packed, num_threads in ((-1, 1), (1, 1), (1, 3)):
            out = kc.LAYOUTS[layout](np.full((rows, n), 99, kc.DTYPES[dtype]))
            around = kc.surroundings(out) if layout == "view" else None
            for thread in range(num_threads):
                options = {"packed": packed, "thread": thread, "num_threads": num_threads}
                options |= {
                    "attributes": MaskedMatmulAttributes(0, 1, 1, k, n, by_id),
                    "tables": tables,
                }
                kc.call("matmul_masked", dtype, [x, w, mask], [out], **options)
            check(dtype, out, found @ w_meaning[0])
            assert not out[~chosen].any()
            if around is not None:
                np.testing.assert_array_equal(kc.surroundings(out), around)
        dy, dy_meaning = operand(rng, dtype, rows, (1, n), 0, layout)
        expected = dy_meaning[:, 0].T @ found
        for before in (0, 5):
            dw = np.full(n * k, 5, kc.DTYPES[dtype])
            inputs = [dy, x, mask, dw] if before else [dy, x, mask]
            options = {
                "attributes": MaskedMatmulAttributes(1, 0, n, 1, k, by_id),
                "rows": (0, rows),
            }
            options["tables"] = [{}, {"index": index}] if indexed else []
            for thread in range(2):
                call = {**options, "thread": thread, "num_threads": 2}
                kc.call("matmul_reduce_masked", dtype, inputs, [dw], **call)
            check(dtype, dw.reshape(n, k), before + expected)


@pytest.mark.parametrize("dtype", kc.DTYPES)
@pytest.mark.parametrize("layout", kc.LAYOUTS)
@pytest.mark.parametrize("kind", CHOSEN)
@pytest.mark.parametrize(("m", "k", "n"), [(2, 16, 16), (5, 3, 20), (1, 20, 4)])
def test_products_of_matrices_leave_out_rows(m, k, n, kind, layout, dtype, rng):
    """Matrices with a weight on either side, with each other, and summed over the rows."""
    rows = 11
    chosen = CHOSEN[kind](rows, rng)
    x, x_meaning = operand(rng, dtype, rows, (m, k), 0, layout)
    y, y_meaning = operand(rng, dtype, rows, (k, n), 0, layout)
    w, w_meaning = operand(rng, dtype, None, (k, n), 1, layout)
    column, column_meaning = operand(rng, dtype, rows, (k, 1), 0, layout)
    first, first_meaning = operand(rng, dtype, None, (m, k), 0, layout)
    z, z_meaning = operand(rng, dtype, rows, (m, n), 0, layout)
    for array in (x, y, column):
        array[~chosen] = np.nan
    cases = [
        ([x, w], x_meaning @ w_meaning, [0, 1, m, k, n], (-1, 1)),
        ([x, y], x_meaning @ y_meaning, [0, 0, m, k, n], (-1,)),
        ([first, column], first_meaning @ column_meaning, [0, 0, m, k, 1], (-1, 0)),
    ]
    for mask, by_id in masks_of(chosen, dtype):
        for operands, expected, product, packings in cases:
            for packed in packings:
                size = product[2] * product[4]
                out = kc.LAYOUTS[layout](np.full((rows, size), 99, kc.DTYPES[dtype]))
                for thread in range(1 if packed < 0 else 2):
                    options = {"packed": packed, "thread": thread, "num_threads": 2}
                    if packed < 0:
                        options["num_threads"] = 1
                    options["attributes"] = MaskedMatmulAttributes(*product, by_id)
                    kc.call("matmul_masked", dtype, [*operands, mask], [out], **options)
                flat = expected.reshape(rows, size)
                check(dtype, out, np.where(chosen[:, None], flat, 0))
        out = np.full(k * n, 9, kc.DTYPES[dtype])
        product = MaskedMatmulAttributes(1, 0, k, m, n, by_id)
        kc.call(
            "matmul_reduce_masked", dtype, [x, z, mask], [out], attributes=product, rows=(0, rows)
        )
        products = (x_meaning.swapaxes(1, 2) @ z_meaning)[chosen]
        check(dtype, out.reshape(k, n), products.sum(0))


@pytest.mark.parametrize("transposed", [0, 1])
def test_packed_weight_as_first_factor(transposed, rng):
    w, w_meaning = operand(rng, "float", None, (70, 40), transposed, "dense")
    x, x_meaning = operand(rng, "float", 9, (40, 1), 0, "padded")
    out = np.empty((9, 70), np.float32)
    kc.call(
        "matmul",
        "float",
        [w, x],
        [out],
        attributes=MatmulAttributes(transposed, 0, 70, 40, 1),
        packed=0,
    )
    check("float", out, (w_meaning @ x_meaning)[:, :, 0])


def test_load_blas_refuses_other_files():
    from cavs._native import core

    with pytest.raises(CavsRuntimeError, match="expected a shared library"):
        core.load_blas("/nowhere/libblas.so")
