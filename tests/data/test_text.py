"""Text files of every reader: what is no file, and what is long, is one line of error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cavs import data
from cavs.errors import DataError

FILES: list[Callable[[Any], Any]] = [
    data.read_trees,
    data.read_parents,
    data.read_sentences,
    data.read_tagged,
    data.read_lattices,
    data.read_listops,
]
FOLDERS: list[Callable[[Any], Any]] = [data.load_sst, data.load_ptb, data.load_lattices]


def refused(read: Callable[[Any], Any], path: Any) -> str:
    with pytest.raises(DataError) as said:
        read(path)
    text = str(said.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("read", [*FILES, *FOLDERS])
def test_paths_that_no_file_can_have_are_one_line(read: Callable[[Any], Any]) -> None:
    """A null character was a ValueError, and a long name an OSError."""
    for name in ("a\0b", "x" * 5000):
        refused(read, name)


@pytest.mark.parametrize("read", FILES)
@pytest.mark.parametrize("word", ["(" * 20_000, "x" * 20_000, "9" * 20_000, "[MAX" * 20_000])
def test_long_words_are_not_repeated_in_full(
    tmp_path: Path, read: Callable[[Any], Any], word: str
) -> None:
    path = tmp_path / "file"
    path.write_text(f"{word}\n")
    try:
        read(path)
    except DataError as error:
        assert len(str(error)) < 500  # noqa: PT017
        assert str(path) in str(error)  # noqa: PT017
