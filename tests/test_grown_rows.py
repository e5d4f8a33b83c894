"""Types of new vertices as numbers, and the rows that inputs, states and outputs have for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.core.ops._spaces import EdgeList, SpaceKind, Typed
from cavs.errors import GraphError, InputError, ShapeError
from cavs.grown_rows import HeldRows, Rows, codes_of, name_of

NAMES = ("word", "char", "end")
NONE = np.zeros(0, np.int32)


@pytest.mark.parametrize(
    "given",
    [
        ["char", "word", "char"],
        ("char", 0, 1),
        np.array([1, 0, 1]),
        np.array(["char", "word", "char"]),
        [np.int32(1), np.str_("word"), "char"],
    ],
)
def test_types_are_named_or_numbered(given: Any) -> None:
    codes = codes_of(given, 3, NAMES)
    assert codes is not None
    assert codes.tolist() == [1, 0, 1]


def test_functions_without_types_have_none() -> None:
    assert codes_of(None, 3, ()) is None
    with pytest.raises(GraphError, match="without types, since the function has none"):
        codes_of(["a"], 1, ())
    assert Rows(SpaceKind.VERTEX, ()).chosen(None, NONE, NONE) is None


def test_wrong_types_are_refused() -> None:
    with pytest.raises(GraphError, match="a type for each new vertex"):
        codes_of(None, 0, NAMES)
    with pytest.raises(ShapeError, match="types of 2 new vertices, got 1"):
        codes_of(["word"], 2, NAMES)
    for wrong in ("verb", 3, -1, True, 1.0, None, ["word"]):
        with pytest.raises(
            GraphError, match=r"^\[unfold\] new vertex 1: expected a type among word"
        ):
            codes_of(["word", wrong], 2, NAMES)
        with pytest.raises(GraphError, match=r"^\[unfold\] expected a type among word, char, end"):
            name_of(wrong, NAMES)


@given(st.lists(st.integers(0, 2), max_size=12), st.sets(st.sampled_from(NAMES), min_size=1))
def test_held_rows_are_found_by_number(codes: list[int], members: set[str]) -> None:
    """In levels of three vertices, against a dictionary."""
    rows = Rows(Typed(SpaceKind.VERTEX, tuple(sorted(members))), NAMES)
    held, known = HeldRows(), {}
    for first in range(0, len(codes), 3):
        types = np.array(codes[first : first + 3], np.int32)
        chosen = rows.chosen(types, NONE, NONE)
        assert chosen is not None
        assert chosen.tolist() == [NAMES[code] in members for code in types]
        numbers = np.arange(first, first + len(types))[chosen]
        held.add(numbers, numbers * 10.0)
        known.update({number: number * 10.0 for number in numbers.tolist()})
    if codes:
        wanted = np.array(sorted(known, reverse=True), np.int64)
        assert held.take("x", wanted).tolist() == [known[number] for number in wanted]
        with pytest.raises(InputError, match=rf"rows for {len(known)} of {len(known) + 1} vert"):
            held.take("x", np.arange(len(known) + 1))


def test_edges_have_rows_by_the_types_of_both_ends() -> None:
    lists = (EdgeList("char", "word"), EdgeList("end", None))
    rows = Rows(Typed(SpaceKind.EDGE, lists), NAMES)
    parents, children = np.array([1, 1, 2, 2, 0]), np.array([0, 1, 0, 2, 0])
    chosen = rows.chosen(np.zeros(3, np.int32), parents, children)
    assert chosen is not None
    assert chosen.tolist() == [True, False, True, True, False]
    assert str(rows).startswith("new edge of type ")
    assert Rows(SpaceKind.EDGE, ()).chosen(None, NONE, NONE) is None


def test_rows_in_words() -> None:
    assert str(Rows(SpaceKind.VERTEX, ())) == "new vertex"
    assert str(Rows(SpaceKind.GRAPH, ())) == "graph"
    two = Rows(Typed(SpaceKind.VERTEX, ("word", "end")), NAMES)
    assert str(two) == "new vertex of type 'word' or 'end'"
