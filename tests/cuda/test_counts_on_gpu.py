"""What a call and a step on a GPU cost: copies, launches, allocations, and where the host waits.

The emulated driver counts; on a GPU's own nothing is counted, and these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import model_cases
import numpy as np
import pytest
from cuda_counts import counting, is_emulated

import cavs
from cavs import optim

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _counted() -> Iterator[None]:
    if not is_emulated():
        pytest.skip("a GPU's own driver counts nothing")
    yield
    cavs.cuda.synchronize()


def tree_lstm(**options: Any) -> cavs.Model:
    cavs.nn.init.manual_seed(0)
    case = model_cases.CASES["child-sum-tree-lstm"]
    kind: Any = case.function
    return cavs.compile(kind(*case.sizes), device="cuda", seed=3, **options)


def trees(count: int, seed: int = 0) -> tuple[cavs.GraphBatch, dict[str, Any]]:
    """Chains of different lengths with words and labels."""
    rng = np.random.default_rng(seed)
    graphs = [
        cavs.InputGraph([[k - 1] if k else [] for k in range(int(rng.integers(1, 6)))])
        for _ in range(count)
    ]
    batch = cavs.batch(graphs)
    rows = batch.num_vertices
    return batch, {
        "word": rng.integers(0, model_cases.VOCABULARY, rows).astype(np.int32),
        "label": rng.integers(0, model_cases.CLASSES, rows).astype(np.int32),
    }


def test_a_call_copies_once_to_the_device_and_nothing_back() -> None:
    model = tree_lstm()
    with cavs.no_grad():
        model(*(trees(3)[0],), **trees(3)[1])  # compiles, and brings what stays
        for seed in (1, 2):
            batch, inputs = trees(4, seed)
            with counting() as count:
                out = model(batch, **inputs)
            assert count is not None
            assert count["copies_to_device"] == 1
            assert count["copies_to_host"] == 0
            assert count["synchronizations"] == 0
            with counting() as count:
                out["loss"].numpy()
            assert count is not None
            assert count["copies_to_host"] <= 1


def test_steps_do_not_wait_for_the_device() -> None:
    model = tree_lstm()
    optimizer = optim.Adam(list(model.parameters()), lr=0.01)
    batch, inputs = trees(4)
    for _ in range(3):
        model.step(batch, optimizer, clip_norm=1.0, **inputs)
    cavs.cuda.synchronize()
    for seed in (0, 5, 6):
        batch, inputs = trees(4, seed)
        with counting() as count:
            model.step(batch, optimizer, clip_norm=1.0, **inputs)
        assert count is not None
        assert count["synchronizations"] == 0
        assert count["copies_to_host"] <= 1  # the outcome, asynchronously, for a later step
        assert count["bytes_to_host"] <= 256


def test_equal_steps_allocate_nothing() -> None:
    model = tree_lstm()
    optimizer = optim.SGD(list(model.parameters()), lr=0.01)
    batch, inputs = trees(4)
    for _ in range(2):
        model.step(batch, optimizer, **inputs)
    cavs.cuda.synchronize()
    for _ in range(3):
        with counting() as count:
            model.step(batch, optimizer, **inputs)
        assert count is not None
        assert count["allocations"] == 0
        assert count["compilations"] == 0
        cavs.cuda.synchronize()


def test_a_batch_that_comes_again_is_one_launch_of_a_graph() -> None:
    model = tree_lstm()
    batch, inputs = trees(4)
    with cavs.no_grad():
        for _ in range(3):
            model(batch, **inputs)
        with counting() as count:
            model(batch, **inputs)
    assert count is not None
    assert count["graph_launches"] == 1
    assert count["launches"] == 0


def test_launches_by_level() -> None:
    """A longer chain has as many more launches as the levels' instructions are, at most."""
    model = tree_lstm(passes=[p for p in cavs.core.passes.PASSES if p != "stream"])
    numbers = []
    for length in (4, 5, 6):
        batch = cavs.batch([cavs.InputGraph([[k - 1] if k else [] for k in range(length)])] * 2)
        ids = np.zeros(2 * length, np.int32)
        with cavs.no_grad(), counting() as count:
            model(batch, word=ids, label=ids)
        assert count is not None
        numbers.append(count["launches"] + count["products"] + count["cooperative_launches"])
    program = model._compiler.inference()
    levels = [s for s in program.segments if s.kind.name == "LEVELS"]
    instructions = sum(len(s.instructions) for s in levels)
    assert numbers[2] - numbers[1] == numbers[1] - numbers[0]
    assert numbers[1] - numbers[0] <= instructions


def test_the_peak_is_as_foretold() -> None:
    """model.memory says what a step takes, within a tenth."""
    model = tree_lstm()
    optimizer = optim.SGD(list(model.parameters()), lr=0.01)
    batch, inputs = trees(60)
    model.step(batch, optimizer, **inputs)
    cavs.cuda.synchronize()
    foretold = model.memory(batch)
    assert foretold.peak > 0
