"""The files that the published code of Tree-LSTMs makes of SST and SICK (Tai et al. 2015).

A folder has a line for each sentence in each of its files. For SST: ``sents.toks``, the words;
``parents.txt`` and ``labels.txt``, the parent and the label of each vertex of the constituency
tree, words first; ``dparents.txt``, ``dlabels.txt`` and ``rels.txt``, the same of the dependency
tree, whose vertices are the words, and its relations. For SICK: ``a.toks``, ``a.parents``,
``a.rels``, the same with ``b``, ``sim.txt``, the scores, and, where it is there, ``ent.txt``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cavs._arguments import choice
from cavs.data._progress import shown_while
from cavs.data._repr import Corpus
from cavs.data._text import (
    WORD,
    PathLike,
    as_path,
    fail,
    find_file,
    folder_within,
    quoted,
    read_lines,
)
from cavs.data.annotated import AnnotatedTree, only_below
from cavs.data.parents import read_parents
from cavs.data.sentence_pairs import SICK_LABELS, PairCorpus, SentencePair
from cavs.scheduler import InputGraph

_PARTS = ("train", "dev", "test")
_FILES = {
    "constituency": ("parents.txt", "labels.txt", None),
    "dependency": ("dparents.txt", "dlabels.txt", "rels.txt"),
}


@dataclass(frozen=True, repr=False)
class StanfordCorpus(Corpus):
    """Training, development and test trees; those of pairs are a `PairCorpus`."""

    name: str
    train: list[AnnotatedTree]
    dev: list[AnnotatedTree]
    test: list[AnnotatedTree]

    _unit = "trees"


def load_stanford(
    directory: PathLike, *, trees: str = "constituency", progress: bool = False
) -> StanfordCorpus | PairCorpus:
    """Read the folders ``train``, ``dev`` and ``test`` of a directory, or its own files, all as
    ``train``.

    `read_parents` reads the trees. Vertices are numbered as in the files, less those of parent -1
    and what hangs below them, which both published programs leave out. Labels and relations are
    the files' words, ``-2`` to ``2`` in SST; ``#`` is None, and so are all where the file of labels
    or relations is not there. A folder with ``a.toks`` holds pairs, whose trees are dependency
    trees: a `PairCorpus`.

    Args:
      directory: the directory, or the one that holds it under the name ``sst`` or ``sick``.
      trees: of SST, ``constituency`` or ``dependency``.
      progress: show a bar on standard error.

    Raises:
      DataError: a file is missing, its number of lines is not that of the sentences, a line has
        another number of values than vertices, or is no tree, or there is another label of a
        pair than SICK's; names file and line.
      InputError: another kind of trees.
    """
    choice("data", "trees", trees, _FILES)
    folder = folder_within(directory, "sst", [*_PARTS, "sents.toks", "a.toks"])
    folder = folder_within(folder, "sick", [*_PARTS, "sents.toks", "a.toks"])
    folders = [folder / part for part in _PARTS]
    if not folders[0].is_dir():
        folders = [folder]
    if (folders[0] / "a.toks").is_file():
        pairs = [_pairs(part, progress) for part in folders] + [[], []]
        return PairCorpus(as_path(folder).name, pairs[0], pairs[1], pairs[2], SICK_LABELS)
    found = [_sentences(part, trees, progress) for part in folders] + [[], []]
    return StanfordCorpus(as_path(folder).name, found[0], found[1], found[2])


def _sentences(folder: Path, kind: str, progress: bool) -> list[AnnotatedTree]:
    parents, labels, relations = _FILES[kind]
    return _trees(folder, "sents.toks", parents, labels, relations, progress)


def _pairs(folder: Path, progress: bool) -> list[SentencePair]:
    sides = [
        _trees(folder, f"{side}.toks", f"{side}.parents", None, f"{side}.rels", progress)
        for side in "ab"
    ]
    count = len(sides[0])
    if len(sides[1]) != count:
        fail(
            str(folder / "b.toks"),
            f"expected {count} sentences as in a.toks, got {len(sides[1])}; give one for each",
        )
    path = find_file(folder, ["sim.txt"], "a file with the score of each pair")
    scores = []
    for number, line in enumerate(_lines(path, count), 1):
        try:
            score = float(line)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            message = f"expected a score, a number, got {quoted(line)}; write it"
            fail(str(path), message, line=number)
        scores.append(score)
    labels = _labels(folder / "ent.txt", count)
    return [SentencePair(*pair) for pair in zip(*sides, labels, scores, strict=True)]


def _labels(path: Path, count: int) -> Sequence[str | None]:
    """The label of each pair; None where there is no such file."""
    if not path.is_file():
        return [None] * count
    labels = [line.strip().upper() for line in _lines(path, count)]
    for number, label in enumerate(labels, 1):
        if label not in SICK_LABELS:
            message = f"expected a label among {', '.join(SICK_LABELS)}, got {quoted(label)}"
            fail(str(path), f"{message}; correct it", line=number)
    return labels


def _lines(path: Path, count: int) -> list[str]:
    """The lines of a file that has one for each of `count` sentences."""
    lines = read_lines(path, "a line for each sentence")
    if len(lines) != count:
        fail(
            str(path),
            f"expected {count} lines, one for each sentence, got {len(lines)}; check that the "
            "files belong together",
        )
    return lines


def _trees(
    folder: Path,
    tokens: str,
    parents: str,
    labels: str | None,
    relations: str | None,
    progress: bool,
) -> list[AnnotatedTree]:
    """The trees of the files of these names."""
    expected = f"a folder with {tokens} and {parents}"
    words = read_lines(find_file(folder, [tokens], expected), "the words of each sentence")
    path = find_file(folder, [parents], expected)
    graphs = read_parents(path)
    if len(graphs) != len(words):
        fail(
            str(path),
            f"expected {len(words)} lines, one for each sentence, got {len(graphs)}; check that "
            "the files belong together",
        )
    given = [
        None if name is None or not (folder / name).is_file() else folder / name
        for name in (labels, relations)
    ]
    columns = [None if file is None else _lines(file, len(words)) for file in given]
    made = []
    roots = [[int(n) for n in WORD.findall(line)].index(0) for line in read_lines(path, expected)]
    numbered = list(enumerate(zip(graphs, words, roots, strict=True), 1))
    for number, (graph, line, root) in shown_while(numbered, progress, "trees", len(numbered)):
        sentence = WORD.findall(line)
        if len(sentence) > graph.num_vertices:
            fail(
                str(path),
                f"expected a vertex for each of {len(sentence)} words, got {graph.num_vertices}; "
                "check that the files belong together",
                line=number,
            )
        texts = [
            _texts(file, lines, number, graph.num_vertices)
            for file, lines in zip(given, columns, strict=True)
        ]
        made.append(_tree(graph, root, sentence, texts))
    return made


def _texts(file: Path | None, lines: list[str] | None, number: int, count: int) -> list[str | None]:
    """The values of the vertices of one tree."""
    if file is None or lines is None:
        return [None] * count
    found = WORD.findall(lines[number - 1])
    if len(found) != count:
        message = f"expected {count} values, one for each vertex, got {len(found)}; give each one"
        fail(str(file), message, line=number)
    return [None if text == "#" else text for text in found]


def _tree(
    graph: InputGraph, root: int, sentence: list[str], texts: Sequence[list[str | None]]
) -> AnnotatedTree:
    """The tree, without what does not hang below its root."""
    tokens: list[str | None] = [*sentence, *[None] * (graph.num_vertices - len(sentence))]
    if len(graph.roots) > 1:  # those of parent -1
        graph, old = only_below(graph, root)
        tokens, *texts = ([column[v] for v in old] for column in (tokens, *texts))
    labels, relations = (tuple(column) for column in texts)
    return AnnotatedTree(graph, tuple(tokens), labels, relations)
