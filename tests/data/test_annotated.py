"""Trees with words, labels and relations as text."""

from typing import Any

import pytest

import cavs
from cavs.data import AnnotatedTree, Vocabulary, annotated_dataset, sentence_tree
from cavs.errors import InputError

GRAPH = cavs.InputGraph([[1, -1, 2], [], []])


def test_a_labelled_tree_keeps_order_and_holes() -> None:
    tree = AnnotatedTree(GRAPH, ("top", "a", None), ("X", None, "Y"), (None, "l", "r"))
    labels = Vocabulary(["X", "Y"], unknown=None)
    made = tree.labelled(labels)
    assert made.graph.children == [[], [], [0, -1, 1]]
    assert made.tokens == ("a", None, "top")
    assert made.labels.tolist() == [-1, 1, 0]
    assert tree.words() == ["top", "a"]
    assert tree.root == 0
    assert tree.edge_relations() == ["l", "r"]
    dataset = annotated_dataset([tree], Vocabulary(["<unk>", "a"]), relations=Vocabulary(["<unk>"]))
    assert dataset.flat("word").tolist() == [0, 1, -1]
    assert dataset.flat("relation").tolist() == [0, 0]


def test_a_sentence_is_a_chain() -> None:
    tree = sentence_tree(["a", "b"])
    assert tree.graph.children == [[], [0]]
    assert (tree.tokens, tree.labels, tree.relations) == (("a", "b"), (None, None), (None, None))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ((3, (), (), ()), "an input graph as graph, got 3"),
        ((GRAPH, ("a",), (None,) * 3, (None,) * 3), "expected 3 tokens, .* got 1"),
        ((GRAPH, ("a", "b", 3), (None,) * 3, (None,) * 3), "texts as tokens, got 3 at 2"),
    ],
)
def test_fields_that_do_not_fit(fields: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        AnnotatedTree(*fields)


def test_no_vertices_have_no_root() -> None:
    with pytest.raises(InputError, match="a tree with a root, got no vertices"):
        sentence_tree([]).root  # noqa: B018
