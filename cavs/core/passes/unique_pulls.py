"""unique_pulls: values that depend on integer pulls alone are computed once per distinct id in the
batch, or once per distinct tuple of ids.

A batch has far fewer distinct words than words. Embedding rows and their projections are computed
per distinct word and expanded to the vertices where another value joins. If that value is another
pull, such as a tag put beside the word, and a product follows, the product runs once per distinct
pair, to which the values of single ids are expanded. A value that joins several pulls and has no
product over the same pulls is computed where it is read: a table of pairs would cost more than it
saves.

The pass runs before autodiff, so the gradient comes out in the same spaces: rows of equal ids are
summed first (``unique_sum``, the adjoint of ``expand``), then multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cavs.core import ir
from cavs.core.ir import FunctionIR, Name, Node, ancestors, rebuild
from cavs.core.ops._def import Between, Space, SpaceKind, Unique
from cavs.core.ops.matmul import MATMUL
from cavs.core.ops.structure import EXPAND, GATHER, NUM_CHILDREN, PULL, UNIQUE_IDS
from cavs.core.passes.commute_gather import user_name
from cavs.core.passes.context import Context


def ids_of(pull: Node) -> Unique:
    """The distinct ids of an integer pull among the rows that it is pulled by."""
    assert not isinstance(pull.space, Unique)
    return Unique((pull.attrs["name"],), pull.space)


def unique_pulls(function: FunctionIR, context: Context) -> FunctionIR:
    """F with the computations on distinct ids moved to their spaces (:class:`Unique`)."""
    order = ancestors(function.roots())
    homes = _homes(order)
    wanted = _wanted(order, homes)
    moved: dict[tuple[Node, Space], Node] = {}
    new: dict[Node, Node] = {}
    for node in order:
        home = homes.get(node)
        for space in wanted[node]:
            if home in (None, space) or node.op is PULL:
                moved[node, space] = _computed(node, space, moved)
        if home is None:
            new[node] = rebuild(node, [new[x] for x in node.inputs])
            continue
        if node.op is PULL:
            new[node] = node
            continue
        own = moved[node, home]
        for space in wanted[node]:
            if space != home:
                moved[node, space] = _expand(own, home, space, node)
        new[node] = _expand(own, home, node.space, node)
    return function.map(new)


def _homes(order: Sequence[Node]) -> dict[Node, Unique]:
    """Maps each node that moves to the distinct ids, or tuples of them, that it is computed for."""
    pulls: dict[Node, frozenset[Node]] = {}
    homes: dict[Node, Unique] = {}
    products: set[Node] = set()  # values that contain a product over the same pulls
    for node in order:
        if node.op is PULL and node.dtype == "int32":
            pulls[node] = frozenset([node])
        else:
            rows = [x for x in node.inputs if x.space != SpaceKind.NONE]
            own = not node.op.random and not node.op.mixes_edges
            if not rows or not own or any(x not in pulls for x in rows):
                continue
            if any(x.space != node.space for x in rows):
                continue
            pulls[node] = frozenset().union(*(pulls[x] for x in rows))
        same = [x for x in node.inputs if pulls.get(x) == pulls[node]]
        if node.op is MATMUL or any(x in products for x in same):
            products.add(node)
        names = tuple(sorted(pull.attrs["name"] for pull in pulls[node]))
        if len(names) == 1 or node in products:
            assert not isinstance(node.space, Unique)
            homes[node] = Unique(names, node.space)
    return homes


def _wanted(order: Sequence[Node], homes: Mapping[Node, Unique]) -> dict[Node, dict[Unique, None]]:
    """The distinct ids for which each node's value is read, its home among them."""
    wanted: dict[Node, dict[Unique, None]] = {node: {} for node in order}
    for node in reversed(order):
        home = homes.get(node)
        if home is not None:
            wanted[node][home] = None
        for x in node.inputs:
            if x.space != SpaceKind.NONE:
                wanted[x].update(wanted[node] if home is None else {home: None})
    return wanted


def _computed(node: Node, space: Unique, moved: Mapping[tuple[Node, Space], Node]) -> Node:
    """The node computed for distinct ids, from operands that are computed for them already."""
    if node.op is PULL:
        return ir.source(UNIQUE_IDS, (), space, "int32", name=node.attrs["name"])
    inputs = [x if x.space == SpaceKind.NONE else moved[x, space] for x in node.inputs]
    if "into" in node.attrs:  # a copy's target belongs to the rows that it is expanded to
        return inputs[0]
    return Node(node.op, inputs, node.attrs, node.shape, space, node.dtype, node.where)


def _expand(x: Node, rows: Unique, base: Space, node: Node) -> Node:
    """Expands `x`, the value of `node` for the distinct `rows`, to the rows `base` of the ids."""
    into = {"into": node.attrs["into"]} if "into" in node.attrs and base == node.space else {}
    attrs = {"rows": rows, "base": base, **into}
    return Node(EXPAND, (x,), attrs, node.shape, base, node.dtype, node.where)


_ROWS = {
    SpaceKind.LEAF: "leaves",
    SpaceKind.INNER: "inner vertices",
    SpaceKind.VERTEX: "vertices",
}


def reasons(function: FunctionIR) -> dict[Node, list[str]]:
    """Maps each product of rows of F, after all passes, that does not run once per distinct id or
    tuple of ids to the reasons."""
    causes: dict[Node, dict[Node, None]] = {}
    ids: dict[Node, dict[tuple[Name, Space], None]] = {}
    found: dict[Node, list[str]] = {}
    for node in ancestors(function.roots()):
        if isinstance(node.space, Unique) or node.space == SpaceKind.NONE:
            continue
        known = [x for x in node.inputs if x in causes]
        causes[node] = {cause: None for x in known for cause in causes[x]}
        ids[node] = {pull: None for x in known for pull in ids[x]}
        if node.op is EXPAND:
            rows = node.attrs["rows"]
            ids[node] = {(pull, rows.base): None for pull in rows.pulls}
        elif node.op is PULL and node.dtype == "int32":
            ids[node][node.attrs["name"], node.space] = None
        elif _is_cause(node):
            causes[node][node] = None
        if node.op is MATMUL:
            found[node] = _why(causes[node]) or [_why_by_rows(node, ids[node])]
    return found


def _is_cause(node: Node) -> bool:
    """Whether the value depends on more than the row's own ids, whatever its operands are."""
    op = node.op
    over_edges = op.reduces is Between.CHILDREN or op.mixes_edges or op is NUM_CHILDREN
    return op.random or op in (GATHER, PULL) or over_edges


def _why(causes: Iterable[Node]) -> list[str]:
    """A reason for each kind of cause, with the line of the first."""
    random = [x for x in causes if x.op.random]
    gathers = [x for x in causes if x.op is GATHER]
    pulls = [x for x in causes if x.op is PULL]
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


def _why_by_rows(node: Node, ids: Iterable[tuple[Name, Space]]) -> str:
    """The reason why a function of ids alone, or of none, is computed in rows that have them."""
    pulls = list(ids)
    if not pulls:
        return "it is of a state that is the same for all vertices"
    if any(space != node.space for _, space in pulls):
        names = ", ".join(f"{str(pull)!r} of {_rows(space)}" for pull, space in pulls)
        return f"it is of {_rows(node.space)} and depends on the ids {names}"
    return "the pass unique_pulls is off"


def _rows(space: Space) -> str:
    return f"{space}s" if space.kind is None else _ROWS.get(space.kind, f"{space}s")
