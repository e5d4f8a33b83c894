"""Options that several tasks have."""

from __future__ import annotations

from typing import Any

from cavs.training.contract import Attributes, is_size
from cavs.training.options import Choice, Integer, Number, Option, Text


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
    return Option(
        "min_count",
        Integer(1),
        default,
        "words that occur fewer times read as <unk>",
        "N",
        "data",
    )


def size_option(name: str, default: int, otherwise: tuple[str, Any] | None = None) -> Option:
    """The option for a size of the model."""
    return Option(name, Integer(1), default, "", "N", "model", otherwise=otherwise)


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


def divergence_options(source: Any) -> tuple[Option, ...]:
    """The options for the weight of the divergence from the prior, with the defaults of a
    source."""
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
