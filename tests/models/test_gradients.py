"""Gradients of whole models against central differences, in float64."""

from typing import Any

import numpy as np
import pytest
from model_cases import Case, every_case, together

import cavs

STEP = 1e-5
DROPOUTS: list[dict[str, Any]] = [
    {},
    {"dropout": 0.4, "embedding_dropout": 0.4},
    {"dropout": 0.4, "embedding_dropout": 0.4, "embedding_dropout_by": "id"},
]


def total(model: cavs.Model, batch: cavs.GraphBatch, inputs: dict[str, Any]) -> float:
    with cavs.no_grad():
        out = model(batch, **inputs)
    # All rows of logits, weighted, so that unlabelled vertices count too.
    logits = out["logits"].numpy()
    return float(out["loss"].numpy().sum() + (weights(logits.shape) * logits).sum())


def weights(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(7).normal(size=shape)


@every_case
@pytest.mark.parametrize("dropout", DROPOUTS, ids=["none", "vertex", "id"])
def test_gradients_equal_central_differences(case: Case, dropout: dict[str, Any]) -> None:
    if not case.drops(**dropout):
        pytest.skip("features have no ids")
    model = case.make(seed=3, **dropout)
    batch, inputs = together(case.samples())
    state = model.random_state()
    out = model(batch, **inputs)
    logits = out["logits"]
    (out["loss"].sum() + (logits * cavs.tensor(weights(logits.shape))).sum()).backward()
    for name, parameter in model.named_parameters():
        gradient = np.array(parameter.grad)
        numeric = np.empty_like(gradient)
        for place in np.ndindex(gradient.shape):
            before = parameter.data[place]
            values = []
            for sign in (1, -1):
                parameter.data[place] = before + sign * STEP
                model.set_random_state(state)
                values.append(total(model, batch, inputs))
            parameter.data[place] = before
            numeric[place] = (values[0] - values[1]) / (2 * STEP)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8, err_msg=name)
