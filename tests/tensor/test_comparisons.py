"""Comparisons of tensors, element by element, and that tensors are told apart by identity."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import nn, ops, optim
from cavs.errors import DTypeError, ShapeError, TraceError
from cavs.tensor import Parameter, Tensor, tensor

SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")
}
COMPARE = ("equal", "greater", "greater_equal", "less", "less_equal")
FLOATS = (np.float32, np.float64)
each_sign = pytest.mark.parametrize("name", SIGNS)


@each_sign
@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_elementwise_with_broadcasting(name: str, dtype: Any, data: st.DataObject) -> None:
    shapes = data.draw(st.sampled_from([((2, 3), (3,)), ((0, 3), (3,)), ((), (2,)), ((4,), (4,))]))
    numbers = st.sampled_from([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan])
    a, b = (
        np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)), dtype).reshape(shape)
        for shape in shapes
        for n in [int(np.prod(shape))]
    )
    compare = SIGNS[name]
    for x, y in ((Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))):
        found = compare(x, y)
        assert type(found) is Tensor
        assert found.dtype == dtype
        np.testing.assert_array_equal(found.data, compare(a, b).astype(dtype))


@each_sign
def test_other_operands(name: str) -> None:
    compare, values = SIGNS[name], np.array([[1.0, 2.0], [3.0, 2.0]])
    x = Tensor(values)
    for other in (2, 2.0, np.float32(2), np.array(2.0), [3.0, 2.0], ((1, 2), (3, 2)), True, 2**70):
        expected = compare(values, np.asarray(other, np.float64))
        np.testing.assert_array_equal(compare(x, other).data, expected)
    np.testing.assert_array_equal(compare(2, x).data, compare(2, values))
    turned = Tensor(values.T)  # not contiguous
    np.testing.assert_array_equal(compare(turned, x).data, compare(values.T, values))
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(
        compare(x, torch.tensor([3.0, 2.0], dtype=torch.float64)).data,
        compare(values, np.array([3.0, 2.0])),
    )


@each_sign
def test_integers_are_compared_exactly(name: str) -> None:
    compare = SIGNS[name]
    a, b = np.int32([2**31 - 1, 2**24 + 1, -5]), np.int32([2**31 - 2, 2**24, -5])
    x = Tensor(a)
    for other in (Tensor(b), b, b.astype(np.int64), list(map(int, b))):
        found = compare(x, other)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.data, compare(a, b))
    np.testing.assert_array_equal(compare(x, 2**40).data, compare(a.astype(np.int64), 2**40))
    with_floats = compare(x, Tensor(np.float64([2**31 - 1, 0.5, -5.5])))
    assert with_floats.dtype == np.float64
    np.testing.assert_array_equal(with_floats.data, compare(a, np.array([2**31 - 1, 0.5, -5.5])))


def test_accuracy_as_people_write_it() -> None:
    predicted, labels = tensor([1, 2, 0, 1]), np.array([1, 2, 2, 1])
    assert (predicted == labels).mean().item() == 0.75
    x = tensor([1.0, -2.0, 3.0], requires_grad=True)
    np.testing.assert_array_equal(x[x > 0].data, [1.0, 3.0])
    x[x > 0].sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 0.0, 1.0])
    with pytest.raises(DTypeError, match=r"\[index\] expected numbers of rows, int32, or a mask"):
        x[tensor([0.0, 2.0, 1.0])]


def test_no_gradient_and_no_place_on_the_tape() -> None:
    p = Parameter([1.0, 2.0])
    found = p == p
    assert not found.requires_grad
    assert found.is_leaf
    (p * (p > 1.5)).sum().backward()
    np.testing.assert_array_equal(p.grad, [0.0, 1.0])


def test_what_holds_no_numbers_is_not_equal() -> None:
    x = tensor([1.0, 2.0])
    for other in (None, "a", b"a", {}, {1}, object(), int, 1j):
        assert (x == other) is False
        assert (x != other) is True
        with pytest.raises(DTypeError, match=r"\[less\] expected numbers to compare"):
            assert x < other
    with pytest.raises(ShapeError, match=r"\[equal\] expected shapes that broadcast"):
        assert x == tensor([1.0, 2.0, 3.0])
    with pytest.raises(DTypeError, match=r"\[equal\] expected operands of one dtype"):
        assert x == tensor(np.zeros(2))


def test_all_any_and_elements() -> None:
    x = tensor([[1.0, 2.0], [3.0, np.nan]])
    assert not (x == x).all()
    assert (x == x).any()
    assert (x[0] == x[0]).all()
    assert 2.0 in x
    assert [1.0, 9.0] in x  # as with NumPy: an element of it is equal
    assert 7.0 not in x
    assert "a" not in x
    assert x.any()
    assert tensor([0, 0, 3]).any()
    assert not tensor([0, 0]).any()
    nothing = tensor(np.zeros((0, 3)))
    assert nothing.all()
    assert not nothing.any()


@pytest.mark.parametrize("make", [tensor, Parameter])
def test_hashed_by_identity(make: Any) -> None:
    a, b = make([1.0]), make([1.0])
    table = {a: "a", b: "b"}
    assert table[a] == "a"
    assert table[b] == "b"
    assert len({a, b, a}) == 2
    assert hash(a) != hash(b)


def test_one_number_parameters_of_modules_are_told_apart() -> None:
    """Two of one element may be equal in Python's sense; they are not the same parameter."""

    class Scaled(cavs.VertexFunction):
        def __init__(self) -> None:
            self.scale = nn.Parameter([1.0])
            self.shifts = [nn.Parameter(1.0)]

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", 1) * self.scale + self.shifts[0])

    graph, x = cavs.InputGraph([[]]), np.ones((1, 1), np.float32)
    for replace in ("scale", "shifts"):
        function = Scaled()
        model = cavs.compile(function)
        model(graph, x=x)
        if replace == "scale":
            function.scale = nn.Parameter([1.0])
        else:
            function.shifts[0] = nn.Parameter(1.0)
        with pytest.raises(cavs.CavsRuntimeError, match=rf"expected attribute '{replace}"):
            model(graph, x=x)


def test_replaced_parameters_are_found_by_identity() -> None:
    class Layer(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Parameter(np.ones(3, np.float32))

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", 3) * self.w)

    function = Layer()
    first = cavs.compile(function)
    before = optim.SGD(first.parameters(), 0.1)
    old = function.w
    function.w = nn.Parameter(np.ones(3, np.float32))
    model = cavs.compile(function)
    old.grad = np.ones(3, np.float32)
    with pytest.raises(cavs.CavsRuntimeError, match="w"):
        before.step()
    optim.SGD(model.parameters(), 0.1).step()


def test_in_a_vertex_function_parameters_compare_as_symbols() -> None:
    found: list[Any] = []

    class Compares(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Parameter([1.0, 2.0])

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 2)
            found.append(self.w == None)  # noqa: E711
            pairs = ((self.w, 1.0), (self.w, x), (x, self.w), (self.w, self.w))
            for name, compare in SIGNS.items():
                for i, (a, b) in enumerate(pairs):
                    y = compare(a, b)
                    assert isinstance(y, cavs.Symbol)
                    v.push(**{f"{name}{i}": y})
            with pytest.raises(TraceError):
                list(self.w)

    x, w = np.float32([[1.0, 3.0], [2.0, 2.0]]), np.float32([1.0, 2.0])
    outputs = cavs.compile(Compares())(cavs.InputGraph([[], []]), x=x)
    assert found == [False]
    for name, compare in SIGNS.items():
        for i, (a, b) in enumerate(((w, 1.0), (w, x), (x, w), (w, w))):
            expected = np.broadcast_to(compare(a, b), (2, 2)).astype(np.float32)
            np.testing.assert_array_equal(outputs[f"{name}{i}"].data, expected)


def test_operations_without_a_gradient_give_tensors_off_the_tape() -> None:
    x = Tensor([[-1.0, 0.0, 2.0]], requires_grad=True)
    for y in (
        *(getattr(ops, name)(x, 0.0) for name in COMPARE),
        *(getattr(ops, name)(0.0, x) for name in COMPARE),
        *(ops.sign(x), x.sign(), ops.one_hot_max(x), ops.stop_gradient(x)),
        *(ops.where(x, 1.0, 0.0), ops.where(x > 0, [[1.0, 2.0, 3.0]], 0.0)),
        ops.greater(x * 2.0, 0.0) + 1.0,
    ):
        assert not y.requires_grad
        assert y.is_leaf
        with pytest.raises(cavs.CavsRuntimeError, match=r"\[backward\] expected a tensor that dep"):
            y.sum().backward()
    y = ops.where(x, x * x, 0.0) * ops.greater(x, 0.0)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[0.0, 0.0, 4.0]])
