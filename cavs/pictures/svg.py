"""Pictures as SVG, laid out here, so that nothing need be installed to draw."""

from __future__ import annotations

from xml.sax.saxutils import escape

from cavs.pictures.layout import GAP, LETTER, LINE, ROW_GAP, Layout
from cavs.pictures.picture import Box, Key, Picture

_MARGIN, _KEY, _LEAST_WIDTH = 20.0, 12.0, 480.0
_FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="11"'


def to_svg(picture: Picture) -> str:
    """A picture as text of SVG."""
    layout = Layout(picture)
    x, sizes = layout.x, layout.sizes
    names_of_rows = max((len(label) for label in picture.rows.values()), default=0)
    shift = _MARGIN + names_of_rows * LETTER + (GAP if names_of_rows else 0)
    shift -= min((x[n] - sizes[n][0] / 2 for n in x), default=0)
    width = shift + _MARGIN + max((x[n] + sizes[n][0] / 2 for n in x), default=0)
    width = max(width, 2 * _MARGIN + len(picture.title) * LETTER)
    top = _MARGIN + (2 * LINE if picture.title else 0)
    keys, width, top = _keys(picture.keys, width, top)
    height = top + layout.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" {_FONT}>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#555555"/></marker>'
        "</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    if picture.title:
        parts.append(_text(width / 2, _MARGIN, picture.title, ' font-weight="bold"'))
    parts += keys
    for row_number, label in picture.rows.items():
        middle = top + layout.middles[row_number]
        parts.append(_text(_MARGIN, middle, label, ' fill="#777777"', anchor="start"))
    y = {name: top + middle for name, middle in layout.y.items()}
    for above, below in layout.lines:
        start = (x[above] + shift, y[above] + sizes[above][1] / 2)
        end = (x[below] + shift, y[below] - sizes[below][1] / 2)
        parts.append(_line(start, end, picture, head=below not in layout.points))
    for name in sorted(layout.points):
        half = sizes[name][1] / 2
        path = f"M{x[name] + shift:.1f} {y[name] - half:.1f} V{y[name] + half:.1f}"
        parts.append(f'<path d="{path}" fill="none" stroke="#555555"/>')
    for name, box in picture.boxes.items():
        parts += _box(box, x[name] + shift, y[name], *sizes[name])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _keys(keys: list[Key], width: float, top: float) -> tuple[list[str], float, float]:
    """What colours mean, side by side, in as many lines as it takes; with the width of the picture,
    and the place below."""
    if not keys:
        return [], width, top
    wide = [_KEY + 6 + len(key.label) * LETTER + GAP for key in keys]
    width = max(width, min(_LEAST_WIDTH, 2 * _MARGIN + sum(wide)), 2 * _MARGIN + max(wide))
    parts, x = [], _MARGIN
    for key, needed in zip(keys, wide, strict=True):
        if x + needed > width - _MARGIN + GAP and x > _MARGIN:
            x, top = _MARGIN, top + LINE + 4
        parts.append(
            f'<rect x="{x:.1f}" y="{top - _KEY / 2:.1f}" width="{_KEY}" height="{_KEY}" '
            f"{_style(key)}/>"
        )
        parts.append(_text(x + _KEY + 6, top, key.label, anchor="start"))
        x += needed
    return parts, width, top + 2 * LINE


def _style(box: Box | Key) -> str:
    border = f'stroke="{box.outline}" stroke-width="2"' if box.outline else 'stroke="#333333"'
    return f'fill="{box.colour}" {border}'


def _line(
    start: tuple[float, float], end: tuple[float, float], picture: Picture, head: bool
) -> str:
    """A curve. In a tree it turns at once into the column of its lower end, where nothing stands
    between."""
    (x0, y0), (x1, y1) = start, end
    y2 = min(y1, y0 + ROW_GAP) if picture.tree else y1
    bend = min(40.0, (y2 - y0) / 2)
    path = (
        f"M{x0:.1f} {y0:.1f} C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y2 - bend:.1f} {x1:.1f} {y2:.1f} "
        f"V{y1:.1f}"
    )
    marker = ' marker-end="url(#head)"' if head and picture.arrows else ""
    return f'<path d="{path}" fill="none" stroke="#555555"{marker}/>'


def _box(box: Box, x: float, y: float, width: float, height: float) -> list[str]:
    if box.rounded:
        shape = (
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{width / 2:.1f}" ry="{height / 2:.1f}" '
            f"{_style(box)}/>"
        )
    else:
        shape = (
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="3" {_style(box)}/>'
        )
    lines = box.label.split("\n")
    first = y - (len(lines) - 1) * LINE / 2
    return [shape, *(_text(x, first + i * LINE, line) for i, line in enumerate(lines))]


def _text(x: float, y: float, text: str, more: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
