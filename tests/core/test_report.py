"""What `explain` says of products that do not run once per distinct id."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import vertex_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from vertex_functions.base import FUNCTIONS

import cavs
from cavs import nn, ops
from cavs.core.compiler import Compiler
from cavs.core.ir import Node, ancestors
from cavs.core.ops._def import SpaceKind, Unique
from cavs.core.passes import PASSES
from cavs.core.passes.unique_pulls import reasons
from cavs.core.report import not_by_id
from cavs.models import ChildSumTreeLSTM

GRAPHS = cavs.batch([cavs.InputGraph([[], [0], [1]]), cavs.InputGraph([[]])])


class Product(cavs.VertexFunction):
    """One product with a weight, of what `body` gives."""

    def __init__(self, body: Callable[[Any, cavs.Vertex], Any]) -> None:
        self.body = body
        self.table, self.weight = nn.Embedding(5, 3), nn.Linear(3, 3, bias=False)

    def row(self, ids: Any) -> Any:
        return self.table(ids)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.body(self, v)
        y = self.weight(x)
        v.push(y=y + v.pull("e", 3) if y.space != SpaceKind.EDGE else y)
        v.scatter(h=v.pull("z", 3))


def word(s: Any, v: cavs.Vertex) -> Any:
    return s.row(v.pull("word", dtype="int32"))


def relation(s: Any, v: cavs.Vertex) -> Any:
    return s.row(v.pull_edge("relation", dtype="int32"))


def dropped(s: Any, v: cavs.Vertex) -> Any:
    return ops.dropout(word(s, v), 0.5)


def noisy(s: Any, v: cavs.Vertex) -> Any:
    return word(s, v) + ops.uniform_like(word(s, v))


def of_children(s: Any, v: cavs.Vertex) -> Any:
    return word(s, v) + v.gather(0, h=3).h


def of_all_children(s: Any, v: cavs.Vertex) -> Any:
    return word(s, v) + v.gather(h=3).h.sum()


def of_an_input(s: Any, v: cavs.Vertex) -> Any:
    return word(s, v) * v.pull("x", 3)


def of_edges(s: Any, v: cavs.Vertex) -> Any:
    return word(s, v) + relation(s, v).sum()


def counted(s: Any, v: cavs.Vertex) -> Any:
    return relation(s, v).mean()


def of_two_rows(s: Any, v: cavs.Vertex) -> Any:
    return word(s, v) * relation(s, v)


def of_a_graph(s: Any, v: cavs.Vertex) -> Any:
    return s.row(v.pull_graph("topic", dtype="int32")) + word(s, v)


def of_everything(s: Any, v: cavs.Vertex) -> Any:
    return dropped(s, v) + of_children(s, v) * v.pull("x", 3)


CASES: dict[Callable[[Any, cavs.Vertex], Any], list[tuple[str, str]]] = {
    dropped: [("dropout draws for each row", "ops.dropout(word(s, v), 0.5)")],
    noisy: [("uniform draws for each row", "ops.uniform_like(word(s, v))")],
    of_children: [("it depends on what children scattered, 'h'", "v.gather(0, h=3)")],
    of_all_children: [("it depends on what children scattered, 'h'", "v.gather(h=3)")],
    of_an_input: [("it depends on the input 'x', which is no id", 'v.pull("x", 3)')],
    of_edges: [("it depends on the edges to children", "relation(s, v).sum()")],
    counted: [("it depends on the edges to children", "relation(s, v).mean()")],
    of_two_rows: [("it is of edges and depends on the ids 'word' of vertices, 'relation'", "")],
    of_a_graph: [("it is of vertices and depends on the ids 'topic' of graphs, 'word'", "")],
    of_everything: [
        ("dropout draws for each row", "ops.dropout"),
        ("it depends on what children scattered, 'h'", "v.gather(0, h=3)"),
        ("it depends on the input 'x'", 'v.pull("x", 3)'),
    ],
}
# Without leaves of their own, so that each product is there once.
SOME = tuple(p for p in PASSES if p != "specialize_leaves")


def said(model: cavs.Model, graphs: cavs.GraphBatch | None = None, **inputs: Any) -> list[str]:
    """The part of what `explain` prints, line by line."""
    text = model.explain() if graphs is None else str(model.explain(graphs, repeats=1, **inputs))
    (part,) = re.findall(r"^=== products of F .*\n((?:  .*\n)*)", text, re.MULTILINE)
    return str(part).splitlines()


def batch_inputs(model: cavs.Model) -> dict[str, np.ndarray]:
    return {
        name: np.zeros((GRAPHS.rows(spec.space), *spec.shape), spec.dtype.replace("float", "f4"))
        for name, spec in model.inputs.items()
    }


@pytest.mark.parametrize("body", CASES, ids=lambda body: body.__name__)
def test_each_reason_with_its_line(body: Callable[[Any, cavs.Vertex], Any]) -> None:
    model = cavs.compile(Product(body), passes=SOME)
    product, *why = said(model)
    assert "[1, 3] matmul with weight.weight, at " in product
    assert "(y = self.weight(x))" in product
    assert len(why) == len(CASES[body])
    for line, (reason, source) in zip(why, CASES[body], strict=True):
        assert line.startswith(f"    because {reason}")
        if source:
            (file, number) = re.findall(r", at (.*?):(\d+) \(", line)[0]
            assert source in linecache.getline(file, int(number))
    # Over a batch the same.
    assert said(model, GRAPHS, **batch_inputs(model)) == [product, *why]


@pytest.mark.parametrize(
    "body",
    [
        word,
        relation,
        lambda s, v: ops.tanh(word(s, v)) * 2.0,
        lambda s, v: s.row(v.pull_graph("topic", dtype="int32")),
        lambda s, v: ops.concat([word(s, v)[1:], word(s, v)[:1]]),
        lambda s, v: word(s, v) * s.row(v.pull("tag", dtype="int32")),
    ],
)
def test_a_product_that_runs_once_per_distinct_id_is_not_listed(
    body: Callable[[Any, cavs.Vertex], Any],
) -> None:
    model = cavs.compile(Product(body), passes=SOME)
    assert said(model) == said(model, GRAPHS, **batch_inputs(model)) == []


def test_with_the_pass_off_it_says_so() -> None:
    passes = [p for p in SOME if p != "unique_pulls"]
    (_, why) = said(cavs.compile(Product(word), passes=passes))
    assert why == "    because the pass unique_pulls is off"
    (_, why) = said(cavs.compile(Product(dropped), passes=passes))
    assert "dropout draws for each row" in why


def test_leaves_and_inner_vertices_apart_and_by_mode() -> None:
    model = cavs.compile(ChildSumTreeLSTM(8, 30, 40, 5, embedding_dropout=0.5))

    def products() -> list[str]:
        return [line.split(", at ")[0].strip() for line in said(model) if "because" not in line]

    assert products() == [
        "leaf[1, 120] matmul with w_iou.weight",
        "inner[1, 120] matmul with w_iou.weight",
        "inner[1, 120] matmul with u_iou.weight",
        "inner[1, 40] matmul with w_f.weight",
        "leaf[1, 40] matmul with u_f.weight",
        "inner[1, 40] matmul with u_f.weight",
        "leaf[1, 5] matmul with classifier.weight",
        "inner[1, 5] matmul with classifier.weight",
    ]
    model.eval()
    # States that the compiler made are called as the user's that they are functions of.
    assert "h@1" not in "".join(said(model))
    assert {p.split()[0] for p in products()} == {"inner[1,"}
    assert not any("w_iou" in p or "w_f" in p for p in products())


def check_reasons(function: cavs.VertexFunction, passes: Iterable[str]) -> None:
    """A reason where, and only where, a product of rows is not by distinct ids."""
    compiler = Compiler(function, passes)
    order = ancestors(compiler.function.roots())
    products = [n for n in order if n.op.name == "matmul" and n.space != SpaceKind.NONE]
    expected: set[Node] = {n for n in products if not isinstance(n.space, Unique)}
    found = reasons(compiler.function)
    assert set(found) == expected
    assert all(why and all(why) for why in found.values())
    if "unique_pulls" in compiler.passes:
        assert not any("is off" in reason for why in found.values() for reason in why)
    assert sum(map(len, not_by_id(compiler).values())) <= sum(map(len, found.values()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_other_product_has_a_reason(name: str) -> None:
    for passes in (PASSES, SOME, ()):
        check_reasons(vertex_functions.make_function(name), passes)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), drawn=st.booleans())
def test_drawn_functions(seed: int, drawn: bool) -> None:
    kind = vertex_functions.RandomFunction if drawn else vertex_functions.ShapedFunction
    check_reasons(kind(seed), PASSES)
