"""``cavs predict``: labels of the trees, or trees of the sentences, on standard input."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import cavs
from cavs.cli._options import add_threads, integer
from cavs.cli._streams import read_line
from cavs.data import (
    LabelledTree,
    Vocabulary,
    format_tree,
    parse_listops,
    parse_tree,
    tree_dataset,
)
from cavs.errors import DataError, InputError
from cavs.training import Checkpoint, load_checkpoint, load_model, parse, words_of
from cavs.training.metrics import predictions
from cavs.training.tasks import PARSER_MODELS, check_arity

SOURCE = "standard input"
_WORD = re.compile(r"\S+", re.ASCII)  # a treebank has words with a no-break space inside
_Item = TypeVar("_Item")


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "predict",
        help="labels of trees, or trees of sentences, on standard input",
        description="Reads trees from standard input, one on a line, and prints the label of each "
        "tree's root on a line. A tree is (LABEL WORD) or (LABEL TREE TREE ...), as in "
        "(-1 (-1 so) (-1 good)); its labels are not looked at, -1 means none. ListOps "
        "expressions such as [MAX 2 9 [MIN 4 7 ] 0 ] are read too. A parser reads sentences, words "
        "apart by blanks, and prints the tree of each, which a classifier of trees can read. Blank "
        "lines are skipped.",
    )
    parser.add_argument("checkpoint", type=Path, help="such as runs/NAME/best.safetensors")
    parser.add_argument(
        "--all", action="store_true", help="print each tree with the labels of all its vertices"
    )
    parser.add_argument(
        "--batch-size",
        type=integer(1),
        help="trees in a batch (default: 64; 1 on a terminal, which answers line by line)",
    )
    add_threads(parser)
    parser.set_defaults(run=run)


@cavs.detect_nonfinite()
def run(options: argparse.Namespace) -> int:
    """Prints a line for each tree."""
    if options.threads is not None:
        cavs.set_num_threads(options.threads)
    checkpoint = load_checkpoint(options.checkpoint)
    size = options.batch_size or (1 if sys.stdin.isatty() else 64)
    if checkpoint.model in PARSER_MODELS:
        return _parse(options, checkpoint, size)
    words = words_of(options.checkpoint, checkpoint)
    model = load_model(options.checkpoint, checkpoint, checkpoint.parameters).eval()
    for some in _batches(_read(_lines()), size):
        for tree, labels in zip(some, _labels(model, words, some), strict=True):
            if options.all:
                print(format_tree(replace(tree, labels=labels)))
            else:
                print(labels[tree.root])
        sys.stdout.flush()
    return 0


def _parse(options: argparse.Namespace, checkpoint: Checkpoint, size: int) -> int:
    """Prints the tree of each sentence."""
    if options.all:
        raise InputError(
            f"[predict] expected --all for a classifier of trees only, got {checkpoint.model}; "
            "leave it out"
        )
    program = load_model(options.checkpoint, checkpoint, checkpoint.parameters).eval()
    assert checkpoint.vocabulary is not None  # which a model of words has been checked to have
    for some in _batches(_read_sentences(_lines()), size):
        for tree in parse(program, checkpoint.vocabulary, some):
            print(format_tree(tree))
        sys.stdout.flush()
    return 0


def _batches(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` items; before an error, those that were read until then."""
    waiting: list[_Item] = []
    try:
        for item in items:
            waiting.append(item)
            if len(waiting) == size:
                yield waiting
                waiting = []
    except DataError:
        yield waiting
        raise
    yield waiting


def _lines() -> Iterator[str]:
    """Lines of standard input, which is UTF-8 whatever the locale says."""
    for number in count(1):
        line = read_line(SOURCE, number)
        if not line:
            return
        yield line


def _read(lines: Iterable[str]) -> Iterator[LabelledTree]:
    empty = True
    for number, line in enumerate(lines, 1):
        if line.strip():
            empty = False
            if line.lstrip().startswith("["):
                yield parse_listops(line, source=SOURCE, line=number)
            else:
                yield parse_tree(line, allow_unlabelled=True, source=SOURCE, line=number)
    if empty:
        raise DataError(
            f"[data] {SOURCE}: expected trees such as (-1 (-1 so) (-1 good)), one on a line, got "
            "none; write some"
        )


def _read_sentences(lines: Iterable[str]) -> Iterator[list[str]]:
    empty = True
    for number, line in enumerate(lines, 1):
        words = _WORD.findall(line)
        if not words:
            continue
        empty = False
        for word in words:
            if "(" in word or ")" in word:
                raise DataError(
                    f"[data] {SOURCE}, line {number}: expected words without brackets, got "
                    f"{word!r}; write -LRB- and -RRB-"
                )
        yield words
    if empty:
        raise DataError(
            f"[data] {SOURCE}: expected sentences, one on a line, words apart by blanks, got "
            "none; write some"
        )


def _labels(
    model: cavs.Model, vocabulary: Vocabulary, trees: list[LabelledTree]
) -> list[np.ndarray[Any, np.dtype[np.int32]]]:
    """The label of each vertex of each tree."""
    if not trees:
        return []
    check_arity(model.function, trees, SOURCE)
    batch, inputs = tree_dataset(trees, vocabulary).batch(np.arange(len(trees)))
    inputs["label"] = np.full_like(inputs["label"], -1)
    with cavs.no_grad():
        out = model(batch, **inputs)
    return cavs.unbatch(batch, predictions(out["logits"]).astype(np.int32))
