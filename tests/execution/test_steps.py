"""Threads share the batches of a step, and each batch by rows: bits do not depend on it."""

from __future__ import annotations

import numpy as np
import pytest
from typed_functions import draw_case, draw_graphs
from typed_runs import outputs_and_gradients

import cavs


@pytest.mark.parametrize("policy", ["depth", "bound"])
@pytest.mark.parametrize("seed", range(500, 520))
def test_threads_give_the_same_bits(
    seed: int, policy: str, small_pieces: None, threads: None
) -> None:
    case = draw_case(seed)
    graphs = draw_graphs(case, seed + 1)
    runs = []
    for count in (1, 2, 3):
        cavs.set_num_threads(count)
        _, outputs, gradients = outputs_and_gradients(case, graphs, seed + 2, policy=policy)
        runs.append({**outputs, **{f"gradient of {name}": g for name, g in gradients.items()}})
    for other in runs[1:]:
        for name, x in runs[0].items():
            if name.startswith("gradient"):  # sums over rows, each thread's part by itself
                np.testing.assert_allclose(other[name], x, rtol=2e-5, atol=2e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(other[name], x, err_msg=name)
