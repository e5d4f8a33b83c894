"""What a run trains: a vertex function with its data, and an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import cavs
from cavs.data import Dataset, Loader, Vocabulary
from cavs.training.config import TrainingConfig
from cavs.training.metrics import Batches
from cavs.training.trainer import Objective

#: What tasks of words say where they are told nothing else: checkpoints that do not speak of it are
#: of a time when embeddings were dropped as what the classifier sees.
NO_EMBEDDING_DROPOUT = {"embedding_dropout": 0.0, "embedding_dropout_by": "vertex"}


class Source(Protocol):
    """Where data come from; a dataclass that JSON can hold."""

    @property
    def name(self) -> str:
        """A short name."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""


class Corpus(Protocol):
    """Data in three splits, each of which has a length."""

    @property
    def train(self) -> Any:
        """What to train on."""

    @property
    def dev(self) -> Any:
        """What epochs are judged by."""

    @property
    def test(self) -> Any:
        """What the end is judged by."""


class Task(ABC):
    """A model by name, its arguments, and the data that it is trained and judged on.

    Attributes:
        unit: what graphs are called.
        source_type: what `source` is one of; has a method ``load``.
        name: of the model, as the command line calls it.
        arguments: what makes the vertex function.
        vocabulary: of the words, where there are any.
        source: of the data.
        objective: what training minimises.
        outputs: what it reads of what the model pushes; None: all.
    """

    unit: ClassVar[str]
    source_type: ClassVar[Any]
    outputs: tuple[str, ...] | None = None

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        source: Any,
        corpus: Corpus,
    ) -> None:
        self.name, self.arguments, self.vocabulary = name, dict(arguments), vocabulary
        self.source, self.corpus = source, corpus
        self.objective: Objective = self.make_objective()

    @classmethod
    def restore(
        cls,
        name: str,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        source: Mapping[str, Any],
    ) -> Task:
        """The task of a checkpoint."""
        data = cls.source_type(**source)
        return cls(name, arguments, vocabulary, data, data.load())

    @property
    def sizes(self) -> dict[str, int]:
        """How many graphs, or what they are made of, by ``train``, ``dev`` and ``test``."""
        return {split: len(self.split(split)) for split in ("train", "dev", "test")}

    def split(self, name: str) -> Any:
        """The data of ``train``, ``dev`` or ``test``."""
        return getattr(self.corpus, name)

    @property
    def words(self) -> Vocabulary:
        """The vocabulary of a task that has one."""
        assert self.vocabulary is not None
        return self.vocabulary

    @abstractmethod
    def make_objective(self) -> Objective:
        """What training minimises."""

    @abstractmethod
    def make_function(self) -> cavs.VertexFunction | cavs.VertexProgram:
        """The vertex function or program, with fresh parameters."""

    @abstractmethod
    def train_set(self, config: TrainingConfig) -> Dataset:
        """What to train on."""

    def loader(self, config: TrainingConfig) -> Loader:
        """Batches to train on."""
        return Loader(self.train_set(config), config.batch_size, shuffle=True, seed=config.seed)

    @abstractmethod
    def batches(self, split: str) -> Batches:
        """Batches to be judged by, of ``dev`` or ``test``; they can be gone through again."""

    def check(self, function: Any) -> None:
        """Raises `DataError` where the data do not fit the vertex function; by default all do."""
        del function

    def summary(self, best: Mapping[str, Any], test: Mapping[str, float]) -> str:
        """What a finished run comes to, in a line."""
        return (
            f"best epoch {best['epoch']}: dev {self.objective.describe(best['dev'])}, "
            f"test {self.objective.describe(test)}"
        )

    def examples(self, model: Any) -> list[str]:
        """Lines that show what a trained model does, where there is something to show."""
        return []
