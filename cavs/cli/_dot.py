"""Graphviz's language: a vertex function as a graph of operations, a tree as a graph of levels."""

from __future__ import annotations

from cavs.core.ir import Node, ancestors
from cavs.core.trace import trace
from cavs.core.vertex import VertexFunction
from cavs.data import LabelledTree

_COLOURS = {
    "none": "#eeeeee",
    "graph": "#e2d6f3",
    "vertex": "#d6e6f5",
    "edge": "#fbe3c8",
}
_HEADER = 'fontname="Helvetica"; node [fontname="Helvetica", fontsize=11]; edge [color="#555555"];'


def quote(text: str) -> str:
    """`text` as a string of dot; a line feed in it begins a new line of a label."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def function_dot(function: VertexFunction) -> str:
    """The operations of a vertex function, inputs above and what it scatters and pushes below.

    Colours say what a value has rows for: parameters and constants (grey), vertices (blue), edges
    to children (orange), graphs (violet).
    """
    traced = trace(function)
    parameters = {id(p): name for name, p in function.named_parameters()}
    nodes = [node for node in ancestors(traced.function.roots()) if node.op.name != "reshape"]
    names = {node: f"n{number}" for number, node in enumerate(nodes)}
    lines = [
        f"digraph {quote(traced.name)} {{",
        f"  {_HEADER}",
        f"  label={quote(traced.name)}; labelloc=t; rankdir=TB;",
    ]
    for node in nodes:
        lines.append(
            f"  {names[node]} [shape={'box' if node.inputs else 'ellipse'}, style=filled, "
            f"fillcolor={quote(_COLOURS.get(node.space, '#ffffff'))}, "
            f"label={quote(_describe(node, parameters))}];"
        )
        lines += [f"  {names[_behind(x)]} -> {names[node]};" for x in node.inputs]
    for what, results in (("scatter", traced.function.scatters), ("push", traced.function.pushes)):
        for name, node in results.items():
            target = quote(f"{what} {name}")
            lines.append(f"  {target} [shape=cds, style=filled, fillcolor={quote('#d9f0d3')}];")
            lines.append(f"  {names[_behind(node)]} -> {target};")
    return "\n".join([*lines, "}"]) + "\n"


def _behind(node: Node) -> Node:
    """What stands behind reshapes, which change nothing that a picture could show."""
    while node.op.name == "reshape":
        node = node.inputs[0]
    return node


def _describe(node: Node, parameters: dict[int, str]) -> str:
    attributes = node.attrs
    name = node.op.name
    if name == "param":
        name = parameters[id(attributes["parameter"])]
    elif name == "constant":
        name = f"{attributes['value']:g}"
    elif name in ("pull", "gather"):
        name = f"{name} {attributes['name']}"
        if attributes.get("slot") is not None:
            name += f" of child {attributes['slot']}"
    elif name == "slice":
        name = f"slice {attributes['start']}:{attributes['stop']}"
    shape = " x ".join(map(str, node.shape))
    return f"{name}\n{shape}" if shape else name


def tree_dot(tree: LabelledTree) -> str:
    """A tree, its root above; a row for each level, whose vertices are computed together."""
    levels = tree.graph.levels.tolist()
    labels = tree.labels.tolist()
    lines = ["digraph tree {", f"  {_HEADER}", "  rankdir=TB; ordering=out;"]
    for vertex, token in enumerate(tree.tokens):
        parts = [token] if token is not None else []
        parts += [str(labels[vertex])] if labels[vertex] >= 0 else []
        lines.append(
            f"  v{vertex} [shape={'box' if levels[vertex] else 'ellipse'}, style=filled, "
            f"fillcolor={quote(_COLOURS['vertex'])}, label={quote(chr(10).join(parts))}];"
        )
    for vertex, children in enumerate(tree.graph.children):
        lines += [f"  v{vertex} -> v{child} [arrowhead=none];" for child in children]
    top = max(levels, default=0)
    for level in range(top, -1, -1):
        members = " ".join(f"v{v};" for v, own in enumerate(levels) if own == level)
        lines.append(
            f"  {{ rank=same; level{level} [shape=plaintext, label={quote(f'level {level}')}]; "
            f"{members} }}"
        )
    lines += [f"  level{level} -> level{level - 1} [style=invis];" for level in range(top, 0, -1)]
    return "\n".join([*lines, "}"]) + "\n"
