"""The embedding of words: its options, and the values that it begins with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

import cavs
from cavs.data import Vocabulary, WordVectors, load_vectors
from cavs.errors import DataError, InputError
from cavs.training.config import EMBEDDING_OPTIONS, TrainingConfig
from cavs.training.options import Number, Option, Text
from cavs.training.tasks._task import SomeTask, Task
from cavs.training.user_model import UserModel

#: Words without a vector begin uniformly from minus this to this, as in the published code of Tai
#: et al. 2015.
DRAWN_WITHIN = 0.05

#: The options of the values that an embedding begins with.
FIRST_VALUES_OPTIONS = (
    Option(
        "embedding_std",
        Number(0),
        meaning="standard deviation of the initial embedding",
        group="model",
        said="1",
    ),
    Option(
        "vectors",
        Text(),
        meaning="word vectors to begin with, in the text format of GloVe or word2vec, packed by "
        "gzip or not; the embedding has their size, and all words of the data that have one are "
        "known. Words without a vector begin uniformly in "
        f"-{DRAWN_WITHIN}..{DRAWN_WITHIN}, the unknown word as zeros. Checkpoints do not need "
        "the file",
        metavar="FILE",
        group="model",
    ),
)


def with_vectors(
    path: str, vocabulary: Vocabulary, tokens: Iterable[str | None]
) -> tuple[Vocabulary, WordVectors]:
    """The words of a vocabulary, and behind them those of `tokens` that a file has a vector of,
    which need not occur in training to be known; with the vectors, zeros where there is none.

    Raises:
        DataError: the file is missing or malformed, or has none of the words.
    """
    others = sorted({token for token in tokens if token is not None and token not in vocabulary})
    words = Vocabulary([*vocabulary, *others], vocabulary.unknown)
    values, found = load_vectors(path, words, scale=0)
    if not found.any():
        raise DataError(
            f"[data] {path}: expected vectors of words of the data, such as "
            f"{words.tokens[-1]!r}, got none; take vectors of their language and case"
        )
    kept = found | (np.arange(len(words)) < len(vocabulary))
    known = [word for word, keep in zip(words, kept, strict=True) if keep]
    return Vocabulary(known, vocabulary.unknown), WordVectors(values[kept], found[kept])


class EmbedsWords(Task):
    """A task whose models have an embedding of all words as their attribute `embedding`."""

    _embedding_std: float | None = None
    _vectors: WordVectors | None = None

    @classmethod
    def configure(
        cls: type[SomeTask], name: str, given: Mapping[str, Any], user: UserModel | None = None
    ) -> tuple[SomeTask, TrainingConfig]:
        """See `Task`; raises InputError also for options that the vectors leave without effect."""
        if "vectors" in given and "embedding_std" in given:
            raise InputError(
                "[train] expected --embedding-std without --vectors, which the embedding begins "
                "with, got both; leave one out"
            )
        task, config = super().configure(name, given, user)
        size = task.arguments["embedding_size"]
        if given.get("embedding_size", size) != size:
            raise InputError(
                f"[train] expected --embedding-size {size}, as the vectors of {given['vectors']} "
                f"have, got {given['embedding_size']}; leave it out"
            )
        return task, config

    def begin_with_vectors(self, path: str, vectors: WordVectors) -> None:
        """Makes the vectors of the words, read from `path`, the values that embeddings of this task
        begin with; their size becomes that of the embedding."""
        self._vectors = vectors
        self.arguments["embedding_size"] = vectors.values.shape[1]
        self.made_with["vectors"] = path

    @property
    def remarks(self) -> list[str]:
        """See `Task`: how many words have vectors."""
        if self._vectors is None:
            return []
        found = self._vectors.found
        return [
            f"{self.made_with['vectors']} has vectors of {found.sum()} of {len(found)} words of "
            f"{self.source.name}"
        ]

    def initialize(self, function: Any) -> None:
        """See `Task`."""
        self._check_embedding_options(function)
        weight = self._embedding_of(function)
        if weight is None:
            return
        if self._embedding_std is not None:
            cavs.nn.init.normal_(weight, std=self._embedding_std)
        # If every word of the training set is kept, the unknown word gets no gradient: its random
        # initial values would be judged as if they had been learnt.
        unknown = self.words.unknown_id
        if self._vectors is not None:
            cavs.nn.init.uniform_(weight, -DRAWN_WITHIN, DRAWN_WITHIN)
        with weight.writing() as values:
            if unknown is not None:
                values[unknown] = 0
            if self._vectors is not None:
                values[self._vectors.found] = self._vectors.values[self._vectors.found]

    def _embedding_of(self, function: Any) -> Any:
        """The table of the words; None for a user's model that has none of this name."""
        embedding: Any = getattr(function, "embedding", None)
        weight: Any = getattr(embedding, "weight", None)
        if self.user is None:
            return weight
        if isinstance(embedding, cavs.nn.Embedding) and weight.shape[0] == len(self.words):
            if self._vectors is not None and weight.shape != self._vectors.values.shape:
                raise InputError(
                    f"[model] {self.user}: expected an Embedding of size embedding_size, which is "
                    f"{self._vectors.values.shape[1]} by --vectors, got {weight.shape[1]}; make it "
                    "so, or leave --vectors out"
                )
            return weight
        for name in ("embedding_std", "vectors"):
            if self.made_with.get(name) is not None:
                self._refuse_embedding_option("--" + name.replace("_", "-"))
        return None

    def _check_embedding_options(self, function: Any) -> None:
        """Raises InputError for options of the optimizer that no parameter of a user's model
        heeds."""
        if not any(name.startswith("embedding.") for name, _ in function.named_parameters()):
            for option in EMBEDDING_OPTIONS:
                if option.name in self.given:
                    self._refuse_embedding_option(option.flag)

    def _refuse_embedding_option(self, flag: str) -> NoReturn:
        raise InputError(
            f"[model] {self.user}: expected an Embedding of all words as its attribute embedding, "
            f"got none; leave {flag} out, or name it so"
        )
