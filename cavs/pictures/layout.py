"""Where the boxes of a picture stand, and where its lines pass between them."""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import pairwise

from cavs.pictures.picture import Box, Picture

LETTER, LINE, GAP, ROW_GAP = 6.6, 14.0, 16.0, 34.0
_SWEEPS = 24
_WIDTH_OF_LINE = 4.0


class Layout:
    """Rows of boxes, and of points at which a line passes through a row without a box of its own.
    Lines from one box, in a picture with arrows, or to one, without, pass a row at one point.

    Attributes:
        x, y: the middle of each box and point, by name; the first row is at the top, y = 0.
        sizes: width and height of each; a point is as high as its row.
        points: the names of the points.
        lines: pairs of boxes or points of rows that follow each other, from above to below; in a
            tree, of boxes.
        middles: the middle of each row.
        height: of all rows.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.points: set[str] = set()
        self.sizes = {name: _size(box) for name, box in picture.boxes.items()}
        self._groups = {name: box.group for name, box in picture.boxes.items()}
        count = 1 + max((box.row for box in picture.boxes.values()), default=-1)
        self._rows: list[list[str]] = [[] for _ in range(count)]
        for name, box in picture.boxes.items():
            self._rows[box.row].append(name)
        self.lines = list(picture.lines) if picture.tree else self._pass_rows()
        heights = [max((self.sizes[n][1] for n in row), default=0) for row in self._rows]
        if not picture.tree:  # a tree comes in reading order, which must stay
            self._order()
        self.x = self._places()
        self.y: dict[str, float] = {}
        self.middles: list[float] = []
        top = 0.0
        for row, height in zip(self._rows, heights, strict=True):
            self.middles.append(top + height / 2)
            self.y.update(dict.fromkeys(row, top + height / 2))
            self.sizes.update({n: (_WIDTH_OF_LINE, height) for n in row if n in self.points})
            top += height + ROW_GAP
        self.height = top

    def _pass_rows(self) -> list[tuple[str, str]]:
        """Adds the points to the rows; gives the lines."""
        boxes, arrows = self._picture.boxes, self._picture.arrows
        lines: dict[tuple[str, str], None] = {}
        for above, below in self._picture.lines:
            last = above
            for row in range(boxes[above].row + 1, boxes[below].row):
                point = f"{above if arrows else below} {row}"  # names of boxes have no blanks
                if point not in self.points:
                    self.points.add(point)
                    self.sizes[point] = (_WIDTH_OF_LINE, 0.0)
                    self._groups[point] = boxes[above].group
                    self._rows[row].append(point)
                lines[last, point] = None
                last = point
            lines[last, below] = None
        return list(lines)

    def _order(self) -> None:
        """Moves boxes and points to the middle of their neighbours, from above to below those above
        them and back those below them, so that fewer lines cross; keeps the order of the fewest."""
        above, below = self._neighbours(below=False), self._neighbours(above=False)
        fewest, best = None, self._rows
        for sweep in range(_SWEEPS):
            place = {n: i - len(row) / 2 for row in self._rows for i, n in enumerate(row)}
            neighbours, step = (below, -1) if sweep % 2 else (above, 1)
            for row in self._rows[::step]:
                means = {n: _mean([place[x] for x in neighbours[n]], place[n]) for n in row}
                row.sort(key=lambda name: (self._groups[name], means[name]))
                place.update({name: i - len(row) / 2 for i, name in enumerate(row)})
            count = self._crossings()
            if fewest is None or count < fewest:
                fewest, best = count, [list(row) for row in self._rows]
        self._rows = best

    def _crossings(self) -> int:
        """How many pairs of lines between the same two rows cross."""
        place = {name: (r, i) for r, row in enumerate(self._rows) for i, name in enumerate(row)}
        ends: dict[int, list[tuple[int, int]]] = {}
        for above, below in self.lines:
            row, i = place[above]
            ends.setdefault(row, []).append((i, place[below][1]))
        count = 0
        for pairs in ends.values():
            seen: list[int] = []
            for _, below_place in sorted(pairs):
                count += len(seen) - bisect_right(seen, below_place)
                insort(seen, below_place)
        return count

    def _places(self) -> dict[str, float]:
        """The middle of each box: near its neighbours, in the order of its row, without overlap."""
        widths = {name: width for name, (width, _) in self.sizes.items()}
        x: dict[str, float] = {}
        for row in self._rows:
            left = -sum(widths[name] + GAP for name in row) / 2
            for name in row:
                x[name] = left + widths[name] / 2
                left += widths[name] + GAP
        # The leaves of a tree keep their columns, and each vertex stands over its children.
        neighbours = self._neighbours(above=not self._picture.tree)
        for sweep in range(_SWEEPS):
            for row in self._rows[:: 1 if sweep % 2 else -1]:
                wanted = [_mean([x[n] for n in neighbours[name]], x[name]) for name in row]
                for name, place in zip(row, _apart(row, wanted, widths), strict=True):
                    x[name] = place
        return x

    def _neighbours(self, above: bool = True, below: bool = True) -> dict[str, list[str]]:
        """Maps each box to those that lines join it with, above and below it."""
        found: dict[str, list[str]] = {name: [] for name in self.sizes}
        for upper, lower in self.lines:
            if below:
                found[upper].append(lower)
            if above:
                found[lower].append(upper)
        return found


def _size(box: Box) -> tuple[float, float]:
    lines = box.label.split("\n")
    width = max(map(len, lines)) * LETTER + (22 if box.rounded else 14)
    return max(width, 26.0), len(lines) * LINE + (12 if box.rounded else 8)


def _apart(row: list[str], wanted: list[float], widths: dict[str, float]) -> list[float]:
    """Places near `wanted` that keep order and distance: the mean of the places after pushing right
    and after pushing left."""
    needed = [(widths[a] + widths[b]) / 2 + GAP for a, b in pairwise(row)]
    right, left = list(wanted), list(wanted)
    for i, distance in enumerate(needed):
        right[i + 1] = max(right[i + 1], right[i] + distance)
    for i in range(len(needed) - 1, -1, -1):
        left[i] = min(left[i], left[i + 1] - needed[i])
    return [(a + b) / 2 for a, b in zip(left, right, strict=True)]


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default
