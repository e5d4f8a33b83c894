"""Values of a vertex function as users hold them: methods, comparisons, indices, annotations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.errors import ShapeError, TraceError

Body = Callable[[Any, Any], Any]
GRAPHS = cavs.batch([cavs.InputGraph([[], [0]]), cavs.InputGraph([[]])])
RNG = np.random.default_rng(0)


class Of(cavs.VertexFunction):
    """A function of ``x`` (2, 3) and ``w``, a parameter of the same shape."""

    def __init__(self, body: Body) -> None:
        self.body, self.w = body, nn.Parameter(np.linspace(-1, 1, 6).reshape(2, 3))

    def forward(self, v: cavs.Vertex) -> None:
        y = self.body(v.pull("x", (2, 3)), self.w)
        v.push(y=y + 0.0 * v.pull("x", (2, 3)).sum())


def check(body: Body, expected: Callable[[np.ndarray, np.ndarray], Any]) -> None:
    """The same of symbols, natively and by the reference, and of arrays, row by row."""
    x = RNG.integers(-2, 3, (3, 2, 3)) / 2.0
    for options in ({}, {"passes": ()}, {"executor": "reference"}):
        function = Of(body)
        found = cavs.compile(function, dtype="float64", **options)(GRAPHS, x=x)["y"].data
        wanted = [np.asarray(expected(row, function.w.data), np.float64) for row in x]
        np.testing.assert_allclose(found, np.stack(wanted), rtol=1e-12, atol=1e-12)


COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")


@pytest.mark.parametrize("name", COMPARE)
def test_comparisons_are_those_of_arrays(name: str) -> None:
    by = getattr(operator, name)
    for body in (
        lambda x, w: by(x, 0.5),
        lambda x, w: by(0, x),
        lambda x, w: by(np.float32(0.5), x),
        lambda x, w: by(x, w),
        lambda x, w: by(w, x),
        lambda x, w: by(x, x * 1.0),
        lambda x, w: by(x[..., 0], x[..., 1]),
    ):
        check(body, body)
    check(lambda x, w: by(w, 0.2) * x, lambda x, w: by(w, 0.2) * x)
    check(lambda x, w: ops.where(by(x, w), x, w), lambda x, w: np.where(by(x, w), x, w))


def test_a_comparison_has_no_gradient_and_is_no_python_bool() -> None:
    class Uses(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Parameter(np.float32([1.0, -1.0]))

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 2)
            v.push(y=(x > self.w) * x * self.w)

    function = Uses()
    x = np.float32([[2.0, -3.0]])
    cavs.compile(function)(cavs.InputGraph([[]]), x=x)["y"].sum().backward()
    np.testing.assert_array_equal(function.w.grad, [2.0, 0.0])
    for body in (
        lambda x, w: x if x > 0 else w,
        lambda x, w: x if x == x * 1.0 else w,
        lambda x, w: 0 < x < 1,
    ):
        with pytest.raises(TraceError, match=r"`if`.*use ops\.where"):
            cavs.compile(Of(body))


def test_symbols_are_told_apart_by_identity_where_that_is_asked() -> None:
    kept: list[Any] = []

    def body(x: Any, w: Any) -> Any:
        kept.extend((x, x * 1.0))
        assert (x == None) is False  # noqa: E711
        assert (x != None) is True  # noqa: E711
        assert (w == None) is False  # noqa: E711
        assert len({x, x * 1.0, x}) == 2
        assert x in [x]
        assert {x: 1}[x] == 1
        return x

    cavs.compile(Of(body))
    x, y = kept
    assert [x == x, x == y, x != y] == [True, False, True]


INDICES: dict[str, Any] = {
    "first row": 0,
    "some rows": slice(1, None),
    "row": (0, slice(None)),
    "last row": (-1, slice(None)),
    "column": (..., 1),
    "columns": (..., slice(1, 3)),
    "one": (1, -2),
    "part of a row": (1, slice(0, 2)),
    "rows": (slice(1, 2), slice(None)),
    "block": (slice(0, 1), slice(1, None)),
    "rows first": (slice(1, 2), ...),
    "all": ...,
    "NumPy's numbers": (np.int64(1), np.int32(2)),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices_are_those_of_arrays(name: str) -> None:
    key = INDICES[name]
    check(lambda x, w: x[key], lambda x, w: x[key])
    check(lambda x, w: x[key] * w[key], lambda x, w: x[key] * w[key])


@pytest.mark.parametrize("key", [0, 2, -1, -3, slice(1), slice(1, 3), slice(-2, None)])
def test_indices_of_vectors(key: Any) -> None:
    check(lambda x, w: x.reshape(-1)[key], lambda x, w: x.reshape(-1)[key])


def test_gradients_of_indices() -> None:
    function = Of(lambda x, w: x[0, :] * w[1, 2] + w[..., 1].sum() * w[1, :])
    cavs.compile(function, dtype="float64")(GRAPHS, x=np.ones((3, 2, 3)))["y"].sum().backward()
    w = function.w.data
    expected = np.zeros((2, 3))
    expected[1, 2] += 9.0
    expected[1] += 3 * w[:, 1].sum()
    expected[:, 1] += 3 * w[1].sum()
    np.testing.assert_allclose(function.w.grad, expected, rtol=1e-12)


WRONG: dict[str, tuple[Body, type[Exception], str]] = {
    "out of range": (lambda x, w: x[0, 3], ShapeError, r"\[index\] expected.*-3\.\.2 of axis 1.*3"),
    "too many": (lambda x, w: x[0, 0, 0], ShapeError, r"\[index\] expected an index for each of 2"),
    "two dots": (lambda x, w: x[..., ...], ShapeError, r"\[index\] expected an index for each"),
    "step": (lambda x, w: x[..., ::2], TraceError, r"a number or a slice a:b.*ops\.split"),
    "list": (lambda x, w: x[[0, 1], :], TraceError, r"a number or a slice a:b.*ops\.split"),
    "bool": (lambda x, w: x[..., True], TraceError, r"a number or a slice a:b"),
    "text": (lambda x, w: x[..., "a"], TraceError, r"a number or a slice a:b"),
    "mask": (lambda x, w: x[..., x > 0], TraceError, r"ops\.pick for ids, ops\.where for masks"),
    "with a list": (lambda x, w: x > [1.0] * 3, TraceError, r"\[greater\].*got list; bring data"),
    "with text": (lambda x, w: x == "a", TraceError, r"\[equal\].*got str"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_needs_values_says_what_to_use(name: str) -> None:
    body, error, match = WRONG[name]
    with pytest.raises(error, match=match) as caught:
        cavs.compile(Of(body))
    assert "test_symbol.py" in str(caught.value)


def test_numbers_are_columns_of_a_concatenation() -> None:
    column = np.ones((2, 1))
    check(
        lambda x, w: ops.concat([x, 1.0]),
        lambda x, w: np.concatenate([x, column], -1),
    )
    check(
        lambda x, w: ops.concat([2, w, np.float32(0.5), x]),
        lambda x, w: np.concatenate([2 * column, w, 0.5 * column, x], -1),
    )
    check(
        lambda x, w: ops.concat([x.reshape(-1), 3.0]),
        lambda x, w: np.concatenate([x.reshape(-1), [3.0]]),
    )
    function = Of(lambda x, w: ops.concat([w, 2.0]) * ops.concat([w, 1.0]))
    cavs.compile(function, dtype="float64")(GRAPHS, x=np.ones((3, 2, 3)))["y"].sum().backward()
    np.testing.assert_allclose(function.w.grad, 2 * 3 * function.w.data, rtol=1e-12)
    for body in (lambda x, w: ops.concat([x, x.sum()]), lambda x, w: ops.concat([x.sum(), 1.0])):
        with pytest.raises(ShapeError, match=r"values with an axis.*reshape those .* to \(1,\)"):
            cavs.compile(Of(body))
    with pytest.raises(ShapeError, match=r"values with an axis, got shapes \[\(2, 3\), \(\)\]"):
        ops.concat([cavs.tensor(np.ones((2, 3))), 1.0])


def test_an_index_of_edge_values_is_of_features() -> None:
    class Children(cavs.VertexFunction):
        def __init__(self, key: Any) -> None:
            self.key = key

        def forward(self, v: cavs.Vertex) -> None:
            h = v.gather(h=3).h
            v.scatter(h=v.pull("x", 3))
            v.push(y=h[self.key].sum())

    x = np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    found = cavs.compile(Children((..., 1)))(cavs.InputGraph([[], [], [0, 1]]), x=x)["y"]
    np.testing.assert_array_equal(found.data, [0, 0, 7])
    with pytest.raises(TraceError, match=r"v\.gather\(k, \.\.\.\) for the state of the k-th child"):
        cavs.compile(Children(0))


def test_methods_of_tensors_are_there() -> None:
    check(lambda x, w: x.reshape(3, 2), lambda x, w: x.reshape(3, 2))
    check(lambda x, w: x.reshape((-1, 2)), lambda x, w: x.reshape(-1, 2))
    check(lambda x, w: w.reshape(6) + x.reshape(-1), lambda x, w: (w + x).reshape(6))
    check(lambda x, w: x.reshape(-1).T, lambda x, w: x.reshape(-1))
    check(lambda x, w: x.log_softmax(), lambda x, w: x - np.log(np.exp(x).sum(-1))[:, None])
    check(lambda x, w: x.sum((0, 1)) + x.mean(-1).max(), lambda x, w: x.sum() + x.mean(1).max())
    check(lambda x, w: x * x.ndim + x.size, lambda x, w: x * 2 + 6)
    function = Of(lambda x, w: (x * w).detach() * w)
    cavs.compile(function, dtype="float64")(GRAPHS, x=np.ones((3, 2, 3)))["y"].sum().backward()
    np.testing.assert_allclose(function.w.grad, 3 * function.w.data, rtol=1e-12)
    names = {name for name in dir(cavs.Tensor) if not name.startswith("_")}
    values = {"accumulate_grad", "all", "any", "astype", "backward", "data", "grad", "is_leaf"}
    values |= {"item", "numpy", "requires_grad", "requires_grad_", "zero_grad", "dtype", "space"}
    values |= {"device", "to"}
    assert names - set(dir(cavs.Symbol)) == values  # which ask for numbers, or are attributes
    with pytest.raises(AttributeError, match=r"^\[symbol\] expected.*\.item, at .*; push it"):
        cavs.compile(Of(lambda x, w: x.item()))
    with pytest.raises(AttributeError, match=r"got \.layer_norm, at .*; use ops\.layer_norm"):
        cavs.compile(Of(lambda x, w: x.layer_norm(w, w)))


def test_every_value_of_forward_is_a_symbol_and_none_is_made_by_hand() -> None:
    seen: list[Any] = []

    class Sees(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x, h = v.pull("x", 3), v.gather(h=3).h
            seen.extend((x, h, v.pull("i", dtype="int32"), v.uniform(2), x + h.sum(), x[0]))
            v.scatter(h=x)
            v.push(y=x, z=seen[4], i=seen[5])

    cavs.compile(Sees())
    assert all(isinstance(x, cavs.Symbol) for x in seen)
    assert not isinstance(nn.Parameter([1.0]), cavs.Symbol)
    with pytest.raises(TraceError, match=r"^\[symbol\] expected v\.pull"):
        cavs.Symbol()
