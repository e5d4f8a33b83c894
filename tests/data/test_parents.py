"""Trees as lines of parents: counted from 1, children from left to right."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs.data import parse_parents, read_parents
from cavs.errors import DataError
from cavs.models import NaryTreeLSTM
from cavs.scheduler import InputGraph


def test_children_stand_from_left_to_right_whatever_their_numbers() -> None:
    """((a b) c): the inner vertex has number 4, the leaf on its right number 3."""
    graph = parse_parents("4 4 5 5 0")
    assert graph == InputGraph([[], [], [], [0, 1], [3, 2]])
    left, right = parse_parents("5 4 4 5 0"), parse_parents("4 4 5 5 0")  # (a (b c)), ((a b) c)
    assert left.children[4] == [0, 3]
    assert right.children[4] == [3, 2]


def test_the_order_counts_for_an_nary_cell() -> None:
    """Equal to the tree numbered in post-order, whose siblings stand in order by number too."""
    model = cavs.compile(NaryTreeLSTM(4, 3, 5, 2))
    word, label = np.array([0, 1, 2, -1, -1]), np.zeros(5, int)
    ours = model(parse_parents("4 4 5 5 0"), word=word, label=label)["logits"].data
    graph = InputGraph([[], [], [0, 1], [], [2, 3]])
    theirs = model(graph, word=word[[0, 1, 3, 2, 4]], label=label)["logits"].data
    np.testing.assert_allclose(ours[4], theirs[4], rtol=1e-6)
    swapped = model(InputGraph.from_parents([3, 3, 4, 4, -1]), word=word, label=label)[
        "logits"
    ].data
    assert np.abs(swapped[4] - theirs[4]).max() > 1e-4


@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_any_binary_tree_with_any_numbers_for_inner_vertices(count: int, random: Random) -> None:
    numbers = list(range(count, 2 * count - 1))
    random.shuffle(numbers)
    vertices = list(range(count))
    parents, expected = [0] * (2 * count - 1), {}
    while len(vertices) > 1:
        place = random.randrange(len(vertices) - 1)
        left, right = vertices[place], vertices[place + 1]
        parent = numbers.pop()
        expected[parent] = [left, right]
        parents[left] = parents[right] = parent + 1
        vertices[place : place + 2] = [parent]
    graph = parse_parents(" ".join(map(str, parents)))
    assert {v: c for v, c in enumerate(graph.children) if c} == expected


def test_dependency_trees() -> None:
    """A head among its dependents: they stand by the first word without dependents below each."""
    assert parse_parents("2 5 2 3 0 5").children == [[], [0, 2], [3], [], [1, 5], []]


def test_vertices_of_no_tree_stand_alone() -> None:
    graph = parse_parents("-1 4 4 0 -1")
    assert graph.children == [[], [], [], [1, 2], []]
    assert graph.roots.tolist() == [0, 3, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the parent of each vertex, such as 3 3 0, got an empty line"),
        ("2 x", "column 3: expected the parent of vertex 2, an integer, got 'x'"),
        ("2 0.0", r"column 3: expected the parent of vertex 2, an integer, got '0\.0'"),
        ("0 1 4", r"column 5: expected a parent in -1\.\.3 of vertex 3, got 4"),
        ("0 -2", r"column 3: expected a parent in -1\.\.2 of vertex 2, got -2"),
        ("2 1", "expected one 0, which marks the root, got 0; count vertices from 1"),
        ("0 0", "column 3: expected one 0, which marks the root, got 2"),
        ("0 3 4 2", "column 3: expected a tree, got vertex 2, which is its own descendant"),
        ("0 2", "vertex 2, which is its own descendant"),
        ("99999999999999999999 0", "expected a parent in"),
        ("9" * 5000 + " 0", "column 1: expected a parent in"),
        ("+2 0", r"column 1: expected the parent of vertex 1, an integer, got '\+2'"),
        ("0 0_1", "column 3: expected the parent of vertex 2, an integer, got '0_1'"),
        ("0 \u0661", "column 3: expected the parent of vertex 2, an integer, got '\u0661'"),
        ("\uff12 0", "column 1: expected the parent of vertex 1, an integer, got '\uff12'"),
    ],
)
def test_what_is_no_tree_is_named(text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"^\\[data\\] f, line 7.*{message}"):
        parse_parents(text, source="f", line=7)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "parents.txt"
    path.write_text("3 3 0\n0\r\n4 4 5 5 0\n")
    assert [graph.num_vertices for graph in read_parents(path)] == [3, 1, 5]
    path.write_text("3 3 0\n\n0\n")
    with pytest.raises(DataError, match=r"parents\.txt, line 2: .*empty line"):
        read_parents(path)
    with pytest.raises(DataError, match="no such file"):
        read_parents(tmp_path / "none")
    path.write_text("3 3 0\n2 2\n")
    with pytest.raises(DataError, match=r"parents\.txt, line 2.*one 0"):
        read_parents(path)


def test_deep_chains() -> None:
    count = 50_000
    graph = parse_parents(" ".join(map(str, [*range(2, count + 1), 0])))
    assert graph.depth == count - 1
