"""Pictures in the language of Graphviz."""

from __future__ import annotations

from html import escape
from itertools import pairwise

from cavs.pictures.picture import Box, Key, Picture

_HEADER = 'fontname="Helvetica"; node [fontname="Helvetica", fontsize=11]; edge [color="#555555"];'


def quote(text: str) -> str:
    """`text` as a string of dot; a line feed in it begins a new line of a label."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_dot(picture: Picture) -> str:
    """A picture as text of dot; where rows are named, its boxes stay in them."""
    order = " ordering=out;" if picture.tree or picture.arrows else ""
    lines = [
        "digraph {",
        f"  {_HEADER}",
        f"  label={_label(picture)}; labelloc=t; rankdir=TB;{order}",
    ]
    for name, box in picture.boxes.items():
        shape = "ellipse" if box.rounded else "box"
        lines.append(
            f"  {name} [shape={shape}, style=filled, fillcolor={quote(box.colour)}, "
            f"{_border(box)}label={quote(box.label)}];"
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


def _border(box: Box) -> str:
    return f"color={quote(box.outline)}, penwidth=2, " if box.outline else ""


def _label(picture: Picture) -> str:
    """The title, and below it what colours mean."""
    if not picture.keys:
        return quote(picture.title)
    cells = "".join(map(_cell, picture.keys))
    title = escape(picture.title) or " "
    span = len(picture.keys)
    return (
        f'<<TABLE BORDER="0" CELLSPACING="6"><TR><TD COLSPAN="{span}">{title}</TD></TR>'
        f"<TR>{cells}</TR></TABLE>>"
    )


def _cell(key: Key) -> str:
    border = f'COLOR="{key.outline or "#333333"}" BORDER="{2 if key.outline else 1}"'
    return (
        f'<TD BGCOLOR="{key.colour}" {border}><FONT POINT-SIZE="11">{escape(key.label)}</FONT></TD>'
    )
