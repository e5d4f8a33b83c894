"""``cavs train``: trains a model."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cavs
from cavs.cli._options import add_threads
from cavs.cli._signals import StopOnSignal
from cavs.cli._train_models import ENTRIES
from cavs.errors import CheckpointError, InputError
from cavs.training import Progress, TrainingConfig, TrainingRun, load_checkpoint
from cavs.training._fields import shown
from cavs.training.folder import RunFolder
from cavs.training.held import BEST, LAST, METRICS
from cavs.training.state import read_settings
from cavs.training.tasks import arguments_of
from cavs.training.tensorboard import TensorBoard

# Options that may differ from those that a run began with when it goes on.
_MAY_CHANGE = ("epochs", "patience")


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "train",
        help="train a model",
        description="Trains a model and scores it on a test set. Ctrl-C saves and says how to go "
        "on. `cavs train MODEL --help` lists a model's options.",
    )
    models = parser.add_subparsers(title="models", dest="model", required=True, metavar="MODEL")
    for name, entry in ENTRIES.items():
        entry.add_options(_add_model(models, name, entry.meaning), name)
    parser.set_defaults(run=run)


def _add_model(models: Any, name: str, meaning: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = models.add_parser(
        name,
        help=meaning,
        description=f"Trains {name}: {meaning}.",
        argument_default=argparse.SUPPRESS,
    )
    group = parser.add_argument_group("run")
    group.add_argument(
        "--output", type=Path, metavar="DIR", help="for checkpoints and metrics (default: runs/...)"
    )
    group.add_argument(
        "--overwrite", action="store_true", help="replace a run that DIR holds already"
    )
    group.add_argument("--resume", type=Path, metavar="FILE", help=f"go on from a run's {LAST}")
    group.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="begin with the parameters of a checkpoint whose model has the same ones",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="write curves for TensorBoard into DIR"
    )
    group.add_argument("--quiet", action="store_true", help="print the result only")
    add_threads(group)
    return parser


@cavs.detect_nonfinite()
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
    init: Path | None = given.pop("init", None)
    if resumed is not None:
        if init is not None:
            raise InputError("[train] expected --init or --resume, got both; leave one out")
        training = _resume(resumed, options.model, given, directory, overwrite)
    else:
        training = _start(options.model, given, directory, overwrite)
        if init is not None:
            training.begin_with(init, load_checkpoint(init))
    with training.writing():
        finished, code = _train(training, quiet, tensorboard)
    if not finished:
        return _say_how_to_resume(training, options.model, code)
    _print_result(training)
    return 0


def _train(training: TrainingRun, quiet: bool, tensorboard: bool) -> tuple[bool, int]:
    """Whether it came to an end, and the exit code where it was stopped before."""
    progress = Progress(
        quiet,
        training.task.unit,
        training.task.objective.describe,
        training.trainer.config.epochs,
    )
    curves = TensorBoard(training.directory, progress) if tensorboard else None
    if not training.folder.locked:
        print(
            f"[train] the file system of {training.directory} cannot lock it: see to it that no "
            "other run writes there",
            file=sys.stderr,
        )
    if not quiet:
        _print_header(training)
    with StopOnSignal() as stop:
        try:
            finished = training.fit(curves or progress, stop)
            if curves is not None:
                curves.close()
        finally:
            progress.close()
            if curves is not None:
                curves.abandon()
    return finished, stop.code


def _start(
    name: str, given: Mapping[str, Any], directory: Path | None, overwrite: bool
) -> TrainingRun:
    task, settings = ENTRIES[name].make(name, given)
    if directory is None:
        folder = RunFolder(Path("runs") / f"{name}-{task.source.name}", new=True)
    elif (directory / LAST).exists() and not overwrite:
        raise InputError(
            f"[train] expected a directory without a run, got {directory}; go on with --resume "
            f"{shlex.quote(str(directory / LAST))}, or replace it with --overwrite"
        )
    else:
        folder = RunFolder(directory)
    config = TrainingConfig.from_dict(settings)
    return TrainingRun.start(folder, task, config, overwrite=overwrite)


def _resume(
    path: Path, name: str, given: Mapping[str, Any], directory: Path | None, overwrite: bool
) -> TrainingRun:
    checkpoint = load_checkpoint(path)
    training = checkpoint.training
    known = {
        **arguments_of(checkpoint),
        **training.get("settings", {}),
        **training.get("source", {}),
        "model": checkpoint.model,
    }
    wanted = {("path" if key == "data" else key): value for key, value in given.items()}
    for key, value in {**wanted, "model": name}.items():
        if key not in _MAY_CHANGE and key in known and known[key] != value:
            raise CheckpointError(
                f"[checkpoint] {path}: expected {key} {shown(known[key])}, as the run began, got "
                f"{value!r}; leave the option out, or start a new run"
            )
    TrainingRun.check_resumable(path, checkpoint)
    changes = {key: given[key] for key in _MAY_CHANGE if key in given}
    config = replace(read_settings(path, training), **changes)
    return TrainingRun.resume(
        path, checkpoint, config, directory or path.parent, overwrite=overwrite
    )


def _print_header(training: TrainingRun) -> None:
    task, sizes = training.task, training.task.sizes
    parameters = sum(p.size for p in training.model.parameters())
    print(
        f"{task.name} with {parameters:,} parameters on {task.source.name}: "
        f"{sizes['train']} {task.unit} to train on, {sizes['dev']} dev, {sizes['test']} test; "
        f"{cavs.get_num_threads()} thread(s), {cavs.instruction_set()}",
        flush=True,
    )


def _print_result(training: TrainingRun) -> None:
    best, test = training.trainer.best, training.test
    assert best is not None
    assert test is not None
    print(
        "\n".join([training.task.summary(best, test), *training.task.examples(training.model)])
        + f"\n{training.directory / BEST}\n{training.directory / METRICS}"
    )


def _say_how_to_resume(training: TrainingRun, name: str, code: int) -> int:
    path = shlex.quote(str(training.directory / LAST))
    trainer = training.trainer
    where = (
        f"after epoch {trainer.epoch}, while the test set was scored"
        if trainer.finished
        else f"in epoch {trainer.epoch + 1} after step {trainer.step}"
    )
    print(
        f"stopped {where}; go on with: cavs train {name} --resume {path}",
        file=sys.stderr,
    )
    return code
