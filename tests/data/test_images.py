"""Binarised images: reading, and what is wrong with a file."""

from pathlib import Path

import numpy as np
import pytest

from cavs.data import image_dataset, load_binarized_mnist
from cavs.errors import DataError


def write(path: Path, size: int = 784, **changes: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    splits = {
        k: rng.integers(0, 2, (n, size)) for k, n in (("train", 5), ("valid", 3), ("test", 4))
    }
    packed = {k: np.packbits(x.astype(np.uint8), axis=1) for k, x in splits.items()}
    np.savez(path, **{k: x for k, x in {**packed, **changes}.items() if len(x)})
    return path


def test_pixels_come_back(tmp_path: Path) -> None:
    corpus = load_binarized_mnist(write(tmp_path / "binarized_mnist.npz").parent)
    expected = np.random.default_rng(0).integers(0, 2, (5, 784))
    np.testing.assert_array_equal(corpus.train, expected)
    assert [len(x) for x in (corpus.train, corpus.dev, corpus.test)] == [5, 3, 4]
    odd = load_binarized_mnist(write(tmp_path / "small.npz", 9), height=3, width=3)
    assert odd.test.shape == (4, 9)


def test_an_image_is_a_graph_of_samples(tmp_path: Path) -> None:
    corpus = load_binarized_mnist(write(tmp_path / "a.npz"))
    graphs, inputs = image_dataset(corpus.train, samples=7).batch([4, 1])
    assert (graphs.num_graphs, graphs.num_vertices, graphs.num_edges) == (2, 14, 0)
    np.testing.assert_array_equal(inputs["image"], corpus.train[[4, 1]])
    assert inputs["image"].dtype == np.float32


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected .* images of 28 x 28 bits, got no such file"):
        load_binarized_mnist(tmp_path / "none.npz")
    text = tmp_path / "text.npz"
    text.write_text("pixels")
    with pytest.raises(DataError, match=r"text\.npz: an \.npz file"):
        load_binarized_mnist(text)
    with pytest.raises(DataError, match="got one without 'valid"):
        load_binarized_mnist(write(tmp_path / "part.npz", valid=np.zeros((0, 98), np.uint8)))
    with pytest.raises(DataError, match=r"train as uint8 \(images, 98\).*got uint8 \(5, 2\)"):
        load_binarized_mnist(write(tmp_path / "small.npz", 9))
    floats = write(tmp_path / "floats.npz", test=np.zeros((4, 98)))
    with pytest.raises(DataError, match=r"test as uint8 .* got float64 \(4, 98\)"):
        load_binarized_mnist(floats)
