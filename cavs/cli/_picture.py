"""Pictures before they are written: boxes in rows and lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cavs.core.ir import Node, ancestors, without_reshapes
from cavs.core.ops._def import SpaceKind
from cavs.core.ops.shape import RESHAPE, SLICE
from cavs.core.ops.structure import CONSTANT, GATHER, PARAM, PULL
from cavs.core.trace import trace
from cavs.core.vertex import VertexFunction
from cavs.data import LabelledTree

COLOURS: dict[SpaceKind | None, str] = {
    SpaceKind.NONE: "#eeeeee",
    SpaceKind.GRAPH: "#e2d6f3",
    SpaceKind.VERTEX: "#d6e6f5",
    SpaceKind.EDGE: "#fbe3c8",
}
_OF_RESULTS = "#d9f0d3"


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        label: its text; a line feed begins a new line.
        row: 0 is the uppermost.
        colour: the colour that fills it, as ``#rrggbb``.
        rounded: whether it is an ellipse, in place of a rectangle.
    """

    label: str
    row: int
    colour: str
    rounded: bool = False


@dataclass
class Picture:
    """Boxes in rows and lines between them.

    Attributes:
        title: the text above the picture.
        boxes: maps each box's name, which is a word, to the box.
        lines: pairs of names, from above to below.
        rows: maps the number of a row to the text beside it.
        arrows: whether lines have heads.
    """

    title: str
    arrows: bool = True
    boxes: dict[str, Box] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[int, str] = field(default_factory=dict)


def function_picture(function: VertexFunction) -> Picture:
    """The operations of a vertex function, with inputs above, and scatters and pushes below.

    Colours show the row space of a value: parameters and constants (grey), vertices (blue), edges
    to children (orange), graphs (violet).
    """
    traced = trace(function)
    parameters = {id(p): name for name, p in function.named_parameters()}
    results = [("scatter", *item) for item in traced.function.scatters.items()]
    results += [("push", *item) for item in traced.function.pushes.items()]
    nodes = [node for node in ancestors(traced.function.roots()) if node.op is not RESHAPE]
    rows = _rows_of(nodes)
    names = {node: f"n{number}" for number, node in enumerate(nodes)}
    picture = Picture(traced.name)
    for node in nodes:
        colour = COLOURS.get(node.space.kind, "#ffffff")
        label = _describe(node, parameters)
        picture.boxes[names[node]] = Box(label, rows[node], colour, rounded=not node.inputs)
        picture.lines += [(names[without_reshapes(x)], names[node]) for x in node.inputs]
    for what, name, node in results:
        shown = without_reshapes(node)
        box = f"{what}_{name}"
        picture.boxes[box] = Box(f"{what} {name}", rows[shown] + 1, _OF_RESULTS)
        picture.lines.append((names[shown], box))
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


def _describe(node: Node, parameters: dict[int, str]) -> str:
    attributes = node.attrs
    name = node.op.name
    if node.op is PARAM:
        name = parameters[id(attributes["parameter"])]
    elif node.op is CONSTANT:
        name = f"{attributes['value']:g}"
    elif node.op in (PULL, GATHER):
        name = f"{name} {attributes['name']}"
        if attributes.get("slot") is not None:
            name += f" of child {attributes['slot']}"
    elif node.op is SLICE:
        name = f"slice {attributes['start']}:{attributes['stop']}"
    shape = " x ".join(map(str, node.shape))
    return f"{name}\n{shape}" if shape else name


def tree_picture(tree: LabelledTree) -> Picture:
    """A tree, its root above; a row for each level, whose vertices are computed together."""
    levels = tree.graph.levels.tolist()
    top = max(levels, default=0)
    picture = Picture("", arrows=False, rows={top - i: f"level {i}" for i in range(top + 1)})
    _add_tree(picture, tree, "v", [top - level for level in levels])
    return picture


def forest_picture(trees: Sequence[LabelledTree], title: str) -> Picture:
    """Trees side by side, their roots above; a row for each distance from the root."""
    picture = Picture(title, arrows=False)
    for number, tree in enumerate(trees):
        rows = [0] * tree.num_vertices
        for vertex in reversed(range(tree.num_vertices)):  # parents come before their children
            for child in _present(tree.graph.children[vertex]):
                rows[child] = rows[vertex] + 1
        _add_tree(picture, tree, f"t{number}v", rows)
    return picture


def _add_tree(picture: Picture, tree: LabelledTree, prefix: str, rows: Sequence[int]) -> None:
    """Adds the vertices of a tree, with their rows, and its edges."""
    labels = tree.labels.tolist()
    # From the root on, in reading order, so that a row keeps the order of the words.
    waiting, children = [tree.root], list(map(_present, tree.graph.children))
    while waiting:
        vertex = waiting.pop()
        token = tree.tokens[vertex]
        parts = [] if token is None else [token]
        parts += [str(labels[vertex])] if labels[vertex] >= 0 else []
        picture.boxes[f"{prefix}{vertex}"] = Box(
            "\n".join(parts), rows[vertex], COLOURS[SpaceKind.VERTEX], rounded=not children[vertex]
        )
        picture.lines += [(f"{prefix}{vertex}", f"{prefix}{child}") for child in children[vertex]]
        waiting += reversed(children[vertex])


def _present(children: Sequence[int]) -> list[int]:
    """The children of a list that are there."""
    return [child for child in children if child >= 0]
