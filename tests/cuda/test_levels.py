"""Levels that go together in one launch on a GPU: the bits of a launch for each instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cuda_counts import counting

import cavs
from cavs import models
from cavs._native import core
from cavs.core.passes import PASSES

pytestmark = pytest.mark.gpu

# A tree, a chain, a vertex alone.
GRAPHS = cavs.batch(
    [
        cavs.InputGraph([[], [], [0, 1], [], [2, 3], [], [5, 4], [6]]),
        cavs.InputGraph([[], *([i] for i in range(6))]),
        cavs.InputGraph([[]]),
    ]
)
DRAWN = np.random.default_rng(0)
INPUTS = {
    "word": DRAWN.integers(-1, 7, GRAPHS.num_vertices).astype(np.int32),
    "label": DRAWN.integers(0, 3, GRAPHS.num_vertices).astype(np.int32),
}
MODELS: dict[str, Callable[[], cavs.VertexFunction]] = {
    "child-sum": lambda: models.ChildSumTreeLSTM(7, 4, 5, 3),
    "child-sum, wider": lambda: models.ChildSumTreeLSTM(7, 8, 40, 3, dropout=0.3),
    "n-ary": lambda: models.NaryTreeLSTM(7, 4, 5, 3),
    "gru": lambda: models.ChildSumTreeGRU(7, 4, 6, 3),
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = core.cuda.persistent_levels()
    yield
    core.cuda.set_persistent_levels(before)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("without", ["nothing", "defer"])
def test_levels_that_go_together_have_the_same_bits(name: str, without: str) -> None:
    passes = [each for each in PASSES if each != without]
    found = []
    for persistent in (False, True):
        core.cuda.set_persistent_levels(persistent)
        cavs.nn.init.manual_seed(0)
        model = cavs.compile(MODELS[name](), device="cuda", seed=1, passes=passes)
        optimizer = cavs.optim.SGD(model.named_parameters(), 0.1)
        with counting() as count:
            losses = [model.step(GRAPHS, optimizer, **INPUTS).item() for _ in range(2)]
        if count is not None:  # forward and backward, of each step
            assert count["cooperative_launches"] == (4 if persistent else 0)
        found.append((losses, [p.numpy() for p in model.parameters()]))
    assert found[0][0] == found[1][0]
    for apart, together in zip(found[0][1], found[1][1], strict=True):
        assert apart.tobytes() == together.tobytes()
