"""Every vertex function of the library, over any graphs: native equals reference, gradients equal
differences, whatever the passes, the policy, the threads, the precision and the batching."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import assert_same, compiled, draw_cotangents, draw_inputs, parts, run, some_graphs
from strategies import batches

import cavs
from cavs._native import core
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES
from cavs.errors import CavsRuntimeError

pytestmark = pytest.mark.usefixtures("small_pieces", "threads")
FUNCTIONS = sorted(vertex_functions.FUNCTIONS)
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def switches(name: str) -> list[tuple[str, ...]]:
    """No pass, each alone, all but one, and some at random; all of them are the rule. Of all pairs
    each function has a share."""
    number = FUNCTIONS.index(name)
    chosen = [s for k in (0, 1, len(PASSES) - 1) for s in combinations(PASSES, k)]
    chosen += [*combinations(PASSES, 2)][number :: len(FUNCTIONS)]
    rng = np.random.default_rng(number)
    chosen += [tuple(p for p in PASSES if rng.random() < 0.5) for _ in range(8)]
    return list(dict.fromkeys(chosen))


@each_function
@settings(max_examples=10)
@given(graphs=batches(), seed=st.integers(0, 99))
def test_native_equals_reference(name: str, graphs: cavs.GraphBatch, seed: int) -> None:
    reference = compiled(name, executor="reference")
    inputs = draw_inputs(reference, graphs, seed)
    expected = run(reference, graphs, inputs, seed=seed)
    assert_same(run(compiled(name), graphs, inputs, seed=seed), expected)


@each_function
def test_passes_change_nothing(name: str) -> None:
    graphs = some_graphs()
    inputs = draw_inputs(compiled(name), graphs)
    expected = run(compiled(name), graphs, inputs)
    for passes in switches(name):
        assert_same(run(compiled(name, passes=passes), graphs, inputs), expected)


@each_function
def test_policy_and_threads_change_nothing(name: str) -> None:
    graphs = some_graphs()
    inputs = draw_inputs(compiled(name), graphs)
    cavs.set_num_threads(1)
    expected = run(compiled(name), graphs, inputs)
    for policy, count in (("batching", 2), ("batching", 3), ("serial", 1), ("serial", 3)):
        cavs.set_num_threads(count)
        assert_same(run(compiled(name, policy=policy), graphs, inputs), expected)
        assert_same(run(compiled(name, passes=(), policy=policy), graphs, inputs), expected)


@each_function
def test_single_precision_is_close(name: str) -> None:
    graphs = some_graphs()
    inputs = draw_inputs(compiled(name), graphs)
    single = compiled(name, "float32")
    found = run(single, graphs, inputs)
    assert all(y.dtype == np.float32 for y in found.outputs.values())
    assert all(g.dtype == np.float32 for g in found.params.values())
    assert_same(found, run(compiled(name), graphs, inputs), rtol=3e-4, atol=3e-5)
    reference = compiled(name, "float32", executor="reference")
    assert_same(run(reference, graphs, inputs), found, rtol=3e-4, atol=3e-5)


@pytest.mark.parametrize("name", ["WideTreeLSTM", "Elementwise"])
def test_compiled_groups_equal_interpreted_ones(name: str) -> None:
    graphs = some_graphs()
    results = []
    for compile_groups in (True, False):
        before = core.execution_options()
        core.set_execution_options(**{**before, "compile_groups": compile_groups})
        function = vertex_functions.make_function(name, "float32")
        model = cavs.compile(function, dtype="float32", seed=3)
        results.append(run(model, graphs, draw_inputs(model, graphs)))
        core.set_execution_options(**before)
    assert_same(*results, rtol=0.0, atol=0.0)


@each_function
@settings(max_examples=5)
@given(graphs=batches(min_size=1))
def test_batched_equals_alone(name: str, graphs: cavs.GraphBatch) -> None:
    model = compiled(name)
    graphs = cavs.batch(cavs.unbatch(graphs), keys=[7 * g + 2**33 for g in range(len(graphs))])
    inputs = draw_inputs(model, graphs)
    ptr_of = {
        k: graphs.edge_ptr if k in edge_outputs(model) else graphs.ptr for k in model_outputs(model)
    }
    together = run(model, graphs, inputs)
    weights = draw_cotangents(together.outputs)
    sums = {k: np.zeros_like(v) for k, v in together.params.items()}
    for g, graph in enumerate(cavs.unbatch(graphs)):
        alone = cavs.batch([graph], keys=graphs.keys[g : g + 1])
        rows = {k: slice(ptr[g], ptr[g + 1]) for k, ptr in ptr_of.items()}
        own = {k: w[rows[k]] for k, w in weights.items()}
        result = run(model, alone, parts(graphs, model, inputs, g), cotangents=own)
        for k, y in result.outputs.items():
            expected = together.outputs[k][rows[k]]
            np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-11, err_msg=k)
        for k, dx in parts(graphs, model, together.inputs, g).items():
            np.testing.assert_allclose(result.inputs[k], dx, rtol=1e-9, atol=1e-11, err_msg=k)
        for k, dp in result.params.items():
            sums[k] += dp
    for k, dp in sums.items():
        np.testing.assert_allclose(together.params[k], dp, rtol=1e-8, atol=1e-10, err_msg=k)


def model_outputs(model: cavs.Model) -> list[str]:
    return list(model._compiler.function.pushes)


def edge_outputs(model: cavs.Model) -> set[str]:
    return {
        k for k, node in model._compiler.function.pushes.items() if node.space == SpaceKind.EDGE
    }


SEVERAL = [n for n in FUNCTIONS if len(model_outputs(compiled(n, executor="reference"))) > 1]


@pytest.mark.parametrize("name", SEVERAL)
def test_cotangents_of_any_outputs(name: str) -> None:
    """One output at a time, and the first two together: their gradients, and zeros elsewhere."""
    graphs = some_graphs()
    model, reference = compiled(name), compiled(name, executor="reference")
    inputs = draw_inputs(model, graphs)
    outputs = model_outputs(model)
    subsets = [[k] for k in outputs[:4]] + [outputs[:2]]
    for names in subsets:
        expected = run(reference, graphs, inputs, names=names)
        assert_same(run(model, graphs, inputs, names=names), expected)
        assert_same(run(compiled(name, passes=()), graphs, inputs, names=names), expected)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "StraightThrough"])
def test_gradient_equals_central_differences(name: str) -> None:
    model = compiled(name)
    graphs = cavs.batch(
        [cavs.InputGraph([[], [], [0, 1], [0, 2, 2]]), cavs.InputGraph([[1, 2, 3], [], [1], []])]
    )
    inputs = draw_inputs(model, graphs)
    result = run(model, graphs, inputs)
    weights = draw_cotangents(result.outputs)
    rng = np.random.default_rng(0)

    def loss() -> float:
        model.set_random_state({"seed": 3, "step": 7})
        with cavs.no_grad():
            out = model(graphs, **inputs)
        return float(sum((out[k].data * w).sum() for k, w in weights.items()))

    def check(array: np.ndarray, gradient: np.ndarray, what: str) -> None:
        for _ in range(3):
            direction = rng.normal(size=array.shape)
            values, before = [], array.copy()
            for step in (1e-5, -1e-5):
                array[...] = before + step * direction
                values.append(loss())
            array[...] = before
            difference = (values[0] - values[1]) / 2e-5
            found = float((gradient * direction).sum())
            assert found == pytest.approx(difference, rel=1e-6, abs=2e-8), what

    for key, p in model.named_parameters():
        if p.requires_grad:
            check(p.data, result.params[key], key)
    for key, gradient in result.inputs.items():
        check(inputs[key], gradient, key)


@pytest.mark.parametrize("kind", ["RandomFunction", "OfLaterOperations"])
@settings(max_examples=15)
@given(graphs=batches(), seed=st.integers(0, 10_000), count=st.integers(1, 3))
def test_drawn_functions(kind: str, graphs: cavs.GraphBatch, seed: int, count: int) -> None:
    """Functions drawn from a seed, with drawn passes and cotangents of all outputs or some."""
    rng = np.random.default_rng(seed)

    def function() -> cavs.VertexFunction:
        cavs.nn.init.manual_seed(seed)
        found: cavs.VertexFunction = getattr(vertex_functions, kind)(seed)
        return found

    options = {"dtype": "float64", "extra_children": "ignore"}
    reference = cavs.compile(function(), executor="reference", **options)
    inputs = draw_inputs(reference, graphs, seed)
    outputs = model_outputs(reference)
    some = [name for name in outputs if rng.random() < 0.5]
    expected = {names: run(reference, graphs, inputs, names=names) for names in (None, tuple(some))}
    cavs.set_num_threads(count)
    for passes in (PASSES, [p for p in PASSES if rng.random() < 0.5]):
        model = cavs.compile(function(), passes=passes, **options)
        for names, result in expected.items():
            found = run(model, graphs, inputs, names=names)
            assert_same(found, result, rtol=1e-8, atol=1e-10)


def test_two_calls_before_their_backwards() -> None:
    model, graphs = compiled("ChildSumTreeLSTM"), some_graphs()
    other = cavs.batch([cavs.InputGraph([[], [0], [0, 1]])])
    first, second = draw_inputs(model, graphs, 1), draw_inputs(model, other, 2)
    expected = [run(model, graphs, first).params, run(model, other, second).params]
    model.zero_grad()
    calls = [(model(graphs, **first), 0), (model(other, **second), 0)]
    for out, seed in reversed(calls):
        total = sum((out[k] * cavs.Tensor(w)).sum() for k, w in draw_cotangents(out, seed).items())
        total.backward()
    for name, p in model.named_parameters():
        grad = p.grad.to_dense() if isinstance(p.grad, cavs.RowSparse) else p.grad
        np.testing.assert_allclose(grad, expected[0][name] + expected[1][name], rtol=1e-9)


def test_second_backward_is_refused() -> None:
    model, graphs = compiled("ChildSumTreeLSTM"), some_graphs()
    inputs = draw_inputs(model, graphs)
    loss = model(graphs, **inputs)["loss"].sum()
    loss.backward()
    with pytest.raises(CavsRuntimeError, match=r"\[backward\].*freed"):
        loss.backward()
    random = cavs.execution.executor.RandomState(0, 0, True)
    _, waiting, _ = model._executor.forward(graphs, inputs, random, frozenset())
    assert waiting is not None
    cotangent = {"loss": np.ones(graphs.num_vertices)}
    waiting.backward(cotangent)
    with pytest.raises(CavsRuntimeError, match="backward"):
        waiting.backward(cotangent)


def test_no_grad_records_nothing() -> None:
    model, graphs = compiled("ChildSumTreeLSTM"), some_graphs()
    inputs = draw_inputs(model, graphs)
    with cavs.no_grad():
        quiet = model(graphs, **inputs)
    loud = model(graphs, **inputs)
    for k, y in loud.items():
        np.testing.assert_allclose(quiet[k].data, y.data, rtol=1e-12)
        assert y.requires_grad
        assert not quiet[k].requires_grad
    with pytest.raises(CavsRuntimeError, match="no_grad"):
        quiet["loss"].sum().backward()


def test_nan_in_one_graph_stays_there() -> None:
    """Nothing that an earlier call or another graph left in memory reaches a result."""
    for name in ("WideTreeLSTM", "ManySlots", "Segments", "EdgeInputs", "Shapes", "Norms"):
        model, graphs = compiled(name), some_graphs()
        inputs = draw_inputs(model, graphs)
        expected = run(model, graphs, inputs)
        poisoned = {k: x * np.nan if x.dtype.kind == "f" else x for k, x in inputs.items()}
        before = [p.data.copy() for p in model.parameters()]
        for p in model.parameters():
            p.data[...] = np.nan
        run(model, graphs, poisoned)
        for p, data in zip(model.parameters(), before, strict=True):
            p.data[...] = data
        assert_same(run(model, graphs, inputs), expected, rtol=0, atol=0)
        half = {k: x.copy() for k, x in inputs.items()}
        for k, spec in model.inputs.items():
            if spec.space == "vertex" and spec.dtype == "float":
                half[k][: graphs.ptr[4]] = np.nan
        found = run(model, graphs, half)
        for k, y in found.outputs.items():
            first = graphs.edge_ptr[4] if k in edge_outputs(model) else graphs.ptr[4]
            np.testing.assert_array_equal(y[first:], expected.outputs[k][first:], err_msg=k)


@pytest.mark.parametrize(("keep", "retain"), [(True, False), (True, True), (False, False)], ids=str)
@settings(max_examples=40)
@given(
    graphs=batches(),
    name=st.sampled_from(FUNCTIONS),
    count=st.integers(1, 3),
    plain=st.booleans(),
)
def test_memory_is_predicted(
    keep: bool, retain: bool, graphs: cavs.GraphBatch, name: str, count: int, plain: bool
) -> None:
    model = compiled(name, passes=()) if plain else compiled(name)
    inputs = draw_inputs(model, graphs)
    ids = {k: x for k, x in inputs.items() if x.dtype.kind == "i"}
    cavs.set_num_threads(count)
    keep = keep and bool(list(model.parameters()))  # else no backward follows, and none is planned
    losses = list(model._compiler.trace.function.pushes) if keep else False
    planned = model._memory(graphs, losses, ids, retain=retain).arena
    assert planned <= 1.1 * model._memory(graphs, losses, {}, retain=retain).arena
    runs = []
    made = core.Run

    def record(*args: Any) -> Any:
        runs.append(made(*args))
        return runs[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cavs.execution.native._core, "Run", record)
        random, wanted = (
            cavs.execution.executor.RandomState(0, 0, True),
            frozenset() if keep else None,
        )
        out, waiting, _ = model._executor.forward(graphs, inputs, random, wanted)
        if waiting is not None:
            for _ in range(2 if retain else 1):
                waiting.backward({k: np.ones_like(y) for k, y in out.items()}, retain=retain)
    assert planned == pytest.approx(runs[0].peak_bytes, rel=0.1)


def test_a_serial_schedule_passes_over_levels_of_leaves() -> None:
    # The compiler makes no such pair, but the engine takes any program with any schedule.
    model = cavs.compile(cavs.models.ChildSumTreeLSTM(7, 4, 5, 3), seed=1)
    graphs = cavs.batch([cavs.InputGraph([[], [], [], [2, -1, 2], [], [3, 3, -1, 4, 2], [2, 3]])])
    inputs = {"word": np.arange(7, dtype=np.int32) % 7, "label": np.zeros(7, np.int32)}
    found = []
    for policy in ("depth", "serial"):
        model._executor.policy = policy  # type: ignore[attr-defined]
        model.zero_grad()
        loss = model(graphs, **inputs)["loss"].sum()
        loss.backward()
        found.append(
            [
                loss.numpy(),
                *(
                    cavs.Tensor(p.grad).numpy()
                    for p in model.parameters()
                    if isinstance(p.grad, np.ndarray)
                ),
            ]
        )
    assert len(found[0]) > 5
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
