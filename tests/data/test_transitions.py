"""Trees as steps of a parser: against a parser that follows them, and brackets by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs.data import (
    REDUCE,
    SHIFT,
    LabelledTree,
    TreeBuilder,
    Vocabulary,
    bracket_f1,
    brackets,
    left_branching,
    parse_tree,
    parsed_trees,
    right_branching,
    transition_dataset,
    transition_graph,
)
from cavs.errors import DataError

WORDS = ["a", "b", "c", "d"]
VOCABULARY = Vocabulary(["<unk>", *WORDS[:3]])


@st.composite
def binary_trees(draw: st.DrawFn) -> LabelledTree:
    """Joins neighbours, in the order of the words from left to right, until one is left."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
    spans: list[object] = list(words)
    while len(spans) > 1:
        at = draw(st.integers(0, len(spans) - 2))
        spans[at : at + 2] = [(spans[at], spans[at + 1])]
    builder = TreeBuilder()

    def add(span: object) -> int:
        if isinstance(span, tuple):
            children = [add(part) for part in span]
            return builder.add(-1, None, children)
        return builder.add(-1, str(span))

    add(spans[0])
    return builder.build()


@given(st.lists(binary_trees(), min_size=1, max_size=4))
def test_a_parser_that_does_what_is_right_comes_to_the_tree(trees: list[LabelledTree]) -> None:
    graphs, inputs = transition_dataset(trees, VOCABULARY).batch(range(len(trees)))
    each = {name: cavs.unbatch(graphs, x) for name, x in inputs.items()}
    for number, (tree, graph) in enumerate(zip(trees, cavs.unbatch(graphs), strict=True)):
        words, stack, read = tree.words(), [0], 0
        assert list(graph.children[0]) == []
        for vertex in range(1, graph.num_vertices):
            assert each["read"][number][vertex - 1] == read
            possible = [SHIFT] * (read < len(words)) + [REDUCE] * (len(stack) > 2)
            action = each["action"][number][vertex - 1]
            assert (action < 0) == (len(possible) == 1)
            if action < 0:
                (action,) = possible
            if action == SHIFT:
                assert list(graph.children[vertex]) == stack[-1:]
                assert each["word"][number][vertex] == VOCABULARY.encode([words[read]])[0]
                read += 1
            else:
                assert list(graph.children[vertex]) == stack[-3:]
                assert each["word"][number][vertex] == -1
                del stack[-2:]
            stack.append(vertex)
        assert (read, len(stack), each["action"][number][-1]) == (len(words), 2, -1)
    back = parsed_trees(graphs, [tree.words() for tree in trees])
    assert [(t.graph, t.tokens) for t in back] == [(t.graph, t.tokens) for t in trees]


def test_other_trees_are_refused() -> None:
    three = parse_tree("(1 (1 a) (1 b) (1 c))")
    with pytest.raises(DataError, match=r"a binary tree .* vertex 3 with 3 children and no word"):
        transition_graph(three)
    with pytest.raises(DataError, match=r"^\[data\] tree 2: expected .* vertex 1 with 1 children"):
        transition_dataset([parse_tree("(1 a)"), parse_tree("(1 (1 a))")], VOCABULARY)
    with pytest.raises(DataError, match=r"vertex 2 with 2 children and the word 'x'"):
        transition_graph(parse_tree("(1 x (1 a) (1 b))"))


def test_brackets() -> None:
    tree = parse_tree("(1 (1 (1 a) (1 b)) (1 (1 c) (1 (1 d) (1 e))))")
    assert brackets(tree) == {(0, 2), (2, 5), (3, 5)}
    right = right_branching(tree.words())
    assert brackets(right) == {(1, 5), (2, 5), (3, 5)}
    assert brackets(left_branching(tree.words())) == {(0, 2), (0, 3), (0, 4)}
    assert bracket_f1([right], [tree]) == pytest.approx(4 / 6)
    assert bracket_f1([right, tree], [tree, tree]) == pytest.approx(10 / 12)
    assert bracket_f1([right_branching(["a"])], [left_branching(["a"])]) == 1.0
    assert bracket_f1([], []) == 1.0


@given(binary_trees())
def test_brackets_are_the_words_below(tree: LabelledTree) -> None:
    def below(vertex: int) -> list[int]:
        children = tree.graph.children[vertex]
        return [leaf for c in children for leaf in below(c)] if children else [vertex]

    leaves = below(tree.root)
    place = {leaf: at for at, leaf in enumerate(leaves)}
    inner = [v for v, c in enumerate(tree.graph.children) if c and v != tree.root]
    spans = [[place[leaf] for leaf in below(v)] for v in inner]
    assert brackets(tree) == {(span[0], span[-1] + 1) for span in spans}
    assert len(brackets(tree)) == len(inner)
    assert [tree.tokens[leaf] for leaf in leaves] == tree.words()


def test_what_is_unknown_reads_as_unknown() -> None:
    tree = parse_tree("(1 (1 a) (1 zebra))")
    _, inputs = transition_dataset([tree], VOCABULARY).batch([0])
    np.testing.assert_array_equal(inputs["word"], [-1, VOCABULARY["a"], 0, -1])
