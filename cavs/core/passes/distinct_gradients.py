"""distinct_gradients: gradients of embeddings as sums over the rows with one id."""

from __future__ import annotations

from dataclasses import replace

from cavs.core.autodiff import Gradient
from cavs.core.ir import Node
from cavs.core.ops._def import apply
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.structure import (
    GRAPH_SPREAD,
    GRAPH_SUM,
    PULL,
    SEGMENT_SUM,
    SPREAD,
    UNIQUE_IDS,
    UNIQUE_SUM,
)
from cavs.core.passes.context import Context
from cavs.core.passes.unique_pulls import ids_of


def distinct_gradients(gradient: Gradient, context: Context) -> Gradient:
    """The gradient with its row-sparse parts in the spaces of distinct ids. It has no switch."""

    def convert(node: Node) -> Node:
        rows, ids = node.inputs
        while ids.op in (SPREAD, GRAPH_SPREAD):
            rows = apply(SEGMENT_SUM if ids.op is SPREAD else GRAPH_SUM, rows)
            ids = ids.inputs[0]
        if ids.op is PULL:
            rows = apply(UNIQUE_SUM, rows, rows=ids_of(ids), base=ids.space)
            ids = Node(UNIQUE_IDS, (), {"name": ids.attrs["name"]}, (), rows.space)
        return Node(node.op, (rows, ids), node.attrs, node.shape, SpaceKind.NONE)

    params = [(p, dense, [convert(n) for n in sparse]) for p, dense, sparse in gradient.params]
    return replace(gradient, params=params)
