"""Binarised images: reading, and what is wrong with a file."""

import io
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

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
    with pytest.raises(DataError, match=r"text\.npz: expected an \.npz file"):
        load_binarized_mnist(text)
    with pytest.raises(DataError, match="got one without 'valid"):
        load_binarized_mnist(write(tmp_path / "part.npz", valid=np.zeros((0, 98), np.uint8)))
    with pytest.raises(DataError, match=r"train as uint8 \(images, 98\).*got uint8 \(5, 2\)"):
        load_binarized_mnist(write(tmp_path / "small.npz", 9))
    floats = write(tmp_path / "floats.npz", test=np.zeros((4, 98)))
    with pytest.raises(DataError, match=r"test as uint8 .* got float64 \(4, 98\)"):
        load_binarized_mnist(floats)


def packed(path: Path, method: int = zipfile.ZIP_DEFLATED, **changes: bytes) -> Path:
    """An .npz file whose members hold these bytes in the place of three images each."""
    good = io.BytesIO()
    np.save(good, np.zeros((3, 98), np.uint8))
    members = dict.fromkeys(("train", "valid", "test"), good.getvalue())
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in {**members, **changes}.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(header: str, size: int = 294, version: tuple[int, int] = (1, 0)) -> bytes:
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + length + header.encode() + bytes(size)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as said:
        load_binarized_mnist(path)
    text = str(said.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (10**12, 98), }"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 98), }"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-3, -98), }"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 98), }"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 98), }", 0),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': 3, }"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (3, 98), }"),
        npy("{'descr': '|V0', 'fortran_order': False, 'shape': (3, 98), }"),
        npy("{'descr': 3, 'fortran_order': False, 'shape': (3, 98), }"),
        npy("{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (3, 98), }"),
        npy(r"{'descr': '\d', 'fortran_order': False, 'shape': (3, 98), }"),
        npy("("),
        npy("(" * 9000),
        npy("[" * 30_000),
        npy("x" * 20_000),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 98), }", version=(3, 0)),
        npy("", version=(9, 9)),
    ],
)
def test_headers_that_are_none_are_one_line(tmp_path: Path, content: bytes) -> None:
    refused(packed(tmp_path / "a.npz", valid=content))


def test_files_of_python_2_are_read(tmp_path: Path) -> None:
    header = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 98L), }")
    assert load_binarized_mnist(packed(tmp_path / "a.npz", valid=header)).dev.shape == (3, 784)


def test_images_by_columns_are_read(tmp_path: Path) -> None:
    rows = np.arange(3 * 98, dtype=np.uint8).reshape(3, 98)
    path = write(tmp_path / "a.npz", valid=np.asfortranarray(rows))
    np.testing.assert_array_equal(load_binarized_mnist(path).dev, np.unpackbits(rows, axis=1))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_numpy_does_not_pack_is_refused(tmp_path: Path, method: int) -> None:
    assert "compressed in a way" in refused(packed(tmp_path / "a.npz", method))


def test_a_file_made_to_fill_memory_is_refused(tmp_path: Path) -> None:
    many = io.BytesIO()
    np.save(many, np.zeros((1 << 19, 98), np.uint8))
    path = packed(tmp_path / "a.npz", test=many.getvalue())
    del many
    assert path.stat().st_size < 1 << 17
    tracemalloc.start()
    assert "times the file" in refused(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


def test_a_member_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    """Its size in the directory of the file, by which memory is judged, is a lie."""
    path = packed(tmp_path / "a.npz", test=npy("x", 1 << 20))
    content = path.read_bytes()
    at = content.rindex(b"PK\x01\x02")
    path.write_bytes(content[: at + 24] + struct.pack("<I", 100) + content[at + 28 :])
    refused(path)


def test_code_is_not_run(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    held = io.BytesIO()
    np.save(held, np.array([Bad()], object), allow_pickle=True)
    refused(packed(tmp_path / "a.npz", train=held.getvalue()))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", np.linspace(0, 0.99, 12))
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_files_are_one_line(tmp_path: Path, share: float, method: int) -> None:
    path = packed(tmp_path / "a.npz", method)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path)
    for change in (1, 255):
        at = int(share * len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
        try:
            load_binarized_mnist(path)
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(tmp_path / "pipe")
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(DataError):
            load_binarized_mnist(name)


def test_what_a_file_holds_does_not_fill_the_error(tmp_path: Path) -> None:
    """A header that gives its name as thousands of bytes was quoted whole."""
    path = tmp_path / "images.npz"
    data = bytearray(write(path).read_bytes())
    assert data[:4] == b"PK\x03\x04"
    data[26:28] = struct.pack("<H", min(len(data) - 40, 5000))  # the length of the first name
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        load_binarized_mnist(path)
    assert len(str(caught.value)) < 600
    assert "damaged" in str(caught.value)
