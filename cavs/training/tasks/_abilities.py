"""What tasks can do with a checkpoint beside judging it: predict, and sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cavs.training.options import Option

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained


class Predicts(ABC):
    """A task whose models say something of each line that they are given.

    Attributes:
        prediction_options: what can be set of it.
    """

    prediction_options: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    @abstractmethod
    def read_items(cls, lines: Iterable[str], source: str) -> Iterator[Any]:
        """What is to be predicted of, one of each line that is not blank.

        Raises:
            DataError: there is none, or one is malformed; names `source` and the line.
        """

    @classmethod
    @abstractmethod
    def predictor(
        cls, trained: Trained, source: str, **options: Any
    ) -> Callable[[list[Any]], list[str]]:
        """What gives a line for each of some items.

        Args:
            trained: the checkpoint.
            source: of the items, for errors.
            options: those of `prediction_options` that were given.
        """


class Samples(ABC):
    """A task whose models make something up.

    Attributes:
        kind: what that is.
        sampling_options: what can be set of it.
    """

    kind: ClassVar[Literal["images", "text", "trees"]]
    sampling_options: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    @abstractmethod
    def sample(cls, trained: Trained, count: int, seed: int, **options: Any) -> Any:
        """`count` samples of a checkpoint: images as an array (count, pixels) in 0..1; text as a
        list of sentences, lists of words; trees as a list, None for one that is not complete.
        `options` are those of `sampling_options` that were given."""
