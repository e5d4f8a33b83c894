"""Options that several tasks have."""

from __future__ import annotations

from typing import Any

from cavs.training.contract import Attributes, is_size
from cavs.training.options import Choice, Integer, Number, Option, Text


def data_option(meaning: str, metavar: str = "DIR") -> Option:
    """Where the data are."""
    return Option("data", Text(), None, meaning, metavar, "data")


def text_option() -> Option:
    """Where running text, or sentences, are."""
    return data_option(
        "train.txt, valid.txt and test.txt, or the same with the prefix ptb., one sentence on a "
        "line"
    )


def min_count_option(default: int) -> Option:
    """Which words are left out."""
    return Option(
        "min_count",
        Integer(1),
        default,
        "words that occur fewer times read as <unk>",
        "N",
        "data",
    )


def size_option(name: str, default: int, otherwise: tuple[str, Any] | None = None) -> Option:
    """A size of the model."""
    return Option(name, Integer(1), default, "", "N", "model", otherwise=otherwise)


def dropout_options(
    meaning: str,
    default: float,
    embedding_default: float | None,
    otherwise: tuple[str, Any] | None = None,
) -> tuple[Option, ...]:
    """Of a model of words: dropout as `meaning` says, and of embeddings, None: as the rest."""
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


def divergence_options(source: Any) -> tuple[Option, ...]:
    """How the divergence from the prior weighs, with the defaults of a source."""
    return (
        Option(
            "kl_weight",
            Number(0),
            source.kl_weight,
            "of the divergence from the prior",
            group="data",
        ),
        Option("kl_steps", Integer(0), source.kl_steps, "over which it rises from 0", group="data"),
    )


#: What is read of a program with a latent variable, beside its functions.
LATENT_ATTRIBUTES: Attributes = {
    "latent_size": ("the size of z", is_size),
    "posterior": ("a layer that makes mean and log_std of z of what the encoder pushes", callable),
}

#: Of what draws words.
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
