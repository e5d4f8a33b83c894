"""Types of new vertices as numbers, and the rows that inputs, states and outputs have for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.core.ops._def import SpaceKind, Typed
from cavs.errors import GraphError, InputError, ShapeError
from cavs.grown_rows import HeldRows, TypesOfRows, check_complete, codes_of, name_of

NAMES = ("word", "char", "end")


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
    rows = TypesOfRows((), {"x": SpaceKind.VERTEX})
    assert rows.has_row("x", None, 2).tolist() == [True, True]
    assert rows.whose("x") == ""


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
    rows = TypesOfRows(NAMES, {"x": Typed(SpaceKind.VERTEX, tuple(sorted(members)))})
    held, expected = HeldRows(), {}
    for first in range(0, len(codes), 3):
        level = np.array(codes[first : first + 3])
        numbers = first + np.flatnonzero(rows.has_row("x", level, len(level)))
        held.add(numbers, 10.0 * numbers)
        expected |= {n: 10.0 * n for n in numbers.tolist()}
    wanted = [n for n, code in enumerate(codes) if NAMES[code] in members]
    assert list(expected) == wanted
    if codes:
        order = np.array(wanted[::-1], np.int64)
        assert held.take(order).tolist() == [expected[n] for n in wanted[::-1]]
        check_complete("x", held, order)
        with pytest.raises(InputError, match="'x' in the inputs of each Growth whose vertices"):
            check_complete("x", held, np.arange(len(wanted) + 1))


def test_whose_rows_they_are() -> None:
    rows = TypesOfRows(NAMES, {"x": Typed(SpaceKind.VERTEX, ("word", "end"))})
    assert rows.whose("x") == " of type 'word' or 'end'"
    assert rows.has_row("x", np.array([0, 1, 2]), 3).tolist() == [True, False, True]
