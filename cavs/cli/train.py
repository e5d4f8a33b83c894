"""``cavs train``: trains a model."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import cavs
from cavs.cli._config import (
    merged,
    options_of,
    read_config,
    said_of_config,
    task_of,
    without_voided,
)
from cavs.cli._signals import StopOnSignal
from cavs.cli._train_parser import ModelAction, models_and_tasks
from cavs.device import find_device
from cavs.errors import CheckpointError, InputError
from cavs.training import (
    Checkpoint,
    Progress,
    TrainingConfig,
    TrainingRun,
    UserModel,
    load_checkpoint,
    load_user_model,
    make_task,
)
from cavs.training._fields import shown
from cavs.training.folder import RunFolder
from cavs.training.held import BEST, LAST, METRICS
from cavs.training.state import read_settings
from cavs.training.tasks import arguments_of
from cavs.training.tensorboard import TensorBoard
from cavs.training.user_model import parse_arg, parse_value

# Options that may change when a run goes on.
_MAY_CHANGE = ("epochs", "patience")


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "train",
        help="train a model",
        description="Trains a model and scores it on a test set. Ctrl-C saves and says how to go\n"
        "on. `cavs train MODEL --help` lists a model's options; MODEL is one of those below, or\n"
        "FILE.py:CLASS, a vertex function of your own with `--task TASK`.",
        epilog=models_and_tasks(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs=argparse.PARSER,
        action=ModelAction,
        help="what to train, and its options",
    )
    parser.set_defaults(run=run)


@cavs.detect_nonfinite()
def run(options: argparse.Namespace) -> int:
    """Trains until finished or stopped."""
    given = {
        name: value
        for name, value in vars(options).items()
        if name not in ("command", "model", "run")
    }
    file: Path | None = given.pop("config", None)
    config: dict[str, Any] = {}
    if file is not None:
        config, left_out = _from_file(file, options.model, given)
        given = merged(config, given)
        for line in left_out:  # also with --quiet: an option that was asked for is ignored
            print(f"[train] {file}: {line}", file=sys.stderr)
    directory = given.pop("output", None)
    overwrite, quiet = given.pop("overwrite", False), given.pop("quiet", False)
    tensorboard = given.pop("tensorboard", False)
    if (threads := given.pop("threads", None)) is not None:
        cavs.set_num_threads(threads)
    device = find_device(given.pop("device", None) or "cpu", "train").name
    resumed: Path | None = given.pop("resume", None)
    init: Path | None = given.pop("init", None)
    model = _take_model(options.model, given)
    with said_of_config(file, config):
        if resumed is not None:
            if init is not None:
                raise InputError("[train] expected --init or --resume, got both; leave one out")
            training = _resume(resumed, model, given, directory, overwrite, device)
        else:
            progress = not quiet and sys.stderr.isatty()
            training = _start(model, given, directory, overwrite, progress, device)
            if init is not None:
                training.begin_with(init, load_checkpoint(init))
    with training.writing():
        finished, code = _train(training, quiet, tensorboard)
    if not finished:
        return _say_how_to_resume(training, code)
    _print_result(training)
    return 0


def _from_file(
    file: Path, model: str, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The options of a file, for a built-in model or for the task of a user's, which those of the
    command line do not replace; and lines about the ones that nothing would read beside those."""
    config = read_config(file)
    task = (given.get("task") or task_of(config) or "") if ":" in model else model
    if not task:  # of the checkpoint that a run goes on from
        user = load_checkpoint(given["resume"]).user
        task = "" if user is None else user.task
    found = options_of(file, config, model, task)
    kept = {name: value for name, value in found.items() if name == "arg" or name not in given}
    return without_voided(task, kept, given)


def _take_model(name: str, given: dict[str, Any]) -> str | UserModel:
    """The model to train: a built-in one by its name, or a user's."""
    if ":" not in name:
        return name
    args: dict[str, str] = {}
    for key, value in map(parse_arg, given.pop("arg", [])):
        if key in args:
            raise InputError(f"[train] expected each --arg once, got {key} twice; leave one out")
        args[key] = value
    return load_user_model(name, given.pop("task", ""), args)


def _train(training: TrainingRun, quiet: bool, tensorboard: bool) -> tuple[bool, int]:
    """Trains; returns whether it came to its end, and the exit code if it was stopped before."""
    progress = Progress(
        quiet,
        training.task.unit,
        training.task.objective.describe,
        training.trainer.config.epochs,
        training.task.reasons_without_gradient,
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
    model: str | UserModel,
    given: Mapping[str, Any],
    directory: Path | None,
    overwrite: bool,
    progress: bool,
    device: str,
) -> TrainingRun:
    task, config = make_task(model, given, progress=progress)
    if directory is None:
        name = model.class_name if isinstance(model, UserModel) else model
        folder = RunFolder(Path("runs") / f"{name}-{task.source.name}", new=True)
    elif (directory / LAST).exists() and not overwrite:
        raise InputError(
            f"[train] expected a directory without a run, got {directory}; go on with --resume "
            f"{shlex.quote(str(directory / LAST))}, replace it with --overwrite, or choose another "
            "--output"
        )
    else:
        folder = RunFolder(directory)
    return TrainingRun.start(folder, task, config, overwrite=overwrite, device=device)


def _resume(
    path: Path,
    model: str | UserModel,
    given: Mapping[str, Any],
    directory: Path | None,
    overwrite: bool,
    device: str,
) -> TrainingRun:
    checkpoint = load_checkpoint(path)
    _check_model(path, checkpoint, model)
    training = checkpoint.training
    known = {
        **arguments_of(checkpoint),
        **TrainingConfig().to_dict(),  # which older runs lack some settings of
        **training.get("settings", {}),
        **training.get("source", {}),
        **training.get("made_with", {}),  # which older runs lack
    }
    wanted = {("path" if key == "data" else key): value for key, value in given.items()}
    for key, value in wanted.items():
        if key in _MAY_CHANGE or key not in known:
            continue
        before = known[key]
        if isinstance(before, (list, tuple)):  # sizes of layers, which are given as a text
            before, value = ",".join(map(str, before)), value.replace(" ", "")
        if before != value:
            _refuse_change(path, "--data" if key == "path" else key, before, value)
    TrainingRun.check_resumable(path, checkpoint)
    for key, name in zip(wanted, given, strict=True):
        if key not in _MAY_CHANGE and key not in known:
            raise CheckpointError(
                f"[checkpoint] {path}: expected no --{name.replace('_', '-')} for a run that goes "
                f"on, got {given[name]!r}; leave the option out, or start a new run"
            )
    changes = {key: given[key] for key in _MAY_CHANGE if key in given}
    config = replace(read_settings(path, training), **changes)
    return TrainingRun.resume(
        path,
        checkpoint,
        config,
        directory or path.parent,
        overwrite=overwrite,
        code=model if isinstance(model, UserModel) else None,
        device=device,
    )


def _check_model(path: Path, checkpoint: Checkpoint, model: str | UserModel) -> None:
    """Checks that a checkpoint is of the named model, built with the same arguments."""
    user = checkpoint.user
    if user is None:
        if checkpoint.model != str(model):
            _refuse_change(path, "model", checkpoint.model, str(model))
        return
    if not isinstance(model, UserModel):
        raise CheckpointError(
            f"[checkpoint] {path}: expected model {user}, as the run began, got {model!r}; go on "
            f"with: cavs train {shlex.quote(str(user))} --task {user.task} --resume ..."
        )
    user.loaded(model)
    if model.task and model.task != user.task:
        _refuse_change(path, "task", user.task, model.task)
    for name, value in model.args.items():
        known = user.args.get(name)
        if known is None or parse_value(known) != parse_value(value):
            _refuse_change(path, f"--arg {name}", known, value)


def _refuse_change(path: Path, name: str, known: Any, value: Any) -> NoReturn:
    raise CheckpointError(
        f"[checkpoint] {path}: expected {name} {shown(known)}, as the run began, got "
        f"{value!r}; leave the option out, or start a new run"
    )


def _print_header(training: TrainingRun) -> None:
    task, sizes = training.task, training.task.sizes
    parameters = sum(p.size for p in training.model.parameters())
    print(
        f"{task.name} with {parameters:,} parameters on {task.source.name}: "
        f"{sizes['train']} {task.unit} to train on, {sizes['dev']} dev, {sizes['test']} test; "
        f"{_where(training.model.device)}",
        *task.remarks,
        sep="\n",
        flush=True,
    )


def _where(device: str) -> str:
    """What computes, in words."""
    if device == "cpu":
        return f"{cavs.get_num_threads()} thread(s), {cavs.instruction_set()}"
    return device


def _print_result(training: TrainingRun) -> None:
    best, test = training.trainer.best, training.test
    assert best is not None
    assert test is not None
    print(
        "\n".join([training.task.summary(best, test), *training.task.examples(training.model)])
        + f"\n{training.directory / BEST}\n{training.directory / METRICS}"
    )


def _say_how_to_resume(training: TrainingRun, code: int) -> int:
    path = shlex.quote(str(training.directory / LAST))
    trainer = training.trainer
    where = (
        f"after epoch {trainer.epoch}, while the test set was scored"
        if trainer.finished
        else f"in epoch {trainer.epoch + 1} after step {trainer.step}"
    )
    task = training.task
    model = task.name if task.user is None else f"{shlex.quote(task.name)} --task {task.user.task}"
    print(
        f"stopped {where}; go on with: cavs train {model} --resume {path}",
        file=sys.stderr,
    )
    return code
