"""Word lattices over text without blanks (Chinese), for lattice LSTMs (Zhang & Yang 2018).

The file begins with the number of lattices. Each lattice is its number of vertices n, a line of n
tags, and n lines ``k from1 id1 ... fromk idk``: the in-edges of a vertex. Blank lines between are
ignored.

Vertices are the places between characters: vertex 0 stands before the first character and has no
in-edge, vertex i after character i. An edge from i - 1 to i reads character i, and its id is one
of the *characters*; an edge from an earlier vertex f reads the word made of the characters f + 1
.. i, and its id is one of the *words*. Characters and words are numbered apart, each from 0. The
tag of a vertex is the tag of its character; vertex 0 has a tag of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from cavs.data._repr import Corpus, Printed
from cavs.data._text import (
    PathLike,
    check_text,
    fail,
    find_file,
    folder_within,
    iterate,
    read_lines,
)
from cavs.data.dataset import Dataset
from cavs.scheduler import InputGraph

# Characters and words, numbered in one sequence, must fit int32.
_MAX_ID = 2**30 - 1


@dataclass(frozen=True, eq=False, repr=False)
class Lattice(Printed):
    """A lattice; its edges keep the order of the file, which is the order of the child lists.

    Attributes:
      graph: vertex v has as children the vertices that its in-edges come from.
      tags: int32 [num_vertices].
      ids: int32 [num_edges], the character or the word that an edge reads.
      is_word: bool [num_edges], whether the id stands for a word.
    """

    graph: InputGraph
    tags: npt.NDArray[np.int32]
    ids: npt.NDArray[np.int32]
    is_word: npt.NDArray[np.bool_]

    def _summary(self) -> str:
        words = int(np.count_nonzero(self.is_word))
        return f"of {len(self.tags)} vertices, {len(self.ids)} edges, {words} of them words"


@dataclass(frozen=True, repr=False)
class LatticeCorpus(Corpus):
    """Lattices for training, development and test, and how many tags, characters and words they
    use."""

    name: str
    train: list[Lattice]
    dev: list[Lattice]
    test: list[Lattice]
    num_tags: int
    num_characters: int
    num_words: int

    _unit = "lattices"

    def _details(self) -> str:
        return f"{self.num_tags} tags, {self.num_characters} characters, {self.num_words} words"


class _Lines:
    """The lines of a file that are not blank, with their numbers, as lists of integers."""

    def __init__(self, lines: Iterable[str], source: str) -> None:
        self._lines = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        self.source = source
        self.number = 0

    def take(self, what: str) -> list[int]:
        """The next line; `what` names its expected content in errors."""
        self.number, line = next(self._lines, (self.number + 1, None))
        if line is None:
            self.fail(f"expected {what}, got the end of the file; check whether it is truncated")
        try:
            values = list(map(int, line.split()))
        except ValueError:
            self.fail(f"expected {what}, got {line.strip()[:40]!r}; correct the line")
        if not all(0 <= value <= _MAX_ID for value in values):
            self.fail(
                f"expected {what}, all from 0 to {_MAX_ID}, got {line.strip()[:40]!r}; correct "
                "the line"
            )
        return values

    def take_one(self, what: str) -> int:
        values = self.take(what)
        if len(values) != 1:
            self.fail(
                f"expected {what} alone on its line, got {len(values)} numbers; correct the line"
            )
        return values[0]

    def fail(self, message: str) -> NoReturn:
        fail(self.source, message, line=self.number)

    def finish(self) -> None:
        for number, line in self._lines:
            fail(
                self.source,
                f"expected the end of the file after the last lattice, got {line.strip()[:40]!r}; "
                "correct the number of lattices on the first line",
                line=number,
            )


def read_lattices(path: PathLike) -> list[Lattice]:
    """Read a file of lattices.

    Raises:
      DataError: a number that is missing or out of place, an edge that does not come from an
        earlier vertex, a vertex other than the first without an in-edge, a truncated file. It
        names the line.
    """
    lines = read_lines(path, "lattices, their number on the first line")
    return list(parse_lattices(lines, str(path)))


def parse_lattices(lines: Iterable[str], source: str = "lattices") -> Iterator[Lattice]:
    """The lattices of the lines of a file, each as soon as its lines have been read. `source` is
    what errors call the file; they are those of `read_lattices`."""
    check_text("", source)
    numbers = _Lines(iterate(lines), source)
    for _ in range(numbers.take_one("the number of lattices")):
        yield _read_lattice(numbers)
    numbers.finish()


def _read_lattice(lines: _Lines) -> Lattice:
    length = lines.take_one("the number of vertices of a lattice")
    if not length:
        lines.fail("expected a lattice with at least one vertex, got 0; leave the lattice out")
    tags = lines.take(f"{length} tags")
    if len(tags) != length:
        lines.fail(f"expected {length} tags, got {len(tags)}; give a tag for each vertex")
    children: list[list[int]] = []
    ids: list[int] = []
    is_word: list[bool] = []
    for vertex in range(length):
        values = lines.take(f"the in-edges of vertex {vertex}, 'k from1 id1 ... fromk idk'")
        origins = values[1::2]
        if len(values) != 1 + 2 * values[0]:
            lines.fail(
                f"expected {values[0]} pairs 'from id' after the {values[0]} that begins the "
                f"line, got {len(values) - 1} numbers; correct the line"
            )
        if bool(origins) != bool(vertex):
            lines.fail(
                f"expected at least one in-edge of vertex {vertex}, got none; give it one"
                if vertex
                else f"expected no in-edge of vertex 0, got {len(origins)}; leave them out"
            )
        if origins.count(vertex - 1) > 1:
            lines.fail(
                f"expected at most one edge from vertex {vertex - 1} to vertex {vertex}, that of "
                f"its character, got {origins.count(vertex - 1)}; leave out all but one"
            )
        if vertex and max(origins) >= vertex:
            lines.fail(
                f"expected edges to vertex {vertex} from the vertices before it, got one from "
                f"{max(origins)}; number vertices from left to right"
            )
        children.append(origins)
        ids.extend(values[2::2])
        is_word.extend(origin != vertex - 1 for origin in origins)
    return Lattice(
        InputGraph(children=children),
        np.array(tags, dtype=np.int32),
        np.array(ids, dtype=np.int32),
        np.array(is_word, dtype=np.bool_),
    )


def load_lattices(directory: PathLike) -> LatticeCorpus:
    """Read train.txt and dev.txt of a directory, and test.txt if there is one: `test` has no
    lattices else. `DataError` names the file that is missing or malformed."""
    expected = "a directory with train.txt and dev.txt (word lattices)"
    directory = folder_within(directory, "lattice", ["train.txt"])
    train, dev = (
        read_lattices(find_file(directory, [f"{name}.txt"], expected)) for name in ("train", "dev")
    )
    last = directory / "test.txt"
    test = read_lattices(last) if last.exists() else []
    every = [*train, *dev, *test]
    return LatticeCorpus(
        "lattice",
        train,
        dev,
        test,
        num_tags=_count(lattice.tags for lattice in every),
        num_characters=_count(lattice.ids[~lattice.is_word] for lattice in every),
        num_words=_count(lattice.ids[lattice.is_word] for lattice in every),
    )


def _count(arrays: Iterable[npt.NDArray[np.int32]]) -> int:
    """One more than the greatest id."""
    return 1 + max((int(array.max()) for array in arrays if array.size), default=-1)


def lattice_dataset(lattices: Sequence[Lattice]) -> Dataset:
    """Lattices as a data set of graphs with types, as :class:`cavs.models.LatticeLSTM` takes them.

    A vertex of a lattice is a vertex of type ``char``, an edge that reads a word a vertex of type
    ``word``. The children of a character are the one before it and the words that end with it; the
    child of a word is the character that it begins behind. The words of a character stand before
    it, in the order of the file.

    Args:
      lattices: the result of `read_lattices`.

    Returns:
      A `Dataset` with the int32 inputs,
      of ``char`` `label`: the tag, -1 at vertex 0 (it reads nothing, so there is nothing to
        predict);
      of ``char`` `character`: the character before the vertex, -1 at vertex 0 (or if no edge reads
        it);
      of ``word`` `word`: the word.
    """
    empty = np.empty(0, np.int32)
    ids = np.concatenate([empty, *(lattice.ids for lattice in lattices)])
    is_word = np.concatenate([empty > 0, *(lattice.is_word for lattice in lattices)])
    labels = np.concatenate([empty, *(lattice.tags for lattice in lattices)])
    starts = np.cumsum([0, *(lattice.graph.num_vertices for lattice in lattices)])[:-1]
    labels[starts] = -1
    heads = np.concatenate(
        [empty, *(_heads(lattice) + at for lattice, at in zip(lattices, starts, strict=True))]
    )
    characters = np.full_like(labels, -1)
    characters[heads[~is_word]] = ids[~is_word]
    return Dataset(
        [_with_types(lattice) for lattice in lattices],
        vertex={"label": labels, "character": characters, "word": ids[is_word]},
        of={"label": "char", "character": "char", "word": "word"},
    )


def _with_types(lattice: Lattice) -> InputGraph:
    """The graph whose vertices are characters and words."""
    is_word = iter(lattice.is_word.tolist())
    children: list[list[int]] = []
    types: list[str] = []
    place: list[int] = []  # of each vertex of the lattice
    for origins in lattice.graph.children:
        found = []
        for origin in origins:
            if next(is_word):
                found.append(len(children))
                children.append([place[origin]])
                types.append("word")
            else:
                found.append(place[origin])
        place.append(len(children))
        children.append(found)
        types.append("char")
    return InputGraph(children, types=types)


def _heads(lattice: Lattice) -> npt.NDArray[np.int64]:
    """The vertex that each edge leads to."""
    counts = np.diff(lattice.graph.child_ptr)
    return np.repeat(np.arange(lattice.graph.num_vertices), counts)
