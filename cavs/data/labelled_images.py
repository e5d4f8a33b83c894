"""Images with labels: the labelled digits of binarised MNIST, Fashion-MNIST, and small digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import choice, integer, number
from cavs._arrays import draw_uniform, foreign_array
from cavs.data._idx import read_bytes, read_idx
from cavs.data._text import PathLike, as_path, fail, find_file, folder_within
from cavs.data.dataset import Dataset
from cavs.data.images import ImageCorpus, image_dataset, load_binarized_mnist
from cavs.errors import DataError, InputError

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]

# How many test images of MNIST show each digit; in binarized_mnist.npz they stand in this order.
_OF_DIGIT = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
_PARTS = ("train", "dev", "test")
_IDX_NAMES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
_SPLIT = 2**32 - 2  # the operation that splits are drawn by


@dataclass(frozen=True, repr=False)
class LabelledImageCorpus(ImageCorpus):
    """Images as uint8 of 0..`levels`, (images, height * width), and for each its class, int32 of
    0..`num_classes` - 1.

    Attributes:
        levels: the value of white: 1 of bits, 255 of bytes.
    """

    train_labels: Labels
    dev_labels: Labels
    test_labels: Labels
    num_classes: int
    levels: int

    def _details(self) -> str:
        return f"{super()._details()} in {self.num_classes} classes"

    def binarized(self, threshold: float = 0.5) -> LabelledImageCorpus:
        """The corpus of bits: 1 where a pixel is `threshold` of white or brighter. Raises
        InputError unless the threshold is above 0 and at most 1."""
        at = number("data", "threshold", threshold, 0, above=True) * self.levels
        if at > self.levels:
            raise InputError(f"[data] expected a threshold of at most 1, got {threshold}; lower it")
        train, dev, test = ((x >= at).astype(np.uint8) for x in (self.train, self.dev, self.test))
        return replace(self, train=train, dev=dev, test=test, levels=1)

    def with_labels(self, count: int, seed: int = 0) -> LabelledImageCorpus:
        """The corpus with `count` of the training images, drawn by `seed` class by class: as many
        of each, or one more of the first ones, unless a class has fewer. Those of a lower count are
        among those of a higher one. Raises InputError for more than there are.
        """
        if integer("data", "count", count, 1) > len(self.train):
            raise InputError(
                f"[data] expected at most the {len(self.train)} labelled training images of "
                f"{self.name}, got {count}; ask for fewer"
            )
        seed = integer("data", "seed", seed, 0, 2**64 - 1)
        order, place = _shuffled(self.train_labels, seed, 2)
        chosen = np.sort(order[np.lexsort((self.train_labels[order], place))[:count]])
        return replace(self, train=self.train[chosen], train_labels=self.train_labels[chosen])

    def dataset(self, split: str) -> Dataset:
        """Graphs of one vertex with the graph inputs ``image``, float32 (pixels,) in 0..1, and
        ``label``, int32.

        Args:
            split: ``train``, ``dev`` or ``test``.

        Raises:
            InputError: another split.
        """
        choice("data", "split", split, _PARTS)
        images, labels = getattr(self, split), getattr(self, f"{split}_labels")
        return labelled_image_dataset(images, labels, self.levels)


def labelled_image_dataset(images: Images, labels: Labels, levels: int = 1) -> Dataset:
    """Images as graphs of one vertex without edges, with the graph inputs ``image``, float32
    (pixels,) divided by `levels`, and ``label``, int32 ().

    Raises InputError for images of another shape than (images, pixels), or not a label for each.
    """
    dataset = image_dataset(images)
    levels = integer("data", "levels", levels, 1)
    given = foreign_array(labels, "data")
    if given.shape != (len(images),) or given.dtype.kind not in "iu":
        raise InputError(
            f"[data] expected a label, an integer, for each of {len(images)} images, got "
            f"{given.dtype} {given.shape}; pass one for each"
        )
    scaled = dataset.flat("image") / np.float32(levels)
    return Dataset(dataset.graphs, graph={"image": scaled, "label": given.astype(np.int32)})


def load_digits10k(path: PathLike, num_dev: int = 1000) -> LabelledImageCorpus:
    """The 10,000 labelled images of binarised MNIST: its test images, whose labels are known since
    they stand in the order of their digits. 2,000 are for the test, the others to train and to
    choose by, drawn within each digit, the same in each call.

    Args:
        path: as for :func:`load_binarized_mnist`.
        num_dev: how many of the 8,000 are for development.

    Raises:
        DataError: as :func:`load_binarized_mnist`; other test images, or in another order.
    """
    num_dev = integer("data", "num_dev", num_dev, 0, 7_990)
    corpus = load_binarized_mnist(path)
    images, labels = corpus.test, np.repeat(np.arange(10), _OF_DIGIT).astype(np.int32)
    if len(images) != len(labels):
        raise DataError(
            f"[data] {path}: expected the {len(labels)} test images of MNIST, got {len(images)}; "
            "take the whole file"
        )
    _check_order(path, images, labels)
    return _corpus("digits10k", (28, 28), images, labels, 1, num_dev, 2_000)


def _check_order(path: PathLike, images: Images, labels: Labels) -> None:
    """Raises DataError unless most images lie nearest to the mean of their label: with labels in
    another order that of any digit is as near."""
    means = np.stack([images[labels == digit].mean(0) for digit in range(10)]).astype(np.float32)
    distance = (means**2).sum(1) - 2 * images.astype(np.float32) @ means.T
    if (distance.argmin(1) == labels).mean() < 0.5:
        raise DataError(
            f"[data] {path}: expected test images in the order of their digits, got them in "
            "another; take a file in which they are sorted"
        )


def load_fashion_mnist(path: PathLike, num_dev: int | None = None) -> LabelledImageCorpus:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), or another data set of the form of MNIST: four
    idx files, packed by gzip or not. The last training images are for development.

    Args:
        path: the folder with ``train-images-idx3-ubyte.gz`` and the others, or one with the folder
            ``fashion-mnist`` in it.
        num_dev: how many of the training images are for development; None: one in twelve, 5,000 of
            60,000.

    Raises:
        DataError: a file does not exist, is of another kind, or does not fit the others.
    """
    if num_dev is not None:
        num_dev = integer("data", "num_dev", num_dev, 0)
    names = [[f"{name}-ubyte.gz", f"{name}-ubyte"] for name in _IDX_NAMES]
    folder = folder_within(path, "fashion-mnist", [name for each in names for name in each])
    what = "images and labels in the idx format of MNIST"
    files = [find_file(folder, each, what) for each in names]
    parts = [
        read_idx(file, 1 if "labels" in name else 3, what)
        for file, name in zip(files, _IDX_NAMES, strict=True)
    ]
    train, train_labels, test, test_labels = parts
    for file, images, labels in ((files[1], train, train_labels), (files[3], test, test_labels)):
        if len(images) != len(labels) or not len(images):
            fail(
                str(file),
                f"expected a label for each of {len(images)} images, got {len(labels)}; take "
                "files of one data set",
            )
    if train.shape[1:] != test.shape[1:]:
        fail(
            str(files[2]),
            f"expected images of {train.shape[1]} x {train.shape[2]} pixels, got "
            f"{test.shape[1]} x {test.shape[2]}; take files of one data set",
        )
    if num_dev is None:
        num_dev = len(train) // 12
    if num_dev >= len(train):
        raise InputError(
            f"[data] expected num_dev below the {len(train)} training images, got {num_dev}; "
            "lower it"
        )
    held = len(train) - num_dev
    flat = train.reshape(len(train), -1)
    classes: Labels = train_labels.astype(np.int32)
    height, width = train.shape[1:]
    return LabelledImageCorpus(
        folder.resolve().name,
        height,
        width,
        train=flat[:held],
        dev=flat[held:],
        test=test.reshape(len(test), -1),
        train_labels=classes[:held],
        dev_labels=classes[held:],
        test_labels=test_labels.astype(np.int32),
        num_classes=int(max(train_labels.max(), test_labels.max())) + 1,
        levels=255,
    )


def load_small_digits(path: PathLike | None = None) -> LabelledImageCorpus:
    """The 1,797 digits of 8 x 8 pixels that come with scikit-learn (Alpaydin and Kaynak 1998), in
    17 levels of grey. A fifth is for the test and a tenth for development, drawn within each digit,
    the same in each call.

    Args:
        path: ``digits.csv`` or ``digits.csv.gz``, a line of 64 pixels of 0..16 and a label for each
            image; None: the file of an installed scikit-learn.

    Raises:
        DataError: there is no such file, or it is another one.
    """
    expected = "lines of 64 pixels of 0..16 and a digit, parted by commas"
    file = _file_of_scikit_learn() if path is None else as_path(path)
    text = read_bytes(file, expected)
    try:
        rows = [[int(float(x)) for x in line.split(b",")] for line in text.split()]
    except (ValueError, OverflowError):
        fail(str(file), f"expected {expected}, got other text; check the path")
    if not rows or {len(row) for row in rows} != {65}:
        fail(str(file), f"expected {expected}, got lines of other lengths; check the path")
    table = np.array(rows)
    images, labels = table[:, :-1], table[:, -1]
    if images.min() < 0 or images.max() > 16 or labels.min() < 0 or labels.max() > 9:
        fail(str(file), f"expected {expected}, got other numbers; check the path")
    count = len(table)
    return _corpus(
        "digits",
        (8, 8),
        images.astype(np.uint8),
        labels.astype(np.int32),
        16,
        count // 10,
        count // 5,
    )


def _file_of_scikit_learn() -> Path:
    spec = find_spec("sklearn")
    folders: Sequence[Any] = () if spec is None else spec.submodule_search_locations or ()
    for folder in folders:
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return file
    raise DataError(
        "[data] expected scikit-learn, whose digits these are, got none; pip install scikit-learn, "
        "or give the path of its digits.csv.gz"
    )


def _corpus(
    name: str,
    size: tuple[int, int],
    images: Images,
    labels: Labels,
    levels: int,
    num_dev: int,
    num_test: int,
) -> LabelledImageCorpus:
    """A corpus whose parts are drawn within each class, in the order of the images."""
    test = _drawn(labels, num_test, 0)
    rest = np.flatnonzero(~test)
    dev = np.zeros_like(test)
    dev[rest] = _drawn(labels[rest], num_dev, 1)
    train = ~(test | dev)
    return LabelledImageCorpus(
        name,
        *size,
        train=images[train],
        dev=images[dev],
        test=images[test],
        train_labels=labels[train],
        dev_labels=labels[dev],
        test_labels=labels[test],
        num_classes=10,
        levels=levels,
    )


def _drawn(labels: Labels, count: int, step: int) -> npt.NDArray[np.bool_]:
    """`count` images, of each class its share: which of them were drawn. The numbers are of the
    generator of vertex functions, so that they stay the same with any version of NumPy."""
    order, number = _shuffled(labels, 0, step)
    # The k-th of n images of a class comes at the place (k + 1/2) / n of all classes' order.
    place = (number + 0.5) / np.bincount(labels)[labels[order]]
    chosen = np.zeros(len(labels), bool)
    chosen[order[np.argsort(place, kind="stable")[:count]]] = True
    return chosen


def _shuffled(labels: Labels, seed: int, step: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The images class by class, each class in an order drawn by `seed` and `step`, and for each of
    these the number that it has in its class."""
    size = len(labels)
    keys, places = np.arange(size), np.zeros(size, np.int32)
    numbers = draw_uniform(seed, step, _SPLIT, keys, places, 1, np.dtype(np.float64)).ravel()
    order = np.lexsort((numbers, labels))
    sizes = np.bincount(labels)
    return order, np.arange(size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
