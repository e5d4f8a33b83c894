"""``cavs train``: trains a classifier of trees."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cavs
from cavs.cli._options import add_threads, integer, number
from cavs.cli._signals import StopOnSignal
from cavs.errors import CheckpointError, InputError
from cavs.training import (
    TREE_MODELS,
    Progress,
    TrainingConfig,
    TrainingRun,
    TreeSource,
    load_checkpoint,
)
from cavs.training.config import OPTIMIZERS, SCHEDULES
from cavs.training.run import BEST, LAST, METRICS
from cavs.training.tensorboard import TensorBoard

# What suits a treebank (Tai et al. 2015), and what suits the built-in expressions: few words, many
# labels that are all right, and operators that must be learnt exactly.
TREEBANK: dict[str, Any] = {"embedding_size": 300, "hidden_size": 150, "dropout": 0.5}
LISTOPS: dict[str, Any] = {
    "embedding_size": 50,
    "hidden_size": 150,
    "dropout": 0.0,
    "epochs": 3,
    "optimizer": "adam",
    "lr": 0.005,
    "embedding_lr": 0.005,
    "lr_schedule": "linear",
    "weight_decay": 0.0,
}

# Options that may differ from those that a run began with when it goes on.
_MAY_CHANGE = ("epochs", "patience")


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "train",
        help="train a classifier of trees",
        description="Trains a classifier of all vertices of labelled trees, on ListOps expressions "
        "made on the spot or on a treebank, and scores it on the test set. Ctrl-C saves "
        "and says how to go on.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("model", choices=tuple(TREE_MODELS))
    _add_data(parser.add_argument_group("data"))
    _add_model(parser.add_argument_group("model"))
    _add_training(parser.add_argument_group("training"))
    run_group = parser.add_argument_group("run")
    run_group.add_argument(
        "--output", type=Path, metavar="DIR", help="for checkpoints and metrics (default: runs/...)"
    )
    run_group.add_argument(
        "--overwrite", action="store_true", help="replace a run that DIR holds already"
    )
    run_group.add_argument("--resume", type=Path, metavar="FILE", help=f"go on from a run's {LAST}")
    run_group.add_argument(
        "--tensorboard", action="store_true", help="write curves for TensorBoard into DIR"
    )
    run_group.add_argument("--quiet", action="store_true", help="print the result only")
    add_threads(run_group)
    parser.set_defaults(run=run)


def _add_data(group: Any) -> None:
    group.add_argument(
        "--data",
        metavar="DIR",
        help="treebank: train.txt, dev.txt, test.txt, one tree in brackets on a line, labels 0..4 "
        "(default: ListOps expressions)",
    )
    group.add_argument(
        "--num-train",
        type=integer(1),
        metavar="N",
        help="ListOps expressions to train on (default: 40000)",
    )
    group.add_argument(
        "--max-depth", type=integer(2), metavar="N", help="of ListOps expressions (default: 20)"
    )
    group.add_argument(
        "--min-count",
        type=integer(1),
        metavar="N",
        help="words that occur fewer times read as <unk> (default: 1)",
    )
    group.add_argument(
        "--labels",
        choices=("all", "root"),
        help="train on the labels of all vertices or of the root only (default: all)",
    )


def _add_model(group: Any) -> None:
    for name in ("embedding_size", "hidden_size"):
        group.add_argument(
            _flag(name),
            type=integer(1),
            metavar="N",
            help=f"(default: {TREEBANK[name]}; {LISTOPS[name]} for ListOps)",
        )
    group.add_argument(
        "--dropout",
        type=number(0, 1),
        metavar="P",
        help="of words and of what the classifier sees "
        f"(default: {TREEBANK['dropout']}; {LISTOPS['dropout']} for ListOps)",
    )
    group.add_argument(
        "--embedding-std",
        type=number(0),
        metavar="X",
        help="standard deviation of the initial embedding (default: 1)",
    )


def _add_training(group: Any) -> None:
    options: tuple[tuple[str, Any, str], ...] = (
        ("epochs", integer(1), "at most"),
        ("batch_size", integer(1), "trees in a batch"),
        ("lr", number(0, exclusive=True), "learning rate"),
        ("embedding_lr", number(0, exclusive=True), "learning rate of the embedding"),
        ("lr_decay", number(0, exclusive=True), "factor of the learning rates after each epoch"),
        ("weight_decay", number(0), "L2 coefficient"),
        ("embedding_weight_decay", number(0), "L2 coefficient of the embedding"),
        ("clip_norm", number(0), "greatest norm of the gradient, 0: any"),
        ("patience", integer(0), "epochs without improvement on dev before it ends, 0: any"),
        ("seed", integer(0), "of parameters, dropout and order"),
    )
    defaults = TrainingConfig().to_dict()
    for name, kind, meaning in options:
        other = f"; {LISTOPS[name]} for ListOps" if name in LISTOPS else ""
        group.add_argument(
            _flag(name),
            type=kind,
            metavar="X",
            help=f"{meaning} (default: {defaults[name]}{other})",
        )
    group.add_argument(
        "--lr-schedule",
        choices=SCHEDULES,
        help="linear: in a line down to 0 at the end of the last epoch "
        f"(default: {defaults['lr_schedule']}; {LISTOPS['lr_schedule']} for ListOps)",
    )
    group.add_argument(
        "--optimizer",
        choices=OPTIMIZERS,
        help=f"(default: {defaults['optimizer']}; {LISTOPS['optimizer']} for ListOps)",
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def run(options: argparse.Namespace) -> int:
    """Trains until finished or stopped."""
    given = {
        name: value
        for name, value in vars(options).items()
        if name not in ("command", "model", "run")
    }
    directory = given.pop("output", None)
    overwrite, quiet = given.pop("overwrite", False), given.pop("quiet", False)
    tensorboard = given.pop("tensorboard", False)
    if (threads := given.pop("threads", None)) is not None:
        cavs.set_num_threads(threads)
    resumed: Path | None = given.pop("resume", None)
    if resumed is not None:
        training = _resume(resumed, options.model, given, directory)
    else:
        training = _start(options.model, given, directory, overwrite)
    progress = Progress(quiet)
    observer = TensorBoard(training.directory, progress) if tensorboard else progress
    if not quiet:
        _print_header(training, options.model)
    with StopOnSignal() as stop:
        try:
            finished = training.fit(observer, stop)
        finally:
            progress.close()
            if tensorboard:
                observer.close()
    if not finished:
        return _say_how_to_resume(training, options.model, stop.code)
    _print_result(training)
    return 0


def _start(
    name: str, given: Mapping[str, Any], directory: Path | None, overwrite: bool
) -> TrainingRun:
    source = _source(given)
    settings = {**(LISTOPS if source.path is None else TREEBANK), **given}
    config = TrainingConfig.from_dict(settings)
    if directory is None:
        directory = _free_directory(Path("runs"), f"{name}-{source.name}")
    elif (directory / LAST).exists() and not overwrite:
        raise InputError(
            f"[train] a directory without a run was expected, came ({directory}); go on with "
            f"--resume {shlex.quote(str(directory / LAST))}, or replace it with --overwrite"
        )
    return TrainingRun.start(
        directory,
        name,
        source,
        config,
        min_count=settings.get("min_count", 1),
        embedding_std=settings.get("embedding_std"),
        embedding_size=settings["embedding_size"],
        hidden_size=settings["hidden_size"],
        dropout=settings["dropout"],
    )


def _source(given: Mapping[str, Any]) -> TreeSource:
    for name in ("num_train", "max_depth"):
        if "data" in given and name in given:
            raise InputError(
                f"[train] {_flag(name)} without --data was expected, it is about ListOps"
            )
    names = {"data": "path", "num_train": "num_train", "max_depth": "max_depth"}
    return TreeSource(**{names[name]: given[name] for name in names if name in given})


def _free_directory(parent: Path, name: str) -> Path:
    """A directory that is not there yet."""
    directory, number_of_run = parent / name, 1
    while directory.exists():
        number_of_run += 1
        directory = parent / f"{name}-{number_of_run}"
    return directory


def _resume(path: Path, name: str, given: Mapping[str, Any], directory: Path | None) -> TrainingRun:
    checkpoint = load_checkpoint(path)
    known = {
        **checkpoint.config,
        **checkpoint.training.get("settings", {}),
        **checkpoint.training.get("source", {}),
        "model": checkpoint.model,
    }
    wanted = {("path" if key == "data" else key): value for key, value in given.items()}
    for key, value in {**wanted, "model": name}.items():
        if key not in _MAY_CHANGE and key in known and known[key] != value:
            raise CheckpointError(
                f"[checkpoint] {path}: {key} {known[key]!r}, as the run began, was expected, came "
                f"{value!r}; leave the option out, or start a new run"
            )
    config = TrainingConfig.from_dict(known)
    changes = {key: given[key] for key in _MAY_CHANGE if key in given}
    return TrainingRun.resume(
        path, checkpoint, replace(config, **changes), directory or path.parent
    )


def _print_header(training: TrainingRun, name: str) -> None:
    sizes = {k: len(v) for k, v in training.splits.items()}
    parameters = sum(p.size for p in training.model.parameters())
    print(
        f"{name} with {parameters:,} parameters on {training.source.name}: "
        f"{sizes['train']} trees to train on, {sizes['dev']} dev, {sizes['test']} test; "
        f"{cavs.get_num_threads()} thread(s), {cavs.instruction_set()}",
        flush=True,
    )


def _print_result(training: TrainingRun) -> None:
    best, test = training.trainer.best, training.test
    assert best is not None
    assert test is not None
    print(
        f"best epoch {best['epoch']}: dev root {100 * best['dev']['root_accuracy']:.2f} %, "
        f"test root {100 * test.root_accuracy:.2f} %, test all {100 * test.vertex_accuracy:.2f} %\n"
        f"{training.directory / BEST}\n{training.directory / METRICS}"
    )


def _say_how_to_resume(training: TrainingRun, name: str, code: int) -> int:
    path = shlex.quote(str(training.directory / LAST))
    trainer = training.trainer
    print(
        f"stopped in epoch {trainer.epoch + 1} after step {trainer.step}; go on with: "
        f"cavs train {name} --resume {path}",
        file=sys.stderr,
    )
    return code
