"""Trees as lines of parents, as the Stanford Tree-LSTM code and DGL write them.

``4 4 5 5 0``: the parent of vertices 1, 2, ... in turn, counted from 1; 0 stands for "none" and
marks the root. A vertex of parent -1 belongs to no tree: both programs leave it out. Some
dependency trees mark their punctuation so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from cavs.data._text import WORD, PathLike, check_text, fail, quoted, read_lines
from cavs.errors import GraphError
from cavs.scheduler import InputGraph

_INTEGER = re.compile("-?[0-9]+")  # int() takes "+3", "1_0" and the digits of all scripts, too
_LONGEST = 20  # characters of a number; int() refuses thousands


def parse_parents(text: str, /, *, source: str = "", line: int | None = None) -> InputGraph:
    """Read one tree; its vertex v is number v + 1 of the line.

    A vertex of parent -1 stays in the graph, without a parent and perhaps with children, so that
    inputs with a value for each number of the line fit. Children stand from left to right, in the
    order of the first leaf below each: leaves are numbered as in the sentence, inner vertices are
    not.

    Args:
      text: integers parted by blanks.
      source, line: where the text comes from, for error messages.

    Raises:
      DataError: a word is no integer, a number is not in -1 .. their count, there is no 0 or more
        than one, or there is a cycle.
    """

    def bad(message: str, place: int | None = None) -> NoReturn:
        column = None if place is None else words[place].start() + 1
        fail(source, message, line=line, column=column)

    words = list(WORD.finditer(check_text(text, source, line)))
    if not words:
        bad("expected the parent of each vertex, such as 3 3 0, got an empty line; write them")
    parents = [_parent(word.group(), len(words), place, bad) for place, word in enumerate(words)]
    roots = [place for place, parent in enumerate(parents) if parent == 0]
    if len(roots) != 1:
        message = (
            f"expected one 0, which marks the root, got {len(roots)}; count vertices from 1, and "
            "give one of them the parent 0"
        )
        bad(message, roots[1] if roots else None)
    try:
        return InputGraph.from_parents([max(parent, 0) - 1 for parent in parents], order="leaf")
    except GraphError:
        place = _on_cycle(parents)
        bad(
            f"expected a tree, got vertex {place + 1}, which is its own descendant; correct its "
            "parent",
            place,
        )


def _parent(word: str, count: int, place: int, bad: Callable[[str, int], NoReturn]) -> int:
    if not _INTEGER.fullmatch(word):
        bad(
            f"expected the parent of vertex {place + 1}, an integer, got {quoted(word)}; write the "
            "parent's number, or 0 for the root",
            place,
        )
    parent = int(word) if len(word) <= _LONGEST else count + 1
    if not -1 <= parent <= count:
        bad(
            f"expected a parent in -1..{count} of vertex {place + 1}, got {word[:_LONGEST]}; "
            "count vertices from 1",
            place,
        )
    return parent


def _on_cycle(parents: list[int]) -> int:
    """A vertex of a cycle, counted from 0."""
    done = [False] * len(parents)
    for start in range(len(parents)):
        path: dict[int, None] = {}
        place = start
        while place >= 0 and not done[place] and place not in path:
            path[place] = None
            place = parents[place] - 1
        if place in path:
            return place
        for seen in path:
            done[seen] = True
    raise AssertionError(parents)


def read_parents(path: PathLike) -> list[InputGraph]:
    """Read a UTF-8 file with one tree on a line; `DataError` names file, line and column."""
    lines = read_lines(path, "the parents of a tree's vertices on each line, such as 3 3 0")
    return [
        parse_parents(text, source=str(path), line=number) for number, text in enumerate(lines, 1)
    ]
