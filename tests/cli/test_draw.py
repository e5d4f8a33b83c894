"""Pictures: dot that is well formed, and pictures by Graphviz where it is installed."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cavs.cli import main
from cavs.cli.draw import MODELS


def names_and_edges(text: str) -> tuple[set[str], set[tuple[str, str]]]:
    name = r'(\w+|"[^"]*")'
    nodes = set(re.findall(rf"^  {name} \[", text, re.MULTILINE))
    nodes |= set(re.findall(rf"rank=same; {name} \[", text))
    return nodes, set(re.findall(rf"^  {name} -> {name}", text, re.MULTILINE))


@pytest.mark.parametrize("model", list(MODELS))
def test_a_vertex_function_is_drawn(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", model]) == 0
    text = capsys.readouterr().out
    nodes, edges = names_and_edges(text)
    assert {end for edge in edges for end in edge} <= nodes
    assert {"scatter_h", "push_logits", "push_loss"} <= nodes
    assert text.count("{") == text.count("}")
    for part in ("classifier.weight", "pull label", "gather h", "cross_entropy"):
        assert part in text


def test_a_tree_is_drawn_with_its_levels(tmp_path: Path) -> None:
    path = tmp_path / "tree.dot"
    tree = '(3 (2 (2 "a") (-1 b\\)) (2 c))'.replace("\\", "")
    assert main(["draw", "--tree", tree, "-o", str(path)]) == 0
    text = path.read_text()
    nodes, edges = names_and_edges(text)
    assert {end for edge in edges for end in edge} <= nodes
    assert len([node for node in nodes if node.startswith("v")]) == 5
    assert {"row0", "row2"} <= nodes
    assert "row3" not in nodes
    assert 'label="level 2"' in text
    assert '\\"a\\"\\n2' in text
    assert 'label="b"' in text


def test_missing_children_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tree.dot"
    assert main(["draw", "--tree", "(3 () (2 (1 a) () (0 b)))", "-o", str(path)]) == 0
    nodes, edges = names_and_edges(path.read_text())
    assert len([node for node in nodes if node.startswith("v")]) == 4
    assert {end for edge in edges for end in edge} <= nodes
    assert {("v3", "v2"), ("v2", "v0"), ("v2", "v1")} <= set(edges)


def test_expressions_are_drawn_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "--tree", "[MAX 2 [MIN 4 7 ] ]"]) == 0
    assert 'label="MAX\\n4"' in capsys.readouterr().out


def test_bad_trees_and_endings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draw", "--tree", "(3 (2 a)"]) == 1
    assert "expected ')' for each" in capsys.readouterr().err
    assert main(["draw", "lstm", "-o", str(tmp_path / "a.jpeg")]) == 1
    assert "a file that ends in .svg, .dot, .gv, .png, .pdf" in capsys.readouterr().err
    assert main(["draw", "lstm", "-o", str(tmp_path / "no" / "a.dot")]) == 1
    said = capsys.readouterr().err
    assert f"[cavs] {tmp_path / 'no' / 'a.dot'}: expected a place to read from or write to" in said
    assert said.endswith("got: No such file or directory; check the path\n")


def test_graphviz_is_asked_for_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["draw", "lstm", "-o", str(tmp_path / "a.png")]) == 1
    said = capsys.readouterr().err
    assert "install the system's package graphviz" in said
    assert ".svg, which needs nothing" in said


@pytest.mark.parametrize("suffix", ["svg", "dot", "png", None])
def test_a_tree_that_is_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str | None
) -> None:
    """Bytes that are not UTF-8, as Python takes them from a command line."""
    output = [] if suffix is None else ["-o", str(tmp_path / f"a.{suffix}")]
    assert main(["draw", "--tree", "(1 (2 so) (3 \udc9b))", *output]) == 1
    assert "cavs: [draw] expected UTF-8 text as --tree" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("dot") is None, reason="no Graphviz")
@pytest.mark.parametrize("arguments", [["tree-lstm"], ["--tree", "(3 (2 a) (2 b))"]])
def test_graphviz_draws(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert main(["draw", *arguments, "-o", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


SVG = "{http://www.w3.org/2000/svg}"


def boxes(path: Path) -> list[tuple[float, float, float, float]]:
    """Left, right, top and bottom of each box."""
    found = []
    root = ElementTree.parse(path).getroot()
    for shape in root.iter(f"{SVG}rect"):
        if "rx" in shape.attrib:
            x, y, w, h = (float(shape.attrib[k]) for k in ("x", "y", "width", "height"))
            found.append((x, x + w, y, y + h))
    for shape in root.iter(f"{SVG}ellipse"):
        x, y, rx, ry = (float(shape.attrib[k]) for k in ("cx", "cy", "rx", "ry"))
        found.append((x - rx, x + rx, y - ry, y + ry))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(
        left >= 0 and right <= width and bottom <= height for left, right, _, bottom in found
    )
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        *([model] for model in MODELS),
        ["--tree", "[MAX 2 [MIN 4 7 [SM 1 2 3 ] 5 ] [MED 1 2 ] 3 ]"],
        ["--tree", "(3 (2 <b>) (2 &) (1 \u00e9) (0 (2 x) (2 (1 y) (1 z))))"],
        ["--tree", "(3 alone)"],
    ],
    ids=lambda arguments: arguments[-1][:12],
)
def test_svg_needs_nothing_and_boxes_do_not_overlap(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    assert main(["draw", *arguments, "-o", str(path)]) == 0
    placed = boxes(path)
    assert placed
    for i, (left, right, top, bottom) in enumerate(placed):
        for other_left, other_right, other_top, other_bottom in placed[:i]:
            beside = right <= other_left or other_right <= left
            assert beside or bottom <= other_top or other_bottom <= top
