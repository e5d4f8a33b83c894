"""Every operation inside a vertex function: native against reference, fused against unfused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import vertex_functions
from model_runs import compiled, dense
from ops_cases import CASES, NOT_LOWERED, OVER_ROWS, OpCase, as_floats
from program_contents import kernels_in, operations_in
from vertex_functions.rowless import ROWLESS

import cavs
from cavs import ops
from cavs._native import core
from cavs.core.ops import OPS
from cavs.core.ops._def import apply
from cavs.core.passes import PASSES

REACHABLE = [case for case in CASES if case.op not in OVER_ROWS | NOT_LOWERED]
each_case = pytest.mark.parametrize("case", REACHABLE, ids=lambda case: case.id)
ROWS = 9
LABELS = {"cross_entropy", "cross_entropy_grad", "embedding"}


class Applied(cavs.VertexFunction):
    """The operation of a case on inputs, on parameters where an operand has no rows; its result as
    it is, and once more between elementwise operations."""

    def __init__(self, case: OpCase, arrays: list[np.ndarray]) -> None:
        self.case = case
        self.shared = {
            k: cavs.Parameter(a.copy())
            for k, (x, a) in enumerate(zip(case.operands, arrays, strict=True))
            if x.shared
        }

    def forward(self, v: cavs.Vertex) -> None:
        operands: list[Any] = []
        for k, x in enumerate(self.case.operands):
            dtype = "float32" if x.ids is None else "int32"
            shared = self.shared.get(k)
            operands.append(v.pull(f"x{k}", x.shape, dtype) if shared is None else shared)
        y = as_floats(apply(OPS[self.case.op], *operands, **self.case.attrs), self.case)
        moved = [
            x if k in self.shared or self.case.operands[k].ids is not None else x * 1.5 + 0.25
            for k, x in enumerate(operands)
        ]
        among = as_floats(apply(OPS[self.case.op], *moved, **self.case.attrs), self.case)
        v.push(y=y, among=ops.minimum(among * 0.5, y) - ops.sigmoid(among))


def outcome(case: OpCase, dtype: Any, **options: Any) -> dict[str, np.ndarray]:
    """Outputs, and gradients where the case has one."""
    arrays = case.arrays(dtype, ROWS)
    function = Applied(case, arrays)
    model = cavs.compile(function, dtype=np.dtype(dtype).name, **options)
    inputs: dict[str, Any] = {}
    for k, (x, a) in enumerate(zip(case.operands, arrays, strict=True)):
        if not x.shared:
            learns = case.gradient and x.ids is None
            inputs[f"x{k}"] = cavs.Tensor(a, requires_grad=True) if learns else a
    out = model(cavs.InputGraph([[]] * ROWS), **inputs)
    found = {name: y.data for name, y in out.items()}
    if not case.gradient:
        return found
    rng = np.random.default_rng(1)
    loss: Any = 0.0
    for name in ("among", "y"):
        weight = cavs.Tensor(rng.normal(size=out[name].shape), dtype)
        loss = loss + (out[name] * weight).sum()
    if not loss.requires_grad:
        return found
    loss.backward()
    for name, x in inputs.items():
        if isinstance(x, cavs.Tensor) and x.grad is not None:
            found[f"d{name}"] = x.grad
    for k, p in function.shared.items():
        found[f"dx{k}"] = dense(p)
    return found


def compare(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], dtype: Any) -> None:
    rtol = 2e-5 if dtype == np.float32 else 1e-11
    assert set(found) == set(expected)
    for name, y in expected.items():
        finite = np.abs(y[np.isfinite(y)])
        scale = max(1.0, float(finite.max(initial=0.0))) if name.startswith("d") else 1.0
        np.testing.assert_allclose(found[name], y, rtol, rtol * scale, err_msg=name)
        assert found[name].dtype == dtype


@each_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_native_equals_reference(case: OpCase, dtype: Any) -> None:
    fused = outcome(case, dtype)
    with np.errstate(all="ignore"):
        y = OPS[case.op].reference(np, *case.arrays(dtype, ROWS), **case.attrs)  # type: ignore[misc]
        compare(fused, outcome(case, dtype, executor="reference"), dtype)
    rtol = 2e-5 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(fused["y"], y, rtol, rtol)
    compare(fused, outcome(case, dtype, passes=[p for p in PASSES if p != "fuse"]), dtype)
    compare(fused, outcome(case, dtype, passes=()), dtype)


def test_scalar_operations_are_those_of_the_table() -> None:
    arities = core.scalar_ops()
    elementwise = {name: op for name, op in OPS.items() if op.elementwise}
    assert set(elementwise) == set(arities)
    for name, op in elementwise.items():
        assert arities[name] == op.arity, name


SPECIAL = (
    *(0.0, 1.0, 0.5, 2.0, 30.0, 88.0, 89.0, 104.0, 710.0, 746.0, 1e4, 1e30, 3e38),
    *(1e-3, 1e-7, 1e-30, 1.2e-38, 1e-45, 1e-300, 5e-324, 1e308),
    *(np.inf, np.nan, 0.9999999, 1.0000001),
)
ELEMENTWISE = sorted(name for name, op in OPS.items() if op.elementwise)
# Their references lose digits close to +-1, where the native formulae do not.
CANCELLING = frozenset({"erfinv", "tanh_grad"})
# Errors are those of a result of 1 where the result is smaller: at roots, or where terms cancel.
BESIDE_ONE = frozenset({"digamma", "gelu", "lgamma", "zeta"})
# Of -0.0 the engine gives -0.0 and NumPy 0.0, which are both the larger of it and 0, and no sign.
EITHER_ZERO = frozenset({"relu", "sign"})


def special_operands(arity: int, dtype: Any) -> list[np.ndarray]:
    """All pairs of special values of both signs, and once more in another order as the third."""
    with np.errstate(all="ignore"):
        values = np.array([*SPECIAL, *(-x for x in SPECIAL)], dtype)
    grids = np.meshgrid(*[values] * min(arity, 2), indexing="ij")
    operands = [g.reshape(-1) for g in grids]
    return [*operands, *[operands[0][::-1]] * (arity - len(operands))]


@pytest.fixture
def denormals() -> Iterator[None]:
    """The engine keeps them, as NumPy does."""
    before = cavs.get_flush_denormals()
    cavs.set_flush_denormals(False)
    yield
    cavs.set_flush_denormals(before)


@pytest.mark.usefixtures("denormals")
@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("passes", [PASSES, ()], ids=["passes", "no passes"])
def test_ends_of_the_range(name: str, dtype: Any, passes: tuple[str, ...]) -> None:
    """NaN, infinities, zeros of both signs, denormal and huge numbers, native against reference."""
    op = OPS[name]
    arrays = special_operands(op.arity, dtype)
    assert op.reference is not None
    with np.errstate(all="ignore"):
        expected = np.asarray(op.reference(np, *arrays))

    class Only(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=apply(op, *[v.pull(f"x{k}") for k in range(op.arity)]))

    model = cavs.compile(Only(), dtype=np.dtype(dtype).name, passes=passes)
    inputs = {f"x{k}": x for k, x in enumerate(arrays)}
    found = model(cavs.InputGraph([[]] * len(arrays[0])), **inputs)["y"].data
    rtol = 3e-6 if dtype == np.float32 else 1e-9 if name in CANCELLING else 1e-11
    atol = 8 * np.finfo(dtype).eps if name in BESIDE_ONE else np.finfo(dtype).tiny
    np.testing.assert_allclose(found, expected, rtol, atol)
    if name in EITHER_ZERO:
        return
    zero = (found == 0) & (expected == 0)
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


def kernels_in_use() -> set[str]:
    used: set[str] = set()
    for name in vertex_functions.FUNCTIONS:
        for passes in (PASSES, ()):
            used |= kernels_in(compiled(name, passes=passes))
    for make in ROWLESS.values():
        used |= kernels_in(cavs.compile(make(), dtype="float64"))
    return used


def test_kernels_are_those_that_programs_use() -> None:
    assert kernels_in_use() == set(core.kernel_names())


def test_the_library_uses_every_operation() -> None:
    """What the property tests run over leaves no operation out."""
    used: set[str] = set()
    for name in vertex_functions.FUNCTIONS:
        for passes in (PASSES, ()):
            used |= operations_in(compiled(name, passes=passes))
    for make in ROWLESS.values():
        used |= operations_in(cavs.compile(make(), dtype="float64"))
    assert set(OPS) - used <= NOT_LOWERED
