"""Trees in brackets: what is read, what is written back, and what is said of bad files."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.data import (
    LabelledTree,
    Vocabulary,
    brackets,
    format_tree,
    load_sst,
    parse_tree,
    parse_trees,
    production_vocabulary,
    read_trees,
    transition_graph,
    tree_dataset,
    tree_vocabulary,
)
from cavs.errors import DataError, InputError
from cavs.scheduler import InputGraph


class Node(NamedTuple):
    """A tree as a definition would have it."""

    label: int
    word: str | None
    children: tuple["Node", ...] = ()

    def text(self, blank: str = " ") -> str:
        parts = [str(self.label)]
        if self.word is not None:
            parts.append(self.word.replace("/", "\\/").replace("*", "\\*"))
        return "(" + blank.join([*parts, *(child.text(blank) for child in self.children)]) + ")"

    def post_order(self) -> Iterator["Node"]:
        for child in self.children:
            yield from child.post_order()
        yield self


words = st.text(
    st.characters(codec="utf-8", exclude_characters="() \t\n\r\f\v\x1c\x1d\x1e\x1f"), min_size=1
)
labels = st.integers(0, 4)
leaves = st.builds(Node, labels, words, st.just(()))
nodes = st.recursive(
    leaves,
    lambda children: st.builds(
        Node, labels, st.none() | words, st.lists(children, min_size=1, max_size=4).map(tuple)
    ),
    max_leaves=20,
)


@given(nodes, st.sampled_from([" ", "  ", "\t", " \r\n "]))
def test_parse_reads_what_the_definition_says(node: Node, blank: str) -> None:
    tree = parse_tree(node.text(blank), num_classes=5)
    order = list(node.post_order())
    assert tree.tokens == tuple(vertex.word for vertex in order)
    assert tree.labels.tolist() == [vertex.label for vertex in order]
    assert tree.labels.dtype == np.int32
    assert (tree.root, tree.root_label) == (len(order) - 1, node.label)
    for vertex, children in zip(order, tree.graph.children, strict=True):
        assert [order[child] for child in children] == list(vertex.children)
        assert all(child < len(order) for child in children)


@given(nodes)
def test_format_inverts_parse(node: Node) -> None:
    tree = parse_tree(node.text())
    assert format_tree(tree) == str(tree) == node.text()
    assert parse_tree(format_tree(tree)) == tree


def test_an_example() -> None:
    tree = parse_tree("(3 (2 It) (4 (2 's) (4 lovely)))\n")
    assert tree.graph.children == [[], [], [], [1, 2], [0, 3]]
    assert tree.labels.tolist() == [2, 2, 4, 4, 3]
    assert tree.words() == ["It", "'s", "lovely"]
    assert tree.num_vertices == 5
    assert tree != parse_tree("(3 (2 It) (4 (2 's) (3 lovely)))")
    assert tree != "(3 x)"


def test_words_with_brackets_slashes_and_odd_blanks() -> None:
    text = "(2 (2 -LRB-) (2 2\N{NO-BREAK SPACE}1\\/2) (2 \\*\\*) (2 a\N{NEXT LINE}b))"
    tree = parse_tree(text)
    assert tree.words() == ["-LRB-", "2\N{NO-BREAK SPACE}1/2", "**", "a\N{NEXT LINE}b"]
    assert format_tree(tree) == text


def test_one_leaf_is_a_tree() -> None:
    tree = parse_tree(" (2 word) ")
    assert tree.graph.children == [[]]
    assert tree.tokens == ("word",)


def test_depth_is_not_bounded() -> None:
    depth = 100_000
    text = "(1 " * depth + "(0 x)" + ")" * depth
    tree = parse_tree(text)
    assert tree.num_vertices == depth + 1
    assert tree.graph.num_levels == depth + 1
    assert format_tree(tree) == text


def test_missing_children_are_holes_where_allowed() -> None:
    text = "(3 () (2 b) (1 w () () (0 c)) (4 w ()))"
    tree = parse_tree(text, allow_holes=True)
    assert tree.graph.children == [[], [], [-1, -1, 1], [], [-1, 0, 2, 3]]
    assert tree.tokens == ("b", "c", "w", "w", None)
    assert format_tree(tree) == text.replace("(4 w ())", "(4 w)")
    assert parse_tree(format_tree(tree), allow_holes=True) == tree
    assert list(parse_trees([text.replace("()", "( )")], allow_holes=True)) == [tree]
    for wrong in ("(3 ())", "()", "(3 (2 a)) ()", "(3 (2 ()))"):
        with pytest.raises(DataError, match="expected"):
            parse_tree(wrong, allow_holes=True)
    with pytest.raises(DataError, match=r"column 4: expected an integer label after '\('"):
        parse_tree(text)
    with pytest.raises(InputError, match="without holes"):
        production_vocabulary([tree])
    with pytest.raises(DataError, match="binary"):
        transition_graph(parse_tree("(3 () (2 b))", allow_holes=True))
    assert brackets(parse_tree("(3 (1 a) (2 () (0 b) (1 c)))", allow_holes=True)) == {(1, 3)}


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("(3 (2 It) (4 lovely)", 1, "expected ')' for each '(', got 1 not closed"),
        ("(3 (2 It) (4 (2 's)", 11, "expected ')' for each '(', got 2 not closed"),
        ("(3 (2", 4, "expected ')' for each '('"),
        ("(2 a))", 6, "the end of the line after the tree"),
        (")", 1, "expected '(' before it, got unbalanced brackets; remove this ')'"),
        ("(2 a) (2 b)", 7, "the end of the line after the tree"),
        ("(2 a) b", 7, "the end of the line after the tree"),
        ("(3 (x a) (2 b))", 4, "expected an integer label after '(', got 'x'"),
        ("(2.0 a)", 1, "got '2.0'"),
        ("(3 (5 a) (2 b))", 4, "expected a label in [0, 5), got 5"),
        ("(-1 a)", 1, "expected a label in [0, 5), got -1"),
        ("(99999999999 a)", 1, "expected a label in [0, 5), got 99999999999"),
        ("(3 (2) (2 b))", 4, "expected a word or a vertex after the label, got '(2)'"),
        ("(3 () (2 b))", 4, "expected an integer label after '('"),
        ("((3 a))", 1, "expected an integer label after '('"),
        ("(2 big house)", 8, "got a second word"),
        ("(2 (2 a) b)", 10, "or one after the children"),
        ("a b", 1, "expected a tree that begins with '(', got 'a b'"),
    ],
)
def test_bad_trees(text: str, column: int, message: str) -> None:
    with pytest.raises(DataError) as error:
        parse_tree(text, num_classes=5, source="trees.txt", line=7)
    assert str(error.value).startswith(f"[data] trees.txt, line 7, column {column}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text("()2 a\\\n"))
def test_any_text_is_a_tree_or_a_data_error(text: str) -> None:
    try:
        tree = parse_tree(text, num_classes=5)
    except DataError:
        return
    assert parse_tree(format_tree(tree)) == tree


def test_no_tree() -> None:
    with pytest.raises(DataError, match=r"^\[data\] line 1: expected a tree .* empty line"):
        parse_tree("  ")


def test_the_line_within_a_text_of_several_lines() -> None:
    with pytest.raises(DataError, match=r"line 4, column 3: .* got 'x'"):
        parse_tree("(1 (0 a)\n  (x b))", line=3)


def test_labels_without_bounds_and_without_label() -> None:
    assert parse_tree("(2147483647 a)").root_label == 2**31 - 1
    with pytest.raises(DataError, match="got 2147483648"):
        parse_tree("(2147483648 a)")
    assert parse_tree("(-1 a)", num_classes=5, allow_unlabelled=True).root_label == -1
    with pytest.raises(DataError, match=r"\[-1, 5\), got -2"):
        parse_tree("(-2 a)", num_classes=5, allow_unlabelled=True)


def test_trees_from_lines() -> None:
    trees = list(parse_trees(["(1 a)\n", "\n", "(0 (1 b) (1 c))\n"]))
    assert [tree.root_label for tree in trees] == [1, 0]
    with pytest.raises(DataError, match="<stdin>, line 3, column 1"):
        list(parse_trees(["(1 a)", "", "(9 b)"], num_classes=5, source="<stdin>"))


def test_words_that_brackets_cannot_hold() -> None:
    for word in ("a b", "(", "", "a\n"):
        tree = LabelledTree(InputGraph(children=[[]]), np.zeros(1, np.int32), (word,))
        with pytest.raises(InputError, match="without blanks and brackets, got"):
            format_tree(tree)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "trees.txt"
    path.write_bytes("\ufeff(1 a)\r\n\r\n(0 é)\r\n".encode())
    assert [tree.words() for tree in read_trees(path)] == [["a"], ["é"]]

    path.write_text("(1 a)\n(1 (2 b)\n")
    with pytest.raises(DataError) as error:
        read_trees(path)
    assert str(error.value).startswith(f"[data] {path}, line 2, column 1: expected ')' for each")

    path.write_bytes("(1 a)\n(0 é".encode() + b"\xff)\n")
    with pytest.raises(DataError, match="line 2, column 5: expected UTF-8 text, got the byte 0xff"):
        read_trees(path)

    for empty in ("", " \n\n"):
        path.write_text(empty)
        with pytest.raises(DataError, match="got an empty file"):
            read_trees(path)
    with pytest.raises(DataError, match="got no such file"):
        read_trees(tmp_path / "none.txt")
    with pytest.raises(DataError, match="got a directory; name a file in it"):
        read_trees(tmp_path)


def test_a_missing_treebank_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a directory with train.txt, dev.txt and test"):
        load_sst(tmp_path / "none")
    (tmp_path / "train.txt").write_text("(1 a)\n")
    with pytest.raises(DataError, match=r"a directory without dev.txt"):
        load_sst(tmp_path)
    with pytest.raises(DataError, match=r"got a file; check the path"):
        load_sst(tmp_path / "train.txt")


def test_dataset_inputs() -> None:
    trees = [parse_tree("(3 (2 It) (4 works))"), parse_tree("(1 No)")]
    vocabulary = tree_vocabulary(trees[:1])
    dataset = tree_dataset(trees, vocabulary)
    assert vocabulary.tokens == ("<unk>", "It", "works")
    assert dataset.flat("word").tolist() == [1, 2, -1, 0]
    assert dataset.flat("label").tolist() == [2, 4, 3, 1]
    roots = tree_dataset(trees, vocabulary, labels="root").flat("label")
    assert roots.tolist() == [-1, -1, 3, 1]
    assert roots.dtype == np.int32
    with pytest.raises(InputError, match="got 'leaf'"):
        tree_dataset(trees, vocabulary, labels="leaf")  # type: ignore[arg-type]
    assert len(tree_dataset([], Vocabulary(["<unk>"]))) == 0


def test_stanford_sentiment_treebank(sst_dir: Path) -> None:
    corpus = load_sst(sst_dir)
    counts = {
        name: (len(trees), sum(t.num_vertices for t in trees), sum(len(t.words()) for t in trees))
        for name, trees in (("train", corpus.train), ("dev", corpus.dev), ("test", corpus.test))
    }
    assert counts == {
        "train": (8_544, 318_582, 163_563),
        "dev": (1_101, 41_447, 21_274),
        "test": (2_210, 82_600, 42_405),
    }
    assert len(tree_vocabulary(corpus.train)) == 18_280 + 1
    parts = (corpus.train[:400], corpus.train[4800:5200], corpus.dev[:400])
    assert [sum(int(t.labels[-1]) >= 3 for t in part) for part in parts] == [325, 25, 307]
    lines = (sst_dir / "test.txt").read_text(encoding="utf-8").split("\n")
    assert [format_tree(tree) for tree in corpus.test] == lines[:-1]
    arities = {len(children) for tree in corpus.test for children in tree.graph.children}
    assert arities == {0, 2}


@pytest.mark.parametrize("text", ["(a (fine film))", "(x word)", "((1 a) (2 b))", "(1 (b) (2 c))"])
def test_a_label_that_is_missing_may_be_written_as_none_where_that_is_allowed(text: str) -> None:
    with pytest.raises(
        DataError, match=r"expected an integer label .*; write -1 where there is no"
    ):
        parse_tree(text, allow_unlabelled=True)
    with pytest.raises(DataError, match=r"; (correct the label|write the label first)$"):
        parse_tree(text)
    with pytest.raises(DataError, match=r"write one such as \(-1 \(-1 so\) \(-1 good\)\)"):
        parse_tree("so", allow_unlabelled=True)
