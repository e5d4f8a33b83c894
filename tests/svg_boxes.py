"""What an SVG file of a picture shows, and that its boxes stand apart."""

import re
from pathlib import Path
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
Rectangle = tuple[float, float, float, float]


def boxes(path: Path) -> list[Rectangle]:
    """Left, right, top and bottom of each box; all are inside the picture."""
    found = []
    root = ElementTree.parse(path).getroot()
    for shape in root.iter(f"{_SVG}rect"):
        if "rx" in shape.attrib:
            x, y, w, h = (float(shape.attrib[k]) for k in ("x", "y", "width", "height"))
            found.append((x, x + w, y, y + h))
    for shape in root.iter(f"{_SVG}ellipse"):
        x, y, rx, ry = (float(shape.attrib[k]) for k in ("cx", "cy", "rx", "ry"))
        found.append((x - rx, x + rx, y - ry, y + ry))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(
        left >= 0 and right <= width and bottom <= height for left, right, _, bottom in found
    )
    return found


def assert_apart(placed: list[Rectangle]) -> None:
    """No two boxes overlap."""
    for i, (left, right, top, bottom) in enumerate(placed):
        for other_left, other_right, other_top, other_bottom in placed[:i]:
            beside = right <= other_left or other_right <= left
            assert beside or bottom <= other_top or other_bottom <= top


def assert_lines_pass_between(path: Path, placed: list[Rectangle]) -> None:
    """No line passes through a box: in the rows of others it is straight down, beside them."""
    root = ElementTree.parse(path).getroot()
    for line in root.iter(f"{_SVG}path"):
        found = re.fullmatch(r"M([\d.]+) ([\d.]+) V([\d.]+)", line.attrib["d"])
        if found:
            x, first, last = map(float, found.groups())
            for left, right, top, bottom in placed:
                assert not (left < x < right and first < bottom and top < last)


def texts(path: Path) -> list[str]:
    """All texts, in the order of the file."""
    return [each.text or "" for each in ElementTree.parse(path).getroot().iter(f"{_SVG}text")]


def names_and_edges(text: str) -> tuple[set[str], set[tuple[str, str]]]:
    """The names of boxes and the lines in text of dot."""
    name = r'(\w+|"[^"]*")'
    nodes = set(re.findall(rf"^  {name} \[", text, re.MULTILINE))
    nodes |= set(re.findall(rf"rank=same; {name} \[", text))
    return nodes, set(re.findall(rf"^  {name} -> {name}", text, re.MULTILINE))
