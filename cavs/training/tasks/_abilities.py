"""Uses of a checkpoint that some tasks have: prediction and sampling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cavs.errors import DataError
from cavs.training.options import Option

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained


class Predicts(ABC):
    """A task whose models predict something for each item of input.

    Attributes:
        items: what is read, as errors name it.
        prediction_options: the options of prediction.
    """

    items: ClassVar[str]
    prediction_options: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    @abstractmethod
    def read_items(cls, lines: Iterable[str], source: str) -> Iterator[Any]:
        """The items to predict for, each as soon as its lines have been read.

        Raises:
            DataError: there is no item, or one is malformed; names `source` and the line.
        """

    @classmethod
    @abstractmethod
    def predictor(
        cls, trained: Trained, source: str, *, json: bool = False, **options: Any
    ) -> Callable[[list[Any]], list[str]]:
        """A function that takes a list of items and returns a line for each.

        Args:
            trained: the checkpoint.
            source: the source of the items, for errors.
            json: whether each line is a JSON object, with probabilities.
            options: the given ones among `prediction_options`.
        """


class PredictsLines(Predicts):
    """A task whose models predict something for each line of input."""

    @classmethod
    @abstractmethod
    def read_item(cls, line: str, source: str, number: int) -> Any:
        """The item on line `number` of `source`, None if it is blank. Raises DataError."""

    @classmethod
    def read_items(cls, lines: Iterable[str], source: str) -> Iterator[Any]:
        """See `Predicts`; one from each line that is not blank."""
        empty = True
        for number, line in enumerate(lines, 1):
            item = cls.read_item(line, source, number)
            if item is not None:
                empty = False
                yield item
        if empty:
            raise DataError(f"[data] {source}: expected {cls.items}, got none; write some")


class Samples(ABC):
    """A task whose models generate samples.

    Attributes:
        kind: the kind of samples.
        sampling_options: the options of sampling.
    """

    kind: ClassVar[Literal["images", "text", "trees"]]
    sampling_options: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    @abstractmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> Any:
        """`count` samples of a checkpoint: images as an array (count, pixels) in 0..1, or (count,
        several, pixels) of images that belong together; text as a list of sentences, lists of
        words; trees as a list, None for an incomplete tree. `options` are the given ones among
        `sampling_options`."""
