"""Rows of dictionaries as samples."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import chain_graph, from_rows
from cavs.errors import InputError, ShapeError

ROWS = [{"tokens": [3, 1], "label": 0}, {"tokens": [], "label": 1}, {"tokens": [2], "label": 1}]


def sample(row: Mapping[str, Any]) -> Any:
    """A chain of the tokens; rows without any are left out."""
    tokens, count = row["tokens"], len(row["tokens"])
    if not tokens:
        return None
    inputs = {"word": np.int32(tokens), "label": np.int32(row["label"])}
    return chain_graph(count), {**inputs, "weight": np.ones(count - 1, np.float32)}


class Streamed:
    """What a streamed split is: it has no length."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(ROWS)


@pytest.mark.parametrize("rows", [ROWS, tuple(ROWS), iter(ROWS), Streamed()])
def test_rows_of_any_iterable(rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = from_rows(rows, sample, edge=["weight"], graph=["label"], progress=True)
    assert "rows" in capsys.readouterr().err
    assert list(dataset.graphs) == [chain_graph(2), chain_graph(1)]
    assert dataset.flat("word").tolist() == [3, 1, 2]
    assert dataset.flat("label").tolist() == [0, 1]
    assert dataset.flat("weight").shape == (1,)


@pytest.mark.parametrize(
    ("rows", "function", "text"),
    [
        ({"train": ROWS}, sample, "a list or another iterable as rows, got"),
        ("abc", sample, "a list or another iterable as rows, got 'abc'"),
        (3, sample, "as rows, got 3"),
        ([3], sample, "a dictionary as row 0, got 3"),
        (ROWS, None, "a function as function, got None"),
        (ROWS, lambda row: 3, r"row 0: expected \(graph, inputs\) or None .* got 3"),
        (ROWS, lambda row: (3, {}), "an input graph as the graph of row 0, got 3"),
        (ROWS, lambda row: (chain_graph(1), 3), "a dictionary as the inputs of row 0, got 3"),
    ],
)
def test_what_is_no_row_or_sample_is_named(rows: Any, function: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        from_rows(rows, function)


def test_other_errors() -> None:
    with pytest.raises(ShapeError, match="the vertex input 'word' of sample 0"):
        from_rows(ROWS, lambda row: (cavs.InputGraph([[]]), {"word": [1, 2]}))
    with pytest.raises(KeyError):  # the function's own
        from_rows(ROWS, lambda row: row["none"])
    with pytest.raises(InputError, match="True or False as progress"):
        from_rows(ROWS, sample, progress=3)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_errors_of_the_function_have_a_note_of_the_row() -> None:
    def wrong(row: Mapping[str, Any]) -> Any:
        if not row["tokens"]:
            raise KeyError("tags")
        return sample(row)

    with pytest.raises(KeyError) as caught:
        from_rows(ROWS, wrong)
    assert "row 1 " in vars(caught.value)["__notes__"][0]


def test_words_in_place_of_numbers_are_told_how_to_become_numbers() -> None:
    with pytest.raises(InputError, match=r"as 'word', got dtype <U\d+; .*Vocabulary\.encode"):
        from_rows([{}], lambda row: (chain_graph(2), {"word": ["a", "b"]}))
