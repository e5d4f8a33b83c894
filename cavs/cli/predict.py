"""``cavs predict``: labels of trees, or what is made of sentences, on standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any, TypeVar

import cavs
from cavs.cli._checkpoints import Use, add_checkpoint
from cavs.cli._options import add_device, add_options, add_threads, integer
from cavs.cli._streams import read_line
from cavs.errors import DataError
from cavs.training.tasks import Predicts

SOURCE = "standard input"
USE: Use[Predicts] = Use(
    "predict", Predicts, "a model that predicts", lambda task: task.prediction_options
)
_Item = TypeVar("_Item")


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "predict",
        help="labels of trees, or what is made of sentences, on standard input",
        description="Reads trees from standard input, one on a line, and prints the label of each "
        "tree's root on a line. A tree is (LABEL WORD) or (LABEL TREE TREE ...), as in "
        "(-1 (-1 so) (-1 good)); its labels are not looked at, -1 means none. ListOps "
        "expressions such as [MAX 2 9 [MIN 4 7 ] 0 ] are read too. A parser reads sentences, words "
        "apart by blanks, and prints the tree of each, which a classifier of trees can read; a "
        "tagger prints each as word|TAG, and a model that writes sentences prints what it writes. "
        "Blank lines are skipped.",
    )
    add_checkpoint(parser)
    add_options(parser, USE.options(), default=None)
    parser.add_argument(
        "--batch-size",
        type=integer(1),
        metavar="N",
        help="trees, or sentences, in a batch (default: 64; 1 on a terminal, which answers line by "
        "line)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print a JSON object a line: of trees label and probabilities (of classes 0, 1, ...), "
        "with --all also tree and vertices; of a parser tree and log_probability; of a tagger "
        "words, tags and probabilities (of each word, by tag); of a model that writes sentences "
        "output and log_probability, with --beam also hypotheses",
    )
    add_device(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


@cavs.detect_nonfinite()
def run(options: argparse.Namespace) -> int:
    """Prints a line for each tree or sentence."""
    trained, task, given = USE.begin(options)
    size = options.batch_size or (1 if sys.stdin.isatty() else 64)
    predict = task.predictor(trained, SOURCE, json=options.json, **given)
    for some in _batches(task.read_items(_lines(), SOURCE), size):
        for line in predict(some):
            print(line)
        sys.stdout.flush()
    return 0


def _batches(items: Iterator[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of `size` items; before an error, the items read until then."""
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
    """Lines of standard input, read as UTF-8 in any locale."""
    for number in count(1):
        line = read_line(SOURCE, number)
        if not line:
            return
        yield line
