"""Derivatives of derivatives of tensors: beside PyTorch, beside differences, and what they hold."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops_cases import CASES, OpCase

import cavs
from cavs import ops
from cavs.core.ops import OPS
from cavs.core.ops._def import apply
from cavs.errors import CavsRuntimeError, InputError, NonFiniteError, ShapeError
from cavs.tensor import Parameter, Tensor, record

# Second derivatives of these are tried as higher ones of what they are the gradients of.
_OF_GRADIENTS = {
    *("conv_weight_reduce", "cross_entropy_grad", "embedding_grad", "matmul_reduce"),
    *("max_pool_grad", "max_pool_tangent"),
}


def _small_cases() -> list[OpCase]:
    """Up to two cases of each operation that has a gradient, the largest of the small ones."""
    found: dict[str, list[OpCase]] = {}
    for case in CASES:
        size = sum(math.prod(x.shape) for x in case.operands)
        if case.gradient and OPS[case.op].vjp is not None and size <= 24:
            found.setdefault(case.op, []).append(case)
    return [case for cases in found.values() for case in cases[-2:]]


def leaf(values: Any) -> Tensor:
    return Tensor(np.array(values, np.float64), requires_grad=True)


def test_every_operation_with_a_gradient_is_tried() -> None:
    differentiable = {
        name for name, op in OPS.items() if op.vjp is not None and op.reference is not None
    }
    constant = {"greater", "greater_equal", "less", "less_equal", "equal", "sign", "one_hot_max"}
    tried = {case.op for case in _small_cases()}
    assert differentiable - constant <= tried | _OF_GRADIENTS | {"stop_gradient"}


@pytest.mark.parametrize("case", _small_cases(), ids=lambda case: case.id)
def test_second_derivatives_are_central_differences(case: OpCase) -> None:
    arrays = case.arrays(np.float64)
    rng = np.random.default_rng(3)
    weights, mix = rng.normal(size=60), [rng.normal(size=a.shape) for a in arrays]

    def mixed(values: list[np.ndarray]) -> tuple[Tensor | None, list[Tensor]]:
        """A number made of the gradients by all operands, and the operands."""
        xs = [Tensor(a.copy(), requires_grad=a.dtype == np.float64) for a in values]
        y = apply(OPS[case.op], *xs, **case.attrs)
        seed = np.resize(weights, y.shape)
        found = [
            (cavs.grad(y, x, [Tensor(seed)], create_graph=True)[0] * u).sum()
            for x, u in zip(xs, mix, strict=True)
            if x.requires_grad and _depends(y, x)
        ]
        return (sum(found[1:], found[0]) if found else None), xs

    total, xs = mixed(arrays)
    for k, (x, a) in enumerate(zip(xs, arrays, strict=True)):
        if not x.requires_grad or k in OPS[case.op].constant_in:
            continue
        linear = total is None or not total.requires_grad or not _depends(total, x)
        found = np.zeros(a.shape) if linear else _gradient(total, x)
        for at in range(min(a.size, 6)):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [b.copy() for b in arrays]
                moved[k].reshape(-1)[at] += step
                end = mixed(moved)[0]
                ends.append(0.0 if end is None else end.item())
            expected = (ends[0] - ends[1]) / 2e-5
            scale = max(1.0, abs(expected), abs(float(ends[0])))
            assert abs(found.reshape(-1)[at] - expected) < 1e-6 * scale, (k, at)


def _depends(y: Tensor, x: Tensor) -> bool:
    try:
        cavs.grad(y, x, [Tensor(np.ones(y.shape))], create_graph=True)
    except InputError:
        return False
    return True


def _gradient(y: Any, x: Tensor) -> np.ndarray:
    found: np.ndarray = cavs.grad(y, x, create_graph=True)[0].numpy()
    return found


# Pairs of the same function, of cavs's tensors and of PyTorch's.
Function = Callable[[Any], Any]
UNARY: dict[str, tuple[Function, Function]] = {
    "tanh": (lambda x: x.tanh(), lambda x: x.tanh()),
    "sigmoid": (lambda x: x.sigmoid(), lambda x: x.sigmoid()),
    "softplus": (ops.softplus, lambda x: (1 + x.exp()).log()),
    "exp": (lambda x: (x * 0.3).exp(), lambda x: (x * 0.3).exp()),
    "log": (lambda x: (x * x + 1.0).log(), lambda x: (x * x + 1.0).log()),
    "sqrt": (lambda x: (x * x + 1.0).sqrt(), lambda x: (x * x + 1.0).sqrt()),
    "power": (lambda x: (x * x + 1.0) ** 1.7, lambda x: (x * x + 1.0) ** 1.7),
    "cube": (lambda x: x**3, lambda x: x**3),
    "softmax": (lambda x: x.softmax(), lambda x: x.softmax(-1)),
    "log_softmax": (lambda x: x.log_softmax(), lambda x: x.log_softmax(-1)),
    "logsumexp": (
        lambda x: x.logsumexp(axis=0, keepdims=True) + x,
        lambda x: x.logsumexp(0, keepdim=True) + x,
    ),
    "max": (lambda x: x.max(axis=-1, keepdims=True) * x, lambda x: x.amax(-1, True) * x),
    "mean": (lambda x: x.mean(axis=0) * x * x, lambda x: x.mean(0) * x * x),
    "index": (lambda x: x[[2, 0, 2]] * x, lambda x: x[[2, 0, 2]] * x),
    "slice": (lambda x: x[1:2, ::-1] * x, lambda x: x[1:2].flip(1) * x),
    "mask": (lambda x: x * x[x > -9.0].reshape(3, 3), lambda x: x * x[x > -9].reshape(3, 3)),
    "transpose": (lambda x: x.T * x, lambda x: x.T * x),
    "product": (lambda x: x @ x.T * 0.3, lambda x: x @ x.T * 0.3),
    "rows": (
        lambda x: cavs.stack([row * row.sum() for row in x]),
        lambda x: x * x.sum(1, keepdim=True),
    ),
    "concat": (
        lambda x: cavs.concat([x[:, :1], x * x], axis=1)[:, :3],
        lambda x: __import__("torch").cat([x[:, :1], x * x], 1)[:, :3],
    ),
    "where": (lambda x: ops.where(x > 0.0, x * x, x), lambda x: x.where(x <= 0, x * x)),
    "quotient": (lambda x: x / (2.0 + x * x), lambda x: x / (2.0 + x * x)),
}


@given(
    names=st.lists(st.sampled_from(sorted(UNARY)), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
    order=st.integers(2, 3),
)
def test_derivatives_are_torchs(names: list[str], seed: int, order: int) -> None:
    torch = pytest.importorskip("torch")
    given = np.random.default_rng(seed).normal(size=(3, 3))
    weights = np.random.default_rng(seed + 1).normal(size=(3, 3))
    x, tx = leaf(given), torch.tensor(given, requires_grad=True)
    y, ty = x * 1.0, tx * 1.0
    for name in names:
        own, theirs = UNARY[name]
        y, ty = own(y), theirs(ty)
    y, ty = (y * weights).sum(), (ty * torch.tensor(weights)).sum()
    for _ in range(order):
        (dx,) = cavs.grad(y, x, create_graph=True)
        (tdx,) = torch.autograd.grad(ty, tx, create_graph=True)
        expected = tdx.detach().numpy()
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(dx.numpy(), expected, 1e-12, 1e-12 * scale)
        if not tdx.requires_grad:
            break
        y, ty = (dx * dx * weights).sum(), (tdx * tdx * torch.tensor(weights)).sum()
        if not y.requires_grad:
            break


def test_losses_with_labels_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    table, ids = rng.normal(size=(5, 4)), np.array([3, 0, 3, 1], np.int32)
    labels = np.array([2, 0, 3, 1], np.int32)
    x, tx = leaf(table), torch.tensor(table, requires_grad=True)
    long = torch.tensor(ids.astype(np.int64)), torch.tensor(labels.astype(np.int64))
    y = ops.cross_entropy(ops.embedding(x, Tensor(ids)), Tensor(labels))
    ty = torch.nn.functional.cross_entropy(tx[long[0]], long[1], reduction="none")
    y, ty = (y * y).sum(), (ty * ty).sum()
    for _ in range(3):
        (dx,) = cavs.grad(y, x, create_graph=True)
        (tdx,) = torch.autograd.grad(ty, tx, create_graph=True)
        np.testing.assert_allclose(dx.numpy(), tdx.detach().numpy(), 1e-11, 1e-12)
        y, ty = (dx * dx).sum(), (tdx * tdx).sum()


def test_ids_and_labels_of_nothing() -> None:
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    y = ops.cross_entropy(ops.embedding(x, Tensor([0, -1, 1])), Tensor([1, 0, -1]))
    (dx,) = cavs.grad((y * y).sum(), x, create_graph=True)
    (second,) = cavs.grad((dx * dx).sum(), x)
    assert dx.numpy()[1].tolist() == [0.0, 0.0]
    assert second.numpy()[1].tolist() == [0.0, 0.0]
    assert second.numpy()[0].any()


def test_powers_at_zero() -> None:
    x = leaf([0.0, 2.0, -1.0])
    (first,) = cavs.grad((x**2.0).sum(), x, create_graph=True)
    (second,) = cavs.grad(first, x)
    np.testing.assert_array_equal(second.numpy(), 2.0)


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "root"])
def test_readouts(kind: str) -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
    values = np.random.default_rng(0).normal(size=(5, 2))

    def slope(given: np.ndarray) -> tuple[Tensor, Tensor]:
        x = leaf(given)
        y = cavs.readout(graphs, x, kind)
        (dx,) = cavs.grad((y * y * y).sum(), x, create_graph=True)
        return (dx * dx).sum(), x

    (found,) = cavs.grad(*slope(values))
    for at in np.ndindex(5, 2):
        moved = [values.copy(), values.copy()]
        for end, step in zip(moved, (1e-5, -1e-5), strict=True):
            end[at] += step
        expected = (slope(moved[0])[0].item() - slope(moved[1])[0].item()) / 2e-5
        np.testing.assert_allclose(found.numpy()[at], expected, 1e-6, 1e-7)


def test_gradients_by_computed_tensors_and_of_several_outputs() -> None:
    x = leaf([1.0, 2.0])
    y = x.exp()
    (by_x,) = cavs.grad([y * y, y], x, [Tensor(np.array([1.0, 2.0])), None], create_graph=True)
    # d/dx of w y^2 + y is (2 w y + 1) y; by y, of which it is a function, 4 w y + 1.
    (by_y,) = cavs.grad(by_x, y)
    np.testing.assert_allclose(by_y.numpy(), 4 * np.array([1.0, 2.0]) * np.exp(x.numpy()) + 1)


def test_cotangents_can_be_differentiated() -> None:
    x, v = leaf([1.0, 2.0]), leaf([0.5, -1.0])
    (pulled,) = cavs.grad(x * x * x, x, v, create_graph=True)
    (by_v,) = cavs.grad(pulled, v)  # a product with the Jacobian, forwards
    np.testing.assert_allclose(by_v.numpy(), 3 * x.numpy() ** 2)


def test_mixed_dtypes() -> None:
    x = Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
    (dx,) = cavs.grad((x.astype("float64") ** 3.0).sum(), x, create_graph=True)
    assert dx.dtype == np.float32
    (second,) = cavs.grad(dx, x)
    np.testing.assert_array_equal(second.numpy(), [6.0, 12.0])


def test_a_linear_function_has_a_constant_gradient() -> None:
    x = leaf([1.0, 2.0])
    (dx,) = cavs.grad((x * 3.0).sum(), x, create_graph=True)
    assert not dx.requires_grad
    with pytest.raises(InputError, match="require a gradient as outputs"):
        cavs.grad(dx, x)


def test_the_graph_stays_with_create_graph_and_goes_without() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x * x).sum()
    (first,) = cavs.grad(y, x, create_graph=True)
    (again,) = cavs.grad(y, x, create_graph=True)
    np.testing.assert_array_equal(first.numpy(), again.numpy())
    cavs.grad(first, x)
    for used in (first, y):
        with pytest.raises(CavsRuntimeError, match=r"\[backward\] expected a graph .*create_graph"):
            cavs.grad(used, x, create_graph=True)
    with pytest.raises(CavsRuntimeError, match="was freed"):
        cavs.grad(again, x)  # it reads what the first graph computed


class TestBackward:
    def test_gradients_of_leaves_are_tensors(self) -> None:
        x, w = leaf([1.0, 2.0]), Parameter(np.array([3.0, 4.0]))
        (x * x * w).sum().backward(create_graph=True)
        (x.grad * x.grad).sum().backward()  # (2 x w)^2, by w 8 x^2 w, beside the first, x^2
        np.testing.assert_array_equal(w.grad, [1.0 + 24.0, 4.0 + 128.0])
        assert isinstance(w.grad, np.ndarray)
        # A plain backward leaves an array: 2 x w + 8 x w^2.
        np.testing.assert_array_equal(x.grad, [6.0 + 72.0, 16.0 + 256.0])

    def test_gradients_add_up(self) -> None:
        x = leaf([1.0, 2.0])
        y = (x * x * x).sum()
        y.backward(retain_graph=True)
        y.backward(create_graph=True)
        y.backward(create_graph=True)
        np.testing.assert_array_equal(x.grad.numpy(), [9.0, 36.0])
        (second,) = cavs.grad(x.grad, x)
        np.testing.assert_array_equal(second.numpy(), [12.0, 24.0])

    def test_rows_of_tables(self) -> None:
        table = Parameter(np.ones((3, 2)))
        ops.embedding(table, Tensor([1])).sum().backward()
        (ops.embedding(table, Tensor([1, 2])) ** 2.0).sum().backward(create_graph=True)
        np.testing.assert_array_equal(table.grad.numpy(), [[0, 0], [3, 3], [2, 2]])

    def test_a_cotangent(self) -> None:
        x = leaf([1.0, 2.0])
        (x * x).backward(np.array([1.0, 3.0]), create_graph=True)
        np.testing.assert_array_equal(x.grad.numpy(), [2.0, 12.0])
        with pytest.raises(ShapeError, match=r"cotangent of shape \(2,\)"):
            (x * x).backward(np.ones(3), create_graph=True)

    def test_a_leaf_itself(self) -> None:
        x = leaf(2.0)
        x.backward(create_graph=True)
        assert x.grad.item() == 1.0


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("differentiated", [False, True])
def test_memory_goes_with_the_last_tensor(differentiated: bool) -> None:
    x = leaf(np.ones((4, 4)))
    with no_collector():
        y = (x @ x).tanh()
        z = cavs.stack(list(y[:2])).T.max(axis=0).sum() + (y**3.0).sum()
        (first,) = cavs.grad(z, x, create_graph=True)
        (second,) = cavs.grad((first * first).sum(), x, create_graph=True)
        held = [weakref.ref(t) for t in (y, z, first, second)]
        held += [weakref.ref(t._values) for t in (y, first, second)]
        if differentiated:
            cavs.grad((second * second).sum(), x)
        del y, z, first, second
        assert not [found() for found in held if found() is not None]


def test_a_used_graph_lets_go_of_its_values() -> None:
    x = leaf(np.ones(5))
    with no_collector():
        y = x.exp()
        (first,) = cavs.grad((y * y).sum(), x, create_graph=True)
        values = weakref.ref(y._values)
        del y
        assert values() is not None
        cavs.grad(first, x)
        assert values() is None


class TestRefusals:
    def test_functions_without_a_second_derivative(self) -> None:
        x = leaf([1.0, 2.0])
        (y,) = record([x.numpy() * 2.0], [x], lambda dys: [dys[0] * 2.0], name="twice")
        with pytest.raises(CavsRuntimeError, match=r"\[grad\] expected .*got 'twice'; leave"):
            cavs.grad(y, x, create_graph=True)
        (dx,) = cavs.grad(y, x)  # the graph is still there
        assert dx.numpy().tolist() == [2.0, 2.0]

    def test_functions_with_one_are_checked(self) -> None:
        x = leaf([1.0, 2.0])
        (y,) = record([x.numpy() * 2.0], [x], lambda dys, place=None: [dys[0].sum()], derives=())
        with pytest.raises(CavsRuntimeError, match=r"float64 of shape \(2,\) from 'function'"):
            cavs.grad(y, x, create_graph=True)

    def test_values_written_since(self) -> None:
        x = leaf([1.0, 2.0])
        y = (x * x).sum()
        x.data[0] = 5.0
        with pytest.raises(CavsRuntimeError, match=r"'mul'.*written since"):
            cavs.grad(y, x, create_graph=True)

    def test_values_written_between_the_derivatives(self) -> None:
        x = leaf([1.0, 2.0])
        (dx,) = cavs.grad(x.exp(), x, create_graph=True)
        (linear,) = cavs.grad((x * 2.0 + x).sum() * x.sum(), x, create_graph=True)
        x.data[0] = 5.0
        cavs.grad(linear, x)  # reads none of them
        x2 = leaf([1.0, 2.0])
        (dx2,) = cavs.grad((x2 * x2 * x2).sum(), x2, create_graph=True)
        x2.data[:] = 3.0
        with pytest.raises(CavsRuntimeError, match="written since"):
            cavs.grad(dx2, x2)
        assert dx.requires_grad

    def test_what_nobody_needs_may_be_written(self) -> None:
        x, c = leaf([1.0, 2.0]), leaf([3.0, 4.0])
        c.requires_grad_(False)
        y = (x * x.exp() * c).sum()
        c.requires_grad_(True)
        (dx,) = cavs.grad(y, x, create_graph=True)
        assert dx.requires_grad

    def test_values_that_are_not_finite(self) -> None:
        x = leaf([0.0, 1.0])
        y = x.sqrt().sum()
        with cavs.detect_nonfinite(), pytest.raises(NonFiniteError, match="derivative of 'sqrt'"):
            cavs.grad(y, x, create_graph=True)

    def test_arguments(self) -> None:
        x = leaf([1.0])
        with pytest.raises(InputError, match="create_graph"):
            (x * x).backward(create_graph=1)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="depend on input 0"):
            cavs.grad(x * x, leaf([1.0]), create_graph=True)


def test_it_records_under_no_grad() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x * x).sum()
    with cavs.no_grad():
        (dx,) = cavs.grad(y, x, create_graph=True)
        assert not (dx * 2.0).requires_grad
    assert dx.requires_grad


def test_steps_of_gradient_descent_leave_what_is_before_them() -> None:
    w = Parameter(np.array([2.0, -1.0]))
    first = w - 0.1 * cavs.grad((w**2.0).sum(), w)[0]
    second = first - 0.1 * cavs.grad((first**2.0).sum(), first)[0]
    (slope,) = cavs.grad((second**2.0).sum(), [second])
    np.testing.assert_allclose(slope.numpy(), 2 * 0.8**2 * w.numpy())
    second.sum().backward()  # each slope was a constant
    np.testing.assert_array_equal(w.grad, 1.0)


def test_what_lies_before_an_input_stays() -> None:
    x = leaf([1.0, 2.0])
    y = x.exp()
    z = (y * y).sum()
    assert len(cavs.grad(z, [y])) == 1
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, np.exp(x.numpy()))
    with pytest.raises(CavsRuntimeError, match=r"'(mul|sum)', which was freed"):
        cavs.grad(z, y)


def test_only_what_leads_to_the_inputs_is_differentiated() -> None:
    x, other = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (bad,) = record([other.numpy() * 1.0], [other], lambda dys: [dys[0]], name="bad")
    (dx,) = cavs.grad((x * x * bad).sum(), x, create_graph=True)
    np.testing.assert_array_equal(dx.numpy(), [6.0, 16.0])
