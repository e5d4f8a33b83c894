"""``cavs train``: trains a model."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cavs
from cavs.cli._options import add_threads, integer, number
from cavs.cli._signals import StopOnSignal
from cavs.errors import CheckpointError, InputError
from cavs.training import (
    TREE_MODELS,
    ExpressionSource,
    ExpressionTask,
    ImageSource,
    ImageTask,
    Progress,
    SentenceSource,
    SentenceTask,
    Task,
    TextSource,
    TextTask,
    TrainingConfig,
    TrainingRun,
    TreeSource,
    TreeTask,
    load_checkpoint,
)
from cavs.training.config import OPTIMIZERS, SCHEDULES
from cavs.training.run import BEST, LAST, METRICS
from cavs.training.tasks.images import ESTIMATORS
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
IMAGES: dict[str, Any] = {
    "hidden_size": 200,
    "latent_size": 50,
    "epochs": 100,
    "batch_size": 100,
    "optimizer": "adam",
    "lr": 0.001,
    "lr_schedule": "linear",
    "weight_decay": 0.0,
    "patience": 0,
}
TEXT: dict[str, Any] = {
    "hidden_size": 200,
    "num_layers": 2,
    "dropout": 0.0,
    "epochs": 13,
    "batch_size": 20,
    "optimizer": "sgd",
    "lr": 1.0,
    "momentum": 0.0,
    "lr_decay": 0.5,
    "lr_decay_after": 4,
    "clip_norm": 5.0,
    "weight_decay": 0.0,
    "patience": 0,
}
EXPRESSIONS: dict[str, Any] = {
    "embedding_size": 32,
    "hidden_size": 128,
    "latent_size": 64,
    "epochs": 20,
    "batch_size": 50,
    "optimizer": "adam",
    "lr": 0.002,
    "lr_schedule": "linear",
    "weight_decay": 0.0,
    "clip_norm": 5.0,
    "patience": 0,
}
SENTENCES: dict[str, Any] = {
    "embedding_size": 200,
    "hidden_size": 200,
    "latent_size": 16,
    "epochs": 10,
    "batch_size": 32,
    "optimizer": "adam",
    "lr": 0.001,
    "lr_schedule": "linear",
    "weight_decay": 0.0,
    "clip_norm": 5.0,
    "patience": 0,
}
ESTIMATOR = "vimco"
SAMPLES = {"vae": 1, "iwae": 50, "sbn": 5}

_KL_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("kl_weight", number(0), "of the divergence from the prior"),
    ("kl_steps", integer(0), "over which it rises from 0"),
)

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
    for name in TREE_MODELS:
        _add_trees(_add_model(models, name, "classify all vertices of labelled trees"))
    for name, meaning in (
        ("vae", "variational autoencoder"),
        ("iwae", "importance-weighted autoencoder"),
        ("sbn", "sigmoid belief network"),
    ):
        _add_images(_add_model(models, name, f"{meaning} of binary images"), name)
    _add_expressions(
        _add_model(models, "tree-vae", "recursive variational autoencoder of ListOps expressions")
    )
    _add_sentences(
        _add_model(models, "sentence-vae", "recurrent variational autoencoder of sentences")
    )
    _add_text(_add_model(models, "lm", "LSTM language model of running text"))
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
        "--tensorboard", action="store_true", help="write curves for TensorBoard into DIR"
    )
    group.add_argument("--quiet", action="store_true", help="print the result only")
    add_threads(group)
    return parser


def _add_trees(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        metavar="DIR",
        help="treebank: train.txt, dev.txt, test.txt, one tree in brackets on a line, labels 0..4 "
        "(default: ListOps expressions)",
    )
    data.add_argument(
        "--num-train",
        type=integer(1),
        metavar="N",
        help="ListOps expressions to train on (default: 40000)",
    )
    data.add_argument(
        "--max-depth", type=integer(2), metavar="N", help="of ListOps expressions (default: 20)"
    )
    data.add_argument(
        "--min-count",
        type=integer(1),
        metavar="N",
        help="words that occur fewer times read as <unk> (default: 1)",
    )
    data.add_argument(
        "--labels",
        choices=("all", "root"),
        help="train on the labels of all vertices or of the root only (default: all)",
    )
    model = parser.add_argument_group("model")
    for name in ("embedding_size", "hidden_size"):
        _add_size(model, name, f"{TREEBANK[name]}; {LISTOPS[name]} for ListOps")
    model.add_argument(
        "--dropout",
        type=number(0, 1),
        metavar="P",
        help="of words and of what the classifier sees "
        f"(default: {TREEBANK['dropout']}; {LISTOPS['dropout']} for ListOps)",
    )
    model.add_argument(
        "--embedding-std",
        type=number(0),
        metavar="X",
        help="standard deviation of the initial embedding (default: 1)",
    )
    others = {name: f"{value} for ListOps" for name, value in LISTOPS.items()}
    _add_training(parser, {}, others, embedding=True)


def _add_images(parser: argparse.ArgumentParser, name: str) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        metavar="FILE",
        required=True,
        help="binarised MNIST: an .npz file with train, valid and test, pixels packed into bits",
    )
    if name == "sbn":
        data.add_argument(
            "--estimator",
            choices=tuple(ESTIMATORS),
            help=f"of the gradient (default: {ESTIMATOR})",
        )
    if name != "vae":
        data.add_argument(
            "--samples",
            type=integer(1),
            metavar="K",
            help=f"of the latent variable, in training (default: {SAMPLES[name]})",
        )
    for option, meaning in (
        ("dev_samples", "samples when an epoch is judged"),
        ("test_samples", "samples for the log-likelihood of a test image"),
        ("test_images", "test images, from the first on"),
    ):
        default = ImageSource.__dataclass_fields__[option].default
        data.add_argument(
            _flag(option), type=integer(1), metavar="N", help=f"{meaning} (default: {default})"
        )
    model = parser.add_argument_group("model")
    for size in ("hidden_size", "latent_size")[: 1 if name == "sbn" else 2]:
        _add_size(model, size, str(IMAGES[size]))
    _add_training(parser, IMAGES, {})


def _add_text(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    _add_text_data(data)
    length = TextSource.__dataclass_fields__["length"].default
    data.add_argument(
        "--length",
        type=integer(1),
        metavar="N",
        help=f"words through which gradients flow back (default: {length})",
    )
    model = parser.add_argument_group("model")
    for size in ("hidden_size", "num_layers"):
        _add_size(model, size, str(TEXT[size]))
    model.add_argument(
        "--dropout",
        type=number(0, 1),
        metavar="P",
        help=f"between layers (default: {TEXT['dropout']})",
    )
    _add_training(parser, TEXT, {})


def _add_text_data(group: Any) -> None:
    group.add_argument(
        "--data",
        metavar="DIR",
        required=True,
        help="train.txt, valid.txt and test.txt, or the same with the prefix ptb., one sentence on "
        "a line",
    )


def _add_sentences(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    _add_text_data(data)
    options: tuple[tuple[str, Any, str], ...] = (
        ("word_dropout", number(0), "share of the words that the decoder does not see"),
        *_KL_OPTIONS,
    )
    _add_fields(data, options, SentenceSource)
    model = parser.add_argument_group("model")
    for size in ("embedding_size", "hidden_size", "latent_size"):
        _add_size(model, size, str(SENTENCES[size]))
    _add_training(parser, SENTENCES, {})


def _add_fields(group: Any, options: Sequence[tuple[str, Any, str]], source: Any) -> None:
    """Adds options that are fields of a source."""
    for name, kind, meaning in options:
        default = source.__dataclass_fields__[name].default
        group.add_argument(
            _flag(name), type=kind, metavar="X", help=f"{meaning} (default: {default})"
        )


def _add_expressions(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    options: tuple[tuple[str, Any, str], ...] = (
        ("num_train", integer(1), "ListOps expressions to train on"),
        ("max_depth", integer(2), "of the expressions"),
        *_KL_OPTIONS,
    )
    _add_fields(data, options, ExpressionSource)
    model = parser.add_argument_group("model")
    for size in ("embedding_size", "hidden_size", "latent_size"):
        _add_size(model, size, str(EXPRESSIONS[size]))
    _add_training(parser, EXPRESSIONS, {})


def _add_size(group: Any, name: str, default: str) -> None:
    group.add_argument(_flag(name), type=integer(1), metavar="N", help=f"(default: {default})")


def _add_training(
    parser: argparse.ArgumentParser,
    own: Mapping[str, Any],
    others: Mapping[str, str],
    embedding: bool = False,
) -> None:
    """Adds the options of the training loop; `own` are a model's defaults, and `others` says which
    ones it has in another case."""
    group = parser.add_argument_group("training")
    defaults = {**TrainingConfig().to_dict(), **own}

    def default(name: str) -> str:
        other = f"; {others[name]}" if name in others else ""
        return f"(default: {defaults[name]}{other})"

    options: list[tuple[str, Any, str]] = [
        ("epochs", integer(1), "at most"),
        ("batch_size", integer(1), "graphs in a batch"),
        ("lr", number(0, exclusive=True), "learning rate"),
        ("momentum", number(0, 1), "of sgd"),
        ("lr_decay", number(0, exclusive=True), "factor of the learning rate after each epoch"),
        ("lr_decay_after", integer(0), "but the first ones"),
        ("weight_decay", number(0), "L2 coefficient"),
        ("clip_norm", number(0), "greatest norm of the gradient, 0: any"),
        ("patience", integer(0), "epochs without improvement on dev before it ends, 0: any"),
        ("seed", integer(0), "of parameters, samples and order"),
    ]
    if embedding:
        options += [
            ("embedding_lr", number(0, exclusive=True), "learning rate of the embedding"),
            ("embedding_weight_decay", number(0), "L2 coefficient of the embedding"),
        ]
    for name, kind, meaning in options:
        group.add_argument(_flag(name), type=kind, metavar="X", help=f"{meaning} {default(name)}")
    group.add_argument(
        "--lr-schedule",
        choices=SCHEDULES,
        help=f"linear: in a line down to 0 at the end of the last epoch {default('lr_schedule')}",
    )
    group.add_argument("--optimizer", choices=OPTIMIZERS, help=default("optimizer"))


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
    progress = Progress(quiet, training.task.unit, training.task.objective.describe)
    observer = TensorBoard(training.directory, progress) if tensorboard else progress
    if not quiet:
        _print_header(training)
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
    task, settings = _task(name, given)
    if directory is None:
        directory = _free_directory(Path("runs"), f"{name}-{task.source.name}")
    elif (directory / LAST).exists() and not overwrite:
        raise InputError(
            f"[train] a directory without a run was expected, came ({directory}); go on with "
            f"--resume {shlex.quote(str(directory / LAST))}, or replace it with --overwrite"
        )
    return TrainingRun.start(directory, task, TrainingConfig.from_dict(settings))


def _task(name: str, given: Mapping[str, Any]) -> tuple[Task, dict[str, Any]]:
    """The task, and all settings, given or by default."""
    if name in SAMPLES:
        discrete = {"estimator": ESTIMATOR} if name == "sbn" else {}
        settings = {"samples": SAMPLES[name], **IMAGES, **discrete, **given}
        fields = ("samples", "dev_samples", "test_samples", "test_images", "estimator")
        images = ImageSource(settings["data"], **{k: settings[k] for k in fields if k in settings})
        sizes = {k: settings[k] for k in ("hidden_size", "latent_size")[: 2 - len(discrete)]}
        return ImageTask.create(name, images, **sizes), settings
    if name == "lm":
        settings = {**TEXT, **given}
        settings["embedding_lr"] = settings["lr"]
        text = TextSource(settings["data"], **{k: given[k] for k in ("length",) if k in given})
        sizes = {k: settings[k] for k in ("hidden_size", "num_layers", "dropout")}
        return TextTask.create(name, text, **sizes), settings
    if name == "tree-vae":
        settings = {**EXPRESSIONS, **given}
        settings["embedding_lr"] = settings["lr"]
        about: tuple[str, ...] = ("num_train", "max_depth", "kl_weight", "kl_steps")
        trees = ExpressionSource(**{k: given[k] for k in about if k in given})
        sizes = {k: settings[k] for k in ("embedding_size", "hidden_size", "latent_size")}
        return ExpressionTask.create(name, trees, **sizes), settings
    if name == "sentence-vae":
        settings = {**SENTENCES, **given}
        settings["embedding_lr"] = settings["lr"]
        about = ("word_dropout", "kl_weight", "kl_steps")
        sentences = SentenceSource(settings["data"], **{k: given[k] for k in about if k in given})
        sizes = {k: settings[k] for k in ("embedding_size", "hidden_size", "latent_size")}
        return SentenceTask.create(name, sentences, **sizes), settings
    source = _source(given)
    settings = {**(LISTOPS if source.path is None else TREEBANK), **given}
    sizes = {k: settings[k] for k in ("embedding_size", "hidden_size", "dropout")}
    options = {k: settings[k] for k in ("min_count", "embedding_std") if k in settings}
    return TreeTask.create(name, source, **options, **sizes), settings


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
    print(
        f"stopped in epoch {trainer.epoch + 1} after step {trainer.step}; go on with: "
        f"cavs train {name} --resume {path}",
        file=sys.stderr,
    )
    return code
