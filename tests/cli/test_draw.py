"""Pictures: dot that is well formed, and pictures by Graphviz where it is installed."""

import shutil
from pathlib import Path

import pytest
from svg_boxes import assert_apart, assert_lines_pass_between, boxes, names_and_edges, texts

from cavs.cli import main
from cavs.cli.draw import MODELS


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
    assert_apart(placed)
    assert_lines_pass_between(path, placed)


def test_a_tree_with_types_is_drawn_by_batches(tmp_path: Path) -> None:
    path = tmp_path / "tree.svg"
    tree = "(3 (2 (2 a) (1 (2 fine) (2 day))) (3 (2 x) (2 y)))"
    assert main(["draw", "--tree", tree, "--types", "shape", "-o", str(path)]) == 0
    assert {"leaf", "left", "right", "level 3", "fine"} <= set(texts(path))
    wanted = ["--types", "shape", "--policy", "bound", "-o", str(path)]
    assert main(["draw", "--tree", tree, *wanted]) == 0
    found = texts(path)
    assert "9 vertices in 4 batches, 4 steps, by policy bound" in found
    assert {"step 0, batch 0: leaf", "step 3, batch 3: left"} <= set(found)
    assert_apart(boxes(path))


def test_a_graph_with_types_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    graph = ["draw", "--graph", "[[], [0], [1], [0], [2, 3]]"]
    assert main(graph) == 0
    nodes, edges = names_and_edges(capsys.readouterr().out)
    lines = {edge for edge in edges if edge[0].startswith("v")}
    assert lines == {("v1", "v0"), ("v2", "v1"), ("v3", "v0"), ("v4", "v2"), ("v4", "v3")}
    assert {"row0", "row3"} <= nodes
    assert main([*graph, "--types", "char,char,char,word,char", "--policy", "bound"]) == 0
    text = capsys.readouterr().out
    assert "5 vertices in 5 batches" in text
    assert ">char<" in text
    assert ">word<" in text


@pytest.mark.parametrize(
    ("arguments", "types"),
    [
        (["tree-lstm", "--types", "shape"], ["leaf", "left", "right"]),
        (["nary-tree-lstm", "--types", "shape"], ["leaf", "left", "right"]),
        (["lattice-lstm"], ["char", "word"]),
        (["tagger"], ["word", "before", "tag"]),
        (["seq2seq"], ["encoder", "decoder"]),
    ],
    ids=str,
)
def test_functions_of_types(arguments: list[str], types: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    assert main(["draw", *arguments, "-o", str(path)]) == 0
    assert set(types) <= set(texts(path))
    assert_apart(boxes(path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tree", "(3 a)", "--policy", "bound"], "--policy with a --tree or --graph that has"),
        (["lstm", "--policy", "bound"], "--policy with a --tree or --graph that has --types"),
        (["lstm", "--types", "shape"], "--types shape, of tree-lstm or nary-tree-lstm, got 'sha"),
        (["tree-lstm", "--types", "size"], "--types shape, of tree-lstm or nary-tree-lstm, got"),
        (["--tree", "(3 a)", "--types", "size"], "--types shape with --tree, got 'size'; types"),
        (["--graph", "[[], [0"], "a list of the children of each vertex as --graph, got '[[], "),
        (["--graph", "[[0.5]]"], "a list of the children of each vertex as --graph, got '[[0.5"),
        (["--graph", "[[true]]"], "a list of the children of each vertex as --graph, got '[[tru"),
        (["--graph", "[" * 9999], "a list of the children of each vertex as --graph, got"),
        (["--graph", "[[1], [0]]"], "no vertex to be its own descendant, got vertices 0 -> 1"),
        (
            ["--graph", "[[], []]", "--types", "a"],
            "2 elements in types (one for each vertex), got",
        ),
    ],
    ids=str,
)
def test_wrong_types_and_graphs(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["draw", *arguments]) == 1
    error = capsys.readouterr().err
    assert f"expected {said}" in error
    assert error.count("\n") == 1
