"""Labelled trees in Penn-Treebank brackets: ``(3 (2 It) (4 (2 's) (4 lovely)))``.

A vertex is ``(label word)`` or ``(label child child ...)``, with any number of children; an inner
vertex may have a word too, before its children: ``(9 MAX (2 2) (9 9))``. Blanks are the ASCII ones
only, because the treebank has words with a no-break space inside. ``\\/`` and ``\\*`` are read as
``/`` and ``*`` and written back escaped. ``-LRB-`` and ``-RRB-`` stay as they are in the file: the
brackets that they stand for could not be written back, and vocabularies then equal the published
counts. Where a reader allows holes, ``()`` is a missing child: ``(3 () (2 so))`` has a right child
and no left one.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NoReturn

from cavs._arguments import INT32_MAX, boolean, integer
from cavs.data._text import (
    PathLike,
    check_text,
    fail,
    find_file,
    folder_within,
    iterate,
    quoted,
    read_lines,
)
from cavs.data.trees import LabelledTree, TreeBuilder, TreeCorpus

SST_CLASSES = 5

# One match is a whole leaf, the opening of an inner vertex, a closing bracket, or something that
# cannot stand there. Few, large matches keep the loop in Python short.
_TOKENS = re.compile(
    r"\(\s*([^\s()]+)(?:\s+([^\s()]+))?\s*(\)?)|(\))|([^\s()]+|\(\s*\)|\S)", re.ASCII
)
# A cut before an opening bracket, or behind a closing one, cuts no match.
_BRACKET = re.compile(r"[()]")
_PIECE = 1 << 16
_LABEL = re.compile(r"-?[0-9]{1,18}")


class _Labels(dict[str, int]):
    """Maps each label text that was read and found good to its number."""

    def __init__(
        self, num_classes: int | None, allow_unlabelled: bool, allow_holes: bool = False
    ) -> None:
        super().__init__()
        if num_classes is not None:
            num_classes = integer("data", "num_classes", num_classes, 1)
        boolean("data", "allow_unlabelled", allow_unlabelled)
        self.num_classes = num_classes
        self.allow_unlabelled = allow_unlabelled
        self.allow_holes = boolean("data", "allow_holes", allow_holes)

    def problem(self, text: str) -> str | None:
        """Read a new label; returns an error message, or None for a good label."""
        if not _LABEL.fullmatch(text):
            remedy = self.remedy("correct the label")
            return f"expected an integer label after '(', got {quoted(text)}; {remedy}"
        label = int(text)
        limit = INT32_MAX + 1 if self.num_classes is None else self.num_classes
        lowest = -1 if self.allow_unlabelled else 0
        if not lowest <= label < limit:
            return f"expected a label in [{lowest}, {limit}), got {label}; correct the label"
        self[text] = label
        return None

    def remedy(self, text: str) -> str:
        """What to do about a label that is missing or none."""
        return "write -1 where there is no label" if self.allow_unlabelled else text

    @property
    def example(self) -> str:
        """A tree as it may be written."""
        return "(-1 (-1 so) (-1 good))" if self.allow_unlabelled else "(3 (2 so) (3 good))"


def parse_tree(
    text: str,
    *,
    num_classes: int | None = None,
    allow_unlabelled: bool = False,
    allow_holes: bool = False,
    source: str = "",
    line: int = 1,
) -> LabelledTree:
    """Read one tree; needs no recursion, so any depth will do.

    Args:
      text: the tree in brackets; blanks around it are ignored.
      num_classes: labels must lie in [0, num_classes); None: any that fits int32.
      allow_unlabelled: the label -1, "no label", is allowed too.
      allow_holes: ``()`` in place of a child says that it is missing: a hole of the graph.
      source, line: where the text comes from, for error messages.

    Raises:
      DataError: unbalanced brackets, a label that is not an integer or out of range, a leaf
        without a word or with two, text after the tree, no tree at all. The message names line and
        column.
    """
    labels = _Labels(num_classes, allow_unlabelled, allow_holes)
    return _parse(check_text(text, source, line), labels, source, line)


def _parse(text: str, labels: _Labels, source: str, line: int) -> LabelledTree:
    builder = TreeBuilder()
    # For each vertex whose bracket is open, and there may be millions: its label, its word, its
    # match, and the place in `finished` where its children begin. `finished` holds complete
    # children.
    opened, words, matches, begins = array("q"), list[str](), array("q"), array("q")
    finished: list[int] = []
    done = False

    def bad(match: int, message: str) -> NoReturn:
        start = next(islice(_TOKENS.finditer(text), match, None)).start()
        _fail_at(text, start, message, source, line)

    plain = "\\" not in text
    tokens = _TOKENS.findall(text) if len(text) <= _PIECE else _pieces(text)
    for index, (label, word, closed, close, other) in enumerate(tokens):
        if done:
            bad(
                index,
                "expected the end of the line after the tree, got more; put one tree on a line",
            )
        if label:
            if label not in labels and (problem := labels.problem(label)):
                bad(index, problem)
            token = word if plain else word.replace("\\/", "/").replace("\\*", "*")
            if not closed:
                opened.append(labels[label])
                words.append(token)
                matches.append(index)
                begins.append(len(finished))
                continue
            if not word:
                bad(index, _explain_leaf(label))
            vertex = builder.add_checked(labels[label], token)
        elif close:
            if not opened:
                bad(index, "expected '(' before it, got unbalanced brackets; remove this ')'")
            match, begin = matches.pop(), begins.pop()
            children, word = finished[begin:], words.pop()
            if labels.allow_holes and not word and max(children) < 0:
                bad(match, "expected a word or a vertex after the label, got holes; write one")
            vertex = builder.add_checked(opened.pop(), word or None, children)
            del finished[begin:]
        elif labels.allow_holes and opened and other[0] == "(" != other:
            vertex = -1
        else:
            bad(index, _explain(text, other, bool(opened), labels))
        if opened:
            finished.append(vertex)
        else:
            done = True
    if opened:
        bad(matches[-1], _explain_end(len(opened)))
    if not done:
        fail(
            source,
            f"expected a tree such as {labels.example}, got an empty line; write one",
            line=line,
        )
    return builder.build()


def _pieces(text: str) -> Iterator[tuple[str, str, str, str, str]]:
    """The groups of all matches, piece by piece: little of a long line is read if its beginning is
    wrong."""
    begin = 0
    while begin < len(text):
        end = _BRACKET.search(text, begin + _PIECE)
        stop = len(text) if end is None else end.start() + (end[0] == ")")
        yield from _TOKENS.findall(text, begin, stop)
        begin = stop


def _explain(text: str, other: str, inside: bool, labels: _Labels) -> str:
    """The error message for a character that cannot stand in its place."""
    if other[0] == "(":
        remedy = labels.remedy("write the label first")
        return f"expected an integer label after '(', got none; {remedy}"
    if inside:
        return (
            "expected '(' or ')', got a second word, or one after the children; give a leaf one "
            "word, and a word its place before the children"
        )
    return (
        f"expected a tree that begins with '(', got {text.strip()[:20]!r}; write one such as "
        f"{labels.example}"
    )


def _explain_leaf(label: str) -> str:
    """The error message for a vertex with neither word nor children."""
    return (
        f"expected a word or a vertex after the label, got '({label[:20]})'; write one, or leave "
        "the vertex out"
    )


def _explain_end(opened: int) -> str:
    """The error message for an end within so many vertices, at the innermost."""
    return f"expected ')' for each '(', got {opened} not closed; close them, this is the innermost"


def _fail_at(text: str, position: int, message: str, source: str, line: int) -> NoReturn:
    line_start = text.rfind("\n", 0, position) + 1
    fail(
        source,
        message,
        line=line + text.count("\n", 0, position),
        column=position - line_start + 1,
    )


def parse_trees(
    lines: Iterable[str],
    *,
    num_classes: int | None = None,
    allow_unlabelled: bool = False,
    allow_holes: bool = False,
    source: str = "",
) -> Iterator[LabelledTree]:
    """Read trees that stand one on a line, as on standard input; blank lines are skipped.

    Arguments and errors as `parse_tree`.
    """
    labels = _Labels(num_classes, allow_unlabelled, allow_holes)
    for number, line in enumerate(iterate(lines), start=1):
        if check_text(line, source, number).strip():
            yield _parse(line, labels, source, number)


def read_trees(
    path: PathLike, *, num_classes: int | None = None, allow_holes: bool = False
) -> list[LabelledTree]:
    """Read a UTF-8 file with one tree on a line; `DataError` names file, line and column.

    `num_classes` and `allow_holes` are as in `parse_tree`.
    """
    lines = read_lines(path, "trees in brackets, one on a line")
    trees = parse_trees(lines, num_classes=num_classes, allow_holes=allow_holes, source=str(path))
    return list(trees)


def load_sst(directory: PathLike) -> TreeCorpus:
    """Read the Stanford Sentiment Treebank (Socher et al. 2013): train.txt, dev.txt and test.txt,
    from the directory or its folder ``sst``.

    Every phrase is labelled 0 (very negative) to 4 (very positive). The published files are sorted
    by sentiment in places: draw a part of them at random, and shuffle.

    Raises:
      DataError: the directory or a file is missing, or a file is malformed.
    """
    expected = (
        "a directory with train.txt, dev.txt and test.txt of the Stanford Sentiment Treebank "
        "(one tree in brackets on a line)"
    )
    directory = folder_within(directory, "sst", ["train.txt"])
    paths = [find_file(directory, [f"{name}.txt"], expected) for name in ("train", "dev", "test")]
    train, dev, test = (read_trees(path, num_classes=SST_CLASSES) for path in paths)
    return TreeCorpus("sst", train, dev, test, SST_CLASSES)
