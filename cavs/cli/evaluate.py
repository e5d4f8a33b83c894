"""``cavs evaluate``: prints the scores of a checkpoint."""

from __future__ import annotations

import argparse
import json
from typing import Any

import cavs
from cavs.cli._checkpoints import Use, add_checkpoint
from cavs.cli._options import add_device, add_options, add_threads
from cavs.errors import InputError
from cavs.training.tasks import Task

USE: Use[Task] = Use("evaluate", Task, "a model", lambda task: task.evaluation_options)


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "evaluate",
        help="how good a checkpoint is",
        description="Prints the scores of a checkpoint: of a classifier of trees the accuracy at "
        "the roots and over all vertices, of a tagger the F1 of names and the accuracy of all "
        "words and of those not seen in training, of a model that writes sentences the share of "
        "faultless ones, of a generative model what its training is judged by.",
    )
    add_checkpoint(parser)
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="data as for training, or one file of trees, or of tagged sentences, all of which are "
        "the test set (default: the data that the checkpoint was trained on)",
    )
    parser.add_argument(
        "--split", choices=("train", "dev", "test"), default="test", help="(default: test)"
    )
    add_options(parser, USE.options(), default=None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_device(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


@cavs.detect_nonfinite()
def run(options: argparse.Namespace) -> int:
    """Prints the scores."""
    trained, task, given = USE.begin(options)
    batch_size = given.pop("batch_size", None)
    if given and options.split != "test":
        flag = next(option.flag for option in USE.options() if option.name in given)
        raise InputError(
            f"[evaluate] expected {flag} with --split test only, got {options.split}; leave one out"
        )
    if given:
        place = {} if options.data is None else {"path": options.data}
        trained = trained.with_source(**given, **place)
    found = task.evaluate(trained, options.split, options.data, batch_size)
    print(json.dumps(found.scores, indent=2) if options.json else found.text)
    return 0
