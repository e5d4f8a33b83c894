"""What a compiled function says of itself; measurements have tests in `execution/profile`."""

from __future__ import annotations

import numpy as np
import pytest
from model_runs import compiled, draw_inputs

import cavs
from cavs.errors import CavsRuntimeError, DTypeError

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])


def test_memory_is_of_the_native_executor_and_checks_its_inputs() -> None:
    model = compiled("ChildSumTreeLSTM", "float32")
    inputs = draw_inputs(model, GRAPHS)
    assert model.memory(GRAPHS, word=inputs["word"]) > 0
    assert model.memory(list(cavs.unbatch(GRAPHS)), gradients=False) > 0
    with pytest.raises(DTypeError, match="'word'"):
        model.memory(GRAPHS, word=np.zeros(5))
    reference = compiled("ChildSumTreeLSTM", "float32", executor="reference")
    with pytest.raises(CavsRuntimeError, match=r"\[memory\]"):
        reference.memory(GRAPHS)
