"""What tasks of images share: their file, its options, and the check of its images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from cavs.data import (
    ImageCorpus,
    LabelledImageCorpus,
    load_binarized_mnist,
    load_digits10k,
    load_fashion_mnist,
    load_small_digits,
)
from cavs.errors import DataError, InputError
from cavs.training.options import Flag, Number, Option
from cavs.training.tasks._options import data_option
from cavs.training.tasks._source import Source
from cavs.training.tasks._task import Task

_SomeTask = TypeVar("_SomeTask", bound="ReadsImages")


def read_labelled(path: str) -> LabelledImageCorpus:
    """Labelled images: of a .csv or .csv.gz that `load_small_digits` reads, or of the word
    ``digits``, those that come with scikit-learn; of a folder of idx files, by
    `load_fashion_mnist`; else of the file, or its folder, that `load_digits10k` reads. Raises
    `DataError`."""
    place = Path(path)
    if place.name.endswith((".csv", ".csv.gz")):
        return load_small_digits(place)
    if path == "digits" and not place.exists():
        return load_small_digits()
    of_mnist = ("binarized_mnist.npz", "mnist/binarized_mnist.npz")
    if not place.is_dir() or any((place / name).is_file() for name in of_mnist):
        return load_digits10k(place)
    return load_fashion_mnist(place)


@dataclass(frozen=True)
class ImagePath(Source):
    """The source of images.

    Attributes:
        path: the path of a file that `load_binarized_mnist` reads, or of a folder of idx files that
            `load_fashion_mnist` does, whose greys become bits: 1 from half of white on.
    """

    path: str

    #: Whether greys stay, as floats from 0 to 1.
    greys: ClassVar[bool] = False

    def load(self) -> ImageCorpus:
        if not any(Path(self.path).glob("train-images-idx3-ubyte*")):
            return load_binarized_mnist(self.path)
        read = load_fashion_mnist(self.path)
        splits: list[Any] = [read.train, read.dev, read.test]
        if self.greys:
            splits = [x / np.float32(read.levels) for x in splits]
        else:
            bits = read.binarized()
            splits = [bits.train, bits.dev, bits.test]
        return ImageCorpus(read.name, read.height, read.width, *splits)

    @property
    def name(self) -> str:
        """A short name, that of the file."""
        return Path(self.path).stem


@dataclass(frozen=True)
class ImageSplits(ImagePath):
    """As `ImagePath`.

    Attributes:
        with_dev: whether to train on the development images too; epochs are then not judged fairly.
        share: the share of the images to train on, above 0 and below 1; None: all. They are the
            first ones of an order that the seed draws, so that a smaller share is part of a larger
            one.
        seed: the seed of that order, that of the run.
    """

    with_dev: bool = False
    share: float | None = None
    seed: int = 0

    seeds = ("seed",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.share is not None and not 0 < self.share < 1:
            raise InputError(
                f"[train] expected a share above 0 and below 1, got {self.share}; leave it out for "
                "all images"
            )

    def load(self) -> ImageCorpus:
        corpus = super().load()
        if self.with_dev:
            corpus = replace(corpus, train=np.concatenate([corpus.train, corpus.dev]))
        if self.share is None:
            return corpus
        count = round(self.share * len(corpus.train))
        if count < 1:
            raise DataError(
                f"[data] {self.path}: expected a share of 1 image or more, got {self.share} of "
                f"{len(corpus.train)}; raise --share"
            )
        order = np.random.default_rng(self.seed).permutation(len(corpus.train))
        return replace(corpus, train=corpus.train[order[:count]])


FILE_OPTION = data_option(
    "binarised MNIST: an .npz file with train, valid and test, pixels packed into bits; or a "
    "folder of idx files such as Fashion-MNIST's, whose greys become bits",
    "PATH",
)
#: The options of `ImageSplits`.
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
    Option(
        "share",
        Number(0, 1, exclusive=True),
        meaning="of the images to train on: the first of an order that the seed draws",
        metavar="P",
        group="data",
        said="all",
    ),
)


class ReadsImages(Task):
    """A task whose models read images and have an ``image_size``."""

    unit = "images"
    has_words = False
    sizes_read: ClassVar[tuple[str, ...]] = ("image_size",)

    @classmethod
    def of_images(
        cls: type[_SomeTask], name: str, source: ImagePath, sizes: dict[str, Any]
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
