"""What a call and a step on a GPU cost: copies, launches, and where the host waits.

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
from cavs import ops, optim
from cavs.device import find_device

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _counted() -> Iterator[None]:
    if not is_emulated():
        pytest.skip("a GPU's own driver counts nothing")
    yield
    cavs.cuda.synchronize()


def tree_lstm() -> cavs.Model:
    cavs.nn.init.manual_seed(0)
    case = model_cases.CASES["child-sum-tree-lstm"]
    kind: Any = case.function
    return cavs.compile(kind(*case.sizes), device="cuda", seed=3)


def chains(count: int, seed: int = 0) -> tuple[cavs.GraphBatch, dict[str, Any]]:
    """Chains of different lengths with words and labels."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, count)
    graphs = [
        cavs.InputGraph([[k - 1] if k else [] for k in range(int(length))]) for length in lengths
    ]
    rows = int(lengths.sum())
    return cavs.batch(graphs), {
        "word": rng.integers(0, model_cases.VOCABULARY, rows).astype(np.int32),
        "label": rng.integers(0, model_cases.CLASSES, rows).astype(np.int32),
    }


def test_a_call_copies_once_to_the_device_and_nothing_back() -> None:
    model = tree_lstm()
    for seed in (1, 2, 3, 4):
        batch, inputs = chains(4, seed)
        with counting() as count:
            out = model(batch, **inputs)
        assert count is not None
        assert count["copies_to_device"] == 1
        assert count["copies_to_host"] == 0
        assert seed == 1 or count["synchronizations"] == 0
        assert np.isfinite(out["loss"].numpy()).all()


def test_steps_do_not_wait_for_the_device() -> None:
    model = tree_lstm()
    optimizer = optim.Adam(list(model.parameters()), lr=0.01)
    for seed in range(8):
        batch, inputs = chains(4, seed)
        with counting() as count:
            model.step(batch, optimizer, clip_norm=1.0, **inputs)
        assert count is not None
        if seed < 4:  # memory is taken, programs are compiled
            continue
        assert count["synchronizations"] == 0
        assert count["compilations"] == 0
        assert count["copies_to_host"] == 1  # what became of the step, for a later one
        assert count["bytes_to_host"] <= 256
        assert count["copies_to_device"] == 1


def test_a_batch_that_comes_again_is_two_graphs() -> None:
    model = tree_lstm()
    optimizer = optim.Adam(list(model.parameters()), lr=0.01)
    batch, inputs = chains(4)
    losses = []
    for number in range(8):
        with counting() as count:
            loss = model.step(batch, optimizer, clip_norm=1.0, **inputs)
        losses.append(loss.item())
        assert count is not None
        if number >= 5:
            assert count["graph_launches"] == 2
            assert count["launches"] <= 12  # loss, norm, updates
            assert count["copies_to_device"] == 0
            assert count["synchronizations"] == 0
    reference = tree_lstm().to("cpu")
    optimizer = optim.Adam(list(reference.parameters()), lr=0.01)
    for loss in losses:
        expected = reference.step(batch, optimizer, clip_norm=1.0, **inputs).item()
        assert loss == pytest.approx(expected, rel=2e-5)


class Dropped(cavs.VertexFunction):
    """A chain whose states are dropped: within levels, and over all rows."""

    def __init__(self) -> None:
        self.embedding = cavs.nn.Embedding(model_cases.VOCABULARY, 6)
        self.u = cavs.nn.Linear(6, 6)
        self.classifier = cavs.nn.Linear(6, model_cases.CLASSES)

    def forward(self, v: cavs.Vertex) -> None:
        x = ops.dropout(self.embedding(v.pull("word", dtype="int32")), 0.5)
        h = ops.dropout(ops.tanh(x + self.u(v.gather(0, h=6).h)), 0.25)
        v.scatter(h=h)
        v.push(loss=ops.cross_entropy(self.classifier(h), v.pull("label", dtype="int32")))


def test_a_graph_draws_the_numbers_of_its_step() -> None:
    batch, inputs = chains(4)
    losses: dict[str, list[float]] = {}
    for device in ("cpu", "cuda"):
        cavs.nn.init.manual_seed(0)
        model = cavs.compile(Dropped(), device=device, seed=3)
        optimizer = optim.SGD(list(model.parameters()), lr=0.01)
        losses[device] = []
        for number in range(8):
            with counting() as count:
                loss = model.step(batch, optimizer, **inputs)
            losses[device].append(loss.item())
            assert count is not None
            assert device == "cpu" or number < 5 or count["graph_launches"] == 2
    assert len(set(losses["cuda"])) == 8
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=2e-5)


def test_memory_is_lent_without_waiting() -> None:
    gpu = find_device("cuda")
    array = gpu.zeros((2, 3), "float32")
    for function in (gpu.xp.sum, gpu.xp.abs, gpu.xp.max):
        function(array)
    with counting() as count:
        gpu.lend(array)
    assert count is not None
    assert count["synchronizations"] == 0


def test_equal_calls_take_no_more_memory() -> None:
    model = tree_lstm()
    optimizer = optim.SGD(list(model.parameters()), lr=0.01)
    batch, inputs = chains(60)
    for number in range(6):
        before = cavs.memory.pooled_bytes()
        model.step(batch, optimizer, **inputs)
        cavs.cuda.synchronize()
        assert number < 3 or cavs.memory.pooled_bytes() == before
