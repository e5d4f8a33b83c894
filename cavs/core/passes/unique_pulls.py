"""unique_pulls: what depends on one integer pull alone runs once per distinct id in the batch.

A batch has far fewer distinct words than words; embedding rows and their projections are computed
per distinct word and expanded to the vertices where something else joins. The pass runs before
autodiff, so the gradient comes out in the same space: rows of equal ids are summed first
(``unique_sum``, the adjoint of ``expand``), then multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node, ancestors, rebuild
from cavs.core.ops._def import OPS, Space, Unique
from cavs.core.ops.random import RANDOM
from cavs.core.passes.commute_gather import user_name


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


_ROWS = {"leaf": "leaves", "inner": "inner vertices", "vertex": "vertices"}


def reasons(function: FunctionIR, on: bool) -> dict[Node, list[str]]:
    """Each product of rows of F, after all passes, that does not run once per distinct id, to what
    stands in the way. `on`: whether this pass is."""
    causes: dict[Node, dict[Node, None]] = {}
    ids: dict[Node, dict[tuple[Name, Space], None]] = {}
    found: dict[Node, list[str]] = {}
    for node in ancestors(function.roots()):
        if isinstance(node.space, Unique) or node.space == "none":
            continue
        known = [x for x in node.inputs if x in causes]
        causes[node] = {cause: None for x in known for cause in causes[x]}
        ids[node] = {pull: None for x in known for pull in ids[x]}
        if node.op.name == "expand":
            rows = node.attrs["rows"]
            ids[node] = {(pull, rows.base): None for pull in rows.pulls}
        elif node.op.name == "pull" and node.dtype == "int32":
            ids[node][node.attrs["name"], node.space] = None
        elif _is_cause(node):
            causes[node][node] = None
        if node.op.name == "matmul":
            found[node] = _why(causes[node]) or [_why_by_rows(node, ids[node], on)]
    return found


def _is_cause(node: Node) -> bool:
    """Whether the value is no function of the row's own ids, whatever its operands are."""
    name = node.op.name
    over_edges = name.startswith("segment_") or name == "num_children"
    return name in RANDOM or name in ("gather", "pull") or over_edges


def _why(causes: Iterable[Node]) -> list[str]:
    """A reason for each kind of cause, with the line of the first."""
    random = [x for x in causes if x.op.name in RANDOM]
    gathers = [x for x in causes if x.op.name == "gather"]
    pulls = [x for x in causes if x.op.name == "pull"]
    edges = [x for x in causes if x not in (*random, *gathers, *pulls)]
    reasons = [f"{_names(random, 'op')} draws for each row{_at(random)}"] if random else []
    if gathers:
        reasons.append(f"it depends on what children scattered, {_names(gathers)}{_at(gathers)}")
    elif edges:
        reasons.append(f"it depends on the edges to children{_at(edges)}")
    if pulls:
        reasons.append(f"it depends on the input {_names(pulls)}, which is no id{_at(pulls)}")
    return reasons


def _names(nodes: Iterable[Node], what: str = "") -> str:
    """Names of operations, or of states and pulls as the user calls them."""
    names = [x.op.name if what else repr(str(user_name(x.attrs["name"]))) for x in nodes]
    return ", ".join(dict.fromkeys(names))


def _at(nodes: Iterable[Node]) -> str:
    lines = [x.where for x in nodes if x.where]
    return f", at {lines[0]}" if lines else ""


def _why_by_rows(node: Node, ids: Iterable[tuple[Name, Space]], on: bool) -> str:
    """Why a function of ids alone is computed in the rows that have them."""
    pulls = list(ids)
    if any(space != node.space for _, space in pulls):
        names = ", ".join(f"{str(pull)!r} of {_rows(space)}" for pull, space in pulls)
        return f"it is of {_rows(node.space)} and depends on the ids {names}"
    if not on:
        return "the pass unique_pulls is off"
    return "it joins the ids " + ", ".join(repr(str(pull)) for pull, _ in pulls)


def _rows(space: Space) -> str:
    return _ROWS.get(str(space), f"{space}s")
