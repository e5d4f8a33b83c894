"""Pictures in the language of Graphviz."""

from __future__ import annotations

from itertools import pairwise

from cavs.cli._picture import Picture

_HEADER = 'fontname="Helvetica"; node [fontname="Helvetica", fontsize=11]; edge [color="#555555"];'


def quote(text: str) -> str:
    """`text` as a string of dot; a line feed in it begins a new line of a label."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_dot(picture: Picture) -> str:
    """A picture as text of dot; where rows are named, its boxes stay in them."""
    lines = [
        "digraph {",
        f"  {_HEADER}",
        f"  label={quote(picture.title)}; labelloc=t; rankdir=TB; ordering=out;",
    ]
    for name, box in picture.boxes.items():
        shape = "ellipse" if box.rounded else "box"
        lines.append(
            f"  {name} [shape={shape}, style=filled, fillcolor={quote(box.colour)}, "
            f"label={quote(box.label)}];"
        )
    head = "" if picture.arrows else " [arrowhead=none]"
    lines += [f"  {above} -> {below}{head};" for above, below in picture.lines]
    for row, label in picture.rows.items():
        members = " ".join(f"{name};" for name, box in picture.boxes.items() if box.row == row)
        lines.append(
            f"  {{ rank=same; row{row} [shape=plaintext, label={quote(label)}]; {members} }}"
        )
    ordered = sorted(picture.rows)
    lines += [f"  row{above} -> row{below} [style=invis];" for above, below in pairwise(ordered)]
    return "\n".join([*lines, "}"]) + "\n"
