"""Vertices with more children than F reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_runs import draw_inputs

import cavs
from cavs import models
from cavs.errors import GraphError, InputError

SLOTS: dict[str, tuple[Callable[[], cavs.VertexFunction], int]] = {
    "NaryTreeLSTM": (lambda: models.NaryTreeLSTM(9, 4, 5, 4, arity=2), 2),
    "TreeFC": (lambda: models.TreeFC(9, 4, 5, 4), 2),
    "MVRNN": (lambda: models.MVRNN(9, 4, 4), 2),
    "LSTM": (lambda: models.LSTM(9, 4, 5, 4), 1),
    "GRU": (lambda: models.GRU(9, 4, 5, 4), 1),
}


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("name", SLOTS)
def test_children_beyond_the_slots_are_refused_unless_ignored(name: str, executor: str) -> None:
    make, count = SLOTS[name]
    tree = cavs.InputGraph([*[[]] * count, list(range(count))])
    wide = cavs.InputGraph([*[[]] * (count + 1), [0], list(range(count + 1))])
    for policy in ("batching", "serial"):
        model = cavs.compile(make(), policy=policy, executor=executor)
        assert model.children_read == count
        model(tree, **draw_inputs(model, cavs.batch([tree])))
        graphs = cavs.batch([tree, wide])
        inputs = draw_inputs(model, graphs)
        message = (
            rf"\[graph\] graph 1, vertex {count + 2}: expected at most {count} children, "
            rf"since F gathers no slot beyond {count - 1}, got {count + 1}.*'ignore'"
        )
        calls: list[Callable[[], Any]] = [lambda: model(graphs, **inputs)]  # noqa: B023
        if executor == "native":
            calls += [lambda: model.memory(graphs), lambda: model.explain(graphs, **inputs)]  # noqa: B023
        for call in calls:
            with pytest.raises(GraphError, match=message):
                call()
    model = cavs.compile(make(), executor=executor, extra_children="ignore")
    less = cavs.compile(model.function, executor=executor)
    assert model.children_read is None
    cut = cavs.InputGraph([*[[]] * (count + 1), [0], list(range(count))])
    for key, y in less(cut, **draw_inputs(less, cavs.batch([cut]))).items():
        again = model(wide, **draw_inputs(model, cavs.batch([wide])))[key]
        np.testing.assert_array_equal(again.data, y.data)


class Mixed(cavs.VertexFunction):
    """Gathers one child by place, and all of them."""

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 2)
        v.scatter(x=x)
        v.push(y=v.gather(0, x=2).x + v.gather(x=2).x.max(), alone=x * 2.0)


class First(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 2)
        v.scatter(x=x)
        v.push(y=x + v.gather(0, x=2).x, alone=x * 2.0)


def test_functions_that_gather_all_children_or_none_take_any_number() -> None:
    star = cavs.InputGraph([[], [], [], [2, 0, 1]])
    x = np.arange(8.0).reshape(4, 2)
    y = cavs.compile(Mixed())(star, x=x)["y"].data
    assert y[3].tolist() == [8, 10]
    assert cavs.compile(First(), outputs=["alone"])(star, x=x)["alone"].data[3].tolist() == [12, 14]
    with pytest.raises(GraphError, match="graph 0, vertex 3: expected at most 1 children"):
        cavs.compile(First())(star, x=x)
    program = cavs.compile(cavs.VertexProgram({"first": First()}), extra_children="ignore")
    assert program["first"](star, x=x)["y"].data[3].tolist() == [10, 12]
    unknown: Any = "drop"
    with pytest.raises(InputError, match=r"expected extra_children error or ignore, got"):
        cavs.compile(First(), extra_children=unknown)
