"""Options that several tasks have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cavs.errors import InputError
from cavs.training.config import EMBEDDING_AS_THE_REST, TRAINING_OPTIONS
from cavs.training.contract import Attributes, is_size
from cavs.training.options import Choice, Integer, Number, Option, Text
from cavs.training.tasks._source import Source


def data_option(meaning: str, metavar: str = "DIR") -> Option:
    """The option for the place of the data."""
    return Option("data", Text(), None, meaning, metavar, "data")


def text_option() -> Option:
    """The option for the place of running text, or of sentences."""
    return data_option(
        "train.txt, valid.txt and test.txt, or the same with the prefix ptb., one sentence on a "
        "line"
    )


def min_count_option(default: int) -> Option:
    """The option that decides which words are left out."""
    meaning = "words that occur fewer times read as <unk>"
    return Option("min_count", Integer(1), default, meaning, group="data")


def size_option(name: str, default: int, otherwise: tuple[str, Any] | None = None) -> Option:
    """The option for a size of the model."""
    return Option(name, Integer(1), default, group="model", otherwise=otherwise)


def sizes_option(default: str, meaning: str) -> Option:
    """The option for the sizes of several layers, which `parse_sizes` reads."""
    return Option("hidden_sizes", Text(), default, meaning, "N,N,...", "model")


def parse_sizes(text: str) -> list[int]:
    """The sizes of a text such as ``1000,500``."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and 1 <= int(part) < 2**31 for part in parts):
        raise InputError(
            f"[train] expected sizes such as 1000,500 as hidden_sizes, got {text!r}; write "
            "integers of 1 or more between commas"
        )
    return [int(part) for part in parts]


def dropout_options(
    meaning: str,
    default: float,
    embedding_default: float | None,
    otherwise: tuple[str, Any] | None = None,
) -> tuple[Option, ...]:
    """The options of dropout for a model of words: of the values that `meaning` names, and of
    embeddings (None: as the rest)."""
    return (
        Option("dropout", Number(0, 1), default, meaning, "P", "model", otherwise=otherwise),
        Option(
            "embedding_dropout",
            Number(0, 1),
            embedding_default,
            "of the words' embeddings",
            "P",
            "model",
            follows="dropout" if embedding_default is None else None,
        ),
        Option(
            "embedding_dropout_by",
            Choice(("vertex", "id")),
            "vertex",
            "whether each place or each distinct word of a batch has a mask of its own; equal "
            "words are computed once only with the latter, or without",
            group="model",
        ),
    )


def source_option(source: type[Source], name: str, meaning: str) -> Option:
    """The option for a number of a source, with its default and its range."""
    default, (least, most) = getattr(source, name), source.ranges[name]
    kind = Number(least) if isinstance(default, float) else Integer(int(least), int(most))
    return Option(name, kind, default, meaning, group="data")


def divergence_options(source: type[Source]) -> tuple[Option, ...]:
    """The options for the weight of the divergence from the prior."""
    return (
        source_option(source, "kl_weight", "of the divergence from the prior"),
        source_option(source, "kl_steps", "over which it rises from 0"),
    )


#: The options of training, with those of an embedding that learns as the rest does.
WITH_EMBEDDING = (*TRAINING_OPTIONS, *EMBEDDING_AS_THE_REST)

#: Adam, with rates that fall to 0 at the end of a run of fixed length.
FALLING_ADAM: Mapping[str, Any] = {
    "optimizer": "adam",
    "lr_schedule": "linear",
    "weight_decay": 0.0,
    "patience": 0,
}

#: The attributes that a task reads of a program with a latent variable.
LATENT_ATTRIBUTES: Attributes = {
    "latent_size": ("the size of z", is_size),
    "posterior": ("a layer that makes mean and log_std of z of what the encoder pushes", callable),
}

#: The option of evaluation of tasks whose graphs may be batched in any way.
BATCH_SIZE_OPTION = Option(
    "batch_size",
    Integer(1),
    meaning="graphs in a batch; another size draws other samples, if scores need any",
    metavar="N",
    said="as its run was judged",
    only="models of separate graphs",
)

#: Options of samplers that draw words.
WORD_SAMPLING_OPTIONS = (
    Option(
        "temperature",
        Number(0, exclusive=True),
        1,
        "of words: below 1 likely ones come more often",
        only="text",
    ),
    Option("max_words", Integer(1), 80, "of a sentence", "N", only="text"),
)
