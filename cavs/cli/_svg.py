"""Pictures as SVG, laid out here, so that nothing need be installed to draw."""

from __future__ import annotations

from itertools import pairwise
from xml.sax.saxutils import escape

from cavs.cli._picture import Box, Picture

_LETTER, _LINE, _GAP, _ROW_GAP, _MARGIN = 6.6, 14.0, 16.0, 34.0, 20.0
_SWEEPS = 24
_FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="11"'


def to_svg(picture: Picture) -> str:
    """A picture as text of SVG."""
    rows = _order(picture)
    sizes = {name: _size(box) for name, box in picture.boxes.items()}
    x = _places(rows, {name: width for name, (width, _) in sizes.items()}, picture)
    names_of_rows = max((len(label) for label in picture.rows.values()), default=0)
    shift = _MARGIN + names_of_rows * _LETTER + (_GAP if names_of_rows else 0)
    shift -= min((x[n] - sizes[n][0] / 2 for n in x), default=0)
    y, top = {}, _MARGIN + (2 * _LINE if picture.title else 0)
    row_middles = {}
    for number, row in enumerate(rows):
        height = max((sizes[name][1] for name in row), default=0)
        row_middles[number] = top + height / 2
        y.update(dict.fromkeys(row, top + height / 2))
        top += height + _ROW_GAP
    width = shift + _MARGIN + max((x[n] + sizes[n][0] / 2 for n in x), default=0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{top:.0f}" '
        f'viewBox="0 0 {width:.0f} {top:.0f}" {_FONT}>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#555555"/></marker>'
        "</defs>",
        f'<rect width="{width:.0f}" height="{top:.0f}" fill="#ffffff"/>',
    ]
    if picture.title:
        parts.append(_text(width / 2, _MARGIN, picture.title, ' font-weight="bold"'))
    for row_number, label in picture.rows.items():
        middle = row_middles[row_number]
        parts.append(_text(_MARGIN, middle, label, ' fill="#777777"', anchor="start"))
    for above, below in picture.lines:
        start = (x[above] + shift, y[above] + sizes[above][1] / 2)
        end = (x[below] + shift, y[below] - sizes[below][1] / 2)
        parts.append(_line(start, end, picture.arrows))
    for name, box in picture.boxes.items():
        parts += _box(box, x[name] + shift, y[name], *sizes[name])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _size(box: Box) -> tuple[float, float]:
    lines = box.label.split("\n")
    width = max(map(len, lines)) * _LETTER + (22 if box.rounded else 14)
    return max(width, 26.0), len(lines) * _LINE + (12 if box.rounded else 8)


def _order(picture: Picture) -> list[list[str]]:
    """The names in each row, moved to the middle of their neighbours so that fewer lines cross."""
    count = 1 + max((box.row for box in picture.boxes.values()), default=-1)
    rows: list[list[str]] = [[] for _ in range(count)]
    for name, box in picture.boxes.items():
        rows[box.row].append(name)
    if not picture.arrows:
        return rows  # a tree comes in reading order, which must stay
    neighbours = _neighbours(picture)
    for sweep in range(_SWEEPS):
        place = {n: i - len(row) / 2 for row in rows for i, n in enumerate(row)}
        for row in rows[:: 1 if sweep % 2 else -1]:
            row.sort(key=lambda name: _mean([place[n] for n in neighbours[name]], place[name]))
            place.update({name: i - len(row) / 2 for i, name in enumerate(row)})
    return rows


def _places(rows: list[list[str]], widths: dict[str, float], picture: Picture) -> dict[str, float]:
    """The middle of each box: near its neighbours, in the order of its row, without overlap."""
    x: dict[str, float] = {}
    for row in rows:
        left = -sum(widths[name] + _GAP for name in row) / 2
        for name in row:
            x[name] = left + widths[name] / 2
            left += widths[name] + _GAP
    # The leaves of a tree keep their columns, and each vertex stands over its children.
    neighbours = _neighbours(picture, above=picture.arrows)
    for sweep in range(_SWEEPS):
        for row in rows[:: 1 if sweep % 2 else -1]:
            wanted = [_mean([x[n] for n in neighbours[name]], x[name]) for name in row]
            for name, place in zip(row, _apart(row, wanted, widths), strict=True):
                x[name] = place
    return x


def _apart(row: list[str], wanted: list[float], widths: dict[str, float]) -> list[float]:
    """Places near `wanted` that keep order and distance: the mean of the places after pushing right
    and after pushing left."""
    needed = [(widths[a] + widths[b]) / 2 + _GAP for a, b in pairwise(row)]
    right, left = list(wanted), list(wanted)
    for i, distance in enumerate(needed):
        right[i + 1] = max(right[i + 1], right[i] + distance)
    for i in range(len(needed) - 1, -1, -1):
        left[i] = min(left[i], left[i + 1] - needed[i])
    return [(a + b) / 2 for a, b in zip(left, right, strict=True)]


def _neighbours(picture: Picture, above: bool = True) -> dict[str, list[str]]:
    """Maps each box to its neighbours: the boxes below it, and with `above` the boxes above it."""
    found: dict[str, list[str]] = {name: [] for name in picture.boxes}
    for upper, lower in picture.lines:
        found[upper].append(lower)
        if above:
            found[lower].append(upper)
    return found


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _line(start: tuple[float, float], end: tuple[float, float], arrow: bool) -> str:
    """A curve. Without an arrow, in a tree, it turns at once into the column of its lower end,
    where nothing stands between."""
    (x0, y0), (x1, y1) = start, end
    y2 = y1 if arrow else min(y1, y0 + _ROW_GAP)
    bend = min(40.0, (y2 - y0) / 2)
    path = (
        f"M{x0:.1f} {y0:.1f} C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y2 - bend:.1f} {x1:.1f} {y2:.1f} "
        f"V{y1:.1f}"
    )
    head = ' marker-end="url(#head)"' if arrow else ""
    return f'<path d="{path}" fill="none" stroke="#555555"{head}/>'


def _box(box: Box, x: float, y: float, width: float, height: float) -> list[str]:
    style = f'fill="{box.colour}" stroke="#333333"'
    if box.rounded:
        shape = (
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{width / 2:.1f}" ry="{height / 2:.1f}" '
            f"{style}/>"
        )
    else:
        shape = (
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="3" {style}/>'
        )
    lines = box.label.split("\n")
    first = y - (len(lines) - 1) * _LINE / 2
    return [shape, *(_text(x, first + i * _LINE, line) for i, line in enumerate(lines))]


def _text(x: float, y: float, text: str, more: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
