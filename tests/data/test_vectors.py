"""Word vectors in the text formats of GloVe and word2vec."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cavs import nn
from cavs.data import Vocabulary, load_vectors, save_vectors
from cavs.errors import DataError, InputError, ShapeError

GLOVE = "the 0.5 -1 2e-1\n. . . 7 8 9\ncat 1 2 3\nthe 9 9 9\n\xa0x 4 5 6\n"
WORDS = Vocabulary(["<unk>", "cat", "the", "dog", "\xa0x", ". . ."])
EXPECTED = {"cat": [1, 2, 3], "the": [0.5, -1, 0.2], "\xa0x": [4, 5, 6], ". . .": [7, 8, 9]}


def _check(path: Path, **options: Any) -> None:
    values, found = load_vectors(path, WORDS, **options)
    assert (values.dtype, values.shape) == (np.float32, (6, 3))
    assert found.tolist() == [word in EXPECTED for word in WORDS]
    for word, vector in EXPECTED.items():
        np.testing.assert_array_equal(values[WORDS[word]], np.float32(vector))
    drawn = values[~found]
    assert (np.abs(drawn) <= 0.05).all()
    assert len(np.unique(drawn)) == drawn.size


@pytest.mark.parametrize("progress", [False, True])
def test_glove(tmp_path: Path, progress: bool) -> None:
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE, encoding="utf-8")
    _check(path, progress=progress)
    _check(path, size=3)


def test_word2vec_with_its_header_and_packed(tmp_path: Path) -> None:
    # word2vec ends lines with a blank.
    text = "5 3\n" + GLOVE.replace("\n", " \n")
    (tmp_path / "plain.txt").write_text(text, encoding="utf-8")
    _check(tmp_path / "plain.txt")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(text.encode()))
    _check(tmp_path / "packed.gz", progress=True)


def test_words_that_are_missing_are_drawn_by_seed_and_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a 1 2\n\xff\xfe 3 4\n")
    words = Vocabulary(["a", "b"], unknown=None)
    first = load_vectors(path, words, seed=1)
    assert first.found.tolist() == [True, False]
    np.testing.assert_array_equal(load_vectors(path, words, seed=1).values, first.values)
    assert (load_vectors(path, words, seed=2).values[1] != first.values[1]).all()
    assert load_vectors(path, words, scale=0).values.tolist() == [[1, 2], [0, 0]]
    assert np.abs(load_vectors(path, words, scale=10.0).values[1]).max() > 0.05
    embedding = nn.Embedding(2, 2)
    embedding.weight.data = first.values
    np.testing.assert_array_equal(embedding.weight.data, first.values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\nb 1\n", "line 2: expected 2 numbers behind a word, got 1"),
        ("a 1 2\nthe 1 x\n", r"line 2: expected 2 finite numbers behind a word, got '1 x'"),
        ("a 1 2\nthe 1 nan\n", "line 2: expected 2 finite numbers"),
        ("a 1 2\nthe 1 1e99\n", "line 2: expected 2 finite numbers"),
        ("3 2\na 1 2\nb 3 4\n", "expected 3 words, as the first line says, got 2"),
        ("1 2\na 1 2\nb 3 4\n", "expected 1 words, as the first line says, got 2"),
        ("a b\n", "line 1: expected a word and its numbers, got 'a b'"),
        ("word\n", "line 1: expected a word and its numbers"),
        ("", "got an empty file"),
        ("0 1000000000000\n", "line 1: expected how many words there are, .* got '0 10+'"),
        ("3 0\n", "line 1: expected how many words"),
        pytest.param("9" * 5000 + " 3\nthe 1 2 3\n", "line 1: expected how many", id="digits"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_errors_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.txt"
    path.write_text(text, encoding="utf-8")
    words = Vocabulary(["the"], unknown=None)
    with pytest.raises(DataError, match=rf"\[data\] {path}[,:] ?{message}|{path}: .*{message}"):
        load_vectors(path, words)


def test_other_files_and_arguments(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("2 2\na 1 2\nb 3 4\n")
    words = Vocabulary(["a"], unknown=None)
    with pytest.raises(DataError, match="line 1: expected a header of size 3, got 2"):
        load_vectors(path, words, size=3)
    with pytest.raises(DataError, match="no such file"):
        load_vectors(tmp_path / "none", words)
    with pytest.raises(DataError, match="got a directory"):
        load_vectors(tmp_path, words)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a 1 2\n" * 999)[:-9])
    with pytest.raises(
        DataError, match=r"cut\.gz: expected .* cannot be read .*; it may be damaged, or"
    ):
        load_vectors(tmp_path / "cut.gz", words)
    for wrong in ({"size": 0}, {"scale": -1.0}, {"seed": -1}, {"progress": 2}):
        with pytest.raises(InputError, match="expected"):
            load_vectors(path, words, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a Vocabulary as vocabulary"):
        load_vectors(path, ["a"])  # type: ignore[arg-type]


TOKENS = st.text(min_size=1).filter(lambda word: not set(word) & set(" \t\r\n\ufeff"))


@given(data=st.data(), words=st.lists(TOKENS, min_size=1, max_size=4, unique=True))
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, data: Any, words: list[str]
) -> None:
    """By the bit; words that are numbers, and numbers that are whole, are no header."""
    path = tmp_path_factory.getbasetemp() / "saved.txt"
    shape = (len(words), data.draw(st.integers(1, 3)))
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    values = data.draw(hnp.arrays(np.float32, shape, elements=numbers))
    vocabulary = Vocabulary(words, unknown=None)
    save_vectors(path, vocabulary, values)
    loaded = load_vectors(path, vocabulary, size=shape[1])
    assert loaded.found.all()
    np.testing.assert_array_equal(loaded.values, values)
    assert load_vectors(path, vocabulary).values.shape == shape


def test_saving_writes_glove(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    save_vectors(path, Vocabulary(["12", "b"], unknown=None), [[1, 0.1], [-2.5, 1e-9]])
    assert path.read_text() == "12 1.00000000 0.100000001\nb -2.50000000 9.99999972e-10\n"


@pytest.mark.parametrize(
    ("words", "values", "error", "message"),
    [
        (["a b"], [[1.0]], InputError, "expected words without blanks, got 'a b'; leave it out"),
        ([""], [[1.0]], InputError, "expected words without blanks, got ''"),
        (["\ufeffa"], [[1.0]], InputError, "expected words without blanks"),
        (["\ud800"], [[1.0]], InputError, "expected words without blanks"),
        (["a"], [1.0], ShapeError, r"expected values \(1, size\), got shape \(1,\)"),
        (["a"], [[1.0], [2.0]], ShapeError, r"expected values \(1, size\), got shape \(2, 1\)"),
        (["a"], [["x"]], InputError, "expected numbers as values"),
        (["a", "b"], [[1.0], [np.nan]], InputError, "expected finite .* in row 1"),
        (["a"], np.array([[1e300]]), InputError, "expected finite float32 numbers"),
    ],
)
def test_what_cannot_be_saved_is_refused(
    tmp_path: Path, words: list[str], values: Any, error: type[Exception], message: str
) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(error, match=rf"\[data\] {message}"):
        save_vectors(path, Vocabulary(words, unknown=None), values)
    assert not path.exists()
    with pytest.raises(DataError, match=r"expected to write word vectors, got .*; choose another"):
        save_vectors(tmp_path / "none" / "a.txt", Vocabulary(["a"], unknown=None), [[1.0]])
