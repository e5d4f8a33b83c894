"""Running sums, orders and elements by ids: beside NumPy and PyTorch, to the second derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from second_derivatives import second_derivatives

import cavs
from cavs import nn, ops
from cavs.core.passes import PASSES
from cavs.errors import DTypeError, InputError, ShapeError, TraceError

SHAPE = (2, 5, 3)
ALONE = cavs.InputGraph([[]])
ROWS = cavs.batch([ALONE] * 4)
PAIRED: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    **{
        f"{name} {axis}": (
            lambda x, f=name, a=axis: getattr(ops, f)(x * x, a),
            lambda t, x, f=name, a=axis: _of(getattr(t, f)(x * x, a + (a >= 0))),
        )
        for name in ("cumsum", "sort")
        for axis in (0, 1, -1)
    },
    "sort downwards": (
        lambda x: ops.sort(x, 1, descending=True) * ops.sort(x, 1),
        lambda t, x: t.sort(x, 2, descending=True)[0] * t.sort(x, 2)[0],
    ),
    "top_k 1": (lambda x: ops.top_k(ops.exp(x), 2, 1)[0], lambda t, x: t.topk(t.exp(x), 2, 2)[0]),
    "top_k -1": (lambda x: ops.top_k(x * x, 3)[0], lambda t, x: t.topk(x * x, 3)[0]),
    "places": (
        lambda x: ops.one_hot(ops.argmax(x, 1), 5) * ops.permute(ops.exp(x), (0, 2, 1)),
        lambda t, x: t.nn.functional.one_hot(x.argmax(2), 5) * t.exp(x).permute(0, 1, 3, 2),
    ),
    "take by places": (
        lambda x: ops.take(x * x, ops.argmax(x[:, :, 0]), axis=1),
        lambda t, x: (x * x).gather(2, x[..., 0].argmax(2)[:, None, :, None].expand(-1, 2, -1, 3)),
    ),
}


def _of(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", PAIRED)
def test_derivatives_are_torchs(name: str) -> None:
    """Values, gradients, and gradients of gradients inside of F."""
    second_derivatives(*PAIRED[name], shape=SHAPE)


class Orders(cavs.VertexFunction):
    """All that an order of elements gives, along one axis."""

    def __init__(self, shape: tuple[int, ...], axis: int) -> None:
        self.shape, self.axis = shape, axis

    def forward(self, v: cavs.Vertex) -> None:
        x, axis, n = v.pull("x", self.shape), self.axis, self.shape[self.axis]
        numbers = np.arange(float(n))
        top, places = ops.top_k(x, max(1, n // 2), axis)
        v.push(
            up=ops.sort(x, axis),
            down=ops.sort(x, axis, descending=True),
            order=ops.take(numbers, ops.argsort(x, axis)),
            back=ops.take(numbers, ops.argsort(x, axis, descending=True)),
            best=ops.take(numbers, ops.argmax(x, axis)),
            top=top,
            places=ops.take(numbers, places),
        )


def orders(x: np.ndarray, axis: int) -> dict[str, np.ndarray]:
    """By NumPy; `axis` counts from the end. Of equal elements the first comes first."""
    up = np.argsort(x, axis, kind="stable")
    # Python's sort keeps equal elements as they stand.
    lines = np.moveaxis(x, axis, -1)
    keys = np.where(np.isnan(lines), np.inf, lines).reshape(-1, lines.shape[-1])
    nan = np.isnan(lines).reshape(keys.shape)
    down = [
        sorted(range(len(k)), key=lambda i, k=k, m=m: (not m[i], -k[i]))
        for k, m in zip(keys, nan, strict=True)
    ]
    back = np.moveaxis(np.reshape(down, lines.shape), -1, axis)
    some = back.take(range(max(1, x.shape[axis] // 2)), axis)
    return {
        "up": np.take_along_axis(x, up, axis),
        "down": np.take_along_axis(x, back, axis),
        "order": up,
        "back": back,
        "best": np.argmax(x, axis),
        "top": np.take_along_axis(x, some, axis),
        "places": some,
    }


@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["ties", "nan", "zeros", "infinite"])
def test_orders_are_numpys(axis: int, dtype: str, kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    some = {
        "ties": [0.0, 1.0, 2.0],
        "nan": [np.nan, 1.0, -1.0, np.inf],
        "zeros": [0.0, -0.0],
        "infinite": [np.inf, -np.inf, 0.5],
    }
    shape = (3, 20, 4)
    x = rng.choice(some[kind], (4, *shape)).astype(dtype)
    expected = orders(x, axis)
    for options in ({}, {"executor": "reference"}):
        out = cavs.compile(Orders(shape, axis), dtype=dtype, **options)(ROWS, x=x)
        for name, value in expected.items():
            np.testing.assert_array_equal(out[name].data, value, err_msg=name)
    outer = cavs.tensor(x)
    np.testing.assert_array_equal(ops.sort(outer, axis).data, expected["up"])
    np.testing.assert_array_equal(ops.argmax(outer, axis).data, expected["best"])
    assert ops.argmax(outer, axis).dtype == "int32"
    assert not ops.argmax(cavs.tensor(x, requires_grad=True), axis).requires_grad


class ByIds(cavs.VertexFunction):
    """Elements by ids with a shape, of vertices, edges and graphs, and of a parameter."""

    def __init__(self) -> None:
        self.table, self.layer = nn.Parameter(np.linspace(-1, 1, 15).reshape(5, 3)), nn.Linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        ids = v.pull("ids", (2, 2), dtype="int32")
        kinds = v.pull_edge("kinds", 2, dtype="int32")
        topics = v.pull_graph("topics", 3, dtype="int32")
        rows = ops.take(self.table, ids, axis=0)
        below = (ops.take(v.gather(h=3).h, kinds) * ops.one_hot(kinds, 3).sum(-1)).sum()
        x = self.layer(v.pull("x", 3)) + below.sum()
        v.scatter(h=ops.tanh(x + rows[0, 1]))
        v.push(
            rows=rows,
            topics=ops.take(x, topics),
            picked=ops.pick(rows, ids),
            one=ops.one_hot(ids, 5),
            each=ops.pick(x, ids[0][1:].reshape(())),
        )


GRAPHS = cavs.batch(
    [cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0], [1, 0]]), cavs.InputGraph([[]])]
)


def given() -> dict[str, Any]:
    rng = np.random.default_rng(2)

    def drawn(bound: int, *shape: int) -> np.ndarray:
        return rng.integers(-1, bound, shape).astype(np.int32)

    x = rng.normal(size=(7, 3))
    return {"ids": drawn(3, 7, 2, 2), "kinds": drawn(3, 5, 2), "topics": drawn(3, 3, 3), "x": x}


def test_ids_with_a_shape_native_and_reference() -> None:
    results = []
    for options in ({"executor": "reference"}, {}, {"passes": ()}, {"passes": ("fuse",)}):
        nn.init.manual_seed(1)
        model = cavs.compile(ByIds(), dtype="float64", **options)
        out = model(GRAPHS, **given())
        loss = sum(((y * y).sum() + y.sum() for y in out.values()), cavs.tensor(0.0, "float64"))
        loss.backward()
        results.append([y.data for y in out.values()] + [p.grad for p in model.parameters()])
    for found in results[1:]:
        for a, b in zip(found, results[0], strict=True):
            np.testing.assert_allclose(a, b, 1e-9, 1e-10)
    inputs, table = given(), np.linspace(-1, 1, 15).reshape(5, 3)
    ids = inputs["ids"]
    rows = np.where(ids[..., None] >= 0, table[ids], 0)
    np.testing.assert_array_equal(results[1][0], rows)
    np.testing.assert_array_equal(results[1][3], np.arange(5) == ids[..., None])
    picked = np.where(ids >= 0, np.take_along_axis(rows, ids[..., None], -1)[..., 0], 0)
    np.testing.assert_array_equal(results[1][2], picked)


@pytest.mark.parametrize("passes", [PASSES, ()])
def test_ids_that_are_out_of_range_are_named(passes: tuple[str, ...]) -> None:
    model = cavs.compile(ByIds(), passes=passes)
    for name, at, match in (
        ("ids", (4, 1, 0), r"ids in -1\.\.2 for 'ids', looked up at .*got 5 at graph 1, vertex 1;"),
        ("kinds", (3, 1), r"ids in -1\.\.2 for 'kinds', looked .* got 5 at graph 1, edge 1;"),
        ("topics", (2, 2), r"ids in -1\.\.2 for 'topics', looked up at .*got 5 at graph 2;"),
    ):
        wrong = given()
        wrong["x"] = wrong["x"].astype(np.float32)
        wrong[name][at] = 5
        with pytest.raises(InputError, match=match):
            model(GRAPHS, **wrong)
    wrong = {**given(), "ids": np.zeros((7, 2), np.int32)}
    with pytest.raises(ShapeError, match=r"expected int32 of shape \(7, 2, 2\), a row per vertex"):
        model(GRAPHS, **wrong)


def test_take_of_tensors_is_numpys_and_its_gradient_adds_up() -> None:
    rng = np.random.default_rng(3)
    for axis in range(-3, 3):
        for shape in ((), (4,), (2, 3)):
            x = cavs.tensor(rng.normal(size=SHAPE), requires_grad=True)
            ids = rng.integers(0, SHAPE[axis], shape).astype(np.int32)
            y = ops.take(x, cavs.tensor(ids), axis)
            np.testing.assert_array_equal(y.data, x.data.take(ids, axis))
            weight = rng.normal(size=y.shape)
            y.backward(weight)
            expected = np.zeros(SHAPE)
            at = (slice(None),) * (axis % 3)
            np.add.at(expected, (*at, ids), weight)
            np.testing.assert_allclose(x.grad, expected, 1e-12)


WRONG: dict[str, tuple[Callable[[Any, Any], Any], type[Exception], str]] = {
    "k": (lambda x, i: ops.top_k(x, 4)[0], ShapeError, r"\[top_k\] expected .* k in 1\.\.3, got 4"),
    "no k": (
        lambda x, i: ops.top_k(x, 0)[0],
        ShapeError,
        r"\[top_k\] expected .* k in 1\.\.3, got 0",
    ),
    "half": (
        lambda x, i: ops.top_k(x, 1.5)[0],
        ShapeError,
        r"\[top_k\] .* integer k.*got 1\.5",
    ),
    "cumsum": (lambda x, i: ops.cumsum(x, 2), ShapeError, r"\[cumsum\] expected .*axis.*got 2"),
    "argmax": (lambda x, i: ops.argmax(x, -3), ShapeError, r"\[argmax\] expected .*got -3"),
    "sort": (lambda x, i: ops.sort(x, None), Exception, r"\[sort\] expected .*None"),
    "of a number": (lambda x, i: ops.cumsum(ops.sum(x)), ShapeError, r"\[cumsum\].*scalar"),
    "take": (lambda x, i: ops.take(x, i, 2), ShapeError, r"\[take\] expected .*got 2"),
    "ids": (lambda x, i: ops.take(x, x), DTypeError, r"operand 1 of dtype int32, got float"),
    "rows": (lambda x, i: ops.pick(x, i), ShapeError, r"\[pick\] expected ids of shape \(2,\)"),
}


class Wrong(cavs.VertexFunction):
    def __init__(self, body: Callable[[Any, Any], Any]) -> None:
        self.body = body

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.body(v.pull("x", (2, 3)), v.pull("ids", 3, dtype="int32")))


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(name: str) -> None:
    body, error, match = WRONG[name]
    with pytest.raises(error, match=match) as caught:
        cavs.compile(Wrong(body))
    assert "\n" not in str(caught.value)
    with pytest.raises(error, match=match):
        body(cavs.tensor(np.ones((2, 3))), cavs.tensor([0, 1, 2]))


def test_what_ids_with_a_shape_cannot_do() -> None:
    table = nn.Embedding(5, 3)
    for body, error, match in (
        (lambda x, i: table(i[0]), TraceError, r"ids as they are pulled, got those of slice; pull"),
        (
            lambda x, i: table(ops.argmax(x[0])),
            TraceError,
            r"ids as they are pulled, got those of .*ops\.take\(weight",
        ),
        (lambda x, i: table(i), ShapeError, r"\[embedding\] expected .* scalar ids"),
        (lambda x, i: ops.reshape(i, (3, 1))[:, 0:1] * 1.0, DTypeError, r"\[mul\].*int32"),
        (lambda x, i: i, DTypeError, r"\[push\] expected a float value"),
        (lambda x, i: ops.argmax(x), DTypeError, r"\[push\] expected a float value"),
        (lambda x, i: ops.stack([i, i])[:, 1], DTypeError, r"expected operand 0 of dtype float"),
    ):
        Wrong(body).table = table  # type: ignore[attr-defined]
        with pytest.raises(error, match=match):
            cavs.compile(Wrong(body))
