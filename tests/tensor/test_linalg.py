"""Factorisations and systems of equations, against NumPy, with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from eager_gradients import check_gradient
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import linalg, ops
from cavs._native import core
from cavs.errors import CavsError, CavsRuntimeError, DTypeError, InputError, ShapeError, TraceError
from cavs.tensor import Parameter, Tensor, no_grad

RNG = np.random.default_rng(11)
ROUNDING = {np.float32: 2e-4, np.float64: 1e-11}

batches = st.lists(st.integers(0, 3), max_size=2).map(tuple)
orders = st.integers(0, 6)
dtypes = st.sampled_from([np.float32, np.float64])


def positive(shape: tuple[int, ...], n: int) -> Any:
    """Symmetric positive definite matrices, (*shape, n, n)."""
    x = RNG.normal(size=(*shape, n, n))
    return x @ np.swapaxes(x, -1, -2) / max(n, 1) + np.eye(n)


def close(y: Tensor, expected: Any, dtype: Any = np.float64) -> None:
    assert y.dtype == dtype
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.data, expected, rtol=ROUNDING[dtype], atol=ROUNDING[dtype])


@given(batch=batches, n=orders, dtype=dtypes)
def test_cholesky_is_numpys(batch: Any, n: int, dtype: Any) -> None:
    a = positive(batch, n)
    close(linalg.cholesky(Tensor(a.astype(dtype))), np.linalg.cholesky(a), dtype)
    lower = np.tril(a)  # what stands above is not read
    close(linalg.cholesky(Tensor(lower)), np.linalg.cholesky(a))
    close(linalg.logdet(Tensor(a.astype(dtype))), np.linalg.slogdet(a)[1], dtype)
    close(linalg.diagonal(Tensor(a)), np.diagonal(a, 0, -2, -1))


@given(batch=batches, n=orders, columns=st.integers(0, 4), dtype=dtypes, data=st.data())
def test_systems_are_numpys(
    batch: Any, n: int, columns: int, dtype: Any, data: st.DataObject
) -> None:
    own = [batch[data.draw(st.integers(0, len(batch))) :] for _ in range(2)]
    a = RNG.normal(size=(*own[0], n, n)) / max(n, 1) + np.eye(n)
    vector = data.draw(st.booleans())
    b = RNG.normal(size=(n,) if vector else (*own[1], n, columns))
    given_b = Tensor(b.astype(dtype))
    matrix = b[:, None] if vector else b

    def expected(used: Any) -> Any:
        x = np.linalg.solve(
            used,
            np.broadcast_to(matrix, (*used.shape[:-2], *matrix.shape[-2:])) if vector else matrix,
        )
        return x[..., 0] if vector else x

    close(linalg.solve(Tensor(a.astype(dtype)), given_b), expected(a), dtype)
    for lower in (True, False):
        triangle = np.tril(a) if lower else np.triu(a)
        for trans in (True, False):
            x = linalg.solve_triangular(Tensor(a.astype(dtype)), given_b, lower, trans)
            used = np.swapaxes(triangle, -1, -2) if trans else triangle
            close(x, expected(used), dtype)


def test_large_matrices_are_factorised_in_blocks() -> None:
    a, b = positive((), 300), RNG.normal(size=(300, 7))
    factor = linalg.cholesky(Tensor(a))
    np.testing.assert_allclose(factor.data @ factor.data.T, a, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(
        linalg.solve(Tensor(a), Tensor(b)).data, np.linalg.solve(a, b), rtol=1e-8
    )
    swapped = a[RNG.permutation(300)]
    x = linalg.solve(Tensor(swapped), Tensor(b))
    np.testing.assert_allclose(swapped @ x.data, b, rtol=1e-8, atol=1e-9)


def symmetric(x: Tensor) -> Tensor:
    turned = x.permute(*range(x.ndim - 2), -1, -2)
    return x @ turned + Tensor(np.eye(x.shape[-1]))


FIXED = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
SIDES = RNG.normal(size=(3, 2))
GRADIENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "cholesky": lambda x: linalg.cholesky(symmetric(x)),
    "logdet": lambda x: linalg.logdet(symmetric(x)),
    "diagonal": linalg.diagonal,
    "solve": lambda x: linalg.solve(x, Tensor(SIDES)),
    "solve-b": lambda x: linalg.solve(Tensor(FIXED), x),
    "solve-vector": lambda x: linalg.solve(x, Tensor(SIDES[:, 0])),
    **{
        f"triangular-{name}-{lower}-{trans}": lambda x, own=name, lower=lower, trans=trans: (
            linalg.solve_triangular(
                *((x, Tensor(SIDES)) if own == "a" else (Tensor(FIXED), x)), lower, trans
            )
        )
        for name in "ab"
        for lower in (True, False)
        for trans in (True, False)
    },
}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_gradients_are_central_differences(name: str, batch: tuple[int, ...]) -> None:
    check_gradient(GRADIENTS[name], RNG.normal(size=(*batch, 3, 3)) + 3 * np.eye(3))


@given(n=st.integers(1, 6), batch=batches)
def test_gradients_are_pytorchs(n: int, batch: Any) -> None:
    torch = pytest.importorskip("torch")
    a, b = positive(batch, n), RNG.normal(size=(n, 2))
    x, y = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    tx, ty = (torch.tensor(each, requires_grad=True) for each in (a, b))
    factor, of_torch = linalg.cholesky(x), torch.linalg.cholesky(tx)
    inner = linalg.solve_triangular(factor, linalg.solve(x, y))
    ours = ops.sum(ops.square(inner)) + ops.sum(linalg.logdet(x))
    sides = ty.expand(*batch, n, 2)  # it would take (n, 2) for n vectors
    expected = torch.linalg.solve_triangular(of_torch, torch.linalg.solve(tx, sides), upper=False)
    theirs = (expected**2).sum() + torch.logdet(tx).sum()
    ours.backward()
    theirs.backward()
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-9)
    np.testing.assert_allclose(x.grad, tx.grad.numpy(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(y.grad, ty.grad.numpy(), rtol=1e-7, atol=1e-9)


@given(batch=batches, n=orders, dtype=dtypes)
def test_native_gradient_of_the_factor_is_that_by_operations(
    batch: Any, n: int, dtype: Any
) -> None:
    """The operations are for gradients that are differentiated again."""
    factor = Tensor(np.linalg.cholesky(positive(batch, n)).astype(dtype))
    dy = Tensor(RNG.normal(size=factor.shape).astype(dtype))
    (by_operations,) = linalg._cholesky_vjp(dy, factor, None)
    with no_grad():
        (native,) = linalg._cholesky_vjp(dy, factor, None)
    close(native, by_operations.data, dtype)


VJPS: dict[str, Callable[[Tensor], Any]] = {
    "cholesky": lambda x: linalg._cholesky_vjp(x, linalg.cholesky(symmetric(x)), None),
    "solve": lambda x: linalg._solve_vjp(x, linalg.solve(x, Tensor(FIXED[0])), x, x, trans=False),
    "solve-trans": lambda x: linalg._solve_vjp(x @ x, x, x, x, trans=True),
    **{
        f"triangular-{lower}-{trans}": lambda x, lower=lower, trans=trans: linalg._triangular_vjp(
            x @ x, linalg.solve_triangular(x, x, lower, trans), x, x, lower=lower, trans=trans
        )
        for lower in (True, False)
        for trans in (True, False)
    },
}


@pytest.mark.parametrize("name", VJPS)
def test_gradients_are_made_of_operations_that_have_gradients(name: str) -> None:
    check_gradient(
        lambda x: sum((y * FIXED[1] for y in VJPS[name](x)), Tensor(np.zeros((3, 3)))),
        RNG.normal(size=(3, 3)) + 3 * np.eye(3),
    )


def test_factors_that_were_written_to_have_no_gradient() -> None:
    a = Tensor(positive((), 3), requires_grad=True)
    factor = linalg.cholesky(a)
    factor.data[0, 0] = 7.0
    with pytest.raises(CavsRuntimeError, match=r"'cholesky' as they were in the forward"):
        factor.sum().backward()


def test_results_are_on_the_tape_only_where_they_learn() -> None:
    a = Parameter(positive((), 3))
    assert linalg.cholesky(a).requires_grad
    assert not linalg.cholesky(a.data).requires_grad
    with no_grad():
        assert not linalg.logdet(a).requires_grad


def test_operands_stay_as_they_are() -> None:
    a, b = positive((), 4), RNG.normal(size=(4, 2))
    before = a.copy(), b.copy()
    linalg.cholesky(Tensor(a))
    linalg.solve(Tensor(a), Tensor(b))
    linalg.solve_triangular(Tensor(a), Tensor(b))
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


GOOD = np.eye(3)
INDEFINITE = np.diag([1.0, -2.0, 3.0])
WITH_NAN = np.where(np.eye(3, k=-1) > 0, np.nan, np.eye(3))
WRONG: dict[str, tuple[Callable[[], Any], type[CavsError], str]] = {
    "order": (
        lambda: linalg.cholesky(Tensor(INDEFINITE)),
        InputError,
        r"\[cholesky\] expected positive definite .* leading minor of order 2 is not;",
    ),
    "which": (
        lambda: linalg.logdet(Tensor(np.stack([[GOOD, GOOD], [GOOD, INDEFINITE]]))),
        InputError,
        r"got one at \[1, 1\] of the batch whose leading minor of order 2 is not;",
    ),
    "overflow": (
        lambda: linalg.cholesky(Tensor(np.float32([[1, 0], [3e38, 1]]))),
        InputError,
        "order 2 is not",
    ),
    "nan": (
        lambda: linalg.cholesky(Tensor(np.stack([GOOD, WITH_NAN]))),
        InputError,
        r"\[cholesky\] expected finite numbers, got NaN at \[1\] of the batch;",
    ),
    "infinite": (
        lambda: linalg.solve(Tensor(np.full((3, 3), np.inf)), Tensor(GOOD)),
        InputError,
        r"\[solve\] expected finite numbers, got infinite elements;",
    ),
    "singular": (
        lambda: linalg.solve(Tensor(np.stack([GOOD, np.ones((3, 3))])), Tensor(GOOD)),
        InputError,
        r"\[solve\] .* got a singular one at \[1\] of the batch",
    ),
    "zero": (
        lambda: linalg.solve_triangular(Tensor(np.diag([1.0, 2, 0])), Tensor(GOOD)),
        InputError,
        r"\[solve_triangular\] expected finite diagonals without zeros, got 0.0 in row 2;",
    ),
    "not-square": (
        lambda: linalg.cholesky(Tensor(np.ones((2, 3)))),
        ShapeError,
        r"\[cholesky\] expected square matrices, \(\.\.\., n, n\), got shape \(2, 3\)",
    ),
    "vector": (lambda: linalg.diagonal(Tensor(np.ones(3))), ShapeError, r"\[diagonal\].*\(3,\)"),
    "right-side": (
        lambda: linalg.solve(Tensor(GOOD), Tensor(np.ones((4, 2)))),
        ShapeError,
        r"\[solve\] expected b of shape \(3,\) or \(\.\.\., 3, k\), .* got \(4, 2\)",
    ),
    "batches": (
        lambda: linalg.solve(Tensor(np.stack([GOOD] * 2)), Tensor(np.ones((3, 3, 1)))),
        ShapeError,
        r"\[solve\] expected shapes that broadcast",
    ),
    "integers": (
        lambda: linalg.cholesky(Tensor([[1, 0], [0, 1]])),
        DTypeError,
        r"\[cholesky\].*int32",
    ),
    "two-dtypes": (
        lambda: linalg.solve(Tensor(GOOD), Tensor(np.ones((3, 1), np.float32))),
        DTypeError,
        r"\[solve\] expected operands of one dtype",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_what_is_wrong(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


class Inside(cavs.VertexFunction):
    def __init__(self, call: Callable[[Any], Any]) -> None:
        self.call = call
        self.weight = Parameter(np.eye(2, dtype=np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.call(v.pull("x", (2, 2)) @ self.weight), z=self.call(self.weight))


@pytest.mark.parametrize("name", ["cholesky", "logdet", "diagonal"])
def test_values_of_vertex_functions_are_refused(name: str) -> None:
    with pytest.raises(TraceError, match=rf"\[{name}\] expected a tensor as a?x?, got a value"):
        cavs.compile(Inside(getattr(linalg, name)))


def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(
        AttributeError, match=r"\[linalg\] .* got 'cholesk'; use cavs.linalg.cholesky"
    ):
        linalg.cholesk  # noqa: B018


FLOATS = np.ones((2, 2, 2))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: core.cholesky_(FLOATS.copy(), 3, 2), ShapeError, "expected 12 elements, got 8"),
        (lambda: core.cholesky_(FLOATS.copy(), -2, 2), ShapeError, "sizes of matrices from 0"),
        (lambda: core.cholesky_(FLOATS.astype(np.int32), 2, 2), InputError, "float"),
        (
            lambda: core.solve_(FLOATS.copy(), np.ones(4, np.float32), 2, 2, 1, False),
            InputError,
            "b: expected float64, got float32",
        ),
        (
            lambda: core.solve_triangular_(FLOATS, FLOATS, 2, 2, 2, True, False),
            InputError,
            "memory",
        ),
        (lambda: core.keep_triangle_(FLOATS.copy(), 2, 2**31, True, 1.0), ShapeError, "below 2"),
        (
            lambda: core.cholesky_gradient_(FLOATS, FLOATS[:1].copy(), 2, 2),
            ShapeError,
            "d: expected 8 elements, got 4",
        ),
        (
            lambda: core.pairwise_kernel_sum(FLOATS[0], np.ones((2, 3)), [1.0], None),
            ShapeError,
            "rows of one size",
        ),
        (
            lambda: core.pairwise_kernel_sum(FLOATS[0], FLOATS[0], [0.0], None),
            InputError,
            "widths > 0, got 0",
        ),
        (
            lambda: core.pairwise_kernel_sum(FLOATS[0], FLOATS[0], [1.0], FLOATS[0]),
            InputError,
            "memory",
        ),
    ],
)
def test_native_functions_refuse_what_does_not_fit(call: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
