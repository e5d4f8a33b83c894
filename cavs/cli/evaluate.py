"""``cavs evaluate``: how good a checkpoint is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cavs
from cavs.cli._options import add_threads, integer
from cavs.data import LabelledTree, Loader, read_trees, tree_dataset
from cavs.errors import DataError, InputError
from cavs.training import (
    TREE_MODELS,
    Checkpoint,
    TreeSource,
    evaluate,
    load_checkpoint,
    load_model,
    words_of,
)
from cavs.training.tasks import check_arity, restore_task, source_of


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "evaluate",
        help="how good a checkpoint is",
        description="Prints the scores of a checkpoint: of a classifier of trees the accuracy at "
        "the roots and over all vertices, of a generative model what its training is judged by.",
    )
    parser.add_argument("checkpoint", type=Path, help="such as runs/NAME/best.safetensors")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="data as for training, or one file of trees (default: the data that the checkpoint "
        "was trained on)",
    )
    parser.add_argument(
        "--split", choices=("train", "dev", "test"), default="test", help="(default: test)"
    )
    parser.add_argument(
        "--batch-size", type=integer(1), default=256, help="of trees (default: 256)"
    )
    for name, what in (("samples", "samples of each test image"), ("images", "test images")):
        parser.add_argument(
            f"--test-{name}",
            type=integer(1),
            metavar="N",
            help=f"{what}, of a model of images (default: as in training)",
        )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_threads(parser)
    parser.set_defaults(run=run)


@cavs.detect_nonfinite()
def run(options: argparse.Namespace) -> int:
    """Prints the scores."""
    if options.threads is not None:
        cavs.set_num_threads(options.threads)
    checkpoint = load_checkpoint(options.checkpoint)
    _set_counts(options, checkpoint)
    if checkpoint.model not in TREE_MODELS:
        return _evaluate_task(options, checkpoint)
    words = words_of(options.checkpoint, checkpoint)
    model = load_model(options.checkpoint, checkpoint, checkpoint.parameters)
    trees, what = _load_trees(options, checkpoint)
    check_arity(model.function, trees, what)
    dataset = tree_dataset(trees, words)
    scores = evaluate(model, Loader(dataset, options.batch_size))
    assert scores is not None
    if options.json:
        print(json.dumps(scores.to_dict(), indent=2))
    else:
        print(
            f"{what}: {scores.graphs} trees, {scores.vertices} labelled vertices\n"
            f"root accuracy {100 * scores.root_accuracy:6.2f} %\n"
            f"all vertices  {100 * scores.vertex_accuracy:6.2f} %\n"
            f"loss          {scores.loss:8.4f} per tree"
        )
    return 0


def _set_counts(options: argparse.Namespace, checkpoint: Checkpoint) -> None:
    """Puts the counts that are given in the place of those of training."""
    names = ("test_samples", "test_images")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if not given:
        return
    option = f"--{next(iter(given)).replace('_', '-')}"
    source = checkpoint.training.get("source", {})
    if not given.keys() <= source.keys():
        raise InputError(
            f"[evaluate] expected no {option} for {checkpoint.model}, which is not of images, got "
            "one; leave it out"
        )
    if options.split != "test":
        raise InputError(
            f"[evaluate] expected {option} with --split test only, got {options.split}; leave one "
            "out"
        )
    checkpoint.training = {**checkpoint.training, "source": {**source, **given}}


def _load_trees(
    options: argparse.Namespace, checkpoint: Checkpoint
) -> tuple[list[LabelledTree], str]:
    classes = int(checkpoint.config["num_classes"])
    if options.data is not None and not Path(options.data).is_dir():
        return read_trees(options.data, num_classes=classes), options.data
    if options.data is not None:
        source = TreeSource(options.data)
    else:
        source = source_of(options.checkpoint, checkpoint)
    corpus = source.load()
    if corpus.num_classes != classes:
        raise DataError(
            f"[data] {source.name}: expected {classes} classes, as the checkpoint has, got "
            f"{corpus.num_classes}; name the data that it was trained on by --data"
        )
    trees: list[LabelledTree] = getattr(corpus, options.split)
    return trees, f"{options.split} set of {source.name}"


def _evaluate_task(options: argparse.Namespace, checkpoint: Checkpoint) -> int:
    """Prints the scores of a generative model on a split that it is judged by."""
    if options.split == "train":
        raise InputError(
            f"[evaluate] expected --split dev or test for {checkpoint.model}, got train; choose "
            "one of these"
        )
    if options.data is not None:
        known = checkpoint.training.get("source", {})
        if "path" not in known:
            raise InputError(
                f"[evaluate] expected no --data for {checkpoint.model}, which makes its own, got "
                f"{options.data}; leave it out"
            )
        source = {**known, "path": options.data}
        checkpoint.training = {**checkpoint.training, "source": source}
    task = restore_task(checkpoint, options.checkpoint)
    model = load_model(options.checkpoint, checkpoint, checkpoint.parameters, outputs=task.outputs)
    task.check(model.function)
    scores = task.objective.evaluate(model, task.batches(options.split), lambda: False)
    assert scores is not None
    if options.json:
        print(json.dumps(scores, indent=2))
    else:
        what = f"{options.split} set of {task.source.name}"
        print(f"{what}: {task.objective.describe(scores)}")
    return 0
