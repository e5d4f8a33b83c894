"""Every operation on a GPU: forward and gradients as on the CPU, fused and unfused."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from model_runs import dense
from ops_cases import CASES, NOT_LOWERED, OVER_ROWS, OpCase

import cavs
from cavs import ops
from cavs.core.ops import OPS
from cavs.core.ops._def import apply
from cavs.core.passes import PASSES

pytestmark = pytest.mark.gpu

ROWS = 9
UNFUSED = tuple(p for p in PASSES if p != "fuse")
#: Each program costs a compilation, so that cases share one.
CASES_OF_A_PROGRAM = 40
REACHABLE = [case for case in CASES if case.op not in OVER_ROWS | NOT_LOWERED]
#: How far values may be from the CPU's, relative to the greatest of the array (at least 1).
BOUNDS = {"float32": 2e-5, "float64": 1e-11}
#: Only + - * / sqrt, comparisons and choices: float32 has the CPU's bits.
EXACT = frozenset(
    {
        *("abs", "add", "broadcast", "concat", "div", "embedding", "equal", "greater"),
        *("greater_equal", "identity", "less", "less_equal", "maximum", "minimum", "mul", "neg"),
        *("reciprocal", "relu", "reshape", "sigmoid_grad", "sign", "slice", "sqrt", "square"),
        *("squared_error", "stop_gradient", "sub", "tanh_grad", "where", "rsqrt"),
    }
)

Values = dict[str, np.ndarray]


def groups() -> list[Sequence[OpCase]]:
    """Cases with and without gradients apart."""
    found: list[Sequence[OpCase]] = []
    for smooth in (True, False):
        some = [case for case in REACHABLE if case.gradient == smooth]
        found += [some[k : k + CASES_OF_A_PROGRAM] for k in range(0, len(some), CASES_OF_A_PROGRAM)]
    return found


GROUPS = groups()


class Applied(cavs.VertexFunction):
    """The operations of some cases on inputs, on parameters where an operand has no rows; each
    result as it is, and once more between elementwise operations."""

    def __init__(self, cases: Sequence[OpCase], dtype: str) -> None:
        self.cases = cases
        self.shared = {
            f"{n}_{k}": cavs.Parameter(array.copy())
            for n, case in enumerate(cases)
            for k, (x, array) in enumerate(
                zip(case.operands, case.arrays(dtype, ROWS), strict=True)
            )
            if x.shared
        }

    def forward(self, v: cavs.Vertex) -> None:
        for n, case in enumerate(self.cases):
            operands: list[Any] = []
            for k, x in enumerate(case.operands):
                shared = self.shared.get(f"{n}_{k}")
                dtype = "float32" if x.ids is None else "int32"
                operands.append(v.pull(f"x{n}_{k}", x.shape, dtype) if shared is None else shared)
            y = apply(OPS[case.op], *operands, **case.attrs)
            moved = [
                operand if x.shared or x.ids is not None else operand * 1.5 + 0.25
                for operand, x in zip(operands, case.operands, strict=True)
            ]
            among = apply(OPS[case.op], *moved, **case.attrs)
            v.push(**{f"y{n}": y, f"among{n}": ops.minimum(among * 0.5, y) - ops.abs(among)})


@cache
def outcome(number: int, dtype: str, passes: tuple[str, ...] | None, device: str) -> Values:
    """Outputs and gradients of a group of cases."""
    cases = GROUPS[number]
    function = Applied(cases, dtype)
    model = cavs.compile(function, dtype=dtype, passes=passes, device=device)
    inputs: dict[str, Any] = {}
    for n, case in enumerate(cases):
        for k, (x, array) in enumerate(zip(case.operands, case.arrays(dtype, ROWS), strict=True)):
            if not x.shared:
                learns = case.gradient and x.ids is None
                given = cavs.Tensor(array, requires_grad=True) if learns else array
                inputs[f"x{n}_{k}"] = given
    out = model(cavs.InputGraph([[]] * ROWS), **inputs)
    found = {name: np.array(y.numpy()) for name, y in out.items()}
    if not cases[0].gradient:
        return found
    rng = np.random.default_rng(1)
    loss: Any = 0.0
    for name in sorted(out):
        loss = loss + (out[name] * rng.normal(size=out[name].shape).astype(dtype)).sum()
    loss.backward()
    for name, x in inputs.items():
        if isinstance(x, cavs.Tensor) and x.grad is not None:
            found[f"d{name}"] = np.array(x.grad)
    for name, p in function.shared.items():
        found[f"dx{name}"] = np.array(cavs.Tensor(dense(p)).numpy())
    return found


def case_of(number: int, name: str) -> OpCase:
    """The case that an array is of."""
    digits = name.lstrip("dyxamong").split("_")[0]
    return GROUPS[number][int(digits)]


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("number", range(len(GROUPS)))
def test_operations_equal_the_cpu(number: int, dtype: str, fused: bool) -> None:
    passes = None if fused else UNFUSED
    found = outcome(number, dtype, passes, "cuda")
    expected = outcome(number, dtype, passes, "cpu")
    assert set(found) == set(expected)
    for name, y in expected.items():
        case = case_of(number, name)
        finite = np.abs(y[np.isfinite(y)])
        scale = max(1.0, float(finite.max(initial=0.0))) if name.startswith("d") else 1.0
        bound = BOUNDS[dtype]
        what = f"{name} of {case.id}"
        np.testing.assert_allclose(found[name], y, bound, bound * scale, err_msg=what)
        assert found[name].dtype == y.dtype
        if case.op in EXACT and dtype == "float32" and not name.startswith("d"):
            assert np.array_equal(found[name], y, equal_nan=True), what


def test_unfused_operations_have_the_bits_of_fused_ones() -> None:
    for number, cases in enumerate(GROUPS):
        fused = outcome(number, "float32", None, "cuda")
        unfused = outcome(number, "float32", UNFUSED, "cuda")
        for name, y in fused.items():
            if name.startswith("y") and OPS[case_of(number, name).op].elementwise:
                assert np.array_equal(y, unfused[name], equal_nan=True), name
        assert len(cases) > 0
