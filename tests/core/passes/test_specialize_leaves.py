"""Leaves, whose children's states are zeros."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pass_checks import calls, programs, simplified, x3

import cavs
from cavs import ops
from cavs.core.ir import ancestors
from cavs.core.ops._spaces import SpaceKind
from cavs.core.passes import PASSES, Context, specialize_leaves


def test_leaves_multiply_no_zeros() -> None:
    forward, backward = programs("ChildSumTreeLSTM", PASSES)
    of_leaves = [
        i
        for s in (*forward.segments, *backward.segments)
        for i in s.instructions
        if str(i.space) in ("leaf", "unique:word@leaf") and i.kernel in ("matmul", "matmul_masked")
    ]
    # The projection of the word, the classifier and U_f for the parents, each forward and
    # backward; no U_iou.
    assert len(of_leaves) == 6
    assert all(str(i.space) == "unique:word@leaf" for i in of_leaves)
    reduced = [i.space for s in backward.segments for i in s.instructions if "reduce" in i.kernel]
    assert not {"vertex", "leaf"} & set(reduced)


def test_the_whole_cell_of_a_leaf_runs_per_distinct_word() -> None:
    forward, _ = programs("ChildSumTreeLSTM", PASSES)
    (cell,) = [
        i
        for s in forward.segments
        for i in s.instructions
        if str(i.space) == "unique:word@leaf" and "tanh" in calls(i)
    ]
    assert calls(cell).count("sigmoid") == 2
    over_leaves = [i for s in forward.segments for i in s.instructions if i.space == SpaceKind.LEAF]
    assert {i.kernel for i in over_leaves} <= {"take", "load", "cross_entropy", "store", "fused"}


@pytest.mark.parametrize("name", ["NoGather", "GraphInputs"])
def test_leaves_are_not_told_apart_where_that_cannot_be(name: str) -> None:
    forward, _ = programs(name, PASSES)
    assert not any(
        i.space in (SpaceKind.LEAF, SpaceKind.INNER)
        for s in forward.segments
        for i in s.instructions
    )


def test_zeros_are_propagated() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        h = v.gather(h=3).h
        first = v.gather(0, h=3).h
        gate = ops.sigmoid(s.u(h.sum() + first * 2.0))  # of a leaf: a function of a parameter alone
        v.scatter(h=gate * x3(v) + ops.concat([h.max()[:1], first[1:]]))
        v.push(y=h.mean() * s.w(x3(v)))

    function = specialize_leaves(simplified(body), Context())
    (h_leaf, _), (y_leaf, _) = function.scatters["h"].inputs, function.pushes["y"].inputs
    assert not any(n.op.name in ("matmul", "gather") for n in ancestors([h_leaf, y_leaf]))
    assert y_leaf.inputs[0].attrs["value"] == 0.0


def test_logsumexp_over_no_children_is_that_of_nothing() -> None:
    def body(s: Any, v: cavs.Vertex) -> None:
        total = v.gather(h=3).h.logsumexp()
        v.scatter(h=x3(v) + ops.exp(total))
        v.push(y=total, z=total * v.gather(h=3).h.sum())  # -inf * 0

    function = specialize_leaves(simplified(body), Context())
    results = [function.scatters["h"], function.pushes["y"], function.pushes["z"]]
    h, y, z = (node.inputs[0].inputs[0] for node in results)
    assert h.op.name == "pull"
    assert y.attrs["value"] == -math.inf
    assert math.isnan(z.attrs["value"])
