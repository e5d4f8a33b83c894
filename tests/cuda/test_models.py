"""Whole models on a GPU beside the same on the CPU: outputs, gradients, training, states."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import model_runs
import numpy as np
import pytest
import vertex_functions
from model_cases import CASES

import cavs
from cavs.device import device_of, find_device

pytestmark = pytest.mark.gpu

NAMES = sorted(vertex_functions.FUNCTIONS)
GRAPHS = model_runs.some_graphs()
TOLERANCES = {"float64": (1e-9, 1e-11), "float32": (3e-5, 3e-6)}


def host_result(result: model_runs.Result) -> model_runs.Result:
    for kind in ("outputs", "params", "inputs"):
        arrays = getattr(result, kind)
        setattr(result, kind, {n: device_of(x).to_host(x) for n, x in arrays.items()})
    return result


def on_cuda(name: str, dtype: str, inputs: Any, **options: Any) -> model_runs.Result:
    model = model_runs.compiled(name, dtype, device="cuda", **options)
    model.set_random_state({"seed": 3, "step": 7})
    model.zero_grad()
    given = {
        name: cavs.Tensor(x, dtype, requires_grad=True) if x.dtype.kind == "f" else x
        for name, x in inputs.items()
    }
    out = model(GRAPHS, **given)
    total: Any = None
    for name, weight in model_runs.draw_cotangents(out).items():
        part = (out[name] * cavs.Tensor(weight, dtype).to("cuda")).sum()
        total = part if total is None else total + part
    if total is not None and total.requires_grad:
        total.backward()
    params = {n: np.asarray(dense(p)) for n, p in model.named_parameters()}
    of_inputs = {
        n: np.zeros(x.shape) if x.grad is None else x.grad
        for n, x in given.items()
        if isinstance(x, cavs.Tensor)
    }
    return model_runs.Result({n: y.numpy() for n, y in out.items()}, params, of_inputs)


def dense(parameter: cavs.Parameter) -> np.ndarray:
    grad = parameter.grad
    if grad is None:
        return np.zeros(parameter.shape, parameter.dtype)
    return np.asarray(grad if isinstance(grad, cavs.RowSparse) else cavs.Tensor(grad))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_are_those_of_the_cpu(name: str, dtype: str) -> None:
    model = model_runs.compiled(name, dtype)
    inputs = model_runs.draw_inputs(model, GRAPHS)
    expected = model_runs.run(model, GRAPHS, inputs)
    found = on_cuda(name, dtype, inputs)
    model_runs.assert_same(found, expected, *TOLERANCES[dtype])
