"""unique_pulls: what depends on one integer pull alone runs once per distinct id in the batch.

A batch has far fewer distinct words than words; embedding rows and their projections are computed
per distinct word and expanded to the vertices where something else joins. The pass runs before
autodiff, so the gradient comes out in the same space: rows of equal ids are summed first
(``unique_sum``, the adjoint of ``expand``), then multiplied.
"""

from __future__ import annotations

from cavs.core import ir
from cavs.core.ir import FunctionIR, Node, ancestors, rebuild
from cavs.core.ops._def import OPS, Unique
from cavs.core.ops.random import RANDOM


def _depends_on(order: list[Node]) -> dict[Node, Node | None]:
    """For each node the one integer pull that it depends on, if it depends on no other rows."""
    pull: dict[Node, Node | None] = {}
    for node in order:
        if node.op.name == "pull" and node.dtype == "int32":
            pull[node] = node
            continue
        sources = {pull.get(x) for x in node.inputs if x.space != "none"}
        only = sources.pop() if len(sources) == 1 else None
        random = node.op.name in RANDOM
        local = node.space == (only.space if only is not None else "") and not node.op.mixes_edges
        pull[node] = only if only is not None and not random and local else None
    return pull


def ids_of(pull: Node) -> Unique:
    """The distinct ids of an integer pull among the rows that it is pulled by."""
    assert isinstance(pull.space, str)
    return Unique((pull.attrs["name"],), pull.space)


def unique_pulls(function: FunctionIR) -> FunctionIR:
    """F with the computations on distinct ids moved to their spaces (:class:`Unique`)."""
    order = ancestors(function.roots())
    pull = _depends_on(order)
    moved: dict[Node, Node] = {}  # to the node in the unique space
    new: dict[Node, Node] = {}

    def expanded(node: Node) -> Node:
        source = pull[node]
        assert source is not None
        # What a copy goes into is a matter of the rows expanded to.
        into = {"into": node.attrs["into"]} if "into" in node.attrs else {}
        attrs = {"rows": moved[source].space, "base": source.space, **into}
        return Node(
            OPS["expand"], (moved[node],), attrs, node.shape, source.space, node.dtype, node.where
        )

    for node in order:
        source = pull[node]
        if source is node:
            name = node.attrs["name"]
            moved[node] = ir.source("unique_ids", (), ids_of(node), "int32", name=name)
            new[node] = node
        elif source is not None:
            inputs = [moved.get(x, new[x]) for x in node.inputs]
            space = moved[source].space
            moved[node] = (
                inputs[0]
                if "into" in node.attrs
                else Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)
            )
            new[node] = expanded(node)
        else:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
    return function.map(new)
