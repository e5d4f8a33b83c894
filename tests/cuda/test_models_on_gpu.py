"""All models of cavs.models on a GPU beside the CPU: training steps to rounding, samples."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import every_model
import numpy as np
import pytest
from every_model import MODELS, PIXELS, TREES, WORDS
from model_runs import some_graphs

import cavs
from cavs import models, ops
from cavs._native import core
from cavs.data import production_vocabulary
from cavs.training import decode_sentences, sample_images, sample_text, sample_trees

pytestmark = pytest.mark.gpu

STEPS = 3
TOLERANCES: dict[str, dict[str, float]] = {
    "float32": {"rtol": 2e-4, "atol": 2e-6},
    "float64": {"rtol": 1e-9, "atol": 1e-11},
}


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    """In float32 levels go together in one launch, in float64 each instruction has its own."""
    before = core.cuda.persistent_levels()
    core.cuda.set_persistent_levels(request.param == "float32")
    yield request.param
    core.cuda.set_persistent_levels(before)


@pytest.mark.parametrize("name", MODELS)
def test_training_steps_are_those_of_the_cpu(name: str, dtype: str) -> None:
    here = every_model.make(name, dtype=dtype)
    there = every_model.make(name, dtype=dtype, device="cuda")
    expected, found = here.train(STEPS), there.train(STEPS)
    assert len(set(expected)) == STEPS
    np.testing.assert_allclose(found, expected, rtol=TOLERANCES[dtype]["rtol"])
    named = zip(here.model.named_parameters(), there.model.parameters(), strict=True)
    for (parameter, p), q in named:
        assert (q.device, q.dtype) == ("cuda:0", dtype)
        np.testing.assert_allclose(q.numpy(), p.numpy(), err_msg=parameter, **TOLERANCES[dtype])
