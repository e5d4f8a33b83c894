"""Constituency trees as the Penn Treebank writes them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.data import AnnotatedTree, Vocabulary, head_child, parse_penn, phrase_tree, read_penn
from cavs.errors import DataError, InputError

FILE = r"""
( (S
    (NP-SBJ-1 (DT The) (JJ old) (NN cat) )
    (VP (VBD was)
      (VP (VBN seen)
        (NP (-NONE- *-1) )
        (PP (-NONE- *ICH*-2) )
        (PP-LGS (IN by)
          (NP (CD 1\/2) (-LRB- -LRB-) (NNS dogs) ))))
    (. .) ))
( (FRAG (NP (NN Rain)) (. .)))
(TOP (X (-NONE- 0)))
"""


def _shown(tree: AnnotatedTree, vertex: int | None = None) -> str:
    """The tree in brackets, by its definition."""
    vertex = tree.root if vertex is None else vertex
    below = [_shown(tree, child) for child in tree.graph.children[vertex]]
    word = tree.tokens[vertex]
    return f"({' '.join([str(tree.labels[vertex]), *([word] if word else []), *below])})"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "wsj.mrg"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.mark.parametrize("progress", [False, True])
def test_a_file_is_read(path: Path, progress: bool) -> None:
    first, second = read_penn(path, progress=progress)
    assert _shown(first) == (
        "(S (NP-SBJ-1 (DT The) (JJ old) (NN cat)) (VP (VBD was) (VP (VBN seen) (PP-LGS (IN by) "
        "(NP (CD 1/2) (-LRB- -LRB-) (NNS dogs))))) (. .))"
    )
    assert _shown(second) == "(FRAG (NP (NN Rain)) (. .))"
    assert first.words() == ["The", "old", "cat", "was", "seen", "by", "1/2", "-LRB-", "dogs", "."]
    assert first.root == first.num_vertices - 1
    assert all(c < v for v, children in enumerate(first.graph.children) for c in children)


def test_null_elements_and_function_tags(path: Path) -> None:
    first, _, third = read_penn(path, keep_null=True, functions=False)
    assert "(VBN seen) (NP (-NONE- *-1)) (PP (-NONE- *ICH*-2)) (PP (IN by)" in _shown(first)
    assert "(S (NP (DT The)" in _shown(first)
    assert _shown(third) == "(TOP (X (-NONE- 0)))"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("right", "(NP (DT the) (@NP (JJ old) (@NP (NN cat) (PP (IN in)))))"),
        ("left", "(NP (@NP (@NP (DT the) (JJ old)) (NN cat)) (PP (IN in)))"),
        ("head", "(NP (DT the) (@NP (JJ old) (@NP (NN cat) (PP (IN in)))))"),
        (None, "(NP (DT the) (JJ old) (NN cat) (PP (IN in)))"),
    ],
)
def test_binarisation(how: Any, expected: str) -> None:
    tree = parse_penn("(NP (DT the) (JJ old) (NN cat) (PP (IN in)))", binarize=how)
    assert _shown(tree) == expected


def test_binarisation_around_a_head_and_with_another_marker() -> None:
    tree = parse_penn("(S-1 (A a) (VP v) (B b) (C c))", binarize="head", marker="*")
    assert _shown(tree) == "(S-1 (A a) (*S-1 (*S-1 (VP v) (B b)) (C c)))"
    bare = parse_penn("(S-1 (A a) (VP v) (B b) (C c))", binarize="head", functions=False)
    assert _shown(bare) == "(S (A a) (@S (@S (VP v) (B b)) (C c)))"


@pytest.mark.parametrize(
    ("parent", "children", "head"),
    [
        ("S", "NP VP .", 1),
        ("VP", "VBD NP PP", 0),
        ("VP", "MD RB VP", 0),
        ("PP-LOC", "IN NP", 0),
        ("NP", "DT JJ NN", 2),
        ("NP", "NP PP", 0),
        ("NP", "NP POS", 1),
        ("NP", "DT CD", 1),
        ("NP", "NN CC NN", 0),
        ("NP-SBJ", "NNP , NNP", 2),
        ("ADJP", "RB JJ", 1),
        ("ADVP", "RB RB", 1),
        ("QP", "IN CD NNS", 0),
        ("SBAR", "IN S", 0),
        ("WHNP", "WP$ NN", 0),
        ("XX", "A B", 0),
        ("UCP", "A B", 1),
    ],
)
def test_heads(parent: str, children: str, head: int) -> None:
    assert head_child(parent, children.split()) == head


@st.composite
def texts(draw: st.DrawFn, depth: int = 3) -> str:
    label = draw(st.sampled_from(["S", "NP", "VP", "PP"]))
    if depth == 0 or draw(st.booleans()):
        return f"({label} {draw(st.sampled_from(['a', 'b']))})"
    below = [draw(texts(depth - 1)) for _ in range(draw(st.integers(1, 4)))]
    return f"({label} {' '.join(below)})"


@given(texts(), st.sampled_from(["left", "right", "head"]))
def test_binary_trees_keep_their_words_and_phrases(text: str, how: str) -> None:
    plain, binary = parse_penn(text), parse_penn(text, binarize=how)
    assert _shown(plain) == text
    assert binary.words() == plain.words()
    assert max(map(len, binary.graph.children)) <= 2
    kept = [label for label in binary.labels if label and not label.startswith("@")]
    assert kept == list(plain.labels)
    assert len(binary.graph.roots) == 1


@given(texts())
def test_trees_of_nltk_are_the_same(text: str) -> None:
    nltk = pytest.importorskip("nltk")
    assert phrase_tree(nltk.Tree.fromstring(text)) == parse_penn(text)


def test_labelled_trees_are_made_by_a_vocabulary() -> None:
    given = parse_penn("(S (NP it) (VP rains))")
    assert (
        str(given.labelled(Vocabulary(["S", "NP", "VP"], unknown=None))) == "(0 (1 it) (2 rains))"
    )
    with pytest.raises(InputError, match="'VP', and there is no unknown token"):
        given.labelled(Vocabulary(["S", "NP"], unknown=None))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("(S (NP a)", "line 1, column 1", r"expected '\)' for each '\(', got 1 not closed"),
        ("(S\n (NP a\n (B b)))", "line 3, column 2", r"expected '\)' behind a word"),
        ("(S (NP a)))", "line 1, column 11", "unbalanced brackets"),
        ("(S (NP a b))", "line 1, column 10", "one word alone behind its tag, got 'b'"),
        ("(S (NP a) b)", "line 1, column 11", "one word alone"),
        ("(S\n(NP))", "line 2, column 1", r"a word or phrases in each bracket, got '\(NP\)'"),
        ("(S ())", "line 1, column 4", "a word or phrases"),
        ("S (NP a)", "line 1, column 1", r"expected '\(' before a tree, got 'S'"),
        ("((NP a) b)", "line 1, column 9", "one word alone"),
    ],
)
def test_errors_name_line_and_column(tmp_path: Path, text: str, place: str, message: str) -> None:
    path = tmp_path / "broken.mrg"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"\[data\] {path}, {place}: .*{message}"):
        read_penn(path)


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="binarize among 'left', 'right', 'head', got 'middle'"):
        parse_penn("(A a)", binarize="middle")
    for text in ("(A a) (B b)", "(A (-NONE- 0))", ""):
        with pytest.raises(InputError, match="expected one tree with words"):
            parse_penn(text)
    with pytest.raises(InputError, match=r"expected an nltk\.Tree, got 'a'"):
        phrase_tree("a")
    nltk = pytest.importorskip("nltk")
    with pytest.raises(InputError, match="one word alone"):
        phrase_tree(nltk.Tree("S", ["a", "b"]))
