"""What a profile says was not done, weighed with the rows of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typed_functions
from model_runs import compiled, draw_inputs, some_graphs
from vertex_functions.base import FUNCTIONS

import cavs
from cavs import nn, ops
from cavs.execution.profile._waits import Wait
from cavs.models import ChildSumTreeLSTM
from cavs.training.tasks import make_task

# 5 + 1 + 3 vertices, of which 3 + 1 + 2 leaves; an edge twice.
GRAPHS = cavs.batch(
    [
        cavs.InputGraph([[], [], [0, 1], [], [2, 3]]),
        cavs.InputGraph([[]]),
        cavs.InputGraph([[], [], [0, 1, 1]]),
    ]
)
WORDS = np.array([3, 3, -1, 5, -1, 3, 4, 5, -1], np.int32)
LABELS = np.array([0, -1, 1, 2, -1, 0, 1, -1, 2], np.int32)


def of(remarks: list[cavs.Remark], name: str, words: str) -> cavs.Remark:
    (found,) = [x for x in remarks if x.name == name and words in x.words]
    return found


def test_work_is_flops_times_rows() -> None:
    model = cavs.compile(ChildSumTreeLSTM(8, 6, 4, 5, embedding_dropout=0.5))
    profile = model.explain(GRAPHS, repeats=1, word=WORDS, label=LABELS)
    assert set(profile.refused) == set(profile.saved) == {"inference", "training"}
    for mode in profile.refused:
        drawn = of(profile.refused[mode], "unique_pulls", "dropout draws for each row")
        # Of leaves W_iou x, U_f h (by the child) and the classifier, of others W_iou x and W_f x.
        leaf, inner = 2 * 6 * 12 + 2 * 4 * 4 + 2 * 4 * 5, 2 * 6 * 12 + 2 * 6 * 4
        assert (drawn.flops, drawn.rows) == (max(leaf, inner), 9)
        assert drawn.work == 6 * leaf + 3 * inner
        assert "embedding_dropout" in drawn.text
        waits = [x for x in profile.refused[mode] if x.name == "hoist"]
        assert [x.flops for x in waits] == [2 * 4 * 12, 2 * 4 * 4]  # U_iou h and U_f h
        assert all((x.rows, x.work) == (3, 3 * x.flops) for x in waits)
    text = str(profile)
    assert text.index("memory") < text.index("=== not done, in inference and training: ")
    line = f"({drawn.flops} FLOP x 9 rows), at {Path(drawn.file).name}:{drawn.line} ({drawn.text})"
    assert line in text
    assert "=== not done" not in text.partition("=== not done")[0]


def test_few_leaves_run_with_the_others_in_training() -> None:
    model = compiled("ChildSumTreeLSTM", "float32")
    chain = cavs.InputGraph([[i - 1] if i else [] for i in range(20)])
    for count, few in ((1, True), (31, True), (32, False)):
        graphs = cavs.batch([chain] * count)
        profile = model.explain(graphs, repeats=1, why="all", **draw_inputs(model, graphs))
        words = [x.words for x in profile.refused["training"] if x.name == "specialize_leaves"]
        assert any("few vertices of the batch are leaves" in x for x in words) is few
        forward = str(profile).partition("=== forward")[2].partition("===")[0]
        assert ("rows over leaf" in forward) is not few
        assert not any(x.name == "specialize_leaves" for x in profile.refused["inference"])
    short = cavs.batch([cavs.InputGraph([[], [0], [1]])])
    profile = model.explain(short, repeats=1, **draw_inputs(model, short))
    assert not any("few vertices" in x.words for x in profile.refused["training"])


def test_savings_are_counted_by_distinct_ids() -> None:
    class Plain(cavs.VertexFunction):
        def __init__(self) -> None:
            self.table, self.w = nn.Embedding(9, 4), nn.Linear(4, 3, bias=False)

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.w(self.table(v.pull("word", dtype="int32"))) * v.pull("x", 3))

    model = cavs.compile(Plain())
    inputs: dict[str, Any] = {"word": WORDS, "x": np.ones((9, 3), np.float32)}
    profile = model.explain(GRAPHS, repeats=1, **inputs)
    once = of(profile.saved["training"], "unique_pulls", "1 operation ran once per distinct 'word'")
    assert once.work == 24 * (9 - 4)  # 9 rows, of which 4 are distinct: -1, 3, 4 and 5
    assert of(profile.saved["inference"], "remember_pulls", "1 value of 'word' kept").work == 24 * 4
    anew = of(profile.refused["training"], "remember_pulls", "nothing of 'word' is kept")
    assert (anew.rows, anew.work) == (4, 24 * 4)


def test_rows_of_missing_ids_are_counted_one_by_one() -> None:
    class Shifted(cavs.VertexFunction):
        def __init__(self) -> None:
            self.table, self.w = nn.Embedding(9, 4), nn.Linear(4, 4, bias=False)
            self.u = nn.Linear(4, 3, bias=False)
            self.shift = cavs.Parameter(np.ones(4, np.float32))

        def forward(self, v: cavs.Vertex) -> None:
            x = self.w(ops.dropout(self.table(v.pull("word", dtype="int32")), 0.5))
            v.push(y=self.u(x + self.shift))

    profile = cavs.compile(Shifted()).explain(GRAPHS, repeats=1, word=WORDS)
    left_out = of(profile.saved["inference"], "skip_missing", "1 product left out the rows")
    assert (left_out.rows, left_out.work) == (3, 3 * 32)
    lost = of(profile.refused["inference"], "skip_missing", "add gives other numbers than 0")
    assert (lost.rows, lost.work) == (3, 3 * 24)
    # Where no id is missing, nothing is at stake.
    full = cavs.compile(Shifted()).explain(GRAPHS, repeats=1, word=np.abs(WORDS))
    assert not [x for x in full.refused["inference"] if x.name == "skip_missing"]


def test_levels_and_their_vertices() -> None:
    model = cavs.compile(ChildSumTreeLSTM(8, 6, 4, 5))
    profile = model.explain(GRAPHS, repeats=1, word=WORDS, label=LABELS)
    assert profile.waits == [
        Wait(0, 0, "", 6, None, 0),
        Wait(1, 1, "", 2, "", 4),
        Wait(2, 2, "", 1, "", 1),
    ]
    waited = of(profile.refused["inference"], "batching", "2 of 3 batches waited for 5 children")
    assert waited.rows == 3
    assert "few: more graphs in a call make batches larger" in waited.words
    assert of(profile.saved["inference"], "batching", "9 vertices ran in 3 batches, of 3 steps")


class Char(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w, self.u = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        before, words = v.gather(0, of="char", h=4), v.gather(of="word", h=4)
        h = ops.tanh(self.w(before.h) + self.u(words.h).sum() + v.pull("x", 4))
        v.scatter(h=h)
        v.push(y=h)


class Word(cavs.VertexFunction):
    def __init__(self) -> None:
        self.w = nn.Linear(4, 4)

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(h=ops.tanh(self.w(v.gather(0, of="char", h=4).h)))


def test_which_types_a_batch_waits_for() -> None:
    children = [[], [0], [1], [1], [2, 3]]
    types = ["char", "char", "char", "word", "char"]
    graphs = cavs.batch([cavs.InputGraph(children, types=types)] * 3)
    model = cavs.compile(cavs.TypedFunction({"char": Char(), "word": Word()}))
    x = np.ones((12, 4), np.float32)
    profile = model.explain(graphs, repeats=1, x=x)
    assert len(profile.waits) == profile.num_batches
    assert 1 + profile.waits[-1].step == profile.num_steps
    assert [w.batch for w in profile.waits] == list(range(profile.num_batches))
    by_type = [w for w in profile.waits if (w.type, w.waited_for) == ("word", "char")]
    assert [(w.rows, w.vertices) for w in by_type] == [(3, 3)]
    line = of(profile.refused["training"], "batching", "1 of 1 batch waited for 3 vertices of type")
    assert line.type == "word"
    assert "'char'" in line.words
    assert f"type 'word': {line.words}" in str(profile)
    # A batch waits for the last one that has children of it, and for its children in that alone.
    schedule = model._executor.schedule(graphs)
    number = np.full(15, -1)
    for i, (_, first, last) in enumerate(schedule.batches):
        number[first:last] = i
    of_vertex = number[schedule.vertex_row]  # -1: before the batches
    for wait in profile.waits:
        mine = np.flatnonzero(of_vertex == wait.batch)
        own = {c + 5 * (v // 5) for v in mine.tolist() for c in children[v % 5]}
        latest = max((of_vertex[c] for c in own), default=-1)
        last = [c for c in own if of_vertex[c] == latest >= 0]
        assert wait.vertices == len(last)
        assert wait.waited_for == (types[last[0] % 5] if last else None)


def test_the_model_of_the_command_line_says_which_line_is_not_by_id(tmp_path: Path) -> None:
    trees = ["(1 (1 a) (2 (1 b) (0 a)))", "(3 (1 (2 c) (1 b)) (2 a))"]
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text("\n".join(trees * 3) + "\n")
    for given, line in (
        ({}, "ops.dropout(self._cell(v, x), self.dropout)"),
        ({"embedding_dropout": 0.5}, "self.embedding_dropout(self.embedding("),
    ):
        task, _ = make_task("tree-lstm", {"data": str(tmp_path), **given})
        model = task.compile(0)
        part = model.explain().partition("=== not done")[2]
        (_, under) = part.split("  unique_pulls: ", 1)
        lines = [x for x in under.splitlines() if "dropout draws for each row" in x]
        assert len([x for x in lines if line in x]) == 1
        model.eval()
        assert "dropout draws" not in model.explain()


def test_a_batch_without_vertices_has_nothing_at_stake() -> None:
    model = cavs.compile(ChildSumTreeLSTM(8, 6, 4, 5, embedding_dropout=0.5))
    none = np.zeros(0, np.int32)
    profile = model.explain(cavs.batch([cavs.InputGraph([])]), repeats=1, word=none, label=none)
    assert profile.waits == []
    assert all(x.work == 0 for x in profile.refused["training"])


class ManyProducts(cavs.VertexFunction):
    """Products of a word alone, on lines of their own."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(8, 6)
        self.layers = [nn.Linear(6, 4) for _ in range(6)]

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        h = v.gather(h=4).h.sum()
        h = ops.tanh(h + self.layers[0](x))
        h = ops.tanh(h * self.layers[1](x))
        h = ops.tanh(h + self.layers[2](x))
        h = ops.tanh(h * self.layers[3](x))
        h = ops.tanh(h + self.layers[4](x))
        h = ops.tanh(h * self.layers[5](x))
        v.scatter(h=h)
        v.push(h=h)


@pytest.mark.parametrize("why", ["most", "all"])
def test_how_many_lines_are_shown(why: str) -> None:
    model = cavs.compile(ManyProducts())
    profile = model.explain(GRAPHS, repeats=1, why=why, word=np.full(9, 3, np.int32))
    shown = str(profile).count("training changes the weights")
    there = sum("training changes" in x.words for x in profile.refused["training"])
    assert there > 5
    assert shown == (there if why == "all" else 5)


def check(model: cavs.Model, graphs: cavs.GraphBatch, inputs: dict[str, Any]) -> None:
    """Rows are among those that there are, and the report says so at its end."""
    before = model.program
    profile = model.explain(graphs, repeats=1, why="all", **inputs)
    most = max(graphs.num_vertices, graphs.num_edges, graphs.num_graphs, 1)
    for remarks in (*profile.refused.values(), *profile.saved.values()):
        for x in remarks:
            assert 0 <= x.work <= 2 * x.flops * max(1, x.rows), x
            assert x.rows <= 6 * most, x
        for name in {x.name for x in remarks}:
            own = [x.work for x in remarks if x.name == name]
            assert own == sorted(own, reverse=True)
    lines = str(profile).partition("=== not done, in inference")[2]
    assert all(x.words in lines for remarks in profile.refused.values() for x in remarks)
    assert model.program == before


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_over_graphs_of_any_shape(name: str) -> None:
    model, graphs = compiled(name), some_graphs()
    check(model, graphs, draw_inputs(model, graphs))


@pytest.mark.parametrize("seed", range(12))
def test_drawn_functions_of_types(seed: int) -> None:
    case = typed_functions.draw_case(seed)
    model = cavs.compile(case.function, dtype="float64")
    graphs = typed_functions.draw_graphs(case, seed)
    check(model, graphs, typed_functions.draw_inputs(model, graphs, seed))
