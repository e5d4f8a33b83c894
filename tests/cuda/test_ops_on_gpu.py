"""Every operation on a GPU beside the CPU's engine, forward and backward, in both dtypes.

A program is compiled as a whole, so that all cases of the table stand in one vertex function, which
runs once for each dtype and device; a test looks at what belongs to its case.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from model_runs import assert_same, compiled, dense, draw_inputs, run, some_graphs
from ops_cases import CASES, NOT_LOWERED, OVER_ROWS, OpCase, as_floats
from program_contents import kernels_in, operations_in

import cavs
from cavs import nn, ops
from cavs._native import core
from cavs.core.ops import OPS
from cavs.core.ops._def import apply
from cavs.errors import CavsError

pytestmark = pytest.mark.gpu

Arrays = dict[str, np.ndarray]
ROWS = 9
REACHABLE = [case for case in CASES if case.op not in OVER_ROWS | NOT_LOWERED]
DTYPES = ("float32", "float64")
EMBEDDED = {f"dx{n}_0" for n, case in enumerate(REACHABLE) if case.op == "embedding"}
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

# Functions of the library that have the operations of the structure, over edges, graphs and ids,
# and the kernels that leave rows out.
STRUCTURES = (
    *("Constants", "DroppedEverywhere", "DropoutsById", "ManySlots", "Masked", "Missing"),
    *("Segments", "ScatteredInputs", "Axes", "Places"),
    *("AttentionLayers", "AttentionOverStates", "AttentionsOfStates"),
)
# What moves values, chooses between them, or rounds once.
EXACT = frozenset(
    {
        *("add", "sub", "mul", "div", "neg", "abs", "sign", "square", "sqrt", "rsqrt", "relu"),
        *("reciprocal", "squared_error", "maximum", "minimum", "where", "identity"),
        *("greater", "greater_equal", "less", "less_equal", "equal", "stop_gradient"),
        *("row_max", "one_hot_max", "concat", "slice", "reshape", "broadcast", "embedding"),
        *("permute", "cumsum", "argsort", "pick_elements", "put_elements"),
        *("max_pool",),
    }
)
# Of the others, in units in the last place of the greatest value: sums go in another order, and in
# float64 a GPU takes its own library's functions, and rounds products before it adds them.
ULPS = 64
# Where several operations follow each other: relative to each value, to the greatest.
TOLERANCES = {"float64": (1e-10, 1e-12), "float32": (2e-5, 2e-6)}


class EveryCase(cavs.VertexFunction):
    """The operation of each case on inputs, on parameters where an operand has no rows."""

    def __init__(self, dtype: str) -> None:
        self.shared = {
            f"x{n}_{k}": cavs.Parameter(a)
            for n, case in enumerate(REACHABLE)
            for k, (x, a) in enumerate(zip(case.operands, case.arrays(dtype, ROWS), strict=True))
            if x.shared
        }

    def forward(self, v: cavs.Vertex) -> None:
        for n, case in enumerate(REACHABLE):
            operands: list[Any] = []
            for k, x in enumerate(case.operands):
                name, kind = f"x{n}_{k}", "float32" if x.ids is None else "int32"
                shared = self.shared.get(name)
                operands.append(v.pull(name, x.shape, kind) if shared is None else shared)
            y = as_floats(apply(OPS[case.op], *operands, **case.attrs), case)
            v.push(**{f"y{n}": y})


# What cavs.ops makes of several operations, of a vector of six and an id.
COMPOSED: dict[str, Callable[[Any, Any], Any]] = {
    "argmax": lambda x, ids: ops.one_hot(ops.argmax(x), 6) * x,
    "sort": lambda x, ids: ops.sort(x),
    "stack": lambda x, ids: ops.stack([x, 2.0 * x]),
    "take": lambda x, ids: ops.take(x, ids),
    "top_k": lambda x, ids: ops.top_k(x, 3)[0],
    "batch_count": lambda x, ids: x * ops.batch_count(x),
    "batch_max": lambda x, ids: ops.batch_max(x),
    "batch_mean": lambda x, ids: ops.batch_mean(x),
    "batch_sum": lambda x, ids: ops.batch_sum(x),
    "graph_mean": lambda x, ids: ops.graph_mean(x) + ops.graph_max(x),
    "bernoulli": lambda x, ids: ops.bernoulli(ops.sigmoid(x)),
    "binary_cross_entropy_with_logits": lambda x, ids: ops.binary_cross_entropy_with_logits(
        x, ops.greater(x, 0.2)
    ),
    "categorical": lambda x, ids: ops.categorical(x),
    "clip": lambda x, ids: ops.clip(x, -0.5, 0.75),
    "conv1d": lambda x, ids: ops.conv1d(ops.reshape(x, (2, 3)), ops.reshape(x[:4], (1, 2, 2))),
    "conv2d": lambda x, ids: ops.conv2d(
        ops.reshape(x, (1, 2, 3)), ops.reshape(x[:4], (2, 1, 2, 1)), padding=1
    ),
    "conv_transpose1d": lambda x, ids: ops.conv_transpose1d(
        ops.reshape(x, (2, 3)), ops.reshape(x[:4], (2, 1, 2)), stride=2
    ),
    "conv_transpose2d": lambda x, ids: ops.conv_transpose2d(
        ops.reshape(x, (1, 2, 3)), ops.reshape(x[:4], (1, 2, 1, 2)), stride=(2, 1)
    ),
    "gumbel_softmax": lambda x, ids: ops.gumbel_softmax(x, 0.7),
    "group_norm": lambda x, ids: ops.group_norm(ops.reshape(x, (2, 3)), 2, x[:2], x[2:4]),
    "layer_norm": lambda x, ids: ops.layer_norm(x, x + 1.0, x * 0.5),
    "linear": lambda x, ids: ops.linear(x, ops.reshape(x, (1, 6))),
    "max": lambda x, ids: ops.max(x),
    "mean": lambda x, ids: ops.mean(x, axis=-1, keepdims=True),
    "min": lambda x, ids: ops.min(x),
    "normal": lambda x, ids: ops.normal(x, 0.5),
    "one_hot": lambda x, ids: ops.one_hot(ids, 6) * ops.sum(x),
    "pick": lambda x, ids: ops.pick(x, ids),
    "segment_mean": lambda x, ids: ops.segment_mean(x),
    "slice_last": lambda x, ids: ops.slice_last(x, 1, 5),
    "split": lambda x, ids: ops.split(x, 3)[1],
    "sum": lambda x, ids: ops.sum(ops.reshape(x, (2, 3)), axis=-1),
    "trigamma": lambda x, ids: ops.trigamma(ops.square(x) + 0.5),
    "upsample": lambda x, ids: ops.upsample(ops.reshape(x, (2, 3)), (2, 2)),
    "uniform_like": lambda x, ids: ops.uniform_like(x) * x,
}


class Composed(cavs.VertexFunction):
    """All of COMPOSED, of inputs and states."""

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 6) + v.gather(h=6).h.sum() * 0.5
        label = v.pull("label", dtype="int32")
        v.scatter(h=ops.tanh(x))
        v.push(**{name: function(x, label) for name, function in COMPOSED.items()})


@cache
def model_of_cases(dtype: str, device: str) -> cavs.Model:
    return cavs.compile(EveryCase(dtype), dtype=dtype, device=device)


def learned_inputs() -> frozenset[str]:
    """The inputs of floats of operations that have a gradient."""
    return frozenset(
        f"x{n}_{k}"
        for n, case in enumerate(REACHABLE)
        for k, x in enumerate(case.operands)
        if x.ids is None and not x.shared and OPS[case.op].vjp is not None
    )


def results(dtype: str, device: str) -> Arrays:
    """Outputs y0, y1, ... by the number of the case, and gradients dx0_0, dx0_1, ... by its
    operand's number too."""
    model = model_of_cases(dtype, device)
    model.zero_grad()
    inputs, learning = dict[str, Any](), learned_inputs()
    for n, case in enumerate(REACHABLE):
        for k, (x, a) in enumerate(zip(case.operands, case.arrays(dtype, ROWS), strict=True)):
            name = f"x{n}_{k}"
            if not x.shared:
                inputs[name] = cavs.Tensor(a, requires_grad=True) if name in learning else a
    out = model(cavs.InputGraph([[]] * ROWS), **inputs)
    flat = cavs.concat([y.reshape(-1) for y in out.values() if y.requires_grad])
    with np.errstate(all="ignore"):
        flat.backward(np.random.default_rng(1).normal(size=flat.shape).astype(dtype))
    found = {name: y.numpy() for name, y in out.items()}
    for name, x in inputs.items():
        if isinstance(x, cavs.Tensor) and x.grad is not None:
            found[f"d{name}"] = x.grad
    return found | {f"d{name}": dense(p) for name, p in model.function.shared.items()}


def is_exact(op: str, dtype: str) -> bool:
    return op in EXACT or (dtype == "float32" and OPS[op].elementwise)


def assert_like(found: np.ndarray, expected: np.ndarray, exact: bool, what: str) -> None:
    """The same bits; or NaN and infinities at the same places, and finite values within ULPS units
    in the last place of the greatest."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
    if exact:
        np.testing.assert_array_equal(found, expected, err_msg=what)
        zero = expected == 0
        np.testing.assert_array_equal(
            np.signbit(found[zero]), np.signbit(expected[zero]), err_msg=f"{what}, signs of zeros"
        )
        return
    greatest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    atol = ULPS * np.finfo(expected.dtype).eps * greatest
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=atol, err_msg=what)


@pytest.fixture(scope="module", params=DTYPES)
def both(request: pytest.FixtureRequest) -> tuple[str, Arrays, Arrays]:
    """A dtype, what the GPU gives, what the CPU gives."""
    return request.param, results(request.param, "cuda"), results(request.param, "cpu")


@pytest.mark.parametrize("n", range(len(REACHABLE)), ids=lambda n: REACHABLE[n].id)
def test_an_operation_is_that_of_the_cpu(n: int, both: tuple[str, Arrays, Arrays]) -> None:
    case, (dtype, found, expected) = REACHABLE[n], both
    exact = is_exact(case.op, dtype)
    # What has no rows gets a sum over rows, in another order; rows of an embedding get their own.
    sums = {f"dx{n}_{k}" for k, x in enumerate(case.operands) if x.shared} - EMBEDDED
    for name in (f"y{n}", *(f"dx{n}_{k}" for k in range(len(case.operands)))):
        assert (name in found) == (name in expected), name
        if name in expected:
            same = exact and name not in sums
            assert_like(found[name], expected[name], same, f"{case.id}: {name}")


@pytest.mark.parametrize("both", ["float32"], indirect=True)
def test_two_runs_have_the_same_bits(both: tuple[str, Arrays, Arrays]) -> None:
    again, whole = results(both[0], "cuda"), f"u{np.dtype(both[0]).itemsize}"
    assert again.keys() == both[1].keys()
    for name, x in both[1].items():
        np.testing.assert_array_equal(x.view(whole), again[name].view(whole), err_msg=name)


def eager(case: OpCase, dtype: str, device: str) -> list[np.ndarray]:
    """The operation between programs: its value, and gradients of its operands."""
    learns = OPS[case.op].vjp is not None
    leaves = [
        cavs.Tensor(cavs.Tensor(a).to(device).data, requires_grad=learns and x.ids is None)
        for x, a in zip(case.operands, case.arrays(dtype), strict=True)
    ]
    with np.errstate(all="ignore"):
        y = apply(OPS[case.op], *leaves, **case.attrs)
        if y.requires_grad:
            y.backward(np.random.default_rng(1).normal(size=y.shape).astype(dtype))
    return [y.numpy(), *(dense(x) for x in leaves if x.grad is not None)]


# The first and the last case of each operation.
EAGER = {case.op: case for case in reversed(REACHABLE)}, {case.op: case for case in REACHABLE}


@each_dtype
@pytest.mark.parametrize("op", EAGER[0])
def test_an_operation_between_programs_is_that_of_the_cpu(op: str, dtype: str) -> None:
    for case in (cases[op] for cases in EAGER):
        found, expected = eager(case, dtype, "cuda"), eager(case, dtype, "cpu")
        for n, (x, y) in enumerate(zip(found, expected, strict=True)):
            assert_like(x, y, n == 0 and op in EXACT, case.id)


def composed(dtype: str, device: str) -> cavs.Model:
    return cavs.compile(Composed(), dtype=dtype, device=device, extra_children="ignore")


@each_dtype
def test_what_is_composed_is_that_of_the_cpu(dtype: str) -> None:
    here, graphs = composed(dtype, "cpu"), some_graphs()
    inputs = draw_inputs(here, graphs)
    expected, found = run(here, graphs, inputs), run(composed(dtype, "cuda"), graphs, inputs)
    assert_same(found, expected, *TOLERANCES[dtype])
    for name in ("bernoulli", "categorical", "uniform_like"):  # drawn numbers, and choices by them
        assert_like(found.outputs[name], expected.outputs[name], dtype == "float32", name)


@each_dtype
@pytest.mark.parametrize("name", STRUCTURES)
def test_the_structure_is_that_of_the_cpu(name: str, dtype: str) -> None:
    here, graphs = compiled(name, dtype), some_graphs()
    inputs = draw_inputs(here, graphs)
    found = run(compiled(name, dtype, device="cuda"), graphs, inputs)
    assert_same(found, run(here, graphs, inputs), *TOLERANCES[dtype])


@each_dtype
@pytest.mark.parametrize("name", ["AttentionLayers", "AttentionOverStates"])
def test_attention_on_edges_is_that_of_the_cpu(name: str, dtype: str) -> None:
    here, graphs = compiled(name, dtype, passes=()), some_graphs()
    inputs = draw_inputs(here, graphs)
    found = run(compiled(name, dtype, device="cuda", passes=()), graphs, inputs)
    assert_same(found, run(here, graphs, inputs), *TOLERANCES[dtype])


def test_no_operation_is_left_out() -> None:
    """A new operation needs a case, or a function of the library; what is public and no operation
    of the table a line above."""
    # What writes to buffers of a module runs in test_models.py.
    public = set(ops.__all__) - {"OPS", "OpDef", "running"}
    assert public - set(OPS) == set(COMPOSED)
    of_cases, learning = model_of_cases("float32", "cpu"), learned_inputs()
    used, kernels = operations_in(of_cases, learning), kernels_in(of_cases, learning)
    for model in (composed("float32", "cpu"), *(compiled(n, "float32") for n in STRUCTURES)):
        used |= operations_in(model)
        kernels |= kernels_in(model)
    for name in STRUCTURES:  # what passes put something else in the place of
        model = compiled(name, "float32", passes=())
        used |= operations_in(model)
        kernels |= kernels_in(model)
    assert set(OPS) - used <= NOT_LOWERED
    assert kernels == set(core.kernel_names())


class WidelyMasked(cavs.VertexFunction):
    """A mask of more taps than a launch has bits for."""

    def __init__(self) -> None:
        self.layer = nn.MaskedConv2d(1, 1, 33, "B")

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.layer(v.pull("x", (1, 4, 4))))


def test_masks_of_many_taps_are_refused() -> None:
    def call(device: str) -> np.ndarray:
        model = cavs.compile(WidelyMasked(), device=device)
        return model(cavs.InputGraph([[]]), x=np.ones((1, 1, 4, 4), np.float32))["y"].data

    assert call("cpu").shape == (1, 1, 4, 4)
    with pytest.raises(
        CavsError, match=r"expected a mask of at most 1024 taps, got one of 33 x 33"
    ):
        call("cuda")
