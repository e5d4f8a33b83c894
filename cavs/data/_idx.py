"""Reads arrays in the idx format of MNIST, packed by gzip or not. Reading takes memory for the
bytes that a file holds, not for the sizes that it claims."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cavs.data._text import cannot_be_read, check_file, fail

_PACKED = b"\x1f\x8b"
_BYTES = 8  # the code of unsigned bytes
# gzip packs at most about a thousandfold; images are packed a few times.
_MOST_OF_ONE, _FEW = 64, 1 << 20


def read_bytes(path: Path, expected: str) -> bytes:
    """The content of a file, unpacked if gzip packed it; `expected` is for errors.

    Raises:
        DataError: there is no such file, it cannot be read, or it would unpack to far more bytes
            than it has.
    """
    check_file(path, expected)
    try:
        content = path.read_bytes()
        if not content.startswith(_PACKED):
            return content
        most = _MOST_OF_ONE * len(content) + _FEW
        with gzip.open(path) as file:
            unpacked = file.read(most + 1)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        cannot_be_read(str(path), expected, error)
    if len(unpacked) > most:
        fail(
            str(path),
            f"expected {expected}, got one that unpacks to more than {_MOST_OF_ONE} times its "
            "size; check the file",
        )
    return unpacked


def read_idx(path: Path, ndim: int, expected: str) -> npt.NDArray[np.uint8]:
    """The array of unsigned bytes of a file, with `ndim` axes. Raises `DataError` as `read_bytes`,
    and for a file of another kind, type, number of axes or length."""
    content = read_bytes(path, expected)
    begins = bytes((0, 0, _BYTES, ndim))
    if not content.startswith(begins) or len(content) < 4 + 4 * ndim:
        fail(
            str(path),
            f"expected {expected}, an idx file of unsigned bytes with {ndim} axes, got another "
            "file; check the path",
        )
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", ndim, offset=4))
    rest = len(content) - 4 - 4 * ndim
    if prod(shape) != rest:
        fail(
            str(path),
            f"expected {expected}, got {rest} bytes in a file that says it is {shape}; it may be "
            "cut off",
        )
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)
