"""Levels that go together in one launch on a GPU: the bits of a launch for each instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cuda_counts import counting

import cavs
from cavs import models, nn, ops
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


class MatrixTree(cavs.VertexFunction):
    """A square matrix on every vertex, the product of its children's."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.embedding = nn.Embedding(3, size * size)

    def forward(self, v: cavs.Vertex) -> None:
        shape = (self.size, self.size)
        left, right = v.gather(0, m=shape).m, v.gather(1, m=shape).m
        own = self.embedding(v.pull("word", dtype="int32")).reshape(*shape)
        m = ops.tanh(left @ right) + own
        v.scatter(m=m)
        v.push(score=m.sum())


class Apart(cavs.VertexFunction):
    """The cotangents of its two slots come from different instructions, the second one late."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.full((1, 1), 0.7))

    def forward(self, v: cavs.Vertex) -> None:
        first, second = v.gather(0, s=(1,)).s, v.gather(1, s=(1,)).s
        y = ops.matmul(ops.softplus(-second), self.w)
        v.scatter(s=ops.tanh(y))
        v.push(y=first + y)


@pytest.mark.parametrize("passes", [PASSES, ("read_parents",)])
def test_a_parent_is_read_when_all_its_slots_are_written(passes: tuple[str, ...]) -> None:
    core.cuda.set_persistent_levels(True)
    tree = cavs.InputGraph([[], [0], [0, 1], [1, 0], [3, 2], [2, 4]])
    gradients = []
    for device in ("cpu", "cuda"):
        model = cavs.compile(Apart(), dtype="float64", device=device, passes=passes)
        for scale in (1.0, -3.0):  # the memory of the first backward holds other values
            model.zero_grad()
            (model(tree)["y"] * scale).sum().backward()
            gradients.append(cavs.Tensor(model.function.w.grad).numpy())
    np.testing.assert_allclose(gradients[2:], gradients[:2], rtol=1e-12)


TREE = cavs.InputGraph([[], [], [0, 1], [2, 1]])
WIDE = [*([] for _ in range(400)), *([i, i + 200] for i in range(200))]  # levels of 400 and of 200
WIDE_TREE = cavs.InputGraph([*WIDE, [400]])


@pytest.mark.parametrize(
    ("size", "graph", "persistent", "line"),
    [
        (2, TREE, True, "without these clocks all 2 go together in one launch"),
        (2, TREE, False, "all 2 are launched one by one: CAVS_CUDA_PERSISTENT=0"),
        (2, cavs.InputGraph([[], [0]]), True, "all 1 are launched one by one: one level alone"),
        (2, WIDE_TREE, True, "all 2 are launched one by one: more than 127 rows, or a level alone"),
        (32, TREE, True, "all 2 are launched one by one: 'matmul' of large matrices is cuBLAS's"),
    ],
)
def test_explain_says_why_levels_do_not_go_together(
    size: int, graph: cavs.InputGraph, persistent: bool, line: str
) -> None:
    core.cuda.set_persistent_levels(persistent)
    model = cavs.compile(MatrixTree(size), device="cuda")
    word = np.zeros(graph.num_vertices, np.int32)
    with counting() as count, cavs.no_grad():
        model(graph, word=word)
    text = str(profile := model.explain(graph, repeats=1, word=word))
    assert [name for name, _ in profile.launches] == ["inference", "forward", "backward"]
    assert all(found.startswith(line) for found in profile.launches.values())
    assert text.count(f"  levels:\n    {line}") == 3
    if count is not None:
        assert count["cooperative_launches"] == ("go together" in line)


def test_explain_counts_the_levels_that_go_together() -> None:
    # Of one tree: a level of 200 vertices, then a chain.
    chain = [[400], *([600 + i] for i in range(3))]
    graph = cavs.InputGraph(
        [*([] for _ in range(400)), *([i, i + 200] for i in range(200)), *chain]
    )
    model = cavs.compile(MatrixTree(2), device="cuda")
    word = np.zeros(graph.num_vertices, np.int32)
    with counting() as count, cavs.no_grad():
        model(graph, word=word)
    launches = model.explain(graph, repeats=1, word=word).launches
    expected = "without these clocks 4 of 5 go together; the others are launched one by one: more"
    assert all(line.startswith(expected) for line in launches.values())
    if count is not None:
        assert count["cooperative_launches"] == 1
    on_cpu = cavs.compile(MatrixTree(2))
    assert on_cpu.explain(graph, repeats=1, word=word).launches == {}
