"""Operations along any axis of features, orders of axes, stacks and indices: beside PyTorch, to the
second derivative; and of tensors as of values of F."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from second_derivatives import second_derivatives

import cavs
from cavs import ops
from cavs.core.passes import PASSES
from cavs.errors import ShapeError

SHAPE = (2, 3, 4)
DATA = np.random.default_rng(4).normal(size=(5, *SHAPE))
ALONE = cavs.InputGraph([[]])


class Of(cavs.VertexFunction):
    def __init__(self, body: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> None:
        self.body, self.shape = body, shape

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.body(v.pull("x", self.shape)))


REDUCED: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (ops.sum, np.sum),
    "mean": (ops.mean, np.mean),
    "max": (ops.max, np.max),
    "min": (ops.min, np.min),
    "logsumexp": (
        ops.logsumexp,
        lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis, keepdims=keepdims)),
    ),
}
WHICH: tuple[Any, ...] = (None, 0, 1, 2, -1, -2, -3, (0, 1), (1, 2), (2, 0), (0, 1, 2), (-1,))


@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_are_numpys(name: str, keepdims: bool) -> None:
    ours, numpys = REDUCED[name]

    class All(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", SHAPE)
            v.push(**{f"y{i}": ours(x, axis, keepdims) for i, axis in enumerate(WHICH)})

    for dtype, rtol in (("float64", 1e-12), ("float32", 2e-6)):
        found = cavs.compile(All(), dtype=dtype)(cavs.batch([ALONE] * 5), x=DATA.astype(dtype))
        for i, axis in enumerate(WHICH):
            expected = np.stack([numpys(x, axis=axis, keepdims=keepdims) for x in DATA])
            np.testing.assert_allclose(found[f"y{i}"].data, expected, rtol, rtol)
            outer = ours(cavs.tensor(DATA[0].astype(dtype)), axis, keepdims)
            np.testing.assert_allclose(outer.data, expected[0], rtol, rtol)
            assert outer.dtype == dtype


# Of a value of three axes; PyTorch's have rows in front.
PAIRED: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    **{
        f"{name} {axis}": (
            lambda x, f=name, a=axis: getattr(ops, f)(x, a),
            lambda t, x, f=name, a=axis: getattr(t, f)(x, a + (a >= 0)),
        )
        for name in ("softmax", "log_softmax", "logsumexp")
        for axis in (0, 1, -1)
    },
    "max 1": (lambda x: ops.max(x, 1), lambda t, x: t.amax(x, 2)),
    "max apart": (lambda x: ops.max(x, (0, 2), True), lambda t, x: t.amax(x, (1, 3), True)),
    "min 0": (lambda x: ops.min(x, 0), lambda t, x: t.amin(x, 1)),
    "logsumexp apart": (lambda x: ops.logsumexp(x, (2, 0)), lambda t, x: t.logsumexp(x, (1, 3))),
    "sum apart": (lambda x: ops.sum(x, (0, 2)), lambda t, x: t.sum(x, (1, 3))),
    "mean 1": (lambda x: ops.mean(x, 1, True), lambda t, x: t.mean(x, 2, True)),
    "permuted": (
        lambda x: ops.permute(ops.tanh(x), (2, 0, 1)),
        lambda t, x: t.tanh(x).permute(0, 3, 1, 2),
    ),
    "transposed": (lambda x: x.T * x.T, lambda t, x: (x * x).permute(0, 3, 2, 1)),
    "product": (lambda x: x[0] @ x[1].T, lambda t, x: x[:, 0] @ x[:, 1].mT),
    "indices": (lambda x: x[1, :, -1] * x[0, :, None, 2], lambda t, x: _outer(x)),
    "stack": (
        lambda x: ops.stack([x[0], ops.exp(x[1])], axis=1),
        lambda t, x: t.stack([x[:, 0], t.exp(x[:, 1])], 2),
    ),
    "concat": (
        lambda x: ops.concat([x, x * x], axis=1),
        lambda t, x: t.cat([x, x * x], 2),
    ),
}


def _outer(x: Any) -> Any:
    return x[:, 1, None, :, -1] * x[:, 0, :, None, 2]


@pytest.mark.parametrize("name", PAIRED)
def test_derivatives_are_torchs(name: str) -> None:
    """Values, gradients, and gradients of gradients inside of F."""
    second_derivatives(*PAIRED[name], shape=SHAPE)


@pytest.mark.parametrize("passes", [PASSES, (), ("fuse",)])
def test_softmax_and_its_log_over_children_are_torchs(passes: tuple[str, ...]) -> None:
    torch = pytest.importorskip("torch")

    class Children(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            h = v.gather(h=3).h * v.pull_edge("w", 3)
            y = h.log_softmax()
            (slope,) = cavs.grad((ops.square(y) * 0.5).sum(), h)
            v.scatter(h=v.pull("x", 3))
            v.push(y=y, slope=slope, total=h.logsumexp(), other=ops.segment_log_softmax(h)[..., 0])

    graph = cavs.InputGraph([[], [], [0, 1, 0, 1], [1], [2, 0, 1]])
    rng = np.random.default_rng(6)
    data, weight = rng.normal(size=(5, 3)), rng.normal(size=(8, 3))
    w = cavs.tensor(weight, requires_grad=True)
    model = cavs.compile(Children(), dtype="float64", passes=passes)
    out = model(graph, x=data, w=w)
    z = torch.tensor(weight, requires_grad=True)
    states, lists = torch.tensor(data), [[0, 1, 0, 1], [1], [2, 0, 1]]
    parts, begin = [], 0
    for children in lists:
        parts.append(states[children] * z[begin : begin + len(children)])
        begin += len(children)
    logs = torch.cat([torch.log_softmax(part, 0) for part in parts])
    h = torch.cat(parts)
    first = torch.cat(
        [y - torch.exp(y) * y.sum(0) for y in (torch.log_softmax(part, 0) for part in parts)]
    )
    np.testing.assert_allclose(out["y"].data, logs.detach().numpy(), 1e-12, 1e-13)
    np.testing.assert_allclose(out["slope"].data, first.detach().numpy(), 1e-11, 1e-12)
    np.testing.assert_array_equal(out["other"].data, out["y"].data[:, 0])
    totals = torch.stack([torch.logsumexp(part, 0) for part in parts]).detach().numpy()
    np.testing.assert_allclose(out["total"].data[2:], totals, 1e-12, 1e-13)
    np.testing.assert_array_equal(out["total"].data[:2], -np.inf)
    assert h.shape == logs.shape
    (out["y"] * 0.3 + ops.square(out["slope"])).sum().backward()
    (logs * 0.3 + first.square()).sum().backward()
    np.testing.assert_allclose(w.grad, z.grad.numpy(), 1e-11, 1e-12)


INFINITE = np.array([[-np.inf, -np.inf], [np.inf, 1.0], [0.0, -np.inf], [np.inf, np.inf]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_softmax_over_children_and_axes_at_infinities(dtype: str) -> None:
    """-inf is impossible, elements of +inf share 1; none of these gives a gradient of NaN."""

    class Logs(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 2)
            h = v.gather(h=2).h
            v.scatter(h=x)
            v.push(y=h.log_softmax(), z=ops.log_softmax(v.pull("m", (2, 2)), axis=0))

    pairs = np.array([[0, 2], [1, 3], [0, 1], [2, 2]])
    graph = cavs.InputGraph([[], [], [], [], *pairs.tolist()])
    x = np.zeros((8, 2))
    x[:4] = INFINITE
    m = np.zeros((8, 2, 2))
    m[4:] = INFINITE[pairs]
    given = cavs.tensor(m.astype(dtype), requires_grad=True)
    out = cavs.compile(Logs(), dtype=dtype)(graph, x=x.astype(dtype), m=given)
    half, none, inf = np.log(0.5), 0.0, np.inf
    expected = np.array(
        [
            [[-inf, -inf], [none, -inf]],
            [[half, -inf], [half, none]],
            [[-inf, -inf], [none, none]],
            [[half, -inf], [half, -inf]],
        ]
    )
    np.testing.assert_allclose(out["z"].data[4:], expected, 2e-7)
    np.testing.assert_allclose(out["y"].data.reshape(4, 2, 2), expected, 2e-7)
    out["z"].backward(np.ones((8, 2, 2), dtype))
    assert np.isfinite(given.grad).all()


INDICES: dict[str, Any] = {
    "row": 0,
    "last row": -1,
    "rows": slice(1, None),
    "column": (slice(None), 2),
    "last axis": (..., slice(1, 3)),
    "one of each": (1, -2, 3),
    "new in front": None,
    "new between": (slice(None), None, 1),
    "new at the end": (..., np.newaxis),
    "new around": (None, 0, ..., None),
    "two new": (None, None, 1),
    "empty tuple": (),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices_are_numpys(name: str) -> None:
    key = INDICES[name]
    model = cavs.compile(Of(lambda x: x[key]), dtype="float64")
    x = cavs.tensor(DATA, requires_grad=True)
    y = model(cavs.batch([ALONE] * 5), x=x)["y"]
    np.testing.assert_array_equal(y.data, np.stack([each[key] for each in DATA]))
    weight = np.random.default_rng(1).normal(size=y.shape)
    y.backward(weight)
    expected = np.zeros(DATA.shape)
    for row, w in zip(expected, weight, strict=True):
        row[key] = w
    np.testing.assert_array_equal(x.grad, expected)


def test_a_transposed_matrix_is_no_copy_in_a_product() -> None:
    class Products(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = cavs.Parameter(np.random.default_rng(0).normal(size=(4, 3)))

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", (2, 3))
            v.push(y=x @ self.w.T, z=self.w.T.permute(1, 0) @ x.T, gram=x.transpose() @ x)

    function = Products()
    model = cavs.compile(function, dtype="float64")
    x = np.random.default_rng(1).normal(size=(3, 2, 3))
    tensor = cavs.tensor(x, requires_grad=True)
    out = model(cavs.batch([ALONE] * 3), x=tensor)
    w = function.w.data
    np.testing.assert_allclose(out["y"].data, x @ w.T, 1e-12)
    np.testing.assert_allclose(out["z"].data, np.stack([w @ each.T for each in x]), 1e-12)
    np.testing.assert_allclose(out["gram"].data, np.stack([each.T @ each for each in x]), 1e-12)
    assert "permute" not in str(model.program)
    (out["y"].sum() + out["z"].sum() + out["gram"].sum()).backward()
    ones = np.ones((2, 4)) @ w * 2 + 2 * x.sum(-1, keepdims=True)
    np.testing.assert_allclose(tensor.grad, ones, 1e-11)
    columns = np.broadcast_to(2 * x.sum((0, 1)), (4, 3))
    np.testing.assert_allclose(function.w.grad, columns, 1e-11)


def test_the_text_of_a_program_says_an_axis_that_is_not_the_last() -> None:
    last = str(cavs.compile(Of(lambda x: ops.softmax(x))).program)
    assert "softmax" in last
    assert "inner" not in last
    assert "outer=2, length=3, inner=4" in str(
        cavs.compile(Of(lambda x: ops.softmax(x, 1))).program
    )


WRONG: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "softmax": (lambda x: ops.softmax(x, 3), ShapeError, r"\[softmax\] expected .*axis.*got 3"),
    "softmax of all": (lambda x: ops.softmax(x, None), Exception, r"\[softmax\] expected.*None"),
    "log_softmax": (lambda x: ops.log_softmax(x, -4), ShapeError, r"\[log_softmax\].*got -4"),
    "of a number": (lambda x: ops.softmax(ops.sum(x), 0), ShapeError, r"\[softmax\].*scalar"),
    "max": (lambda x: ops.max(x, 3), ShapeError, r"\[max\] expected .*got 3"),
    "twice": (lambda x: ops.max(x, (0, 0)), ShapeError, r"\[max\] expected each axis once"),
    "permute": (lambda x: ops.permute(x, (0, 1)), ShapeError, r"each of 3 axes once.*\(0, 1\)"),
    "repeated": (lambda x: x.transpose(0, 1, 1), ShapeError, r"\[permute\] expected each"),
    "no axis": (lambda x: x.permute(0, 1, 3), ShapeError, r"\[permute\] expected.*got 3"),
    "stack": (lambda x: ops.stack([x, x[0]]), ShapeError, r"\[stack\] expected values of one sh"),
    "stack where": (lambda x: ops.stack([x], axis=4), ShapeError, r"\[stack\] expected.*got 4"),
    "stack of none": (lambda x: ops.stack([]), ShapeError, r"\[stack\] expected values of one"),
    "concat": (lambda x: ops.concat([x, x[:, :2]], 0), ShapeError, r"\[concat\].*but for axis 0"),
    "concat where": (lambda x: ops.concat([x, x], 3), ShapeError, r"\[concat\] expected.*got 3"),
    "concat of numbers": (lambda x: ops.concat([x[0, 0, 0]], 0), ShapeError, r"stack them"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(name: str) -> None:
    body, error, match = WRONG[name]
    with pytest.raises(error, match=match) as caught:
        cavs.compile(Of(body))
    assert "\n" not in str(caught.value)
    with pytest.raises(error, match=match):
        body(cavs.tensor(DATA[0]))


def test_values_are_put_together_along_any_axis() -> None:
    for axis in range(-4, 4):
        model = cavs.compile(Of(lambda x, a=axis: ops.stack([x, 2.0 * x, x * x], axis=a)))
        y = model(ALONE, x=DATA[:1].astype(np.float32))["y"].data[0]
        x = DATA[0].astype(np.float32)
        np.testing.assert_allclose(y, np.stack([x, 2 * x, x * x], axis), 1e-6)
        outer = ops.stack([cavs.tensor(x), cavs.tensor(2 * x)], axis)
        np.testing.assert_array_equal(outer.data, np.stack([x, 2 * x], axis))
    for axis in range(-3, 3):
        model = cavs.compile(Of(lambda x, a=axis: ops.concat([x, 2.0 * x], axis=a)))
        y = model(ALONE, x=DATA[:1].astype(np.float32))["y"].data[0]
        np.testing.assert_allclose(y, np.concatenate([x, 2 * x], axis), 1e-6)
    model = cavs.compile(Of(lambda x: ops.stack([x[0], 1.0, x[1] + 2]), (2,)))
    found = model(ALONE, x=np.float32([[5, 6]]))["y"].data
    np.testing.assert_array_equal(found, [[5, 1, 8]])
