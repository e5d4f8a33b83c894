"""The library's vertex functions, and drawn ones over drawn graphs, on a GPU as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import vertex_functions
from model_runs import Result, assert_same, draw_cotangents, draw_inputs, run, some_graphs

import cavs
from cavs.core.passes import PASSES

pytestmark = pytest.mark.gpu

FUNCTIONS = sorted(vertex_functions.FUNCTIONS)
WITHOUT_STREAMS = tuple(p for p in PASSES if p != "stream")
#: Drawn functions over drawn graphs, and those that a test tries.
DRAWN, AT_ONCE = 200, 20
TOLERANCES: dict[str, dict[str, float]] = {
    "float64": {"rtol": 1e-9, "atol": 1e-11},
    "float32": {"rtol": 3e-4, "atol": 3e-5},
}


def made(name: str, dtype: str, **options: Any) -> cavs.Model:
    function = vertex_functions.make_function(name, dtype)
    return cavs.compile(function, dtype=dtype, seed=3, extra_children="ignore", **options)


def on_host(result: Result) -> Result:
    """All arrays on the host."""

    def moved(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
        return {name: np.array(cavs.Tensor(x).numpy()) for name, x in arrays.items()}

    return Result(moved(result.outputs), moved(result.params), moved(result.inputs))


def given_to(model: cavs.Model, graphs: cavs.GraphBatch, seed: int = 0) -> dict[str, np.ndarray]:
    return draw_inputs(model, graphs, seed)


def run_twice(model: cavs.Model, graphs: cavs.GraphBatch, inputs: Any, seed: int) -> Result:
    """Two backwards of one call, of which the first keeps the run: gradients add up."""
    model.set_random_state({"seed": 3, "step": 7})
    model.zero_grad()
    given = {
        name: cavs.Tensor(x, model.dtype, requires_grad=True) if x.dtype.kind == "f" else x
        for name, x in inputs.items()
    }
    out = model(graphs, **given)
    cotangents = draw_cotangents(out, seed)
    total: Any = None
    for name, weight in cotangents.items():
        part = (out[name] * cavs.Tensor(weight, model.dtype)).sum()
        total = part if total is None else total + part
    if total.requires_grad:
        total.backward(retain_graph=True)
        total.backward()
    result = Result({name: np.array(y.numpy()) for name, y in out.items()})
    result.params = {name: _dense(p) for name, p in model.named_parameters()}
    for name, x in given.items():
        if isinstance(x, cavs.Tensor):
            result.inputs[name] = np.zeros(x.shape) if x.grad is None else np.array(x.grad)
    return result


def _dense(p: cavs.Parameter) -> np.ndarray:
    grad: Any = p.grad
    if grad is None:
        return np.zeros(p.shape, p.dtype)
    grad = grad.to_dense() if isinstance(grad, cavs.RowSparse) else grad
    return np.array(cavs.Tensor(grad).numpy())


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_the_library(name: str, dtype: str) -> None:
    graphs = some_graphs()
    cpu, gpu = made(name, dtype), made(name, dtype, device="cuda")
    inputs = given_to(cpu, graphs)
    expected = run_twice(cpu, graphs, inputs, 0)
    assert_same(run_twice(gpu, graphs, inputs, 0), expected, **TOLERANCES[dtype])
    cpu.eval()
    gpu.eval()
    with cavs.no_grad():
        found, expected_outputs = gpu(graphs, **inputs), cpu(graphs, **inputs)
    for output, y in expected_outputs.items():
        scale = max(1.0, float(np.abs(y.numpy()).max(initial=0.0)))
        tolerance = TOLERANCES[dtype]
        np.testing.assert_allclose(
            found[output].numpy(), y.numpy(), tolerance["rtol"], tolerance["atol"] * scale
        )


@pytest.mark.parametrize("name", ["ChildSumTreeLSTM", "Dropouts", "Lattice"])
def test_graphs_that_come_again(name: str) -> None:
    """The third call of a batch replays what the second recorded."""
    graphs = some_graphs()
    cpu, gpu = made(name, "float64"), made(name, "float64", device="cuda")
    for seed in (0, 1, 2, 3):
        inputs = given_to(cpu, graphs, seed)
        expected = run_twice(cpu, graphs, inputs, seed)
        assert_same(run_twice(gpu, graphs, inputs, seed), expected)


def drawn_graphs(rng: np.random.Generator) -> cavs.GraphBatch:
    """Some DAGs: several parents, parallel edges, holes, single vertices and empty graphs."""
    graphs = []
    for _ in range(int(rng.integers(1, 5))):
        children: list[list[int]] = []
        for vertex in range(int(rng.integers(0, 10))):
            count = int(rng.integers(0, 4)) if vertex else 0
            least = -1 if rng.random() < 0.2 else 0
            children.append(rng.integers(least, max(vertex, least + 1), count).tolist())
        graphs.append(cavs.InputGraph(children))
    return cavs.batch(graphs)


def drawn_passes(rng: np.random.Generator) -> tuple[str, ...] | None:
    way = rng.random()
    if way < 0.3:
        return None
    if way < 0.45:
        return WITHOUT_STREAMS
    return () if way < 0.55 else tuple(p for p in PASSES if rng.random() < 0.6)


def check_drawn(seed: int) -> None:
    """A function and graphs from a seed, compiled and run in a way from the same seed."""
    rng = np.random.default_rng(seed)
    dtype = "float32" if rng.random() < 0.3 else "float64"
    options: dict[str, Any] = {
        "passes": drawn_passes(rng),
        "policy": "serial" if rng.random() < 0.2 else "batching",
    }
    models = []
    for device in ("cpu", "cuda"):
        cavs.nn.init.manual_seed(seed)
        function = vertex_functions.RandomFunction(seed)
        models.append(
            cavs.compile(
                function,
                dtype=dtype,
                device=device,
                seed=3,
                extra_children="ignore",
                **(options if device == "cuda" else {}),
            )
        )
    if rng.random() < 0.25:
        for model in models:
            model.eval()
    tolerances = {"rtol": 1e-8, "atol": 1e-10} if dtype == "float64" else TOLERANCES[dtype]
    again = int(rng.integers(1, 4))
    for _ in range(again):
        graphs = drawn_graphs(rng)
        inputs = draw_inputs(models[0], graphs, seed)
        if rng.random() < 0.3:
            expected, found = (run_twice(model, graphs, inputs, seed) for model in models)
        else:
            names = None if rng.random() < 0.6 else [str(rng.choice(["h", "some", "loss"]))]
            expected, found = (
                on_host(run(model, graphs, inputs, names=names, seed=seed)) for model in models
            )
        assert_same(found, expected, **tolerances)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, DRAWN, AT_ONCE))
def test_drawn_functions(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        try:
            check_drawn(seed)
        except Exception as error:
            raise AssertionError(f"the function of seed {seed}") from error
