"""What `explain` says that passes did not do: functions each of which defeats one."""

from __future__ import annotations

import importlib
import linecache
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from vertex_functions.base import FUNCTIONS

import cavs
from cavs import nn, ops
from cavs.core.compiler import Compiler
from cavs.core.passes import PASSES
from cavs.core.remarks import Remark, sum_up
from cavs.models import ChildSumTreeLSTM

SIZE = 8


class Small(cavs.VertexFunction):
    """A function whose `body` has two tables and two layers."""

    def __init__(self, body: Callable[[Any, cavs.Vertex], None]) -> None:
        self.body = body
        self.table, self.others = nn.Embedding(5, SIZE), nn.Embedding(5, SIZE)
        self.w, self.u = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE, bias=False)
        self.wide, self.both = nn.Linear(SIZE, 4 * SIZE), nn.Linear(2 * SIZE, SIZE)

    def word(self, v: cavs.Vertex) -> Any:
        return self.table(v.pull("word", dtype="int32"))

    def forward(self, v: cavs.Vertex) -> None:
        self.body(self, v)


def dropped(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.w(ops.dropout(s.word(v), 0.5)))


def noisy(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.w(s.word(v) + ops.uniform_like(s.word(v))))


def paired(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.word(v) * s.others(v.pull("tag", dtype="int32")))


def weighed(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.w(s.word(v) * v.pull("x", SIZE)))


def vectors(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.w(v.pull("x", SIZE)))


def of_edges(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.w(s.table(v.pull_edge("kind", dtype="int32")).sum()))


def with_topic(s: Any, v: cavs.Vertex) -> None:
    topic = s.others(v.pull_graph("topic", dtype="int32"))
    h = ops.tanh(s.u(v.gather(0, h=SIZE).h) + topic)
    v.scatter(h=h)
    v.push(y=h)


def beside(s: Any, v: cavs.Vertex) -> None:
    h = ops.tanh(s.both(ops.concat([v.pull("x", SIZE), v.gather(h=SIZE).h.sum()])))
    v.scatter(h=h)
    v.push(y=h)


def of_the_parent(s: Any, v: cavs.Vertex) -> None:
    x = v.pull("x", SIZE)
    v.scatter(h=ops.tanh(s.u(v.gather(h=SIZE).h * x)).sum())
    v.push(y=x)


def by_position(s: Any, v: cavs.Vertex) -> None:
    h = ops.tanh(s.u(v.gather(0, h=SIZE).h) + v.pull("x", SIZE))
    v.scatter(h=h)
    v.push(y=h)


def masked(s: Any, v: cavs.Vertex) -> None:
    h = (v.pull_edge("mask") * s.u(v.gather(h=SIZE).h)).sum() + v.pull("x", SIZE)
    v.scatter(h=h)
    v.push(y=h)


def scattered(s: Any, v: cavs.Vertex) -> None:
    known = v.gather(h=SIZE, guess=SIZE)
    h = known.h.sum() + known.guess.sum() + v.pull("x", SIZE)
    guess = s.w(h)
    v.scatter(h=h, guess=guess)
    v.push(y=guess)


def of_other_rows(s: Any, v: cavs.Vertex) -> None:
    x = ops.tanh(v.pull("x", SIZE))
    v.push(
        y=x + ops.exp(v.pull_edge("z", SIZE)).max() * (ops.exp(v.pull_edge("z", SIZE)) * x).sum()
    )


def of_other_lengths(s: Any, v: cavs.Vertex) -> None:
    gate = ops.sigmoid(v.pull("gate"))
    v.push(y=gate * ops.tanh(v.pull("x", SIZE)), gate=gate)


def through_a_product(s: Any, v: cavs.Vertex) -> None:
    x = ops.tanh(v.pull("x", SIZE))
    v.push(y=x * s.u(x))


def a_row(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.word(v) * v.pull("x", SIZE))


def dropped_by_id(s: Any, v: cavs.Vertex) -> None:
    x = s.w(ops.dropout(s.word(v), 0.5, by="id"))
    v.push(y=x * v.pull("x", SIZE))


def of_pairs(s: Any, v: cavs.Vertex) -> None:
    pair = s.u(s.word(v) * s.others(v.pull("tag", dtype="int32")))
    v.push(y=pair * v.pull("x", SIZE))


def kept(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.w(s.word(v)) * v.pull("x", SIZE))


def shifted(s: Any, v: cavs.Vertex) -> None:
    v.push(y=s.u(ops.dropout(s.word(v), 0.5) + s.w.bias))


def read_twice(s: Any, v: cavs.Vertex) -> None:
    x, y = v.pull("x", SIZE), v.pull("y", SIZE)
    v.push(a=s.w(x), b=x * (s.w.bias + s.wide.bias[:SIZE]) + y * s.wide.bias[SIZE : 2 * SIZE])


def gated(s: Any, v: cavs.Vertex) -> None:
    x = v.pull("x", SIZE)
    v.scatter(h=(ops.tanh(v.gather(h=SIZE).h) * x).sum() + x)
    v.push(y=x + v.gather(h=SIZE).h.sum())


def additive(s: Any, v: cavs.Vertex) -> None:
    h = v.gather(h=SIZE).h
    score = ops.sum(ops.tanh(h + v.pull("x", SIZE)), axis=-1, keepdims=True)
    v.scatter(h=v.pull("x", SIZE))
    v.push(y=(score.softmax() * h).sum())


def of_edges_keys(s: Any, v: cavs.Vertex) -> None:
    h, x = v.gather(h=(2, SIZE)).h, v.pull("x", (2, SIZE))
    v.scatter(h=x)
    v.push(y=ops.attention(x, h * v.pull_edge("z"), h))


def parts_of_heads(s: Any, v: cavs.Vertex) -> None:
    h, x = v.gather(h=(2, 2 * SIZE)).h, v.pull("x", (2, SIZE))
    y = ops.attention(x, h[:, :SIZE], h[:, SIZE:]) + x
    v.scatter(h=ops.concat([x, y], axis=-1))
    v.push(y=y)


def in_levels(s: Any, v: cavs.Vertex) -> None:
    h, x = v.gather(h=(2, SIZE)).h, v.pull("x", (2, SIZE))
    y = ops.attention(x, h, h, dropout=0.5) + x
    v.scatter(h=y)
    v.push(y=y)


def shown_weights(s: Any, v: cavs.Vertex) -> None:
    h, x = v.gather(h=SIZE).h, v.pull("x", SIZE)
    weight = ops.sum(h * x, axis=-1, keepdims=True).softmax()
    y = ops.tanh((weight * h).sum() + x)
    v.scatter(h=y)
    v.push(y=y, weight=weight)


class Case(NamedTuple):
    body: Callable[[Any, cavs.Vertex], None]
    name: str
    reason: str
    source: str
    mode: str = "inference"
    flops: int | None = None


PRODUCT = 2 * SIZE * SIZE
CASES = [
    Case(
        dropped,
        "unique_pulls",
        "dropout draws for each row, not for each distinct 'word', as with by=\"id\"",
        "ops.dropout(s.word(v), 0.5)",
        flops=PRODUCT,
    ),
    Case(noisy, "unique_pulls", "drawn for each row", "uniform_like", flops=PRODUCT),
    Case(paired, "unique_pulls", "joins 'tag' and 'word', and no product", "s.others", flops=SIZE),
    Case(
        weighed,
        "unique_pulls",
        "joins 'word' with the float input 'x', which is no id",
        's.word(v) * v.pull("x", SIZE)',
        flops=PRODUCT,
    ),
    Case(
        vectors,
        "unique_pulls",
        "equal rows of the float input 'x' are not looked for",
        "s.w(v.pull",
        flops=PRODUCT,
    ),
    Case(
        of_edges,
        "unique_pulls",
        "segment_sum adds up edges by their 'kind': the sum has no id",
        ".sum()",
        flops=PRODUCT,
    ),
    Case(
        with_topic,
        "specialize_leaves",
        "F reads a value of each graph, the id 'topic'",
        'v.pull_graph("topic"',
        flops=PRODUCT,
    ),
    Case(
        beside,
        "specialize_leaves",
        "8 of 16 numbers that it multiplies, 'h' of children, are zeros in leaves",
        "s.both",
        flops=PRODUCT,
    ),
    Case(
        beside,
        "hoist",
        "multiplies the float input 'x' beside 'h' of children in one row",
        "s.both",
        flops=PRODUCT,
    ),
    Case(
        of_the_parent,
        "commute_gather",
        "depends on more than the child: on the float input 'x' of vertices",
        "s.u(",
        flops=PRODUCT,
    ),
    Case(
        by_position,
        "commute_gather",
        "'h' of children is gathered by position: parents multiply it",
        "s.u(",
        flops=PRODUCT,
    ),
    Case(masked, "commute_gather", "a float input that may be 0 masks it", "s.u(", flops=PRODUCT),
    Case(by_position, "hoist", "waits for 'h' of children, gathered at line ", "s.u("),
    Case(scattered, "defer", "the state 'guess', which parents gather, needs it", "s.w(h)"),
    Case(of_other_rows, "fuse", "rows of edges and of vertices", "ops.exp"),
    Case(of_other_lengths, "fuse", "rows of 1 and of 8 numbers", "gate * ops.tanh"),
    Case(through_a_product, "fuse", "the product of line ", "x * s.u(x)"),
    Case(
        a_row, "remember_pulls", "the rows of an embedding for 'word' as they stand", "self.table"
    ),
    Case(dropped_by_id, "remember_pulls", "dropout by id gives another value of 'word'", "by="),
    Case(of_pairs, "remember_pulls", "there are too many tuples of 'tag' and 'word'", "s.u("),
    Case(
        kept,
        "remember_pulls",
        "training changes the weights, so nothing of 'word' is kept",
        "s.w(",
        "training",
    ),
    Case(
        shifted,
        "skip_missing",
        "add gives other numbers than 0 where the id 'word' is -1",
        "s.w.bias",
        flops=PRODUCT,
    ),
    Case(read_twice, "merge_matmuls", "over all rows is read by 2 operations", "", "training"),
    Case(additive, "fuse_attention", "its scores are no products of queries and keys", ".sum()"),
    Case(of_edges_keys, "fuse_attention", "is computed on edges: compute it by the", "attention("),
    Case(shown_weights, "fuse_attention", "its weights are read by themselves", ".sum()"),
    Case(parts_of_heads, "fuse_attention", "parts of heads: scatter them apart", "attention("),
    Case(in_levels, "fuse_attention", "where dropout draws for rows of edges", "attention("),
    Case(gated, "read_parents", "the gradient of 'h' differs from child to child", "", "training"),
]


def refused(compiler: Compiler, mode: str, name: str) -> list[Remark]:
    return [x for x in sum_up(compiler.noted()[mode].refused, None) if x.name == name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.body.__name__}")
def test_a_function_that_defeats_a_pass_has_its_line(case: Case) -> None:
    model = cavs.compile(Small(case.body))
    found = refused(model._compiler, case.mode, case.name)
    (remark,) = [x for x in found if case.reason in x.words]
    assert (remark.type, remark.rows, remark.work) == ("", 0, 0)
    if case.source:
        assert remark.file == __file__
        assert case.source in remark.text == linecache.getline(__file__, remark.line).strip()
    if case.flops is not None:
        assert remark.flops == case.flops
    # And in the text, under its pass.
    part = model.explain(why="all").partition("=== not done")[2]
    under = "".join(re.findall(rf"^  {case.name}: .*\n((?:    .*\n?)*)", part, re.M))
    lines = [line for line in part.splitlines() if case.reason in line]
    assert len(lines) == 1
    assert lines[0].startswith("    not done ")
    assert lines[0] in under


def test_the_same_functions_without_what_defeats_them() -> None:
    def words(body: Callable[[Any, cavs.Vertex], None], name: str, mode: str) -> list[str]:
        compiler = Compiler(Small(body)).in_mode(False)
        return [x.words for x in refused(compiler, mode, name)]

    assert words(dropped, "unique_pulls", "inference") == []
    assert words(dropped_by_id, "remember_pulls", "inference") == []
    assert words(kept, "unique_pulls", "training") == []
    assert words(kept, "remember_pulls", "inference") == []
    assert words(with_topic, "unique_pulls", "inference") == []
    assert words(of_the_parent, "specialize_leaves", "training") == []


def test_a_pass_that_is_off_says_so() -> None:
    for name in PASSES:
        compiler = Compiler(Small(kept), [p for p in PASSES if p != name])
        for mode in ("inference", "training"):
            (remark,) = refused(compiler, mode, name)
            assert remark.words.startswith("is off: passes= leaves it out")
    serial = cavs.compile(Small(kept), policy="serial").explain()
    assert "is off: passes= leaves it out, or policy='serial'" in serial
    assert "is off" not in cavs.compile(Small(kept)).explain()


def test_tables_that_are_too_large_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("cavs.core.passes.remember_pulls")
    monkeypatch.setattr(module, "MOST_ELEMENTS", 40)
    (remark,) = refused(Compiler(Small(kept)), "inference", "remember_pulls")
    assert remark.words == "6 ids of 'word' x 8 numbers are more than 40"
    assert (remark.text, remark.flops) == (
        'v.push(y=s.w(s.word(v)) * v.pull("x", SIZE))',
        PRODUCT + SIZE,
    )


def test_too_little_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    class Narrow(Small):
        def __init__(self) -> None:
            super().__init__(widened)
            self.narrow = nn.Linear(7, 4)

    def widened(s: Any, v: cavs.Vertex) -> None:
        gates = s.narrow(v.gather(h=7).h)  # 56 FLOPs for each of 4 numbers
        v.scatter(h=ops.concat([gates, gates[:3]]).sum() + v.pull("x", 7))
        v.push(y=gates.sum())

    monkeypatch.setattr(importlib.import_module("cavs.core.passes.commute_gather"), "WORTH", 16)
    (remark,) = refused(Compiler(Narrow()), "inference", "commute_gather")
    assert remark.words.startswith("saves 56 FLOPs for 4 more numbers to gather, less than 16")
    assert "s.narrow" in remark.text


def test_a_reason_of_several_lines_has_one_for_each_and_five_are_shown() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        x = v.pull("x", SIZE)
        y = s.u(x)
        y = y + s.wide(x)[:SIZE]
        y = y + s.w(x)
        y = y + s.both(ops.concat([x, x]))
        y = y + s.u(ops.tanh(x))
        y = y + s.u(ops.tanh(ops.tanh(x))) + s.u(ops.exp(x))  # two products of one line
        v.push(y=y)

    model = cavs.compile(Small(body))
    found = refused(model._compiler, "inference", "unique_pulls")
    assert [x.flops // PRODUCT for x in found] == [4, 2, 2, 1, 1, 1]
    assert len({(x.words, x.line) for x in found}) == 6
    few, many = model.explain(), model.explain(why="all")
    assert [t.count("equal rows of the float input") for t in (few, many)] == [5, 6]
    assert few.count('    and 1 more with less work: why="all" shows them') == 1
    assert "more with less work" not in many
    with pytest.raises(cavs.InputError, match=r"\[explain\] expected why 'most' or 'all', got 3;"):
        model.explain(why=3)


def test_training_and_evaluation_apart() -> None:
    model = cavs.compile(ChildSumTreeLSTM(8, 30, 40, 5, embedding_dropout=0.5))

    def under(name: str) -> str:
        part = model.explain().partition("=== not done")[2]
        return "".join(re.findall(rf"^  {name}: .*\n((?:    .*\n?)*)", part, re.M))

    assert "dropout draws for each row" in under("unique_pulls")
    assert "done" not in under("unique_pulls").replace("not done", "")
    assert "the rows of an embedding for 'word' as they stand" in under("remember_pulls")
    model.eval()
    assert "dropout" not in under("unique_pulls")
    assert "19 operations ran once per distinct 'word'" in under("unique_pulls")
    # Of the two programs of evaluation, inference keeps results and training does not.
    text = model.explain()
    assert text.count("=== not done, in ") == 3
    both, inference, training = text.split("=== not done, in ")[1:]
    assert both.startswith("inference and training: ")
    assert inference.startswith("inference alone: ")
    assert training.startswith("training alone: ")
    assert "kept for later calls" in inference
    assert "training changes the weights" in training
    assert "kept" not in both


def test_of_a_function_of_types_the_type_is_named() -> None:
    function = cavs.TypedFunction({"a": Small(dropped), "b": Small(scattered)})
    text = cavs.compile(function).explain().partition("=== not done")[2]
    assert "type 'a': dropout draws for each row, not for each distinct 'word'" in text
    assert "type 'b': the state 'guess', which parents gather, needs it" in text


def test_attention_that_waits_for_levels_needs_other_passes() -> None:
    def own_state(s: Any, v: cavs.Vertex) -> None:
        h, x = v.gather(h=(2, SIZE)).h, v.pull("x", (2, SIZE))
        y = ops.attention(x, h, h) + x
        v.scatter(h=y)
        v.push(y=y)

    for name in ("read_parents", "hoist", "defer"):
        passes = tuple(x for x in PASSES if x != name)
        compiler = Compiler(Small(own_state), passes)
        (remark,) = refused(compiler, "training", "fuse_attention")
        assert remark.words == f"it waits for levels, and {name} is off"
    assert not refused(Compiler(Small(own_state)), "training", "fuse_attention")


def check(function: cavs.VertexFunction, passes: tuple[str, ...] = PASSES) -> None:
    """Who asks gets reasons, and changes no program."""
    compiler = Compiler(function, passes)

    def programs() -> list[str]:
        made = compiler.remembering()[0], compiler.training(()), compiler.inference()
        return [str(p) for p in (*made, compiler.backward(compiler.function.pushes, ()))]

    before = programs()
    notes = compiler.noted()
    assert programs() == before
    assert compiler._context.notes is None
    for said in notes.values():
        for remark in (*sum_up(said.refused, None), *sum_up(said.saved, None)):
            assert remark.name in PASSES
            assert remark.words
            assert remark.flops >= 0
            assert remark.rows == remark.work == 0
            assert (remark.file == "") == (remark.line == 0)
            assert "None" not in remark.words
        names = [note.name for note in said.refused if note.words.startswith("is off")]
        assert names == [p for p in PASSES if p not in passes]
        counted = sum_up([*said.refused, *said.saved], lambda space: 3)
        assert all(x.work <= 3 * x.flops * 20 for x in counted)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_can_be_asked(name: str) -> None:
    for passes in (PASSES, ("simplify", "unique_pulls", "defer"), ()):
        check(vertex_functions.make_function(name), passes)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), drawn=st.booleans())
def test_drawn_functions(seed: int, drawn: bool) -> None:
    kind = vertex_functions.RandomFunction if drawn else vertex_functions.ShapedFunction
    check(kind(seed))
