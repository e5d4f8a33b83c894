"""What ``cavs train`` can train: each model with its options, default settings and task."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cavs.cli._options import integer, number
from cavs.errors import InputError
from cavs.training import (
    TREE_MODELS,
    ExpressionSource,
    ExpressionTask,
    ImageSource,
    ImageTask,
    ParserTask,
    SentenceSource,
    SentenceTask,
    Task,
    TextSource,
    TextTask,
    TrainingConfig,
    TreebankSource,
    TreeSource,
    TreeTask,
)
from cavs.training.config import MOST_SEED, OPTIMIZERS, SCHEDULES
from cavs.training.tasks.images import ESTIMATORS

Settings = dict[str, Any]

# What suits a treebank (Tai et al. 2015), and what suits the built-in expressions: few words, many
# labels that are all right, and operators that must be learnt exactly.
TREEBANK: dict[str, Any] = {
    "embedding_size": 300,
    "hidden_size": 150,
    "dropout": 0.5,
    "embedding_dropout": 0.0,
}
LISTOPS: dict[str, Any] = {
    "embedding_size": 50,
    "hidden_size": 150,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
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
    "dropout": 0.0,
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
    "lr_decay_after": 3,
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
PARSER: dict[str, Any] = {
    "embedding_size": 100,
    "hidden_size": 150,
    "dropout": 0.3,
    "min_count": 2,
    "epochs": 10,
    "batch_size": 25,
    "optimizer": "adam",
    "lr": 0.002,
    "lr_schedule": "linear",
    "weight_decay": 0.0,
    "clip_norm": 5.0,
    "patience": 0,
}
_DROPOUTS = ("dropout", "embedding_dropout", "embedding_dropout_by")
_AS_DROPOUT = "that of --dropout"
ESTIMATOR = "vimco"
SAMPLES = {"vae": 1, "iwae": 50, "sbn": 5}

_KL_OPTIONS: tuple[tuple[str, Any, str], ...] = (
    ("kl_weight", number(0), "of the divergence from the prior"),
    ("kl_steps", integer(0), "over which it rises from 0"),
)


@dataclass(frozen=True)
class Entry:
    """A model of the command line.

    Attributes:
        meaning: what it is, in a few words.
        add_options: adds its options to a parser, by its name.
        make: from its name and the options given, the task and all settings.
    """

    meaning: str
    add_options: Callable[[argparse.ArgumentParser, str], None]
    make: Callable[[str, Mapping[str, Any]], tuple[Task, Settings]]


def _add_trees(parser: argparse.ArgumentParser, name: str) -> None:
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
    _add_min_count(data, 1)
    data.add_argument(
        "--labels",
        choices=("all", "root"),
        help="train on the labels of all vertices or of the root only (default: all)",
    )
    model = parser.add_argument_group("model")
    for size in ("embedding_size", "hidden_size"):
        _add_size(model, size, f"{TREEBANK[size]}; {LISTOPS[size]} for ListOps")
    default = f"{TREEBANK['dropout']}; {LISTOPS['dropout']} for ListOps"
    _add_dropout(model, "of what the classifier sees", default, str(TREEBANK["embedding_dropout"]))
    model.add_argument(
        "--embedding-std",
        type=number(0),
        metavar="X",
        help="standard deviation of the initial embedding (default: 1)",
    )
    others = {key: f"{value} for ListOps" for key, value in LISTOPS.items()}
    _add_training(parser, {}, others, embedding=True)


def _make_trees(name: str, given: Mapping[str, Any]) -> tuple[Task, Settings]:
    source = _source(given)
    settings = {**(LISTOPS if source.path is None else TREEBANK), **given}
    sizes = _chosen(settings, "embedding_size", "hidden_size", *_DROPOUTS)
    options = _chosen(settings, "min_count", "embedding_std")
    return TreeTask.create(name, source, **options, **sizes), settings


def _source(given: Mapping[str, Any]) -> TreeSource:
    for name in ("num_train", "max_depth"):
        if "data" in given and name in given:
            raise InputError(
                f"[train] expected {flag(name)} without --data, since it is about ListOps, got "
                "both; leave one out"
            )
    names = {"data": "path", "num_train": "num_train", "max_depth": "max_depth"}
    return TreeSource(**{names[name]: given[name] for name in names if name in given})


def _add_images(parser: argparse.ArgumentParser, name: str) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        metavar="FILE",
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
        ("test_images", "test images, evenly spaced"),
    ):
        default = ImageSource.__dataclass_fields__[option].default
        data.add_argument(
            flag(option), type=integer(1), metavar="N", help=f"{meaning} (default: {default})"
        )
    data.add_argument(
        "--with-dev",
        action="store_true",
        help="train on the development images too (Burda et al. 2016 train on all 60,000); what is "
        "said of dev is then said of images trained on",
    )
    model = parser.add_argument_group("model")
    for size in ("hidden_size", "latent_size")[: 1 if name == "sbn" else 2]:
        _add_size(model, size, str(IMAGES[size]))
    if name != "sbn":
        model.add_argument(
            "--dropout",
            type=number(0, 1),
            metavar="P",
            help=f"of the pixels that the encoder sees (default: {IMAGES['dropout']})",
        )
    _add_training(parser, IMAGES, {})


def _make_images(name: str, given: Mapping[str, Any]) -> tuple[Task, Settings]:
    discrete = {"estimator": ESTIMATOR} if name == "sbn" else {}
    settings = {"samples": SAMPLES[name], **IMAGES, **discrete, **given}
    about = ("samples", "dev_samples", "test_samples", "test_images", "estimator", "with_dev")
    source = ImageSource(_data(settings), **_chosen(settings, *about))
    sizes = _chosen(settings, *("hidden_size", "latent_size", "dropout")[: 1 if discrete else 3])
    return ImageTask.create(name, source, **sizes), settings


def _add_text(parser: argparse.ArgumentParser, name: str) -> None:
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
    _add_dropout(model, "between layers", str(TEXT["dropout"]), _AS_DROPOUT)
    _add_training(parser, TEXT, {})


def _add_text_data(group: Any) -> None:
    group.add_argument(
        "--data",
        metavar="DIR",
        help="train.txt, valid.txt and test.txt, or the same with the prefix ptb., one sentence on "
        "a line",
    )


def _make_text(name: str, given: Mapping[str, Any]) -> tuple[Task, Settings]:
    settings = _with_embedding_dropout(_with_embedding_lr({**TEXT, **given}))
    source = TextSource(_data(settings), **_chosen(given, "length"))
    sizes = _chosen(settings, "hidden_size", "num_layers", *_DROPOUTS)
    return TextTask.create(name, source, **sizes), settings


def _add_sentences(parser: argparse.ArgumentParser, name: str) -> None:
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


def _make_sentences(name: str, given: Mapping[str, Any]) -> tuple[Task, Settings]:
    settings = _with_embedding_lr({**SENTENCES, **given})
    about = _chosen(given, "word_dropout", "kl_weight", "kl_steps")
    sizes = _chosen(settings, "embedding_size", "hidden_size", "latent_size")
    return SentenceTask.create(name, SentenceSource(_data(settings), **about), **sizes), settings


def _add_expressions(parser: argparse.ArgumentParser, name: str) -> None:
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


def _make_expressions(name: str, given: Mapping[str, Any]) -> tuple[Task, Settings]:
    settings = _with_embedding_lr({**EXPRESSIONS, **given})
    about = _chosen(given, "num_train", "max_depth", "kl_weight", "kl_steps")
    sizes = _chosen(settings, "embedding_size", "hidden_size", "latent_size")
    return ExpressionTask.create(name, ExpressionSource(**about), **sizes), settings


def _add_parser(parser: argparse.ArgumentParser, name: str) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        metavar="DIR",
        help="treebank of binary trees: train.txt, dev.txt, test.txt, one tree in brackets on a "
        "line; labels are not looked at",
    )
    _add_min_count(data, PARSER["min_count"])
    model = parser.add_argument_group("model")
    for size in ("embedding_size", "hidden_size"):
        _add_size(model, size, str(PARSER[size]))
    _add_dropout(model, "of what decides", str(PARSER["dropout"]), _AS_DROPOUT)
    _add_training(parser, PARSER, {})


def _make_parser(name: str, given: Mapping[str, Any]) -> tuple[Task, Settings]:
    settings = _with_embedding_dropout(_with_embedding_lr({**PARSER, **given}))
    sizes = _chosen(settings, "min_count", "embedding_size", "hidden_size", *_DROPOUTS)
    return ParserTask.create(name, TreebankSource(_data(settings)), **sizes), settings


def _add_dropout(group: Any, meaning: str, default: str, embedding_default: str) -> None:
    """Adds the options of a model of words: dropout as `meaning` says, and of embeddings."""
    group.add_argument(
        "--dropout", type=number(0, 1), metavar="P", help=f"{meaning} (default: {default})"
    )
    group.add_argument(
        "--embedding-dropout",
        type=number(0, 1),
        metavar="P",
        help=f"of the words' embeddings (default: {embedding_default})",
    )
    group.add_argument(
        "--embedding-dropout-by",
        choices=("vertex", "id"),
        help="whether each place or each distinct word of a batch has a mask of its own; equal "
        "words are computed once only with the latter, or without (default: vertex)",
    )


def _with_embedding_dropout(settings: Settings) -> Settings:
    """Embeddings are dropped as the rest."""
    return {"embedding_dropout": settings["dropout"], **settings}


def _add_min_count(group: Any, default: int) -> None:
    group.add_argument(
        "--min-count",
        type=integer(1),
        metavar="N",
        help=f"words that occur fewer times read as <unk> (default: {default})",
    )


def _data(settings: Settings) -> str:
    """Where the data are; asked for here and not by the parser, because a resumed run knows."""
    if "data" not in settings:
        raise InputError("[train] expected --data, got none; say where the data are")
    return str(settings["data"])


def _chosen(settings: Mapping[str, Any], *names: str) -> Settings:
    """Those of the names that are there."""
    return {name: settings[name] for name in names if name in settings}


def _with_embedding_lr(settings: Settings) -> Settings:
    """The embedding learns at the rate of the rest."""
    return {**settings, "embedding_lr": settings["lr"]}


def _add_fields(group: Any, options: Sequence[tuple[str, Any, str]], source: Any) -> None:
    """Adds options that are fields of a source."""
    for name, kind, meaning in options:
        default = source.__dataclass_fields__[name].default
        group.add_argument(
            flag(name), type=kind, metavar="X", help=f"{meaning} (default: {default})"
        )


def _add_size(group: Any, name: str, default: str) -> None:
    group.add_argument(flag(name), type=integer(1), metavar="N", help=f"(default: {default})")


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
        ("clip_norm", number(0), "greatest norm of the gradient, 0: off"),
        ("patience", integer(0), "epochs without improvement on dev before it ends, 0: off"),
        ("average", integer(0), "epochs at the end whose parameters are averaged, 0: off"),
        ("seed", integer(0, MOST_SEED), "of parameters, samples and order, 0..2**64-1"),
    ]
    if embedding:
        options += [
            ("embedding_lr", number(0, exclusive=True), "learning rate of the embedding"),
            ("embedding_weight_decay", number(0), "L2 coefficient of the embedding"),
        ]
    for name, kind, meaning in options:
        group.add_argument(flag(name), type=kind, metavar="X", help=f"{meaning} {default(name)}")
    group.add_argument(
        "--lr-schedule",
        choices=SCHEDULES,
        help=f"linear: in a line down to 0 at the end of the last epoch {default('lr_schedule')}",
    )
    group.add_argument("--optimizer", choices=OPTIMIZERS, help=default("optimizer"))


def flag(name: str) -> str:
    """The option of a setting."""
    return "--" + name.replace("_", "-")


_IMAGE_MODELS = {
    "vae": "variational autoencoder",
    "iwae": "importance-weighted autoencoder",
    "sbn": "sigmoid belief network",
}
ENTRIES: dict[str, Entry] = {
    **dict.fromkeys(
        TREE_MODELS, Entry("classify all vertices of labelled trees", _add_trees, _make_trees)
    ),
    **{
        name: Entry(f"{meaning} of binary images", _add_images, _make_images)
        for name, meaning in _IMAGE_MODELS.items()
    },
    "tree-vae": Entry(
        "recursive variational autoencoder of ListOps expressions",
        _add_expressions,
        _make_expressions,
    ),
    "sentence-vae": Entry(
        "recurrent variational autoencoder of sentences", _add_sentences, _make_sentences
    ),
    "parser": Entry("shift-reduce parser of the trees of a treebank", _add_parser, _make_parser),
    "lm": Entry("LSTM language model of running text", _add_text, _make_text),
}
