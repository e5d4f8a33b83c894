"""What a run trains: a vertex function with its data, and an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, get_args, get_type_hints

import cavs
from cavs.data import END_OF_SENTENCE, Dataset, Loader, Vocabulary
from cavs.errors import InputError
from cavs.training._fields import is_number, is_text, is_whole, shown
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


def check_source(source: Any) -> None:
    """Checks the types of a source's fields, which may come from a file.

    Raises:
        InputError: a path that no file can have, an integer or number out of what there may be, or
            a value of another type.
    """
    for name, kind in get_type_hints(type(source)).items():
        value = getattr(source, name)
        if value is None and type(None) in get_args(kind):
            continue
        (wanted,) = [k for k in get_args(kind) or (kind,) if k is not type(None)]
        what, good = _KINDS[wanted]
        if not good(value):
            raise InputError(f"[train] expected {what} as {name}, got {shown(value)}; pass one")


#: Of what is made, or drawn for one graph, there is no more: memory would not do.
MOST_GRAPHS, MOST_SAMPLES = 10_000_000, 1_000_000


def _is_path(value: Any) -> bool:
    """Whether it can be the name of a file, or another name."""
    return is_text(value) and "\0" not in value and len(value) < 4096


_KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    str: ("a path or name", _is_path),
    int: ("an integer below 2**31", lambda value: is_whole(value, -(2**31), 2**31 - 1)),
    float: ("a finite number", is_number),
    bool: ("true or false", lambda value: isinstance(value, bool)),
}


def check_ranges(source: Any, ranges: Mapping[str, tuple[int, int]]) -> None:
    """Raises InputError for an integer of a source that is not within its range."""
    for name, (least, most) in ranges.items():
        if not least <= getattr(source, name) <= most:
            raise InputError(
                f"[train] expected {name} in {least}..{most}, got {getattr(source, name)}; pass "
                "such an integer"
            )


def check_end(vocabulary: Vocabulary | None) -> None:
    """Raises InputError for a vocabulary of sentences that lacks their end."""
    if vocabulary is None or END_OF_SENTENCE not in vocabulary:
        raise InputError(f"[train] expected {END_OF_SENTENCE} in the vocabulary, got none; add it")


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
    #: Arguments of the model that the task reads too.
    sizes_read: ClassVar[tuple[str, ...]] = ()

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
    def check_fit(cls, arguments: Mapping[str, Any], vocabulary: Vocabulary | None) -> None:
        """Whether a vocabulary fits the model of these arguments, as those of one checkpoint must.

        Raises:
            InputError: it is missing, not wanted, or of another size; or a size is missing.
        """
        for name in cls.sizes_read:
            if not is_whole(arguments.get(name), 1):
                raise InputError(
                    f"[train] expected a size of 1 or more as {name}, got "
                    f"{shown(arguments.get(name))}; pass one"
                )
        wanted, size = arguments.get("vocab_size"), len(vocabulary or ())
        if wanted != (None if vocabulary is None else size):
            raise InputError(
                f"[train] expected a vocabulary of {wanted or 'no'} words, got one of {size}; "
                "take the one that the model was made with"
            )

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
