"""Runs of functions of types: what they give, and the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from typed_functions import Case, draw_inputs

import cavs
from cavs.device import device_of

Values = dict[str, np.ndarray[Any, Any]]


def on_host(x: Any) -> np.ndarray[Any, Any]:
    """The values of a tensor, or of a gradient by rows, as an array of NumPy."""
    dense = x.to_dense() if hasattr(x, "to_dense") else x
    values = getattr(dense, "_values", dense)
    return np.array(device_of(values).to_host(values))


def outputs_and_gradients(
    case: Case, graphs: cavs.GraphBatch, seed: int, **options: Any
) -> tuple[cavs.Model, Values, Values]:
    """What a compiled function gives over graphs, and the gradients of a weighted sum of it, of
    parameters and of float inputs."""
    model = cavs.compile(case.function, seed=3, **options)
    inputs: dict[str, Any] = draw_inputs(model, graphs, seed)
    dtype, device = model.dtype, model.device
    for name, x in inputs.items():
        if x.dtype.kind == "f":
            there = cavs.Tensor(x.astype(dtype)).to(device)
            inputs[name] = cavs.Tensor(there._values, requires_grad=True)
    outputs = model(graphs, **inputs)
    loss: Any = 0.0
    for y in outputs.values():
        weights = np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype(dtype)
        loss = (y * cavs.Tensor(weights).to(device)).sum() + loss
    for parameter in model.parameters():
        parameter.zero_grad()
    loss.backward()
    learned = {**dict(model.named_parameters()), **inputs}
    gradients = {
        name: np.zeros(x.shape) if x.grad is None else on_host(x.grad)
        for name, x in learned.items()
        if not isinstance(x, np.ndarray)
    }
    return model, {name: on_host(y) for name, y in outputs.items()}, gradients
