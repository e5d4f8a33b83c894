"""Reads arrays of an .npz file from any source. Reading runs no code of the file, and takes memory
for the bytes that it holds, not for the sizes that it claims."""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Sequence
from math import prod
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

# A byte of images that numpy.savez_compressed packed unpacks to a few bytes; a byte of a file made
# to fill memory, to a thousand. Every file may unpack to _FEW_BYTES more.
_MOST_BYTES_OF_ONE, _FEW_BYTES = 64, 1 << 20
_SAID = 200  # characters of another error's message


class ArraysError(Exception):
    """A file holds no arrays, or arrays that should not be read; says why in a few words."""


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of these names, read-only.

    Raises:
        KeyError: a name is missing; OSError: the file cannot be read; ArraysError: it is no .npz
            file, is damaged, holds objects that are no numbers, or would unpack to far more bytes
            than it has.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ArraysError("it is no regular file")
    limit = _MOST_BYTES_OF_ONE * found.st_size + _FEW_BYTES
    try:
        with ZipFile(path) as archive:
            there = archive.NameToInfo
            missing = [name for name in names if f"{name}.npy" not in there]
            if missing:
                raise KeyError(*missing[:1])
            members = {name: there[f"{name}.npy"] for name in names}
            if sum(member.file_size for member in members.values()) > limit:
                raise ArraysError(f"arrays larger than {_MOST_BYTES_OF_ONE} times the file")
            arrays = {}
            for name, member in members.items():
                if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                    raise ArraysError(f"{name} compressed in a way that NumPy does not")
                with archive.open(member) as file:
                    arrays[name] = _read_array(name, file.read(member.file_size))
            return arrays
    except (KeyError, OSError, ArraysError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds for bad bytes
        said = " ".join(str(error).split())[:_SAID]  # it may quote the file
        raise ArraysError(f"it is damaged: {type(error).__name__}: {said}") from error


def _read_array(name: str, content: bytes) -> npt.NDArray[np.generic]:
    """The array of an .npy file whose length agrees with its header."""
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ArraysError(f"{name} in version {version} of the .npy format")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers of Python 2, and other odd ones
        try:
            shape, by_columns, dtype = read_header(file)
        except ValueError as error:
            # NumPy's own message has several lines, and advises to trust the file.
            raise ArraysError(f"{name} with another header than NumPy writes") from error
    if dtype.hasobject or not dtype.itemsize:
        raise ArraysError(f"{name} of objects that are no numbers")
    rest = len(content) - file.tell()
    if min(shape, default=1) < 0 or prod(shape) * dtype.itemsize != rest:
        raise ArraysError(f"{name} of {rest} bytes that says it is {dtype} {shape}")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(
        shape, order="F" if by_columns else "C"
    )
