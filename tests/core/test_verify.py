"""The verifier: well-formed IR passes, each kind of damage is named."""

from __future__ import annotations

from typing import Any

import pytest
import vertex_functions

from cavs.core import ir
from cavs.core.ir import Node
from cavs.core.ops import OPS
from cavs.core.ops._def import OpDef
from cavs.core.ops._spaces import Space, SpaceKind, Unique
from cavs.core.ops.structure import PULL
from cavs.core.trace import trace
from cavs.core.verify import verify

X = ir.source(PULL, (3,), SpaceKind.VERTEX, name="x")
WORDS = Unique(("word",), SpaceKind.VERTEX)
EDGE = ir.source(PULL, (3,), SpaceKind.EDGE, name="e")


@pytest.mark.parametrize("name", sorted(vertex_functions.FUNCTIONS))
def test_traced_functions_are_well_formed(name: str) -> None:
    verify(trace(vertex_functions.make_function(name)).function.roots(), "trace")


def node(op: str, inputs: list[Node], shape: tuple[int, ...], space: Space, **attrs: Any) -> Node:
    return Node(OPS[op], inputs, attrs, shape, space)


DAMAGE = {
    "space": (node("tanh", [X], (3,), "nowhere"), r"expected a known space, got 'nowhere'"),
    "rows": (node("tanh", [X], (3,), SpaceKind.EDGE), r"expected space vertex"),
    "finest": (node("add", [X, EDGE], (3,), SpaceKind.VERTEX), r"expected space edge"),
    "shape": (node("tanh", [X], (4,), SpaceKind.VERTEX), r"expected shape \(3,\)"),
    "arity": (node("add", [X], (3,), SpaceKind.VERTEX), r"expected 2 operands, got 1"),
    "source": (
        node("pull", [X], (3,), SpaceKind.VERTEX, name="y"),
        r"expected no operands of a source",
    ),
    "dtype": (
        Node(OPS["tanh"], [X], {}, (3,), SpaceKind.VERTEX, "int64"),
        r"expected a known dtype, got 'int64'",
    ),
    "table": (
        Node(OpDef("tanh", 1, infer=lambda s: s), [X], {}, (3,), SpaceKind.VERTEX),
        r"expected an operation of the table",
    ),
    "expand": (
        node("expand", [X], (3,), SpaceKind.EDGE, rows=WORDS, base=SpaceKind.VERTEX),
        r"expected rows of the pull",
    ),
    "unique_sum": (
        node(
            "unique_sum",
            [X],
            (3,),
            Unique(("tag",), SpaceKind.VERTEX),
            rows=WORDS,
            base=SpaceKind.VERTEX,
        ),
        r"expected space unique:word",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(kind: str) -> None:
    damaged, problem = DAMAGE[kind]
    user = Node(OPS["neg"], [damaged], {}, damaged.shape, damaged.space)
    with pytest.raises(AssertionError, match=rf"\[verify\] after some pass: .*{problem}"):
        verify([user], "some pass")
