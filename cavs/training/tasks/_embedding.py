"""The embedding of words: its options, and the values that it begins with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

import cavs
from cavs.data import Vocabulary, WordVectors, load_vectors
from cavs.errors import DataError, InputError
from cavs.training.config import TrainingConfig
from cavs.training.embedding import embeddings_of
from cavs.training.options import Number, Option, Text
from cavs.training.tasks._task import SomeTask, Task
from cavs.training.user_model import UserModel

#: Words without a vector begin uniformly from minus this to this, as in the published code of Tai
#: et al. 2015.
DRAWN_WITHIN = 0.05


def vectors_option(known: str = "") -> Option:
    """The option for a file of word vectors; `known` says which words they make known."""
    return Option(
        "vectors",
        Text(),
        meaning="word vectors to begin with, in the text format of GloVe or word2vec, packed by "
        f"gzip or not; the embedding has their size{known}. Words without a vector begin "
        f"uniformly in -{DRAWN_WITHIN}..{DRAWN_WITHIN}, the unknown word as zeros. Checkpoints do "
        "not need the file",
        metavar="FILE",
        group="model",
        voids=("embedding_size", "embedding_std"),
    )


#: The option for tasks that read words, all of which are known if they have a vector.
VECTORS_OPTION = vectors_option(", and all words of the data that have one are known")

#: The options of the values that an embedding begins with.
FIRST_VALUES_OPTIONS = (
    Option(
        "embedding_std",
        Number(0),
        meaning="standard deviation of the initial embedding",
        group="model",
        said="1",
        voids=("vectors",),
    ),
    VECTORS_OPTION,
)


def with_vectors(
    path: str | None,
    vocabulary: Vocabulary,
    tokens: Iterable[str | None] = (),
    *,
    progress: bool = False,
) -> tuple[Vocabulary, WordVectors | None]:
    """The words of a vocabulary, and behind them those of `tokens` that a file has a vector of,
    which need not occur in training to be known; with the vectors, zeros where there is none.
    Without a file, the vocabulary as it is. `progress` shows a bar on standard error.

    Raises:
        DataError: the file is missing or malformed, or has none of the words.
    """
    if path is None:
        return vocabulary, None
    others = sorted({token for token in tokens if token is not None and token not in vocabulary})
    words = Vocabulary([*vocabulary, *others], vocabulary.unknown)
    values, found = load_vectors(path, words, scale=0, progress=progress)
    if not found.any():
        raise DataError(
            f"[data] {path}: expected vectors of words of the data, such as "
            f"{words.tokens[-1]!r}, got none; take vectors of their language and case"
        )
    kept = found | (np.arange(len(words)) < len(vocabulary))
    known = [word for word, keep in zip(words, kept, strict=True) if keep]
    return Vocabulary(known, vocabulary.unknown), WordVectors(values[kept], found[kept])


class EmbedsWords(Task):
    """A task whose models have an embedding of all words as their attribute `embedding`, or
    programs of functions that have one.

    Attributes:
        zero_unknown: whether the unknown word begins as zeros without vectors, too.
    """

    zero_unknown: ClassVar[bool] = False
    _embedding_std: float | None = None
    _vectors: WordVectors | None = None

    @classmethod
    def configure(
        cls: type[SomeTask],
        name: str,
        given: Mapping[str, Any],
        user: UserModel | None = None,
        *,
        progress: bool = False,
    ) -> tuple[SomeTask, TrainingConfig]:
        """See `Task`; raises InputError also for options that the vectors leave without effect."""
        first = {option.name for option in cls.options_of(name)} & {"vectors", "embedding_std"}
        if len(first) == 2 and first <= given.keys():
            raise InputError(
                "[train] expected --embedding-std without --vectors, which the embedding begins "
                "with, got both; leave one out"
            )
        task, config = super().configure(name, given, user, progress=progress)
        if "vectors" not in given:
            return task, config
        assert isinstance(task, EmbedsWords)
        assert task._vectors is not None
        size = task._vectors.values.shape[1]
        if given.get("embedding_size", size) != size:
            raise InputError(
                f"[train] expected --embedding-size {size}, as the vectors of --vectors "
                f"{given['vectors']} have, got {given['embedding_size']}; leave one out"
            )
        return task, config

    def begin_with_vectors(self, path: str | None, vectors: WordVectors | None) -> None:
        """Makes the vectors of the words, read from `path`, if there are any, the values that
        embeddings of this task begin with; their size becomes that of the embedding."""
        if vectors is None:
            return
        self._vectors = vectors
        self.set_embedding_size(vectors.values.shape[1])
        self.made_with["vectors"] = path

    def set_embedding_size(self, size: int) -> None:
        """Makes `size` that of the embedding."""
        self.arguments["embedding_size"] = size

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
        for weight in self._tables_of(function):
            self._initialize_table(weight)

    def _initialize_table(self, weight: Any) -> None:
        if self._embedding_std is not None:
            cavs.nn.init.normal_(weight, std=self._embedding_std)
        # If every word of the training set is kept, the unknown word gets no gradient: its random
        # initial values would be judged as if they had been learnt.
        zero = self.zero_unknown or self._vectors is not None
        unknown = self.words.unknown_id if zero else None
        if self._vectors is not None:
            cavs.nn.init.uniform_(weight, -DRAWN_WITHIN, DRAWN_WITHIN)
        with weight.writing() as values:
            if unknown is not None:
                values[unknown] = 0
            if self._vectors is not None:
                values[self._vectors.found] = self._vectors.values[self._vectors.found]

    def _tables_of(self, function: Any) -> list[Any]:
        """The tables of the words; none for a user's model that has none of this name."""
        found = embeddings_of(function)
        if self.user is None:
            return [embedding.weight for embedding in found]
        tables = [
            embedding.weight
            for embedding in found
            if isinstance(embedding, cavs.nn.Embedding)
            and embedding.weight.shape[0] == len(self.words)
        ]
        for weight in tables:
            if self._vectors is not None and weight.shape != self._vectors.values.shape:
                raise InputError(
                    f"[model] {self.user}: expected an Embedding of size embedding_size, which is "
                    f"{self._vectors.values.shape[1]} by --vectors, got {weight.shape[1]}; make it "
                    "so, or leave --vectors out"
                )
        for name in () if tables else ("embedding_std", "vectors"):
            if self.made_with.get(name) is not None:
                self.refuse_embedding_option("--" + name.replace("_", "-"))
        return tables
