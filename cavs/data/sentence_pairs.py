"""Pairs of sentences with a label or a score: SICK (Marelli et al. 2014) and SNLI (Bowman et al.
2015)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cavs._arguments import instance, items, shown
from cavs.data._progress import shown_while
from cavs.data._repr import Corpus, Printed, first_words
from cavs.data._text import (
    WORD,
    PathLike,
    as_path,
    fail,
    find_file,
    folder_within,
    numbered_lines,
    quoted,
    read_lines,
)
from cavs.data.annotated import AnnotatedTree, sentence_tree
from cavs.data.dataset import Dataset
from cavs.data.pairs import PairDataset
from cavs.data.trees import LabelledTree, TreeBuilder
from cavs.data.vocabulary import Vocabulary
from cavs.errors import InputError

Tree = AnnotatedTree | LabelledTree
TREES: Any = (AnnotatedTree, LabelledTree)

SICK_LABELS = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
SNLI_LABELS = ("contradiction", "neutral", "entailment")
_SICK_SETS = {"TRAIN": "train", "TRIAL": "dev", "TEST": "test"}
_SICK_FILES = {
    "train": ["SICK_train.txt"],
    "dev": ["SICK_trial.txt"],
    "test": ["SICK_test_annotated.txt", "SICK_test.txt"],
}


@dataclass(frozen=True, repr=False)
class SentencePair(Printed):
    """Two sentences as trees, with what is said of them.

    Attributes:
      left, right: the sentences; each an `AnnotatedTree` or a `LabelledTree`.
      label: such as ``entailment``, or None.
      score: such as the relatedness of SICK, 1 to 5, or None.

    Raises:
      InputError: a side is no tree with words.
    """

    left: Tree
    right: Tree
    label: str | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            instance("data", name, getattr(self, name), TREES, "a tree with words")

    def _summary(self) -> str:
        left, right = first_words(self.left.tokens), first_words(self.right.tokens)
        return f"label {shown(self.label)}, score {self.score}: {left} | {right}"


@dataclass(frozen=True, repr=False)
class PairCorpus(Corpus):
    """Training, development and test pairs, and the labels in the order of their ids."""

    name: str
    train: list[SentencePair]
    dev: list[SentencePair]
    test: list[SentencePair]
    labels: tuple[str, ...]

    _unit = "pairs"

    def _details(self) -> str:
        return f"labels {first_words(self.labels)}" if self.labels else "no labels"


def pair_vocabulary(pairs: Iterable[SentencePair], *, min_count: int = 1) -> Vocabulary:
    """The words of both sentences of the pairs, ``<unk>`` first.

    `min_count` is as in `Vocabulary.from_tokens`. Raises InputError for anything but sentence
    pairs.
    """
    trees = (tree for pair in _checked(pairs) for tree in (pair.left, pair.right))
    return Vocabulary.from_tokens((t for tree in trees for t in tree.tokens), min_count=min_count)


def pair_dataset(
    pairs: Iterable[SentencePair], words: Vocabulary, *, labels: Sequence[str] = ()
) -> PairDataset:
    """Pairs as a data set: the vertex input ``word``, int32, -1 for none; the inputs of pairs
    ``label``, int32, the place among `labels`, -1 for none, where `labels` are given; and
    ``score``, float32, where all pairs have one.

    Raises InputError for a label that is not among `labels`.
    """
    given = _checked(pairs)
    instance("data", "words", words, Vocabulary, "a Vocabulary")
    names = Vocabulary(items("data", "labels", labels, str, "labels"), unknown=None)
    sides = []
    for side in ("left", "right"):
        trees: list[Tree] = [getattr(pair, side) for pair in given]
        word = words.encode(token for tree in trees for token in tree.tokens)
        sides.append(Dataset([tree.graph for tree in trees], vertex={"word": word}))
    of_pairs: dict[str, Any] = {}
    if len(names):
        of_pairs["label"] = names.encode(pair.label for pair in given)
    scores = [pair.score for pair in given]
    if given and None not in scores:
        of_pairs["score"] = np.array(scores, np.float32)
    return PairDataset(*sides, pair=of_pairs)


def _checked(pairs: Iterable[SentencePair]) -> list[SentencePair]:
    return items("data", "pairs", pairs, SentencePair, "sentence pairs")


# --- SICK -----------------------------------------------------------------------------------------


def load_sick(
    path: PathLike,
    *,
    structure: Callable[[Sequence[str]], Tree] = sentence_tree,
    progress: bool = False,
) -> PairCorpus:
    """Read SICK: pairs with a relatedness score from 1 to 5 and an entailment label.

    Args:
      path: ``SICK.txt``, whose column ``SemEval_set`` says TRAIN, TRIAL or TEST; or a directory, or
        its folder ``sick``, with that file, or with the three of SemEval 2014: ``SICK_train.txt``,
        ``SICK_trial.txt`` and ``SICK_test_annotated.txt``. Columns are parted by tabs and found by
        their names in the first line: ``sentence_A``, ``sentence_B``, ``relatedness_score``, and
        ``entailment_label`` or ``entailment_judgment``.
      structure: makes the tree of a sentence of its words, as SICK comes without parses; the
        default is a chain. `right_branching`, or a function that asks a parser, fits too. Words
        are parted by blanks as in the file.
      progress: show a bar on standard error.

    Raises:
      DataError: a file or a column is missing, a score that is no number from 1 to 5, another
        label or set; names file and line.
      InputError: `structure` is no function, or gives no tree.
    """
    if not callable(structure):
        raise InputError(
            f"[data] expected a function as structure, got {shown(structure)}; pass one that "
            "makes a tree of words"
        )
    parts: dict[str, list[SentencePair]] = {"train": [], "dev": [], "test": []}
    for file, part in _sick_files(path):
        lines = read_lines(file, "SICK, whose first line names the columns")
        columns = {name.strip(): at for at, name in enumerate(lines[0].split("\t"))}
        at = _sick_columns(columns, part is None, str(file))
        numbered = [(n, line) for n, line in enumerate(lines[1:], 2) if line.strip()]
        for number, line in shown_while(numbered, progress, "pairs", len(numbered)):
            fields = line.split("\t")
            if len(fields) <= max(at.values()):
                message = f"expected {len(columns)} columns parted by tabs, got {len(fields)}"
                fail(str(file), f"{message}; write them", line=number)
            pair = _sick_pair(fields, at, structure, str(file), number)
            parts[part or _sick_set(fields[at["set"]], str(file), number)].append(pair)
    return PairCorpus("sick", parts["train"], parts["dev"], parts["test"], SICK_LABELS)


def _sick_files(path: PathLike) -> list[tuple[Any, str | None]]:
    """The files, each with the part that all of it belongs to, or None."""
    if as_path(path).is_file():
        return [(path, None)]
    first = ["SICK.txt", *_SICK_FILES["train"]]
    folder = folder_within(path, "sick", first)
    found = find_file(folder, first, "SICK.txt, or a directory with it or SICK_train.txt")
    if found.name == "SICK.txt":
        return [(found, None)]
    wanted = "a directory with SICK_train.txt, SICK_trial.txt and SICK_test_annotated.txt"
    return [(find_file(folder, names, wanted), part) for part, names in _SICK_FILES.items()]


def _sick_columns(columns: dict[str, int], with_set: bool, source: str) -> dict[str, int]:
    label = "entailment_label" if "entailment_label" in columns else "entailment_judgment"
    wanted = {
        "left": "sentence_A",
        "right": "sentence_B",
        "score": "relatedness_score",
        "label": label,
    }
    if with_set:
        wanted["set"] = "SemEval_set"
    missing = [name for name in wanted.values() if name not in columns]
    if missing:
        fail(
            source,
            f"expected a column {missing[0]}, got {quoted(', '.join(columns))}; name the columns "
            "in the first line, parted by tabs",
            line=1,
        )
    return {key: columns[name] for key, name in wanted.items()}


def _sick_pair(
    fields: list[str],
    at: Mapping[str, int],
    structure: Callable[[Sequence[str]], Tree],
    source: str,
    line: int,
) -> SentencePair:
    text = fields[at["score"]].strip()
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not 1 <= score <= 5:
        message = f"expected a relatedness_score from 1 to 5, got {quoted(text)}; correct it"
        fail(source, message, line=line)
    label = fields[at["label"]].strip().upper()
    if label not in SICK_LABELS:
        fail(
            source,
            f"expected a label among {', '.join(SICK_LABELS)}, got {quoted(label)}; correct it",
            line=line,
        )
    trees = []
    for side in ("left", "right"):
        words = [match.group() for match in WORD.finditer(fields[at[side]])]
        if not words:
            fail(source, "expected two sentences, got an empty one; write it", line=line)
        given: Any = structure(words)
        tree: Tree = instance("data", "what structure gives", given, TREES, "a tree")
        trees.append(tree)
    return SentencePair(trees[0], trees[1], label, score)


def _sick_set(text: str, source: str, line: int) -> str:
    part = _SICK_SETS.get(text.strip().upper())
    if part is None:
        message = f"expected a SemEval_set among TRAIN, TRIAL, TEST, got {quoted(text)}; correct it"
        fail(source, message, line=line)
    return part


# --- SNLI -----------------------------------------------------------------------------------------


def load_snli(directory: PathLike, *, progress: bool = False) -> PairCorpus:
    """Read SNLI, or MultiNLI: the files that end in ``train.jsonl``, ``dev.jsonl`` and
    ``test.jsonl`` (``dev_matched`` and ``dev_mismatched`` of MultiNLI) of a directory or its folder
    ``snli_1.0``; `read_snli` says how each is read. The labels are contradiction, neutral and
    entailment.

    Raises:
      DataError: a file is missing, or malformed.
    """
    folder = folder_within(directory, "snli_1.0", ["snli_1.0_train.jsonl"])
    names = {
        "train": ["snli_1.0_train.jsonl", "multinli_1.0_train.jsonl", "train.jsonl"],
        "dev": ["snli_1.0_dev.jsonl", "multinli_1.0_dev_matched.jsonl", "dev.jsonl"],
        "test": ["snli_1.0_test.jsonl", "multinli_1.0_dev_mismatched.jsonl", "test.jsonl"],
    }
    expected = "a directory with the train, dev and test files of SNLI"
    train, dev, test = (
        read_snli(find_file(folder, wanted, expected), progress=progress)
        for wanted in names.values()
    )
    return PairCorpus("snli", train, dev, test, SNLI_LABELS)


def read_snli(path: PathLike, *, progress: bool = False) -> list[SentencePair]:
    """Read a file of SNLI: an object of JSON on each line, of which ``gold_label``,
    ``sentence1_binary_parse`` and ``sentence2_binary_parse`` are used.

    The trees are binary `LabelledTree`s without labels, the words at their leaves. Pairs of the
    label ``-``, on which the annotators did not agree, are left out. `progress` shows a bar on
    standard error.

    Raises:
      DataError: a line that is no object of JSON, lacks a field, has another label, or brackets
        that are no binary tree; names file and line.
    """
    lines = numbered_lines(path, "pairs of sentences, an object of JSON on each line")
    pairs, source = [], str(as_path(path))
    for number, line in shown_while(lines, progress, "pairs", 0):
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            fail(source, f"expected an object of JSON, got {error}; correct it", line=number)
        if not isinstance(row, dict):
            message = f"expected an object of JSON, got {quoted(line)}; write one"
            fail(source, message, line=number)
        label = _field(row, "gold_label", source, number)
        if label == "-":
            continue
        if label not in SNLI_LABELS:
            fail(
                source,
                f"expected a gold_label among {', '.join(SNLI_LABELS)} and -, got {quoted(label)}; "
                "correct it",
                line=number,
            )
        sides = (_field(row, f"sentence{side}_binary_parse", source, number) for side in (1, 2))
        left, right = (parse_binary_tree(text, source=source, line=number) for text in sides)
        pairs.append(SentencePair(left, right, label))
    return pairs


def _field(row: dict[str, Any], name: str, source: str, line: int) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        fail(source, f"expected text as {name!r}, got {shown(value)}; write it", line=line)
    return value


def parse_binary_tree(text: str, *, source: str = "", line: int | None = None) -> LabelledTree:
    """Read a binary tree whose brackets have no labels: ``( ( A man ) sleeps )``; a word alone is a
    tree too. Labels are -1.

    Raises DataError for brackets that do not match, or hold another number of parts than two.
    """
    builder = TreeBuilder()
    opened: list[list[int]] = []
    top: list[int] = []
    for token in instance("data", "text", text, str, "a string").split():
        below = opened[-1] if opened else top
        if token == "(":
            opened.append([])
        elif token != ")":
            below.append(builder.add_checked(-1, token))
        elif not opened or len(below) != 2:
            got = f"{len(below)} in one" if opened else "a ')' without a '('"
            fail(
                source,
                f"expected two parts in each pair of brackets, got {got}; bracket them "
                "as ( left right )",
                line=line,
            )
        else:
            opened.pop()
            (opened[-1] if opened else top).append(builder.add_checked(-1, None, tuple(below)))
    if opened or len(top) != 1:
        got = f"{len(opened)} brackets not closed" if opened else f"{len(top)} trees"
        fail(source, f"expected one tree as ( left right ), got {got}; correct it", line=line)
    return builder.build()
