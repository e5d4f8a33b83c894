"""Images with labels: reading, splits, and what is wrong with a file."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from cavs.data import (
    LabelledImageCorpus,
    image_dataset,
    labelled_image_dataset,
    load_digits10k,
    load_fashion_mnist,
    load_small_digits,
)
from cavs.errors import DataError, InputError

COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
DIGITS = np.repeat(np.arange(10), COUNTS)


def write_mnist(path: Path, labels: np.ndarray = DIGITS) -> Path:
    """Test images that are a drawing of their label, with a fifth of the pixels wrong."""
    rng = np.random.default_rng(0)
    drawings = rng.integers(0, 2, (10, 784))
    test = drawings[labels] ^ (rng.random((len(labels), 784)) < 0.2)
    bits = {"train": np.zeros((3, 784)), "valid": np.zeros((2, 784)), "test": test}
    np.savez(path, **{k: np.packbits(x.astype(np.uint8), axis=1) for k, x in bits.items()})
    return path


def images_by_row(corpus: LabelledImageCorpus) -> set[bytes]:
    return {x.tobytes() for part in ("train", "dev", "test") for x in getattr(corpus, part)}


def test_ten_thousand_digits_are_split_within_each(tmp_path: Path) -> None:
    path = write_mnist(tmp_path / "binarized_mnist.npz")
    corpus = load_digits10k(path.parent)
    assert [len(x) for x in (corpus.train, corpus.dev, corpus.test)] == [7000, 1000, 2000]
    for labels, share in ((corpus.test_labels, 0.2), (corpus.dev_labels, 0.1)):
        expected = share * np.array(COUNTS)
        assert (np.abs(np.bincount(labels) - expected) <= 1).all()
    whole = [*corpus.train_labels, *corpus.dev_labels, *corpus.test_labels]
    np.testing.assert_array_equal(np.bincount(whole), COUNTS)
    assert len(images_by_row(corpus)) == 10_000
    again = load_digits10k(path, num_dev=0)
    np.testing.assert_array_equal(again.test, corpus.test)
    assert len(again.train) == 8000
    assert repr(corpus) == (
        "<LabelledImageCorpus 'digits10k': 7000 train, 1000 dev, 2000 test images; 28 x 28 pixels "
        "in 10 classes>"
    )


def test_labels_belong_to_their_images(tmp_path: Path) -> None:
    corpus = load_digits10k(write_mnist(tmp_path / "a.npz"))
    means = np.stack([corpus.train[corpus.train_labels == k].mean(0) for k in range(10)])
    distance = ((corpus.test[:, None] - means) ** 2).sum(-1)
    np.testing.assert_array_equal(distance.argmin(1), corpus.test_labels)


def test_the_split_stays_the_same(tmp_path: Path) -> None:
    """Of every version: what was learnt on some of them is judged on the others."""
    corpus = load_digits10k(write_mnist(tmp_path / "a.npz"))
    positions = {x.tobytes(): n for n, x in enumerate(_test_images(tmp_path / "a.npz"))}
    places = [positions[x.tobytes()] for x in corpus.test[:8]]
    assert places == FIRST_OF_TEST


FIRST_OF_TEST = [0, 3, 10, 18, 20, 21, 34, 38]


def _test_images(path: Path) -> np.ndarray:
    return np.unpackbits(np.load(path)["test"], axis=1)


def test_images_in_another_order_are_refused(tmp_path: Path) -> None:
    path = write_mnist(tmp_path / "a.npz", np.random.default_rng(1).permutation(DIGITS))
    with pytest.raises(DataError, match="test images in the order of their digits"):
        load_digits10k(path)
    path = write_mnist(tmp_path / "b.npz", DIGITS[:50])
    with pytest.raises(DataError, match="the 10000 test images of MNIST, got 50"):
        load_digits10k(path)


def idx(array: np.ndarray, code: int = 8) -> bytes:
    head = bytes((0, 0, code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_fashion(folder: Path, packed: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    arrays = {
        "train-images-idx3": rng.integers(0, 256, (9, 4, 5)),
        "train-labels-idx1": np.arange(9) % 3,
        "t10k-images-idx3": rng.integers(0, 256, (4, 4, 5)),
        "t10k-labels-idx1": np.arange(4) % 3,
    }
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        content = idx(array)
        file = folder / f"{name}-ubyte{'.gz' * packed}"
        file.write_bytes(gzip.compress(content) if packed else content)
    return arrays


def test_labels_are_drawn_class_by_class(tmp_path: Path) -> None:
    write_fashion(tmp_path / "fashion-mnist")
    corpus = load_fashion_mnist(tmp_path, num_dev=1)  # of the classes 3, 3 and 2
    drawn = {n: corpus.with_labels(n, seed=4) for n in (1, 4, 7, 8)}
    for count, found in drawn.items():
        sizes = np.bincount(found.train_labels, minlength=3)
        assert (len(found.train), sizes.sum()) == (count, count)
        assert sizes.max() - sizes.min() <= 1
        for image, label in zip(found.train, found.train_labels, strict=True):
            assert label == corpus.train_labels[(corpus.train == image).all(1)][0]
        np.testing.assert_array_equal(found.test, corpus.test)
    few, more = ({x.tobytes() for x in drawn[n].train} for n in (4, 7))
    assert few < more
    others = {corpus.with_labels(4, seed).train.tobytes() for seed in range(9)}
    assert len(others) > 3
    np.testing.assert_array_equal(drawn[8].train, corpus.train)
    with pytest.raises(InputError, match="expected at most the 8 labelled training images of"):
        corpus.with_labels(9)


@pytest.mark.parametrize("packed", [True, False])
def test_fashion_comes_back(tmp_path: Path, packed: bool) -> None:
    arrays = write_fashion(tmp_path / "fashion-mnist", packed)
    corpus = load_fashion_mnist(tmp_path, num_dev=2)
    assert (corpus.name, corpus.height, corpus.width) == ("fashion-mnist", 4, 5)
    assert (corpus.levels, corpus.num_classes) == (255, 3)
    both = np.concatenate([corpus.train, corpus.dev])
    np.testing.assert_array_equal(both, arrays["train-images-idx3"].reshape(9, 20))
    np.testing.assert_array_equal(corpus.dev_labels, [1, 2])
    np.testing.assert_array_equal(corpus.test_labels, arrays["t10k-labels-idx1"])
    graphs, inputs = corpus.dataset("test").batch([2, 0])
    assert (graphs.num_graphs, graphs.num_vertices) == (2, 2)
    expected = arrays["t10k-images-idx3"].reshape(4, 20)[[2, 0]] / 255
    np.testing.assert_allclose(inputs["image"], expected, rtol=1e-6)
    assert (inputs["image"].dtype, inputs["label"].dtype) == (np.float32, np.int32)


def test_bits_are_one_from_the_threshold_on(tmp_path: Path) -> None:
    arrays = write_fashion(tmp_path / "fashion-mnist")
    for threshold in (0.5, 1.0):
        corpus = load_fashion_mnist(tmp_path, num_dev=2).binarized(threshold)
        expected = arrays["t10k-images-idx3"].reshape(4, 20) >= threshold * 255
        np.testing.assert_array_equal(corpus.test, expected)
        assert corpus.levels == 1
        assert corpus.dataset("test").flat("image").max() <= 1
    for wrong in (0.0, 1.5, "a"):
        with pytest.raises(InputError, match="threshold"):
            corpus.binarized(wrong)  # type: ignore[arg-type]


def test_what_is_wrong_with_idx_files_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "fashion-mnist"
    with pytest.raises(DataError, match=r"expected images and labels .* no such directory"):
        load_fashion_mnist(folder)
    arrays = write_fashion(folder)
    with pytest.raises(InputError, match="num_dev below the 9 training images, got 9"):
        load_fashion_mnist(folder, num_dev=9)
    images = folder / "train-images-idx3-ubyte.gz"
    good = images.read_bytes()
    wrong = {
        "another file": gzip.compress(b"\x89PNG" + bytes(30)),
        "of unsigned bytes with 3 axes": gzip.compress(idx(arrays["train-images-idx3"], code=13)),
        "cut off": gzip.compress(idx(arrays["train-images-idx3"])[:-1]),
        "it may be damaged": good[: len(good) // 2],
        "a label for each of 8 images, got 9": gzip.compress(idx(arrays["train-images-idx3"][:8])),
        "images of 4 x 4 pixels, got 4 x 5": gzip.compress(
            idx(arrays["train-images-idx3"][..., 1:])
        ),
        "more than 64 times": gzip.compress(bytes(1 << 23)),
        "got another": b"",
    }
    for said, content in wrong.items():
        images.write_bytes(content)
        with pytest.raises(DataError) as caught:
            load_fashion_mnist(folder, num_dev=2)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    images.unlink()
    with pytest.raises(DataError, match=r"a directory without train-images-idx3-ubyte\.gz or"):
        load_fashion_mnist(folder)
    os.mkfifo(images)
    with pytest.raises(DataError, match="without train-images-idx3"):
        load_fashion_mnist(folder)


def write_digits(path: Path, count: int = 40) -> np.ndarray:
    rng = np.random.default_rng(3)
    table = np.concatenate([rng.integers(0, 17, (count, 64)), np.arange(count)[:, None] % 10], 1)
    lines = "".join(",".join(map(str, row)) + "\n" for row in table.tolist()).encode()
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return table


@pytest.mark.parametrize("name", ["digits.csv.gz", "digits.csv"])
def test_small_digits_come_back(tmp_path: Path, name: str) -> None:
    table = write_digits(tmp_path / name)
    corpus = load_small_digits(tmp_path / name)
    assert [len(x) for x in (corpus.train, corpus.dev, corpus.test)] == [28, 4, 8]
    assert (corpus.height, corpus.width, corpus.levels) == (8, 8, 16)
    assert np.bincount(corpus.test_labels).max() == 1
    rows = {tuple(row) for row in table.tolist()}
    for part in ("train", "dev", "test"):
        labels = getattr(corpus, f"{part}_labels")
        for image, label in zip(getattr(corpus, part), labels, strict=True):
            rows.remove((*image.tolist(), int(label)))
    assert not rows


def test_the_digits_of_scikit_learn() -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    corpus = load_small_digits()
    assert len(corpus.train) + len(corpus.dev) + len(corpus.test) == len(digits.target)
    assert corpus.train.sum() + corpus.dev.sum() + corpus.test.sum() == digits.data.sum()


def test_what_is_wrong_with_small_digits_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "digits.csv"
    with pytest.raises(DataError, match="got no such file"):
        load_small_digits(path)
    for content in ("", "1,2\n", "a,b\n", "17," * 64 + "0\n", "0," * 64 + "10\n", "1e999," * 65):
        path.write_text(content)
        with pytest.raises(DataError, match=r"lines of 64 pixels of 0\.\.16 and a digit"):
            load_small_digits(path)
    monkeypatch.setattr("cavs.data.labelled_images.find_spec", lambda name: None)
    with pytest.raises(DataError, match="expected scikit-learn"):
        load_small_digits()


def test_labels_that_do_not_fit_are_refused() -> None:
    images = np.zeros((3, 4), np.uint8)
    with pytest.raises(InputError, match="a label, an integer, for each of 3 images, got int64"):
        labelled_image_dataset(images, np.zeros(2, np.int64))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="for each of 3 images, got float64"):
        labelled_image_dataset(images, np.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="split among 'train', 'dev', 'test'"):
        LabelledImageCorpus(
            "a", 2, 2, images, images, images, *[np.zeros(3, np.int32)] * 3, num_classes=1, levels=1
        ).dataset("valid")
    assert image_dataset(images).graphs == labelled_image_dataset(images, np.zeros(3, int)).graphs
