"""Dependency trees of Universal Dependencies, in the format CoNLL-U; read by the package conllu."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from cavs.data._progress import shown_while
from cavs.data._text import PathLike, fail, quoted, read_lines
from cavs.data.annotated import AnnotatedTree, parent_graph
from cavs.errors import InputError

_EXPECTED = "sentences in CoNLL-U, a word on each line and a blank line behind each sentence"


def read_conllu(path: PathLike, *, progress: bool = False) -> list[AnnotatedTree]:
    """Read the basic dependency trees of a UTF-8 file.

    Vertex v is word v + 1 of the sentence; a word's dependents are its children, from left to
    right. The tokens are the forms, the labels the parts of speech (UPOS), the relations those of
    the words to their heads (DEPREL), ``root`` at the root; `AnnotatedTree.edge_relations` gives
    them by edges. Multiword tokens (``3-4``) and empty nodes (``8.1``) are no words, and are left
    out, as are comments and enhanced dependencies. A field ``_`` is None, but for a form.

    Args:
      path: the file.
      progress: show a bar on standard error.

    Raises:
      DataError: a line that cannot be read, words that are not numbered 1, 2, ..., a head that is
        missing or out of range, no root or several, a cycle; names file and line.
      InputError: the package conllu is not installed.
    """
    try:
        import conllu
    except ImportError:
        raise InputError(
            "[data] expected package conllu, got none; pip install 'cavs-nn[data]'"
        ) from None
    sentences = list(_sentences(read_lines(path, _EXPECTED)))
    source = str(path)
    shown_ones = shown_while(sentences, progress, "sentences", len(sentences))
    return [_read(conllu, lines, source) for lines in shown_ones]


def _sentences(lines: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """The numbered lines of each sentence, without comments."""
    numbered = enumerate(lines, 1)
    for blank, group in groupby(numbered, key=lambda pair: not pair[1].strip()):
        words = [] if blank else [(n, line) for n, line in group if not line.startswith("#")]
        if words:
            yield words


def _read(conllu: Any, lines: list[tuple[int, str]], source: str) -> AnnotatedTree:
    words, at = [], []
    for (number, _), token in zip(lines, _tokens(conllu, lines, source), strict=True):
        if isinstance(token["id"], int):
            words.append(token)
            at.append(number)
    if not words:
        fail(source, "expected words, got a sentence without any; write them", line=lines[0][0])
    for place, (token, number) in enumerate(zip(words, at, strict=True), 1):
        if token["id"] != place:
            fail(
                source,
                f"expected word {place} of the sentence, got number {token['id']}; number words "
                "1, 2, ...",
                line=number,
            )
        if not isinstance(token["head"], int):
            fail(source, "expected the number of a head, got none; write it, or 0", line=number)
    graph = parent_graph([token["head"] for token in words], at, source)
    return AnnotatedTree(
        graph,
        tuple(str(token["form"]) for token in words),
        tuple(_text(token["upos"]) for token in words),
        tuple(_text(token["deprel"]) for token in words),
    )


def _tokens(conllu: Any, lines: list[tuple[int, str]], source: str) -> list[Any]:
    """The fields of each line of a sentence."""
    for number, line in lines:
        if (columns := line.count("\t") + 1) != 10:
            message = f"expected 10 columns parted by tabs, got {columns}; write ten"
            fail(source, message, line=number)
    errors = (conllu.exceptions.ParseException, ValueError)
    try:
        (sentence,) = conllu.parse("\n".join(line for _, line in lines) + "\n\n")
        return list(sentence)
    except errors as error:
        if len(lines) == 1:
            number, line = lines[0]
            fail(
                source,
                f"expected a word in CoNLL-U, got {quoted(line)} ({error}); correct the line",
                line=number,
            )
    return [token for line in lines for token in _tokens(conllu, [line], source)]  # which it is


def _text(value: Any) -> str | None:
    return None if value in (None, "_") else str(value)
