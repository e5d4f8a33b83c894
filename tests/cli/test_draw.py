"""Pictures: dot that is well formed, and pictures by Graphviz where it is installed."""

import re
import shutil
from pathlib import Path

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
    assert {'"scatter h"', '"push logits"', '"push loss"'} <= nodes
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
    assert "level2" in nodes
    assert "level3" not in nodes
    assert '\\"a\\"\\n2' in text
    assert 'label="b"' in text


def test_expressions_are_drawn_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "--tree", "[MAX 2 [MIN 4 7 ] ]"]) == 0
    assert 'label="MAX\\n4"' in capsys.readouterr().out


def test_bad_trees_and_endings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draw", "--tree", "(3 (2 a)"]) == 1
    assert "unbalanced brackets" in capsys.readouterr().err
    assert main(["draw", "lstm", "-o", str(tmp_path / "a.jpeg")]) == 1
    assert "a file that ends in .dot, .gv, .svg, .png, .pdf" in capsys.readouterr().err
    assert main(["draw", "lstm", "-o", str(tmp_path / "no" / "a.dot")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_graphviz_is_asked_for_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["draw", "lstm", "-o", str(tmp_path / "a.svg")]) == 1
    said = capsys.readouterr().err
    assert "install the system's package graphviz" in said
    assert ".dot file, which needs nothing" in said


@pytest.mark.skipif(shutil.which("dot") is None, reason="no Graphviz")
def test_graphviz_draws(tmp_path: Path) -> None:
    for number, arguments in enumerate((["tree-lstm"], ["--tree", "(3 (2 a) (2 b))"])):
        path = tmp_path / f"{number}.svg"
        assert main(["draw", *arguments, "-o", str(path)]) == 0
        assert "<svg" in path.read_text()
