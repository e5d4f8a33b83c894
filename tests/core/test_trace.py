"""Tracing: what F becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
from traces import traced

import cavs
from cavs import nn, ops
from cavs.core.ir import ancestors
from cavs.core.ops._spaces import SpaceKind
from cavs.core.trace import trace


def test_forward_runs_once() -> None:
    calls = []

    class Counted(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            calls.append(v)
            v.push(y=v.pull("x"))

    model = cavs.compile(Counted())
    for count in (1, 3):
        model(cavs.InputGraph([[]] * count), x=np.zeros(count))
    assert len(calls) == 1


def test_inputs_are_kept_with_space_shape_and_line() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        total = v.pull("x", (2, 3), "float64") * ops.sum(v.pull_graph("g", 4))
        v.push(y=total, e=v.pull_edge("e") * 2.0)
        v.pull("i", dtype="int32")

    specs = traced(forward).inputs
    assert [(s.name, s.shape, s.dtype, s.space) for s in specs.values()] == [
        ("x", (2, 3), "float", "vertex"),
        ("g", (4,), "float", "graph"),
        ("e", (), "float", "edge"),
        ("i", (), "int32", "vertex"),
    ]
    assert all(s.where and s.where.file == __file__ for s in specs.values())
    assert 'v.pull_edge("e")' in str(specs["e"].where)


def test_equal_calls_give_the_same_symbol() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        assert v.pull("x", 3) is v.pull("x", (3,))
        assert v.gather(h=3).h is v.gather(h=3).h
        assert v.gather(0, h=3).h is v.gather(0, h=3).h
        assert v.gather(0, h=3).h is not v.gather(1, h=3).h
        h, c = v.gather(h=3, c=2)
        assert (h.shape, c.shape, h.space) == ((3,), (2,), SpaceKind.EDGE)
        v.scatter(h=v.pull("x", 3), c=v.pull("x", 3)[:2])
        v.push(y=v.pull("x", 3))

    assert set(traced(forward).function.scatters) == {"h", "c"}


def test_dropouts_are_numbered_alike_every_time() -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        x = v.pull("x", 3)
        v.push(a=ops.dropout(x, 0.5), b=ops.dropout(x, 0.5), c=ops.dropout(x, 0.0))

    for _ in range(2):
        pushes = traced(forward).function.pushes
        assert [pushes[k].attrs.get("key") for k in "abc"] == [0, 1, None]


def test_dropout_by_id_is_by_all_pulls_that_a_value_comes_from() -> None:
    """In the order of their names, whatever is computed from them, each in the rows at hand."""

    def forward(self: Any, v: cavs.Vertex) -> None:
        table = nn.Embedding(5, 3)
        word, tag = (table(v.pull(k, dtype="int32")) for k in ("word", "tag"))
        edge = table(v.pull_edge("relation", dtype="int32")) + word
        topic = table(v.pull_graph("topic", dtype="int32"))
        values = (self.w(word), word * tag, tag * word, edge + topic, topic)
        self.dropped = [ops.dropout(x, 0.5, by="id") for x in values]
        self.dropped.append(ops.dropout(self.dropped[0] + tag[0:1], 0.5, by="id"))

    class Function(cavs.VertexFunction):
        def __init__(self) -> None:
            self.w = nn.Linear(3, 4)

        def forward(self, v: cavs.Vertex) -> None:
            forward(self, v)
            v.push(y=self.dropped[0])

    function = Function()
    trace(function)

    def names(ids: Any) -> list[str]:
        return [next(n.attrs["name"] for n in ancestors([x]) if n.op.name == "pull") for x in ids]

    found = [(x.space, names(x.inputs[1:]), x.attrs["key"]) for x in function.dropped]
    assert found == [
        (SpaceKind.VERTEX, ["word"], 0),
        (SpaceKind.VERTEX, ["tag", "word"], 1),
        (SpaceKind.VERTEX, ["tag", "word"], 2),
        (SpaceKind.EDGE, ["relation", "topic", "word"], 3),
        (SpaceKind.GRAPH, ["topic"], 4),
        (SpaceKind.VERTEX, ["tag", "word"], 5),
    ]
    assert all(x.inputs[1:] and y.space == x.space for x in function.dropped for y in x.inputs)
