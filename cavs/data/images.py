"""Binary images: the fixed binarisation of MNIST that RBMs, VAEs and IWAEs are judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import integer, shown
from cavs.data._npz import ArraysError, read_arrays
from cavs.data._repr import Corpus
from cavs.data._text import PathLike, as_path, folder_within
from cavs.data.dataset import Dataset
from cavs.errors import DataError, InputError
from cavs.scheduler import InputGraph

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, repr=False)
class ImageCorpus(Corpus):
    """Training, development and test images: uint8 of 0 and 1, (images, height * width)."""

    name: str
    height: int
    width: int
    train: npt.NDArray[np.uint8]
    dev: npt.NDArray[np.uint8]
    test: npt.NDArray[np.uint8]

    _unit = "images"

    def _details(self) -> str:
        return f"{self.height} x {self.width} pixels"


def load_binarized_mnist(path: PathLike, height: int = 28, width: int = 28) -> ImageCorpus:
    """Reads an .npz file of the arrays ``train``, ``valid`` and ``test`` (Larochelle and Murray
    2011): a row is an image, its pixels packed by ``numpy.packbits(axis=1)``.

    Args:
        path: the file, or a folder with ``binarized_mnist.npz`` in it or in its folder ``mnist``.
        height, width: the size of the images.

    Raises:
        DataError: the file does not exist, is of another kind, or has images of another size.
    """
    height, width = integer("data", "height", height, 1), integer("data", "width", width, 1)
    file = as_path(path)
    expected = f"an .npz file with train, valid and test, images of {height} x {width} bits"
    try:
        if file.is_dir():
            file = folder_within(file, "mnist", ["binarized_mnist.npz"]) / "binarized_mnist.npz"
        arrays = read_arrays(file, SPLITS)
    except FileNotFoundError:
        raise DataError(
            f"[data] {file}: expected {expected}, got no such file; check the path"
        ) from None
    except KeyError as error:
        raise DataError(
            f"[data] {file}: expected {expected}, got one without {error}; check the path"
        ) from None
    except (OSError, ValueError, ArraysError) as error:
        raise DataError(
            f"[data] {file}: expected {expected}, got a file that cannot be read ({error}); check "
            "the path"
        ) from error
    splits = [_unpack(file, name, arrays[name], height * width) for name in SPLITS]
    return ImageCorpus("binarized-mnist", height, width, *splits)


def _unpack(file: Path, name: str, packed: npt.NDArray[Any], pixels: int) -> npt.NDArray[np.uint8]:
    wanted = -(-pixels // 8)
    if packed.ndim != 2 or packed.dtype != np.uint8 or packed.shape[1] != wanted:
        raise DataError(
            f"[data] {file}: expected {name} as uint8 (images, {wanted}), {pixels} pixels in "
            f"bits, got {packed.dtype} {packed.shape}; pack it with numpy.packbits"
        )
    if not len(packed):
        raise DataError(f"[data] {file}: expected images in {name}, got none; put some there")
    return np.unpackbits(packed, axis=1)[:, :pixels]


def image_dataset(images: npt.NDArray[np.uint8], samples: int = 1) -> Dataset:
    """Images as graphs of `samples` vertices without edges, with the graph input ``image``,
    float32 (pixels,)."""
    samples = integer("data", "samples", samples, 1)
    given: Any = images
    if not isinstance(given, np.ndarray) or images.ndim != 2 or images.dtype.kind not in "buif":
        raise InputError(
            f"[data] expected images (images, pixels), got {shown(images)}; reshape them"
        )
    graph = InputGraph([[]] * samples)
    return Dataset([graph] * len(images), graph={"image": images.astype(np.float32)})
