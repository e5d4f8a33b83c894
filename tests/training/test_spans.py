"""Spans that tags spell, against a loop over the tags."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.training.spans import SpanCounts, Spelling

# B-A, M-A, E-A, outside, S-B, and B-C, E-C, which no training sequence has.
B, M, E, OUT, S, OTHER_B, OTHER_E = range(7)
TRAIN = [
    np.array(tags)
    for tags in ([OUT, OUT, B, M, E, OUT, OUT], [B, E, S, OUT, OUT], [], [S, B, E, OUT])
]
SPELLING = Spelling.of(TRAIN, 7)


def spans(spelling: Spelling, tags: list[int]) -> set[tuple[int, tuple[int, ...]]]:
    """Begin and tags of each span."""
    found: list[tuple[int, list[int]]] = []
    goes_on = False
    for place, tag in enumerate(tags):
        if tag == spelling.outside:
            goes_on = False
        elif goes_on and not spelling.begins[tag]:
            found[-1][1].append(tag)
        else:
            found.append((place, [tag]))
            goes_on = True
    return {(place, tuple(some)) for place, some in found}


def test_the_training_set_says_how_tags_spell() -> None:
    assert SPELLING.outside == OUT
    assert np.flatnonzero(SPELLING.begins).tolist() == [B, S]
    assert spans(SPELLING, [S, B, M, E, B, E, OUT, S]) == {
        (0, (S,)),
        (1, (B, M, E)),
        (4, (B, E)),
        (7, (S,)),
    }


@pytest.mark.parametrize(("outside", "begins"), [(OUT, [B, S]), (-1, [B, OUT, S]), (S, [B, OUT])])
def test_the_outside_tag_may_be_given(outside: int, begins: list[int]) -> None:
    found = Spelling.of(TRAIN, 7, outside)
    assert found.outside == outside
    assert np.flatnonzero(found.begins).tolist() == begins


def test_words_without_an_outside_tag() -> None:
    """Segmentation: every character is in a word."""
    found = Spelling.of([np.array([0, 1, 2, 3]), np.array([3, 0, 2])], 4, -1)
    assert np.flatnonzero(found.begins).tolist() == [0, 3]
    counts = SpanCounts()
    first = np.array([True, False, False, False])
    counts.add(found, np.array([0, 2, 3, 3]), np.array([0, 2, 0, 2]), first)
    assert (counts.right, counts.predicted, counts.gold) == (1, 3, 2)


Sequences = st.lists(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8), max_size=5
)


@given(pairs=Sequences, outside=st.sampled_from([None, -1, OUT]))
def test_spans_are_those_of_a_loop(pairs: list[list[tuple[int, int]]], outside: int | None) -> None:
    spelling = Spelling.of(TRAIN, 7, outside)
    right = predicted = gold = 0
    for sequence in pairs:
        theirs = spans(spelling, [tag for tag, _ in sequence])
        ours = spans(spelling, [tag for _, tag in sequence])
        right += len(theirs & ours)
        predicted += len(theirs)
        gold += len(ours)
    flat = np.array([pair for sequence in pairs for pair in sequence], int).reshape(-1, 2)
    first = np.array([i == 0 for sequence in pairs for i in range(len(sequence))], bool)
    counts = SpanCounts()
    counts.add(spelling, flat[:, 0], flat[:, 1], first)
    assert (counts.right, counts.predicted, counts.gold) == (right, predicted, gold)
    if right:
        precision, recall = right / predicted, right / gold
        assert counts.precision == precision
        assert counts.recall == recall
        assert counts.f1 == pytest.approx(2 * precision * recall / (precision + recall))
    else:
        assert counts.f1 == 0


def test_a_training_set_may_be_empty() -> None:
    found = Spelling.of([], 3)
    assert found.outside == 0
    assert not found.begins.any()
    assert SpanCounts().f1 == 0
