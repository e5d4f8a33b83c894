"""What tasks of binary images share: their file, its options, and the check of its images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from cavs.data import ImageCorpus, load_binarized_mnist
from cavs.errors import DataError
from cavs.training.options import Flag, Option
from cavs.training.tasks._options import data_option
from cavs.training.tasks._source import Source
from cavs.training.tasks._task import Task

_SomeTask = TypeVar("_SomeTask", bound="BinaryImages")


@dataclass(frozen=True)
class BinaryFile(Source):
    """The source of images.

    Attributes:
        path: the path of a file that `load_binarized_mnist` reads.
    """

    path: str

    def load(self) -> ImageCorpus:
        return load_binarized_mnist(self.path)

    @property
    def name(self) -> str:
        """A short name, that of the file."""
        return Path(self.path).stem


@dataclass(frozen=True)
class ImageFile(BinaryFile):
    """As `BinaryFile`.

    Attributes:
        with_dev: whether to train on the development images too; epochs are then not judged fairly.
    """

    with_dev: bool = False

    def load(self) -> ImageCorpus:
        corpus = super().load()
        if self.with_dev:
            return replace(corpus, train=np.concatenate([corpus.train, corpus.dev]))
        return corpus


FILE_OPTION = data_option(
    "binarised MNIST: an .npz file with train, valid and test, pixels packed into bits", "FILE"
)
#: The options of `ImageFile`.
IMAGE_OPTIONS = (
    FILE_OPTION,
    Option(
        "with_dev",
        Flag(),
        False,
        "train on the development images too (Burda et al. 2016 train on all 60,000); what is "
        "said of dev is then said of images trained on",
        group="data",
    ),
)


class BinaryImages(Task):
    """A task whose models read images and have an ``image_size``."""

    unit = "images"
    has_words = False
    sizes_read: ClassVar[tuple[str, ...]] = ("image_size",)

    @classmethod
    def of_images(
        cls: type[_SomeTask], name: str, source: BinaryFile, sizes: dict[str, Any]
    ) -> _SomeTask:
        """A new task; `sizes` are the arguments of the model but for ``image_size``. Raises
        `DataError`."""
        corpus = source.load()
        arguments = {"image_size": corpus.height * corpus.width, **sizes}
        return cls(name, arguments, None, source, corpus)

    def initialize(self, function: Any) -> None:
        """See `Task`; a user's model may lack the method for it."""
        if self.user is None or hasattr(function, "set_pixel_means"):
            function.set_pixel_means(self.split("train").mean(axis=0))

    def check(self, function: Any) -> None:
        pixels, size = self.split("train").shape[1], self.arguments["image_size"]
        if pixels != size:
            raise DataError(
                f"[data] {self.source.path}: expected images of {size} pixels, as the model has, "
                f"got {pixels}; name the data that it was trained on"
            )
