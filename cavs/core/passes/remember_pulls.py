"""remember_pulls: in inference, what depends on one integer pull alone is kept between calls.

With ``unique_pulls`` it runs once per distinct id of a batch; as long as no parameter changes it
need not run again for an id that came before. F is split: a function of the ids alone, whose
results are kept by id, and the rest, which reads them by id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cavs.core import ir
from cavs.core.ir import FunctionIR, Node, ancestors
from cavs.core.ops._def import Shape

MOST_ELEMENTS = 1 << 28
"""A part whose results for all ids could be more than this is computed anew in each call."""


@dataclass(frozen=True)
class Remembered:
    """Results of one integer pull, kept by id.

    Attributes:
        pull: name of the pull.
        count: ids are below this; the results for "no input" (-1) stand in row `count`.
        keys: names of the results among the inputs of the rest.
        shapes: shapes of a row of each.
        function: pushes the results, named by `keys`, per vertex.
        params: the parameters that it depends on.
    """

    pull: str
    count: int
    keys: tuple[str, ...]
    shapes: tuple[Shape, ...]
    function: FunctionIR
    params: tuple[Any, ...]


def remember_pulls(function: FunctionIR) -> tuple[FunctionIR, list[Remembered]]:
    """F after ``unique_pulls``, split; no parts where nothing depends on an embedding alone."""
    frontier: dict[str, dict[Node, None]] = {}
    for node in ancestors(function.roots()):
        if node.op.name == "expand":
            frontier.setdefault(node.inputs[0].space, {})[node.inputs[0]] = None
    parts: list[Remembered] = []
    replaced: dict[Node, Node] = {}
    for space, nodes in frontier.items():
        part = _part(space, list(nodes))
        if part is None:
            continue
        parts.append(part)
        for node, key in zip(nodes, part.keys, strict=True):
            replaced[node] = ir.source(
                "remembered", node.shape, space, key=key, count=part.count + 1
            )
    return (function.map(_replace(function, replaced)) if parts else function), parts


def _part(space: str, nodes: list[Node]) -> Remembered | None:
    order = ancestors(nodes)
    counts = [
        n.inputs[0].shape[0]
        for n in order
        if n.op.name == "embedding" and n.inputs[1].op.name == "unique_ids"
    ]
    if not counts or any(n.op.name == "unique_ids" or n.dtype != "float" for n in nodes):
        return None
    if (min(counts) + 1) * sum(n.size for n in nodes) > MOST_ELEMENTS:
        return None
    moved: dict[Node, Node] = {}
    for node in order:
        if node.op.name == "unique_ids":
            name = node.attrs["name"].split("@")[0]
            moved[node] = ir.source("pull", (), "vertex", "int32", name=name)
        else:
            inputs = [moved[x] for x in node.inputs]
            rows = "vertex" if node.space == space else node.space
            moved[node] = Node(
                node.op, inputs, node.attrs, node.shape, rows, node.dtype, node.where
            )
    keys = tuple(f"{space}:{i}" for i in range(len(nodes)))
    params = {id(n.attrs["parameter"]): n.attrs["parameter"] for n in order if n.op.name == "param"}
    return Remembered(
        pull=space.removeprefix("unique:").split("@")[0],
        count=min(counts),
        keys=keys,
        shapes=tuple(n.shape for n in nodes),
        function=FunctionIR({}, {k: moved[n] for k, n in zip(keys, nodes, strict=True)}),
        params=tuple(params.values()),
    )


def _replace(function: FunctionIR, replaced: dict[Node, Node]) -> dict[Node, Node]:
    new: dict[Node, Node] = {}
    for node in ancestors(function.roots()):
        if node in replaced:
            new[node] = replaced[node]
        else:
            new[node] = ir.rebuild(node, [new[x] for x in node.inputs])
    return new
