"""Every row of the ops table, on the case table: shape rule, formula, rows, gradient."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ops_cases
import pytest
from eager_gradients import check_gradient
from ops_cases import CASES, OVER_ROWS, STRUCTURE, OpCase

import cavs
from cavs.core import ops
from cavs.core.ops import OPS
from cavs.core.ops._def import apply
from cavs.errors import ShapeError
from cavs.tensor import Parameter, RowSparse, Tensor

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
ROWS = 4


def reference(case: OpCase, arrays: list[np.ndarray]) -> np.ndarray:
    op = OPS[case.op]
    assert op.reference is not None
    with np.errstate(all="ignore"):
        return np.asarray(op.reference(np, *arrays, **case.attrs))


def result_shape(case: OpCase) -> tuple[int, ...]:
    return OPS[case.op].infer(*[x.shape for x in case.operands], **case.attrs)


def test_every_operation_has_a_case() -> None:
    assert set(OPS) == {case.op for case in CASES} | STRUCTURE
    assert not STRUCTURE & {case.op for case in CASES}


def test_case_names_are_distinct() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


def test_operations_of_the_structure_have_no_reference() -> None:
    assert {name for name, op in OPS.items() if op.reference is None} == STRUCTURE


@each_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reference_has_the_shape_and_dtype_of_the_rule(case: OpCase, dtype: Any) -> None:
    y = reference(case, case.arrays(dtype))
    assert y.shape == result_shape(case)
    expected = np.int32 if OPS[case.op].dtype == "int32" else dtype
    assert y.dtype == expected
    batched = reference(case, case.arrays(dtype, ROWS))
    assert batched.shape == (() if case.op in OVER_ROWS else (ROWS,)) + result_shape(case)
    assert batched.dtype == expected


@each_case
def test_rows_are_independent(case: OpCase) -> None:
    arrays = case.arrays(np.float64, ROWS)
    shared = [x.shared for x in case.operands]
    rows = [
        reference(case, [a if s else a[r] for a, s in zip(arrays, shared, strict=True)])
        for r in range(ROWS)
    ]
    expected = sum(rows) if case.op in OVER_ROWS else np.stack(rows)
    np.testing.assert_allclose(reference(case, arrays), expected, rtol=1e-12, atol=1e-12)


def value_of(case: OpCase, arrays: list[np.ndarray], weights: np.ndarray) -> float:
    return float((reference(case, arrays) * weights).sum())


def difference(case: OpCase, arrays: list[np.ndarray], k: int, at: int, w: np.ndarray) -> float:
    step = 1e-5
    values = []
    for sign in (1.0, -1.0):
        moved = [a.copy() for a in arrays]
        moved[k].reshape(-1)[at] += sign * step
        values.append(value_of(case, moved, w))
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("case", [c for c in CASES if c.gradient], ids=lambda case: case.id)
def test_gradient_equals_central_differences(case: OpCase) -> None:
    arrays = case.arrays(np.float64)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=result_shape(case))
    leaves = [Tensor(a.copy(), requires_grad=a.dtype == np.float64) for a in arrays]
    y = apply(OPS[case.op], *leaves, **case.attrs)
    if y.requires_grad:
        y.backward(weights)
    for k, (x, a) in enumerate(zip(leaves, arrays, strict=True)):
        if a.dtype != np.float64 or (case.op in ("where", "zeta") and k == 0):
            assert x.grad is None
            continue
        grad = np.zeros(a.shape) if x.grad is None else x.grad
        assert grad.shape == a.shape
        assert grad.dtype == np.float64
        some = rng.permutation(a.size)[:40]
        found = grad.reshape(-1)[some]
        expected = [difference(case, arrays, k, int(i), weights) for i in some]
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * scale)


SPREAD = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])
WEIGHT = Tensor(np.array([1.5, -0.5, 2.0]))
COMPOSED: dict[str, Callable[[Any], Any]] = {
    "clip": lambda x: ops.clip(x, -1.0, 1.3),
    "mean": lambda x: ops.mean(x),
    "mean-last": lambda x: ops.mean(x, axis=-1, keepdims=True),
    "max": lambda x: ops.max(x),
    "sum-keepdims": lambda x: ops.sum(x, keepdims=True),
    "split": lambda x: ops.split(x, [1, 2])[1] * ops.split(x, 3)[0],
    "layer_norm": lambda x: ops.layer_norm(x, WEIGHT, WEIGHT * 0.5),
    "linear": lambda x: ops.linear(x, x, ops.mean(x, axis=-1)),
    "vector-matrix": lambda x: ops.matmul(ops.reshape(x, 6), ops.reshape(x, (6, 1))),
    "matrix-vector": lambda x: ops.matmul(x, ops.mean(ops.reshape(x, (3, 2)), axis=-1)),
    "vector-vector": lambda x: ops.matmul(ops.reshape(x, 6), ops.reshape(x, 6)),
    "broadcast": lambda x: x * ops.mean(x) + ops.sum(x, axis=-1, keepdims=True) / x,
    "constants": lambda x: 2.0 / (1.0 - x * 0.1) - 3.0 + (-x),
    "where-constants": lambda x: ops.where(ops.greater(x, 0.0), x, 0.5),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_gradient_of_composed_operations(name: str) -> None:
    check_gradient(COMPOSED[name], SPREAD)


def test_equal_maxima_share_the_gradient() -> None:
    x = Tensor(np.array([2.0, 1.0, 2.0]), requires_grad=True)
    ops.max(x).backward()
    np.testing.assert_array_equal(x.grad, [0.5, 0.0, 0.5])
    first = Tensor(np.array([2.0, 1.0, 2.0]), requires_grad=True)
    second = Tensor(np.array([2.0, 2.0, 1.0]), requires_grad=True)
    ops.maximum(first, second).sum().backward()  # of two tensors the second gets it
    np.testing.assert_array_equal(first.grad, [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(second.grad, [1.0, 1.0, 0.0])


@pytest.mark.parametrize("function", [ops.relu, ops.abs])
def test_gradient_at_the_kink_is_zero(function: Callable[[Any], Any]) -> None:
    x = Tensor(np.zeros(2), requires_grad=True)
    function(x).sum().backward()
    np.testing.assert_array_equal(x.grad, 0.0)


def test_padding_has_neither_loss_nor_gradient() -> None:
    logits = Tensor(np.random.default_rng(0).normal(size=(2, 3)), requires_grad=True)
    loss = ops.cross_entropy(logits, np.array([-1, 2], np.int32))
    loss.sum().backward()
    assert loss.data[0] == 0
    np.testing.assert_array_equal(logits.grad[0], 0.0)
    weight = Tensor(np.ones((3, 2)), requires_grad=True)
    ops.embedding(weight, np.array([-1, -1])).sum().backward()
    np.testing.assert_array_equal(weight.grad, 0.0)


def test_embedding_gradient_is_row_sparse() -> None:
    weight = Parameter(np.zeros((6, 2)))
    ops.embedding(weight, np.array([4, -1, 1, 4])).sum().backward()
    assert isinstance(weight.grad, RowSparse)
    np.testing.assert_array_equal(weight.grad.indices, [1, 4])
    np.testing.assert_array_equal(weight.grad.values, [[1, 1], [2, 2]])


BAD_SHAPES: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: x + np.ones(5),
    "matmul": lambda x: x @ np.ones((2, 3)),
    "linear": lambda x: ops.linear(x, Tensor(np.ones((4, 2)))),
    "reshape": lambda x: ops.reshape(x, (4, 2)),
    "split": lambda x: ops.split(x, 2),
    "slice": lambda x: ops.slice_last(x, 1, 5),
    "concat": lambda x: ops.concat([x, Tensor(np.ones((3, 3)))]),
    "cross_entropy": lambda x: ops.cross_entropy(x, np.zeros(5, np.int32)),
    "embedding": lambda x: ops.embedding(ops.reshape(x, 6), np.zeros(5, np.int32)),
    "max": lambda x: ops.max(x, axis=2),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_shapes_that_do_not_fit_are_named(name: str) -> None:
    with pytest.raises(ShapeError, match=rf"\[{name}\]"):
        BAD_SHAPES[name](Tensor(SPREAD))


def test_case_values_are_fixed() -> None:
    case = ops_cases.CASES[0]
    np.testing.assert_array_equal(case.arrays()[0], case.arrays()[0])


def names_asked_for(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names of operations that an operation's name is compared with, or is looked up by."""
    for node in ast.walk(tree):
        asked: list[ast.AST] = []
        if isinstance(node, ast.Compare) and "op.name" in ast.unparse(node):
            asked = [node]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("OPS"):
            asked = [node.slice]
        for part in asked:
            for x in ast.walk(part):
                if isinstance(x, ast.Constant) and x.value in OPS:
                    yield node.lineno, str(x.value)


def test_nobody_asks_for_an_operation_by_its_name() -> None:
    """Facts stand in the rows; a rewrite about one operation names the row itself."""
    root = Path(cavs.__file__).parent
    found = [
        f"{path.relative_to(root)}:{line}: {name!r}"
        for path in sorted(root.rglob("*.py"))
        if "ops" not in path.parts
        for line, name in names_asked_for(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n".join(found)


def test_names_that_are_asked_for_are_found() -> None:
    wrong = ["node.op.name == 'add'", "n.op.name in ('add', 'x')", "OPS['add']", "ops.OPS['mul']"]
    assert all(list(names_asked_for(ast.parse(text))) for text in wrong)
    right = ["node.op is ADD", "f'{node.op.name}'", "name == 'pull'", "OPS[name]"]
    assert not any(list(names_asked_for(ast.parse(text))) for text in right)
