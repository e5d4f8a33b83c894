"""Runs models on drawn inputs and collects outputs and every gradient, to compare executors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import vertex_functions

import cavs

__all__ = [
    "Result",
    "assert_same",
    "compiled",
    "draw_cotangents",
    "draw_inputs",
    "parts",
    "run",
    "some_graphs",
]

Arrays = dict[str, np.ndarray]


@dataclass
class Result:
    """What a forward and a backward gave; gradients are dense, zeros where there is none. And the
    buffers afterwards."""

    outputs: Arrays
    params: Arrays = field(default_factory=dict)
    inputs: Arrays = field(default_factory=dict)
    buffers: Arrays = field(default_factory=dict)


_models: dict[Any, cavs.Model] = {}


def compiled(name: str, dtype: str = "float64", **options: Any) -> cavs.Model:
    """The function `name` of the library, compiled once for each set of options, in training mode:
    an earlier test may have left another."""
    key = (name, dtype, *sorted(options.items()))
    if key not in _models:
        function = vertex_functions.make_function(name, dtype)
        # Graphs of any shape run through functions of few slots, too.
        options = {"extra_children": "ignore", **options}
        _models[key] = cavs.compile(function, dtype=dtype, seed=3, **options)
    return _models[key].train()


def draw_inputs(model: cavs.Model, graphs: cavs.GraphBatch, seed: int = 0) -> Arrays:
    """Inputs of every kind that the model pulls; ids from -1 on, so that some are missing."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, spec in sorted(model.inputs.items()):
        if spec.space == "batch":
            arrays[name] = rng.normal(size=spec.shape)
            continue
        rows = graphs.rows(spec.space)
        if spec.dtype == "int32":
            few = {"label": 4, "edge_label": 4, "topic": 4, "several": 2}
            bound = few.get(name, vertex_functions.IDS)
            arrays[name] = rng.integers(-1, bound, (rows, *spec.shape)).astype(np.int32)
        elif name == "mask":
            arrays[name] = rng.integers(0, 2, (rows, *spec.shape)).astype(np.float64)
        else:
            arrays[name] = rng.normal(size=(rows, *spec.shape))
    return arrays


def draw_cotangents(
    outputs: Mapping[str, Any], seed: int = 0, names: Iterable[str] | None = None
) -> Arrays:
    """Random cotangents of the outputs `names`, by default of all."""
    rng = np.random.default_rng(seed + 1000)
    drawn = {name: rng.normal(size=y.shape) for name, y in sorted(outputs.items())}
    return drawn if names is None else {name: drawn[name] for name in names}


def dense(parameter: cavs.Parameter) -> np.ndarray:
    """The gradient as an array of the host, a copy."""
    grad = parameter.grad
    if grad is None:
        return np.zeros(parameter.shape, parameter.dtype)
    if isinstance(grad, cavs.RowSparse):
        grad = grad.to_dense()
    return cavs.Tensor(grad).numpy()


def run(
    model: cavs.Model,
    graphs: cavs.GraphBatch,
    inputs: Arrays,
    *,
    names: Iterable[str] | None = None,
    seed: int = 0,
    step: int = 7,
    cotangents: Arrays | None = None,
) -> Result:
    """Forward, then backward from random cotangents of the outputs `names` (all by default), on the
    model's device."""
    model.set_random_state({"seed": 3, "step": step})
    model.zero_grad()
    given: dict[str, Any] = {}
    for name, array in inputs.items():
        learns = array.dtype.kind == "f"
        given[name] = cavs.Tensor(array, model.dtype, requires_grad=True) if learns else array
    out = model(graphs, **given)
    result = Result({name: y.numpy() for name, y in out.items()})
    if cotangents is None:
        cotangents = draw_cotangents(out, seed, names)
    total: Any = None
    for name, weight in cotangents.items():
        part = (out[name] * cavs.Tensor(weight, model.dtype).to(model.device)).sum()
        total = part if total is None else total + part
    if total is not None and total.requires_grad:
        total.backward()
    result.params = {name: dense(p) for name, p in model.named_parameters()}
    result.buffers = {name: b.numpy().copy() for name, b in model.function.named_buffers()}
    for name, x in given.items():
        if isinstance(x, cavs.Tensor):
            result.inputs[name] = np.zeros(x.shape) if x.grad is None else x.grad
    return result


def assert_same(a: Result, b: Result, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    """Outputs, gradients and buffers equal to rounding; tolerances are relative to each array's
    greatest."""
    for kind in ("outputs", "params", "inputs", "buffers"):
        left, right = getattr(a, kind), getattr(b, kind)
        assert set(left) == set(right)
        for name, x in left.items():
            y = right[name]
            assert x.shape == y.shape, (kind, name)
            scale = max(1.0, float(np.abs(y).max(initial=0.0)))
            np.testing.assert_allclose(x, y, rtol, atol * scale, err_msg=f"{kind} {name}")


def some_graphs() -> cavs.GraphBatch:
    """Trees, a DAG with parallel edges and several parents, a single vertex, an empty graph."""
    rng = np.random.default_rng(5)
    children: list[list[int]] = [[]]
    for vertex in range(1, 16):
        children.append(rng.integers(0, vertex, rng.integers(0, 5)).tolist())
    graphs = [
        cavs.InputGraph([[], [], [0, 1]]),
        cavs.InputGraph([[]]),
        cavs.InputGraph([]),
        cavs.InputGraph([[], [], [], [0, 1, 2, 0], [3, 3, 1]]),
        cavs.InputGraph([[1, 2, 3, 4], [2], [], [4], []]),
        cavs.InputGraph(children),
    ]
    return cavs.batch(graphs, keys=[5, 2, 9, 2**40, 1, 77])


def parts(graphs: cavs.GraphBatch, model: cavs.Model, arrays: dict[str, Any], g: int) -> Any:
    """The rows of graph `g` of inputs (or of anything by the same names)."""
    ptr = {
        "vertex": graphs.ptr,
        "edge": graphs.edge_ptr,
        "graph": np.arange(graphs.num_graphs + 1),
    }
    cut = {}
    for name, array in arrays.items():
        rows = ptr[model.inputs[name].space]
        cut[name] = array[rows[g] : rows[g + 1]]
    return cut
