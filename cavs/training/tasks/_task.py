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


class Source(Protocol):
    """Where data come from; a dataclass that JSON can hold."""

    @property
    def name(self) -> str:
        """A short name."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""


class Task(ABC):
    """A model by name, its arguments, and the data that it is trained and judged on.

    Attributes:
        unit: what graphs are called.
        name: of the model, as the command line calls it.
        arguments: what makes the vertex function.
        vocabulary: of the words, where there are any.
        source: of the data.
        objective: what training minimises.
        outputs: what it reads of what the model pushes; None: all.
    """

    unit: ClassVar[str]

    name: str
    arguments: dict[str, Any]
    vocabulary: Vocabulary | None
    source: Source
    objective: Objective
    outputs: tuple[str, ...] | None = None

    @classmethod
    @abstractmethod
    def restore(
        cls,
        name: str,
        arguments: Mapping[str, Any],
        vocabulary: Vocabulary | None,
        source: Mapping[str, Any],
    ) -> Task:
        """The task of a checkpoint."""

    @property
    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """How many graphs there are, by ``train``, ``dev`` and ``test``."""

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

    @abstractmethod
    def check(self, function: Any) -> None:
        """Raises `DataError` where the data do not fit the vertex function."""

    def summary(self, best: Mapping[str, Any], test: Mapping[str, float]) -> str:
        """What a finished run comes to, in a line."""
        return (
            f"best epoch {best['epoch']}: dev {self.objective.describe(best['dev'])}, "
            f"test {self.objective.describe(test)}"
        )

    def examples(self, model: Any) -> list[str]:
        """Lines that show what a trained model does, where there is something to show."""
        return []
