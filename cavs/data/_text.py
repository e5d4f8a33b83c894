"""Reads text files; errors name the file and the line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from cavs._arguments import shown
from cavs._files import is_device
from cavs.errors import DataError, InputError

PathLike = str | Path
_SHOWN = 60

# Words are parted by ASCII blanks only: data sets have words with a no-break space inside.
WORD = re.compile(r"\S+", re.ASCII)


def fail(
    source: str, message: str, *, line: int | None = None, column: int | None = None
) -> NoReturn:
    """Raise `DataError` as ``[data] SOURCE, line N, column C: message``, without empty parts."""
    where = [source] if source else []
    if line is not None:
        where.append(f"line {line}")
    if column is not None:
        where.append(f"column {column}")
    raise DataError(f"[data] {', '.join(where) + ': ' if where else ''}{message}")


def quoted(text: str) -> str:
    """A piece of a file as errors show it: on one line, not too long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


def cannot_be_read(source: str, expected: str, error: Exception) -> NoReturn:
    """Raise `DataError` for a path that names no file, or a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        fail(source, f"expected {expected}, got no such file; check the path")
    if isinstance(error, IsADirectoryError):
        fail(source, f"expected {expected}, got a directory; name a file in it")
    reason = getattr(error, "strerror", None)
    remedy = "check its permissions" if reason else "it may be damaged, or cut off"
    fail(
        source, f"expected {expected}, got a file that cannot be read ({reason or error}); {remedy}"
    )


def check_file(path: PathLike, expected: str) -> None:
    """Raises `DataError` where there is no file, or a device, whose content may have no end."""
    source = str(as_path(path))
    try:
        device = is_device(path)
    except (OSError, ValueError) as error:  # ValueError: the path has a null character
        cannot_be_read(source, expected, error)
    if device:
        fail(source, f"expected {expected}, got a device; name a file")


def check_text(text: str, source: str = "", line: int | None = 1) -> str:
    """Raises InputError if `text` or `source` is no string, or `line` no integer or None."""
    given: tuple[Any, ...] = (text, source)
    for name, value in zip(("text", "source"), given, strict=True):
        if not isinstance(value, str):
            raise InputError(f"[data] expected a string as {name}, got {shown(value)}; decode it")
    if type(line) not in (int, type(None)):
        raise InputError(f"[data] expected an integer line, got {shown(line)}; pass its number")
    return text


def iterate(lines: Iterable[str]) -> Iterator[str]:
    """An iterator over the lines; raises InputError for a single text, an object without lines, and
    where it comes to what is no string."""
    if isinstance(lines, (str, bytes)) or not isinstance(lines, Iterable):
        raise InputError(
            f"[data] expected lines in a list or a file, got {shown(lines)}; pass a list"
        )
    return map(check_text, lines)


def as_path(path: object) -> Path:
    """The path of a file or a directory; raises InputError for anything else."""
    try:
        found = Path(path)  # type: ignore[arg-type]
    except Exception:  # an object's own __fspath__ may raise anything
        raise InputError(f"[data] expected a path, got {shown(path)}; pass its name") from None
    return found


def read_text(path: PathLike, expected: str) -> str:
    """The text of a UTF-8 file; `expected` names the expected content in errors.

    Raises `DataError` for a file that is missing, unreadable, not UTF-8 or empty.
    """
    source = str(as_path(path))
    check_file(path, expected)
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: the path has a null character
        cannot_be_read(source, expected, error)
    text = _decoded(data, source, 1).removeprefix("\ufeff")
    if not text.strip():
        fail(source, f"expected {expected}, got an empty file; check the path")
    return text


def read_lines(path: PathLike, expected: str) -> list[str]:
    """The lines of a UTF-8 file without their ends; errors as `read_text`.

    Only a line feed ends a line (a carriage return before it is dropped): `str.splitlines` also
    breaks at characters that occur inside words of the treebanks, such as U+0085.
    """
    lines = read_text(path, expected).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def numbered_lines(path: PathLike, expected: str) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, with their numbers, one at a time: a file need
    not fit in memory. Errors as `read_text`."""
    source = str(as_path(path))
    check_file(path, expected)
    seen = False
    try:
        with open(path, "rb") as file:
            for number, data in enumerate(file, 1):
                text = _decoded(data, source, number).removeprefix("\ufeff" * (number == 1))
                if text.strip():
                    seen = True
                    yield number, text.removesuffix("\n").removesuffix("\r")
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the path has a null character
        cannot_be_read(source, expected, error)
    if not seen:
        fail(source, f"expected {expected}, got an empty file; check the path")


def _decoded(data: bytes, source: str, line: int) -> str:
    """The text of bytes that begin with a line of this number."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = error.start
        line_start = data.rfind(b"\n", 0, start) + 1
        fail(
            source,
            f"expected UTF-8 text, got the byte 0x{data[start]:02x}; convert the file to UTF-8",
            line=data.count(b"\n", 0, start) + line,
            column=len(data[line_start:start].decode("utf-8", "replace")) + 1,
        )


def folder_within(directory: PathLike, name: str, files: Sequence[str]) -> Path:
    """The folder of a data set: `directory`, or its folder `name` if none of `files` stands in
    `directory` itself. A user may thus give the folder that holds several data sets."""
    folder = as_path(directory)
    try:
        if not any((folder / file).exists() for file in files) and (folder / name).is_dir():
            return folder / name
    except (OSError, ValueError):
        pass  # the search for a file in it will raise the error
    return folder


def find_file(directory: PathLike, names: Sequence[str], expected: str) -> Path:
    """The first of `names` that stands in `directory`; if there is none, a `DataError` says
    `expected`."""
    folder = as_path(directory)
    try:
        if not folder.is_dir():
            kind = "a file" if folder.exists() else "no such directory"
            fail(str(directory), f"expected {expected}, got {kind}; check the path given as data")
        for name in names:
            if (folder / name).is_file():
                return folder / name
    except DataError:
        raise
    except (OSError, ValueError) as error:  # a name that is too long, or has a null character
        cannot_be_read(str(directory), expected, error)
    wanted = " or ".join(names)
    fail(str(directory), f"expected {expected}, got a directory without {wanted}; check the path")
