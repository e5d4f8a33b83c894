"""What `explain` measures over a batch: counts against those by hand, times that add up, memory."""

import numpy as np
import pytest
from model_runs import compiled, draw_inputs

import cavs
from cavs._native import core
from cavs.core.program import Program
from cavs.errors import CavsRuntimeError, InputError
from cavs.execution.profile._memory import MemoryUse

# 5 + 1 + 3 vertices, of which 3 + 1 + 2 leaves; an edge twice.
GRAPHS = cavs.batch(
    [
        cavs.InputGraph(children=[[], [], [0, 1], [], [2, 3]]),
        cavs.InputGraph(children=[[]]),
        cavs.InputGraph(children=[[], [], [0, 1, 1]]),
    ]
)
# Twelve leaves, and inner vertices that take the next two.
TREE = [[] for _ in range(12)] + [[2 * i, 2 * i + 1] for i in range(11)]
WORDS = np.array([3, 3, -1, 5, -1, 3, 4, 5, -1], np.int32)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest):
    """Threads, which share even the smallest level."""
    count, options = core.num_threads(), core.execution_options()
    core.set_num_threads(request.param)
    core.set_execution_options(
        chunk_rows=2,
        chunk_bytes=1 << 20,
        min_parallel_rows=1,
        min_parallel_ns=0.0,
        min_team_ns=0.0,
        min_split_ns=0.0,
    )
    yield request.param
    core.set_execution_options(**options)
    core.set_num_threads(count)


def tree_lstm() -> tuple[cavs.Model, dict[str, np.ndarray]]:
    from cavs.models import ChildSumTreeLSTM

    model = cavs.compile(ChildSumTreeLSTM(8, 6, 4, 5, dropout=0.5, embedding_dropout=0.5))
    return model, {"word": WORDS, "label": np.zeros(9, np.int32)}


def rows_by_hand(space: object) -> int:
    counts = {"vertex": 9, "leaf": 6, "inner": 3, "edge": 7, "graph": 3, "none": 1}
    leaf = np.diff(GRAPHS.child_ptr) == 0
    counts["unique:word@leaf"] = len(set(WORDS[leaf].tolist()))
    counts["unique:word@inner"] = len(set(WORDS[~leaf].tolist()))
    return counts[str(space)]


def missing_by_hand(space: object, mask: str) -> int:
    """Rows whose id is -1: of them there are no products. All vertices have a label."""
    leaf = np.diff(GRAPHS.child_ptr) == 0
    words = {"leaf": WORDS[leaf], "inner": WORDS[~leaf]}
    return {"word": int((words[str(space)] < 0).sum()), "label": 0}[mask]


def instructions(program: Program) -> list[tuple[int, object]]:
    return [(s, i) for s, segment in enumerate(program.segments) for i in segment.instructions]


def test_rows_and_flops_are_those_of_batch_and_program(threads: int) -> None:
    model, inputs = tree_lstm()
    profile = model.explain(GRAPHS, loss="loss", repeats=2, **inputs)
    compiler = model._compiler
    programs = {
        "inference": compiler.remembering()[0],
        "forward": compiler.training(()),
        "backward": compiler.backward(["loss"], ()),
    }
    assert {r.direction for r in profile.records} == set(programs)
    for direction, program in programs.items():
        records = [r for r in profile.records if r.direction == direction]
        expected = instructions(program)
        assert [(r.segment, r.kernel) for r in records] == [(s, i.kernel) for s, i in expected]
        for r, (_, i) in zip(records, expected, strict=True):
            masked = i.kernel.endswith("_masked")
            left_out = missing_by_hand(i.space, program.values[i.inputs[2]].name) if masked else 0
            assert r.rows == rows_by_hand(i.space) - left_out, r.text
            assert r.flops == i.flops * r.rows
            assert r.bytes == program.row_bytes(i, 4) * r.rows
            assert (r.calls > 0) == (rows_by_hand(i.space) > 0)
            assert r.seconds >= 0
            assert r.text == program.line(i)
    assert any(r.place == "levels" and r.calls >= 2 for r in profile.records)
    # Leaves have words, inner vertices have none.
    masked = [r for r in profile.records if r.kernel.endswith("_masked")]
    assert {r.rows for r in masked if r.place == "rows over leaf"} == {6}
    assert {r.rows for r in masked if r.place == "rows over inner"} == {0, 3}


def test_parts_add_up(threads: int) -> None:
    model, inputs = tree_lstm()
    profile = model.explain(GRAPHS, repeats=1, **inputs)
    assert set(profile.seconds) == set(profile.shares) == {"inference", "training"}
    for mode, shares in profile.shares.items():
        assert sum(shares.values()) == pytest.approx(1)
        assert all(spent >= 0 for spent in profile.seconds[mode].values())
        parts = profile.seconds[mode]
        details = profile.details[mode]
        assert parts["scheduling"] == details["batch"] + details["levels"]
        assert sum(details.values()) == pytest.approx(parts["scheduling"] + parts["set-up"])
    for direction, spent in profile.threads.items():
        assert len(spent) == threads
        records = [r for r in profile.records if r.direction == direction]
        kernels = sum(thread["kernels"] for thread in spent)
        assert kernels == pytest.approx(sum(r.seconds for r in records))
    both = [r for r in profile.records if r.direction != "inference"]
    parts = profile.seconds["training"]
    moved = sum(r.seconds for r in both if r.moves) / threads
    assert parts["memory"] == pytest.approx(moved)
    assert parts["computation"] == pytest.approx(sum(r.seconds for r in both) / threads - moved)
    assert {r.kernel for r in both if r.moves} >= {"take", "load", "store", "embedding"}
    assert not any(r.moves for r in both if r.kernel in ("matmul", "fused", "cross_entropy"))


def test_weights_are_packed_once(threads: int) -> None:
    model = cavs.compile(cavs.models.ChildSumTreeLSTM(8, 32, 32, 5))
    trees = cavs.InputGraph(children=[[]] * 20 + [[2 * i, 2 * i + 1] for i in range(10)])
    inputs = {name: np.zeros(30, np.int32) for name in ("word", "label")}
    first = model.explain(trees, repeats=1, **inputs)
    again = model.explain(trees, repeats=1, **inputs)
    assert first.seconds["training"]["packing"] > 0
    assert again.seconds["training"]["packing"] == 0
    for parameter in model.parameters():
        parameter.data *= 0.5
    assert model.explain(trees, repeats=1, **inputs).seconds["training"]["packing"] > 0


def test_the_model_stays_as_it_is() -> None:
    model, inputs = tree_lstm()
    model(GRAPHS, **inputs)["loss"].sum().backward()
    grads = {name: np.array(p.grad) for name, p in model.named_parameters()}
    before = model.random_state()
    model.explain(GRAPHS, **inputs)
    assert model.random_state() == before
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.grad, grads[name])


def test_memory_is_what_a_call_takes() -> None:
    model, inputs = tree_lstm()
    memory = model.explain(GRAPHS, repeats=1, **inputs).memory
    losses = ["logits", "loss"]
    assert memory["training"].peak == model._memory(GRAPHS, losses, inputs).arena
    assert memory["inference"].peak == model._memory(GRAPHS, False, inputs).arena
    for mode, use in memory.items():
        sizes = [held.bytes for held in use.held]
        assert sizes == sorted(sizes, reverse=True)
        assert use.gaps >= 0
        assert sum(sizes) + use.tables + use.threads + use.gaps == use.peak
        assert use.per_vertex == use.peak / 9
        assert any(held.saved for held in use.held) == (mode == "training")
    assert memory["inference"].saved == 0


def test_what_backward_must_have_is_counted_by_hand() -> None:
    class Product(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            a, b = cavs.ops.exp(v.pull("a", 3)), cavs.ops.tanh(v.pull("b", 3))
            v.push(y=a * b * self.w)

        def __init__(self) -> None:
            self.w = cavs.Parameter(np.ones(3, np.float32))

    inputs = {name: np.ones((9, 3)) for name in "ab"}
    use = cavs.compile(Product()).explain(GRAPHS, repeats=1, **inputs).memory["training"]
    # The gradient of w is the sum of y's cotangents times a * b, of 9 rows of 3 floats.
    assert use.saved == 9 * 3 * 4
    assert [(held.rows, held.saved) for held in use.held if held.saved] == [(9, True)]
    assert use.over_saved == use.peak / use.saved


def training_memory(count: int, size: int = 20) -> MemoryUse:
    """Of a Tree-LSTM of this hidden size over `count` trees, with two threads: each has memory of
    its own, and there may be any number of cores."""
    from cavs.models import ChildSumTreeLSTM

    graphs = cavs.batch([cavs.InputGraph(children=TREE)] * count)
    model = cavs.compile(ChildSumTreeLSTM(count, 20, size, 5))
    word = np.arange(graphs.num_vertices, dtype=np.int32) % count
    inputs = {"word": word, "label": np.zeros_like(word)}
    before = cavs.get_num_threads()
    cavs.set_num_threads(2)
    try:
        return model.explain(graphs, loss="loss", repeats=1, **inputs).memory["training"]
    finally:
        cavs.set_num_threads(before)


def test_there_is_room_for_rows_in_use_and_no_others() -> None:
    rows = {"vertex": 23000, "leaf": 12000, "inner": 11000, "edge": 22000}
    for held in training_memory(1000).held:
        space, size = held.name.split(":", 1)[1].split("]")[0].split("[")
        stride = int(size) if int(size) < 16 else -(-int(size) // 16) * 16
        # What took over rows may have some that are a third longer.
        assert held.bytes <= held.rows * stride * 4 * 4 / 3 + 2 * 64
        if space in rows:
            assert held.rows <= rows[space]


def test_of_a_state_backward_holds_the_rows_that_it_reads() -> None:
    use = training_memory(1000)
    assert use.at.startswith("backward")
    states = {h.name.split()[-1]: h.rows for h in use.held if "vertex" in h.name}
    # The cells of all children, but h of inner vertices alone: it goes into products over these.
    assert states == {"c": 23000, "h": 11000}


def test_the_peak_is_near_what_backward_must_have() -> None:
    assert training_memory(1000, size=48).over_saved < 1.5


@pytest.mark.parametrize("name", ["Lattice", "GraphInputs", "Losses", "Dropouts", "MatrixStates"])
@pytest.mark.parametrize("passes", [None, ()])
def test_other_functions(name: str, passes: tuple[str, ...] | None) -> None:
    model = compiled(name, "float32", passes=passes)
    for graphs in (GRAPHS, cavs.batch([])):
        profile = model.explain(graphs, repeats=1, **draw_inputs(model, graphs))
        assert profile.memory["training"].num_vertices == graphs.num_vertices
        text = str(profile)
        times, _, said = text.partition("=== not done")
        assert times.count("===") == 7
        assert said.startswith(", in inference and training: ")
        assert all(r.text in text for r in profile.records)


def test_nothing_learns() -> None:
    model, inputs = tree_lstm()
    for parameter in model.parameters():
        parameter.requires_grad = False
    profile = model.explain(GRAPHS, repeats=1, **inputs)
    assert set(profile.seconds) == set(profile.memory) == {"inference"}
    assert {r.direction for r in profile.records} == {"inference"}


def test_without_a_batch_it_is_text() -> None:
    assert isinstance(tree_lstm()[0].explain(), str)


def test_misuse() -> None:
    model, inputs = tree_lstm()
    with pytest.raises(InputError, match=r"output among \['logits', 'loss'\], got 'lose'"):
        model.explain(GRAPHS, loss="lose", **inputs)
    with pytest.raises(InputError, match=r"expected an integer repeats >= 1, got 0"):
        model.explain(GRAPHS, repeats=0, **inputs)
    with pytest.raises(InputError, match=r"expected int32 .* for 'label', got none"):
        model.explain(GRAPHS, word=WORDS)
    with pytest.raises(CavsRuntimeError, match=r"\[explain\] expected the native executor"):
        cavs.compile(model.function, executor="reference").explain(GRAPHS, **inputs)
