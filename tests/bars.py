"""Small binary images for tests of tasks."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from cavs.training.tasks import _images


def write_bars(folder: Path, side: int, train: int, others: int) -> Path:
    """A file of images of `side` x `side` pixels, a row or a column of which is set."""
    rng = np.random.default_rng(0)
    bars = np.zeros((2 * side, side, side), np.uint8)
    for i in range(side):
        bars[i, i, :] = 1
        bars[side + i, :, i] = 1
    flat = bars.reshape(2 * side, side * side)
    arrays = {
        name: np.packbits(flat[rng.integers(0, 2 * side, count)], axis=1)
        for name, count in (("train", train), ("valid", others), ("test", others))
    }
    np.savez(folder / "bars.npz", **arrays)
    return folder / "bars.npz"


def write_labelled(folder: Path, side: int, train: int, test: int) -> Path:
    """A folder of idx files, of labelled images of `side` x `side` pixels: a row, which is the
    label, is bright, and others are grey."""
    rng, splits = np.random.default_rng(0), {}
    for name, count in (("train", train), ("t10k", test)):
        labels = np.arange(count) % side
        images = rng.integers(0, 100, (count, side, side))
        images[np.arange(count), labels] += 150
        splits[name] = images, labels
    return write_idx(folder, splits)


def write_idx(folder: Path, splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """A folder of idx files: images and labels of ``train`` and of ``t10k``."""
    folder.mkdir(exist_ok=True)
    for name, (images, labels) in splits.items():
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
    return folder


def read_small(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """Has the tasks read images of `side` x `side` pixels."""
    load = _images.load_binarized_mnist
    monkeypatch.setattr(_images, "load_binarized_mnist", lambda path: load(path, side, side))
