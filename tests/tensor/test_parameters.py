"""Parameters in both worlds, their gradients, and row-sparse ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.core import ops
from cavs.core.ir import Node
from cavs.core.ops._spaces import SpaceKind
from cavs.core.trace import trace
from cavs.core.vertex import VertexFunction
from cavs.errors import (
    CavsRuntimeError,
    DTypeError,
    InputError,
    NonFiniteError,
    ShapeError,
    TraceError,
)
from cavs.tensor import (
    Parameter,
    RowSparse,
    Tensor,
    tensor,
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float64(1.5), 1.5),
        (2, 2.0),
        (np.ones((), np.float32) * np.float32(3), 3.0),
    ],
)
def test_what_is_assigned_becomes_an_array(values: Any, expected: float) -> None:
    """Arithmetic on arrays without axes gives NumPy's scalars, which nobody can write to."""
    for made in (Parameter(np.zeros((), np.float32)), Tensor(np.zeros((), np.float32))):
        made.data = values
        assert type(made.data) is np.ndarray
        assert made.data == expected
        made.data[...] = 7
        assert made.item() == 7
    scalar = Parameter(np.zeros((), np.float32))
    scalar.data = values
    assert scalar.dtype == np.float32


def test_what_is_assigned_is_c_contiguous_and_of_numbers() -> None:
    weight = Parameter(np.zeros((3, 2)))
    weight.data = np.arange(6.0).reshape(2, 3).T
    assert weight.data.flags.c_contiguous
    weight.data = [[1, 2], [3, 4], [5, 6]]
    assert weight.dtype == np.float64
    weight.data = Tensor(np.arange(6.0).reshape(3, 2))
    assert weight.data.tolist() == [[0, 1], [2, 3], [4, 5]]
    for wrong in ("text", np.zeros((3, 2), np.int32)):
        with pytest.raises(DTypeError):
            weight.data = wrong
    assert weight.data.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_parameters_own_contiguous_memory() -> None:
    data = np.zeros((3, 2))
    assert np.shares_memory(Parameter(data).data, data)
    assert Parameter(data.T).data.flags.c_contiguous
    fixed = np.zeros(2)
    fixed.flags.writeable = False
    assert Parameter(fixed).data.flags.writeable
    assert Parameter(1.0).requires_grad
    with pytest.raises(DTypeError, match=r"\[parameter\]"):
        Parameter([1, 2])


def test_parameters_are_symbols_while_tracing() -> None:
    seen: list[Any] = []

    class F(VertexFunction):
        def __init__(self) -> None:
            self.a = Parameter(np.ones((4, 3), np.float32))
            self.b = Parameter(np.ones((4, 3), np.float32))

        def forward(self, v: Any) -> None:
            product = self.a * self.b + 1.0
            seen.extend([product, self.a[1:3], self.a.sum(), -self.b])
            v.push(y=ops.linear(v.pull("x", 3), product))

    function = F()
    trace(function)
    assert all(isinstance(node, Node) and node.space == SpaceKind.NONE for node in seen)
    assert isinstance(function.a * function.b, Tensor)


def test_tensors_in_a_vertex_function_are_refused() -> None:
    class F(VertexFunction):
        def __init__(self) -> None:
            self.p = Parameter(np.ones(3, np.float32))
            self.table = tensor([1.0, 2.0, 3.0])

        def forward(self, v: Any) -> None:
            v.push(y=v.pull("x", 3) * self.table)

    with pytest.raises(TraceError, match=r"\[mul\] .* got Tensor.*test_parameters.py"):
        trace(F())


def rows(indices: list[int], value: float = 1.0, count: int = 4) -> RowSparse:
    values = np.full((len(indices), 2), value)
    return RowSparse(np.array(indices, np.int32), values, (count, 2))


@pytest.mark.parametrize("dtypes", ["ff", "dd", "fd", "if"])
@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 3), (9, 2, 2)])
def test_sums_of_rows_are_those_of_matrices(dtypes: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for counts in [(0, 0), (0, 3), (3, 0), (1, 1), (4, 5), (9, 9), (2, 9)]:
        parts = []
        for count, dtype in zip(counts, dtypes, strict=True):
            chosen = np.zeros(18, np.int32)
            chosen[: 2 * count : 2] = np.sort(rng.choice(9, count, replace=False))
            rows = (10 * rng.normal(size=(count, *shape[1:]))).astype(dtype)
            parts.append(RowSparse(chosen[: 2 * count : 2], rows, shape))  # ids with gaps
        total = parts[0].add(parts[1])
        RowSparse(total.indices, total.values, total.shape)  # which checks
        expected = parts[0].to_dense() + parts[1].to_dense()
        assert len(total.indices) == len(set(parts[0].indices) | set(parts[1].indices))
        np.testing.assert_array_equal(total.to_dense(), expected)
        if min(counts):
            assert total.dtype == expected.dtype


@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize("kinds", ["dd", "ds", "sd", "ss", "dsd", "sds", "ssd"])
def test_gradients_accumulate_in_any_mixture(kinds: str, adopt: bool) -> None:
    x = Parameter(np.zeros((4, 2)))
    expected = np.zeros((4, 2))
    given = []
    for number, kind in enumerate(kinds, 1):
        grad: Any = rows([0, number], number) if kind == "s" else np.full((4, 2), float(number))
        given.append((grad, np.array(grad)))
        expected += np.asarray(grad)
        x.accumulate_grad(grad, adopt=adopt)
    np.testing.assert_array_equal(np.asarray(x.grad), expected)
    assert isinstance(x.grad, RowSparse) == (set(kinds) == {"s"})
    if not adopt:
        for grad, before in given:
            np.testing.assert_array_equal(np.asarray(grad), before)


def test_gradient_buffers_are_used_again() -> None:
    x = Parameter(np.ones(3))
    x.accumulate_grad(np.ones(3))
    address = x.grad.ctypes.data  # type: ignore[union-attr]
    x.zero_grad()
    assert x.grad is None
    buffer = x.take_grad_buffer()
    assert (buffer.shape, buffer.dtype, buffer.ctypes.data) == (x.shape, x.dtype, address)
    assert x.take_grad_buffer().ctypes.data != address


def test_gradients_that_others_hold_are_left_alone() -> None:
    x = Parameter(np.ones(3))
    holds: list[Callable[[Any], Any]] = [lambda g: g, lambda g: g[1:]]
    for hold in holds:
        x.accumulate_grad(np.ones(3))
        held = hold(x.grad)
        x.zero_grad()
        x.take_grad_buffer()[:] = 7.0
        np.testing.assert_array_equal(held, 1.0)


def test_row_sparse_arithmetic() -> None:
    a, b = rows([0, 2], 1.0), rows([2, 3], 3.0)
    np.testing.assert_array_equal(a.add(b).to_dense(), a.to_dense() + b.to_dense())
    np.testing.assert_array_equal(a.add(a).to_dense(), 2 * a.to_dense())
    assert a.add(b).indices.tolist() == [0, 2, 3]
    assert a.add(rows([])).indices.tolist() == [0, 2]
    b.scale(2.0)
    assert b.sum_of_squares() == 4 * 36.0
    dense = np.ones((4, 2))
    a.add_to(dense)
    np.testing.assert_array_equal(dense, 1 + a.to_dense())
    assert "2 rows of (4, 2)" in repr(a)


def test_row_sparse_sums_equal_ids() -> None:
    ids = np.array([3, -1, 0, 3], np.int32)
    values = np.arange(8.0).reshape(4, 2)
    total = RowSparse.from_rows(ids, values, (4, 2))
    assert total.indices.tolist() == [0, 3]
    np.testing.assert_array_equal(total.values, [[4, 5], [6, 8]])
    assert len(RowSparse.from_rows(ids[1:2], values[:1], (4, 2)).indices) == 0


def test_sum_of_squares_of_many_rows() -> None:
    values = np.random.default_rng(0).normal(size=(3000, 50)).astype(np.float32)
    sparse = RowSparse(np.arange(3000, dtype=np.int32), values, (3000, 50))
    np.testing.assert_allclose(sparse.sum_of_squares(), (values.astype(float) ** 2).sum())


@pytest.mark.parametrize("indices", [[1, 0], [1, 1], [-1, 2], [3, 4]])
def test_row_sparse_refuses_bad_indices(indices: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"ascending distinct indices in 0..3"):
        rows(indices)


def test_row_sparse_refuses_bad_shapes() -> None:
    with pytest.raises(ShapeError, match=r"values \(n, 2\)"):
        RowSparse(np.zeros(1, np.int32), np.zeros((2, 2)), (4, 2))
    with pytest.raises(DTypeError, match="int32 indices"):
        RowSparse(np.zeros(1, np.int64), np.zeros((1, 2)), (4, 2))
    with pytest.raises(ShapeError, match=r"expected shape \(4, 2\)"):
        rows([0]).add(rows([0], count=5))
    with pytest.raises(ShapeError, match=r"expected shape \(4, 2\)"):
        rows([0]).add_to(np.zeros((5, 2)))


def test_version_changes_with_the_values():
    parameter = Parameter(np.zeros(3, np.float32))
    first = parameter.read()[1]
    assert first >= 0
    assert parameter.read()[1] == first
    assert parameter.shape == (3,)
    assert parameter.read()[1] == first
    parameter.data[0] = 1
    second = parameter.read()[1]
    assert second not in (first, -1)
    parameter.data = np.ones(3, np.float32)
    assert parameter.read()[1] not in (first, second, -1)


def test_version_is_unknown_while_others_may_write():
    array = np.zeros((2, 3), np.float32)
    parameter = Parameter(array)
    assert parameter.read()[1] == -1
    del array
    assert parameter.read()[1] >= 0
    part = parameter.data[0]
    assert parameter.read()[1] == -1
    del part
    assert parameter.read()[1] >= 0
    view = memoryview(parameter.data)
    assert parameter.read()[1] == -1
    view.release()
    assert Parameter(np.zeros(6, np.float32).reshape(2, 3)).read()[1] == -1


class Named(cavs.VertexFunction):
    def __init__(self) -> None:
        self.embedding = cavs.nn.Embedding(5, 3)
        self.u_iou = cavs.nn.Linear(3, 3)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.u_iou(self.embedding(v.pull("word", dtype="int32"))))


PATHS = ["embedding.weight", "u_iou.weight", "u_iou.bias"]
ONE_VERTEX = [cavs.InputGraph([[]])]


def named(executor: str = "native") -> tuple[cavs.Model, dict[str, Parameter]]:
    model = cavs.compile(Named(), executor=executor)
    return model, dict(model.named_parameters())


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("path", PATHS)
def test_values_that_no_longer_fit_are_named(path: str, executor: str) -> None:
    model, parameters = named(executor)
    parameters[path].take(
        np.ones((2, *parameters[path].shape[1:]), np.float32)
    )  # of another library
    with pytest.raises(ShapeError, match=f"expected .* for parameter '{path}', got"):
        model(ONE_VERTEX, word=[4])


@pytest.mark.parametrize("path", PATHS)
def test_values_of_another_dtype_are_named(path: str) -> None:
    model, parameters = named()
    parameters[path].data = np.ones(parameters[path].shape, np.float64)
    with pytest.raises(CavsRuntimeError, match=f"parameter '{path}' as float32.*, got float64"):
        model(ONE_VERTEX, word=[4])


GRADIENTS: dict[str, Any] = {
    "list": [[1.0]],
    "int32 (3, 3)": np.zeros((3, 3), np.int32),
    "float32 (2, 3)": np.zeros((2, 3), np.float32),
    "float32 (3, 3), read-only": np.broadcast_to(np.float32(1), (3, 3)),
    "float32 (4, 3)": RowSparse(np.zeros(1, np.int32), np.ones((1, 3), np.float32), (4, 3)),
}


@pytest.mark.parametrize("got", GRADIENTS)
def test_gradients_that_cannot_be_added_to_are_named(got: str) -> None:
    model, parameters = named()
    loss = model(ONE_VERTEX, word=[4])["y"].sum()
    parameters["u_iou.weight"].grad = GRADIENTS[got]
    with pytest.raises(InputError) as error:
        loss.backward()
    assert f"of parameter 'u_iou.weight' to add to, got {got}; call zero_grad" in str(error.value)
    values = np.ones((3, 3), np.float32)
    for alone in (Parameter(values), cavs.Tensor(values, requires_grad=True)):
        alone.grad = GRADIENTS[got]
        with pytest.raises(InputError, match=r"of a tensor of shape \(3, 3\) to add to"):
            (alone * 2.0).sum().backward()
        with pytest.raises(InputError, match=r"of a tensor of shape \(3, 3\) to add to"):
            alone.accumulate_grad(values)


def test_a_tape_names_the_parameter_whose_gradient_is_not_finite() -> None:
    _, parameters = named()
    parameters["u_iou.bias"].data[...] = 0.0
    with cavs.detect_nonfinite(), pytest.raises(NonFiniteError, match=r"parameter 'u_iou\.bias'"):
        ops.sqrt(parameters["u_iou.bias"]).sum().backward()


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 4), ()])
def test_new_values_have_the_shape_of_the_old_ones(shape: tuple[int, ...]) -> None:
    parameter = Parameter(np.arange(6.0).reshape(2, 3))
    for values in (np.ones(shape), tensor(np.ones(shape)), np.ones(shape).tolist()):
        with pytest.raises(ShapeError, match=r"values of shape \(2, 3\), got "):
            parameter.data = values
    assert parameter.data.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
