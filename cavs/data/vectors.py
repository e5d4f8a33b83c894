"""Word vectors from text files: GloVe's (Pennington et al. 2014) and word2vec's (Mikolov et al.
2013)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from cavs._arguments import instance, integer
from cavs._arguments import number as number_of
from cavs._arrays import foreign_array
from cavs._files import write_atomically
from cavs.data._progress import shown_while
from cavs.data._text import PathLike, as_path, cannot_be_read, check_file, fail, quoted
from cavs.data.vocabulary import Vocabulary
from cavs.errors import InputError, ShapeError

_EXPECTED = "word vectors, a word and its numbers on each line"
_GZIP = b"\x1f\x8b"
_BLANKS = b" \t\r\n"
_DIGITS = 18  # of a number in word2vec's header
_MARK = "\ufeff"  # a byte order mark, which readers drop


class WordVectors(NamedTuple):
    """The vectors of a vocabulary.

    Attributes:
      values: float32 [len(vocabulary), size]; a row for each id.
      found: bool [len(vocabulary)]; whether the file has the word. The others are drawn.
    """

    values: npt.NDArray[np.float32]
    found: npt.NDArray[np.bool_]

    def __repr__(self) -> str:
        words = f"{np.count_nonzero(self.found)} of {np.size(self.found)} words found"
        return f"<WordVectors {np.shape(self.values)}, {words}>"


def load_vectors(
    path: PathLike,
    vocabulary: Vocabulary,
    *,
    size: int | None = None,
    scale: float = 0.05,
    seed: int = 0,
    progress: bool = False,
) -> WordVectors:
    """Read the vectors of the words of a vocabulary; others are passed over, so that a large file
    takes no memory.

    Each line is a word and its numbers, parted by single blanks. A first line of two integers is
    word2vec's header, the number of words and the size, and is held to it. A word may have blanks
    itself, as a few of GloVe's have; of a word that comes again the first vector counts. A word
    that is not UTF-8 is in no vocabulary.

    Args:
      path: a text file, or one packed by gzip.
      vocabulary: the words; a word of the file is compared as it stands, case included.
      size: numbers of a vector; None: of the header, or else as many as end the first line.
      scale: words that the file lacks get numbers drawn uniformly from -scale to scale, as the
        published Tree-LSTM code does; 0 gives zeros.
      seed: of these numbers.
      progress: show a bar on standard error.

    Returns:
      The values, and which words were found. ``embedding.weight.data = vectors.values`` uses them.

    Raises:
      DataError: the file is missing, empty or cannot be unpacked, a line has another number of
        numbers, one is no finite number, or there are fewer lines than the header says; names file
        and line.
    """
    vocabulary = instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    wanted_size = None if size is None else integer("data", "size", size, 1)
    scale = number_of("data", "scale", scale, 0)
    rng = np.random.default_rng(integer("data", "seed", seed, 0, 2**64 - 1))
    file = _File(path, wanted_size)
    ids = {word.encode(): index for index, word in enumerate(vocabulary)}
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    for number, line in shown_while(file.lines(), progress, "words", file.count or 0):
        word = file.word(line, number)
        index = ids.get(word)
        if index is not None and index not in vectors:
            vectors[index] = file.numbers(line, len(word), number)
    values = rng.uniform(-scale, scale, (len(vocabulary), file.size)).astype(np.float32)
    found = np.zeros(len(vocabulary), bool)
    for index, vector in vectors.items():
        values[index], found[index] = vector, True
    return WordVectors(values, found)


def save_vectors(path: PathLike, vocabulary: Vocabulary, values: npt.ArrayLike) -> None:
    """Write word vectors in GloVe's text format, such as the embedding of a trained model.

    `load_vectors` and other programs read them: a line for each word, the word and its numbers,
    with as many digits as give the same float32 again.

    Args:
      path: the text file, which is replaced if it is there.
      vocabulary: the words; the format has no place for blanks in them.
      values: numbers [len(vocabulary), size], written as float32.

    Raises:
      InputError: a word is empty, has a blank in it or is no Unicode text, or a number is not
        finite; ShapeError: another shape; DataError: the file cannot be written.
    """
    vocabulary = instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    source = as_path(path)
    rows = _rows_to_save(values, len(vocabulary))
    # Nine digits tell all float32 apart; with a point no line is read as word2vec's header.
    numbers = b" %#.9g" * rows.shape[1]
    lines = []
    for word, row in zip(vocabulary, rows, strict=True):
        try:
            name = word.encode()
        except UnicodeEncodeError:
            name = b""
        if not name or set(name) & set(_BLANKS) or word.startswith(_MARK):
            raise InputError(
                f"[data] expected words without blanks, got {quoted(word)}; leave it out, or write "
                "another in its place"
            )
        lines.append(name + numbers % tuple(row.tolist()) + b"\n")
    try:
        write_atomically(source, b"".join(lines))
    except (OSError, ValueError) as error:  # ValueError: the path has a null character
        reason = getattr(error, "strerror", None) or error
        fail(str(source), f"expected to write word vectors, got {reason}; choose another place")


def _rows_to_save(values: npt.ArrayLike, count: int) -> npt.NDArray[np.float32]:
    array = foreign_array(values, "data")
    if array.ndim != 2 or len(array) != count or not array.shape[1]:
        raise ShapeError(
            f"[data] expected values ({count}, size), got shape {array.shape}; give a row for each "
            "word"
        )
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"[data] expected numbers as values, got dtype {array.dtype}; convert them"
        )
    with np.errstate(over="ignore"):
        rows = array.astype(np.float32)
    if not np.isfinite(rows).all():
        word = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise InputError(
            f"[data] expected finite float32 numbers, got others in row {word}; correct them"
        )
    return rows


class _File:
    """A file of vectors: its size, known after the first line, and its lines."""

    def __init__(self, path: PathLike, size: int | None) -> None:
        self.source = str(as_path(path))
        check_file(path, _EXPECTED)
        self._path = as_path(path)
        self.count: int | None = None
        self.size = 0 if size is None else size
        self._header = False
        for number, line in self._numbered():
            fields = line.split(b" ")
            self._header = len(fields) == 2 and all(field.isdigit() for field in fields)
            if self._header:
                if max(map(len, fields)) > _DIGITS or not int(fields[0]) or not int(fields[1]):
                    self._bad(
                        number,
                        "expected how many words there are, and numbers of each, got "
                        f"{_text(line)}; correct the header, or leave it out",
                    )
                self.count, declared = map(int, fields)
                if size is not None and declared != size:
                    self._bad(
                        number, f"expected a header of size {size}, got {declared}; omit size"
                    )
                self.size = declared
            elif size is None:
                self.size = _trailing_numbers(fields)
            if not self.size:
                self._bad(number, f"expected a word and its numbers, got {_text(line)}; write them")
            return
        fail(self.source, f"expected {_EXPECTED}, got an empty file; check the path")

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, with their numbers; without blanks at their ends."""
        try:
            with self._open() as file:
                for number, line in enumerate(file, 1):
                    line = line.rstrip(_BLANKS).replace(b"\t", b" ")
                    if number == 1:
                        line = line.removeprefix(_MARK.encode())
                    if line:
                        yield number, line
        except (OSError, ValueError, EOFError, zlib.error) as error:
            cannot_be_read(self.source, _EXPECTED, error)

    def _open(self) -> BinaryIO | gzip.GzipFile:
        with open(self._path, "rb") as file:
            packed = file.read(2) == _GZIP
        return gzip.open(self._path) if packed else open(self._path, "rb")

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines of words; raises DataError where there are fewer than the header says."""
        lines, seen = self._numbered(), 0
        if self._header:
            next(lines)
        for number, line in lines:
            seen += 1
            yield number, line
        if self.count is not None and seen != self.count:
            message = f"expected {self.count} words, as the first line says, got {seen}"
            fail(self.source, f"{message}; the file may be cut off")

    def word(self, line: bytes, number: int) -> bytes:
        """The word of a line: what stands before its numbers."""
        found = line.count(b" ")
        if found < self.size:
            self._bad(
                number, f"expected {self.size} numbers behind a word, got {found}; write each"
            )
        if found == self.size:
            return line[: line.index(b" ")]
        return line.rsplit(b" ", self.size)[0]

    def numbers(self, line: bytes, begin: int, number: int) -> npt.NDArray[np.float32]:
        """The vector of a line behind the word."""
        try:
            with np.errstate(over="ignore"):  # to infinity, which is refused
                vector = np.array(line[begin:].split(), np.float32)
        except ValueError:
            vector = np.zeros(0, np.float32)
        if vector.shape != (self.size,) or not np.isfinite(vector).all():
            got = _text(line[begin:].strip())
            self._bad(
                number,
                f"expected {self.size} finite numbers behind a word, got {got}; correct them",
            )
        return vector

    def _bad(self, number: int, message: str) -> NoReturn:
        fail(self.source, message, line=number)


def _trailing_numbers(fields: list[bytes]) -> int:
    """How many numbers end a line, of which the first field is a word."""
    count = 0
    for field in reversed(fields[1:]):
        try:
            float(field)
        except ValueError:
            break
        count += 1
    return count


def _text(line: bytes) -> str:
    return quoted(line.decode("utf-8", "replace"))
