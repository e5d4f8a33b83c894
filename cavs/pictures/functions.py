"""Pictures of vertex functions."""

from __future__ import annotations

from cavs.core.ir import Node, ancestors, without_reshapes
from cavs.core.ops._spaces import EdgeList, SpaceKind, Typed
from cavs.core.ops.shape import RESHAPE, SLICE
from cavs.core.ops.structure import CONSTANT, GATHER, PARAM, PULL
from cavs.core.trace import Trace, trace
from cavs.core.vertex import VertexFunction, named_values
from cavs.pictures.picture import Box, Key, Picture, are_told_apart, type_keys

COLOURS: dict[SpaceKind | None, str] = {
    SpaceKind.NONE: "#eeeeee",
    SpaceKind.GRAPH: "#e2d6f3",
    SpaceKind.VERTEX: "#d6e6f5",
    SpaceKind.EDGE: "#fbe3c8",
}
_WORDS = {
    SpaceKind.NONE: "parameters and constants",
    SpaceKind.GRAPH: "a row for each graph",
    SpaceKind.VERTEX: "a row for each vertex",
    SpaceKind.EDGE: "a row for each edge to a child",
}
_OF_RESULTS = "#d9f0d3"


def function_picture(function: VertexFunction, traced: Trace | None = None) -> Picture:
    """The operations of a vertex function, with inputs above, and scatters and pushes below.

    Colours show the row space of a value: parameters and constants (grey), vertices (blue), edges
    to children (orange), graphs (violet). In a function of types the border shows the type, and a
    gather says which list of edges it reads: ``char<word, all`` are all words among the children
    of a character, ``char<any, child 0`` the first child of one, of whichever type.

    Args:
        function: what is drawn.
        traced: the same as traced, if it has been.
    """
    traced = trace(function) if traced is None else traced
    parameters = {id(p): name for name, p in named_values(function)}
    results = [("scatter", *item) for item in traced.function.scatters.items()]
    results += [("push", *item) for item in traced.function.pushes.items()]
    nodes = [node for node in ancestors(traced.function.roots()) if node.op is not RESHAPE]
    rows = _rows_of(nodes)
    names = {node: f"n{number}" for number, node in enumerate(nodes)}
    types = type_keys(traced.types)
    apart = are_told_apart(types)
    picture = Picture(traced.name)
    for node in nodes:
        colour = COLOURS.get(node.space.kind, "#ffffff")
        kind = _type_of(node)
        outline = types[kind].outline if kind else ""
        label = _describe(node, parameters)
        if kind and not apart:
            label = f"{kind}: {label}"
        picture.boxes[names[node]] = Box(label, rows[node], colour, not node.inputs, outline)
        picture.lines += [(names[without_reshapes(x)], names[node]) for x in node.inputs]
    for what, name, node in results:
        below = without_reshapes(node)
        box = f"{what}_{name}"
        picture.boxes[box] = Box(f"{what} {name}", rows[below] + 1, _OF_RESULTS)
        picture.lines.append((names[below], box))
    found = {node.space.kind for node in nodes}
    picture.keys = [Key(words, COLOURS[kind]) for kind, words in _WORDS.items() if kind in found]
    picture.keys += [Key(name, "#ffffff", key.outline) for name, key in types.items()]
    return picture


def _rows_of(nodes: list[Node]) -> dict[Node, int]:
    """The row of each node: below all its operands; a node without operands is just above its first
    use."""
    rows: dict[Node, int] = {}
    for node in nodes:
        rows[node] = 1 + max((rows[without_reshapes(x)] for x in node.inputs), default=-1)
    first_use: dict[Node, int] = {}
    for node in nodes:
        for x in map(without_reshapes, node.inputs):
            first_use[x] = min(rows[node], first_use.get(x, rows[node]))
    return {n: row if n.inputs else first_use.get(n, 1) - 1 for n, row in rows.items()}


def _type_of(node: Node) -> str:
    """The type whose vertices, or whose edges, the rows are of; empty if there is no such type."""
    space = node.space
    return space.type if isinstance(space, Typed) and len(space.members) == 1 else ""


def _describe(node: Node, parameters: dict[int, str]) -> str:
    attributes = node.attrs
    name = node.op.name
    if node.op is PARAM:
        name = parameters[id(attributes["parameter"])]
    elif node.op is CONSTANT:
        name = f"{attributes['value']:g}"
    elif node.op is GATHER:
        name = _describe_gather(node)
    elif node.op is PULL:
        name = f"pull {attributes['name']}"
        if isinstance(node.space, Typed):
            name += f"\n{', '.join(map(_in_words, node.space.members))}"
    elif node.op is SLICE:
        name = f"slice {attributes['start']}:{attributes['stop']}"
    shape = " x ".join(map(str, node.shape))
    return f"{name}\n{shape}" if shape else name


def _describe_gather(node: Node) -> str:
    name, slot, edges = (node.attrs[key] for key in ("name", "slot", "edges"))
    if not isinstance(edges, Typed):
        return f"gather {name}" if slot is None else f"gather {name} of child {slot}"
    children = "all" if slot is None else f"child {slot}"
    return f"gather {name}\n{', '.join(map(_in_words, edges.members))}, {children}"


def _in_words(member: str | EdgeList) -> str:
    """A type, or a list of edges."""
    if isinstance(member, EdgeList) and member.children is None:
        return f"{member.parents}<any"
    return str(member)
