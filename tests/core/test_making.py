"""Nodes of operations on symbols: rows, shapes and dtypes of operands, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import cavs
from cavs import ops
from cavs.core import ir
from cavs.core.making import to_space
from cavs.core.ops import OPS
from cavs.core.ops._def import Operand, apply
from cavs.core.ops._spaces import SpaceKind, Unique
from cavs.core.ops.structure import PULL
from cavs.core.tracing import leaves_apart
from cavs.errors import DTypeError, ShapeError, TraceError


def pull(space: SpaceKind, *shape: int, dtype: str = "float") -> ir.Node:
    return ir.source(PULL, shape, space, dtype, name=f"{space}{shape}{dtype}")


def test_rows_of_a_result_are_the_finest_of_its_operands() -> None:
    none, graph = ir.param(cavs.Parameter(np.ones(3))), pull(SpaceKind.GRAPH, 3)
    vertex, edge = pull(SpaceKind.VERTEX, 3), pull(SpaceKind.EDGE, 3)
    assert (none * graph).space == SpaceKind.GRAPH
    assert (graph + vertex).space == SpaceKind.VERTEX
    assert (vertex - edge).space == SpaceKind.EDGE
    assert (graph / edge).space == SpaceKind.EDGE
    assert (none * none).space == SpaceKind.NONE
    assert (1.0 - edge).space == SpaceKind.EDGE


def test_coarser_operands_are_spread_step_by_step() -> None:
    product = pull(SpaceKind.GRAPH, 3) * pull(SpaceKind.EDGE, 3)
    spread = product.inputs[0]
    assert (spread.op.name, spread.space) == ("spread", SpaceKind.EDGE)
    assert (spread.inputs[0].op.name, spread.inputs[0].space) == ("graph_spread", SpaceKind.VERTEX)


def test_shapes_broadcast_as_in_numpy() -> None:
    a, b = pull(SpaceKind.VERTEX, 2, 1), pull(SpaceKind.VERTEX, 3)
    assert (a * b).shape == (2, 3)
    assert (a * 2.0).shape == (2, 1)
    assert (pull(SpaceKind.VERTEX) + b).shape == (3,)
    assert ops.where(a, b, 0.0).shape == (2, 3)


def test_wrong_numbers_of_operands_are_refused() -> None:
    with pytest.raises(TraceError, match=r"\[add\] expected 2 operands, got 1"):
        apply(OPS["add"], pull(SpaceKind.VERTEX, 3))


TWO_KINDS = [op for op in OPS.values() if op.arity > 0 and op.operands[0] is not Operand.EITHER]


@pytest.mark.parametrize("op", TWO_KINDS, ids=lambda op: op.name)
def test_operands_of_another_dtype_are_refused(op: ops.OpDef) -> None:
    dtypes = [op.operand(position).value for position in range(op.arity)]
    for wrong in range(op.arity):
        given = list(dtypes)
        given[wrong] = "float" if dtypes[wrong] == "int32" else "int32"
        operands = [pull(SpaceKind.VERTEX, dtype=dtype) for dtype in given]
        expected = (
            rf"\[{op.name}\] expected operand {wrong} of dtype {dtypes[wrong]}, got {given[wrong]}"
        )
        with pytest.raises(DTypeError, match=expected):
            apply(op, *operands)


def test_ids_go_between_rows_as_floats_do() -> None:
    ids = pull(SpaceKind.GRAPH, dtype="int32")
    on_edges = to_space(ids, SpaceKind.EDGE)
    assert (on_edges.dtype, on_edges.space) == ("int32", SpaceKind.EDGE)
    assert [x.op.name for x in (on_edges, on_edges.inputs[0])] == ["spread", "graph_spread"]
    assert (
        apply(OPS["spread"], pull(SpaceKind.VERTEX, dtype="int32"), to=SpaceKind.EDGE).dtype
        == "int32"
    )


@pytest.mark.parametrize(
    "name", ["segment_sum", "segment_max", "segment_softmax", "segment_logsumexp"]
)
def test_what_is_over_children_takes_edges(name: str) -> None:
    edge, vertex = pull(SpaceKind.EDGE, 3), pull(SpaceKind.VERTEX, 3)
    result = SpaceKind.EDGE if name == "segment_softmax" else SpaceKind.VERTEX
    assert apply(OPS[name], edge).space == result
    spread = apply(OPS[name], vertex)
    assert (spread.space, spread.inputs[0].op.name) == (result, "spread")
    with leaves_apart([""]):
        inner = apply(OPS[name], edge).space
    assert inner == (SpaceKind.EDGE if name == "segment_softmax" else SpaceKind.INNER)
    for other in (Unique(("word",), SpaceKind.VERTEX), SpaceKind.NONE):
        x = ir.source(PULL, (3,), other, name="x")
        with pytest.raises(ShapeError, match=rf"\[{name}\] expected a value per edge, got one per"):
            apply(OPS[name], x)


def test_what_needs_no_work_is_the_operand() -> None:
    parameter, edge = ir.param(cavs.Parameter(np.ones(3))), pull(SpaceKind.EDGE, 3)
    assert apply(OPS["spread"], parameter, to=SpaceKind.EDGE) is parameter
    assert apply(OPS["spread"], edge, to=SpaceKind.EDGE) is edge
    assert apply(OPS["reduce_rows"], parameter) is parameter


def test_symbols_of_sources_have_no_operands() -> None:
    edge = pull(SpaceKind.EDGE, 3)
    count = apply(OPS["num_children"], edge)
    assert (count.inputs, count.shape, count.space) == ((), (), SpaceKind.VERTEX)
    with leaves_apart([""]):
        assert apply(OPS["num_children"], edge).space == SpaceKind.INNER
    drawn = ops.uniform_like(edge)
    assert (drawn.inputs, drawn.shape, drawn.space) == ((), (3,), SpaceKind.EDGE)
