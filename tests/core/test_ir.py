"""Nodes: the spaces and shapes that operations give them, and walks over them."""

from __future__ import annotations

import numpy as np
import pytest

import cavs
from cavs.core import ir
from cavs.core.ops import OPS
from cavs.core.ops._def import OpDef, apply, register
from cavs.core.ops._spaces import SpaceKind, Unique, join_spaces
from cavs.core.ops.structure import PULL
from cavs.errors import TraceError


def pull(space: SpaceKind, *shape: int, dtype: str = "float") -> ir.Node:
    return ir.source(PULL, shape, space, dtype, name=f"{space}{shape}")


def test_unique_rows_join_only_with_none() -> None:
    word, tag = Unique(("word",), SpaceKind.VERTEX), Unique(("tag",), SpaceKind.VERTEX)
    assert join_spaces([SpaceKind.NONE, word, word]) == word
    for others in (
        [word, SpaceKind.VERTEX],
        [word, tag],
        [word, Unique(("word",), SpaceKind.LEAF)],
    ):
        with pytest.raises(TraceError, match=r"same rows, got unique:word"):
            join_spaces(others)
    assert join_spaces([]) == SpaceKind.NONE


def test_reductions_are_over_children_on_edges_and_over_features_elsewhere() -> None:
    edge, vertex = pull(SpaceKind.EDGE, 2, 3), pull(SpaceKind.VERTEX, 2, 3)
    for name in ("sum", "mean", "max", "logsumexp"):
        assert (getattr(edge, name)().space, getattr(edge, name)().shape) == (
            SpaceKind.VERTEX,
            (2, 3),
        )
        assert getattr(edge, name)(axis=-1).space == SpaceKind.EDGE
        assert getattr(edge, name)(axis=-1).shape == (2,)
        assert getattr(vertex, name)().shape == ()
        assert getattr(vertex, name)(-1, True).shape == (2, 1)
    assert edge.softmax().space == SpaceKind.EDGE
    assert vertex.softmax().op.name == "softmax"


def test_slices_of_an_axis() -> None:
    x = pull(SpaceKind.VERTEX, 2, 5)
    assert x[..., 1:3].shape == (2, 2)
    assert x[..., -2:].attrs == {"start": 3, "stop": 5}
    assert x[1:].shape == (1, 5)
    assert x[:] is x


def test_walks_do_not_recurse_and_put_operands_first() -> None:
    x = pull(SpaceKind.VERTEX, 1)
    node = x
    for _ in range(5000):
        node = node + x
    order = ir.ancestors([node])
    assert len(order) == 5001
    assert order[0] is x
    place = {n: i for i, n in enumerate(order)}
    assert all(place[i] < place[n] for n in order for i in n.inputs)


def test_rebuild_keeps_what_did_not_change() -> None:
    x, y = pull(SpaceKind.VERTEX, 3), pull(SpaceKind.VERTEX, 3)
    node = x * 2.0
    assert ir.rebuild(node, node.inputs) is node
    moved = ir.rebuild(node, (y, node.inputs[1]))
    assert (moved.op, moved.inputs[0], moved.shape, moved.where) == (node.op, y, (3,), node.where)


def test_nodes_are_compared_by_identity() -> None:
    x, y = pull(SpaceKind.VERTEX, 3), pull(SpaceKind.VERTEX, 3)
    assert x == x
    assert x != y
    assert x is not None
    assert len({x, y, x}) == 2


def test_costs_and_names_of_nodes() -> None:
    x, w = pull(SpaceKind.VERTEX, 1, 3), ir.param(cavs.Parameter(np.ones((4, 3))))
    product = apply(OPS["matmul"], x, w, ta=False, tb=True)
    assert product.flops == 2 * 3 * 4
    assert product.size == 4
    assert repr(x) == "<pull 'vertex(1, 3)' vertex[1, 3]>"


def test_powers_are_operations_of_their_own() -> None:
    x = ir.source(PULL, (3,), SpaceKind.VERTEX, name="x")
    assert [(x**p).op.name for p in (2, 0.5, -1, -0.5)] == ["square", "sqrt", "reciprocal", "rsqrt"]
    assert [y.op.name for y in (x**3, x**1.5, 2.0**x, x**x)] == ["mul", "pow", "pow", "pow"]
    with pytest.raises(TraceError, match=r"\[pow\] expected a vertex value"):
        x ** "a"


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ValueError, match="'add'"):
        register(OpDef("add", 2, infer=lambda *s: s[0]))
