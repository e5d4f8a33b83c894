"""What `explain` says that passes did not do: functions each of which defeats one."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import cavs
from cavs import nn, ops
from cavs.core.compiler import Compiler
from cavs.core.remarks import Remark, sum_up

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


def widened(s: Any, v: cavs.Vertex) -> None:
    a, b, c, d = ops.split(ops.tanh(s.narrow(v.gather(h=SIZE).h)), 4)
    h = (a * b + c * d).sum()
    v.scatter(h=ops.concat([h] * SIZE) + v.pull("x", SIZE))
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
        "'h' of children is gathered by position",
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
    (under,) = re.findall(rf"^  {case.name}: .*\n((?:    .*\n?)*)", part.partition("\n")[2], re.M)[
        :1
    ]
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
