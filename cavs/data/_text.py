"""Reading text files so that whatever is wrong is said with its file and line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cavs.errors import DataError

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


def shown(text: str) -> str:
    """What a file holds as errors show it: in one line, not too long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


def cannot_be_read(source: str, expected: str, error: Exception) -> NoReturn:
    """Raise `DataError` for a path that names no file, or none that can be read."""
    if isinstance(error, FileNotFoundError):
        fail(source, f"expected {expected}, got no such file; check the path")
    if isinstance(error, IsADirectoryError):
        fail(source, f"expected {expected}, got a directory; name a file in it")
    reason = getattr(error, "strerror", None) or error
    fail(
        source,
        f"expected {expected}, got a file that cannot be read ({reason}); check its permissions",
    )


def read_text(path: PathLike, expected: str) -> str:
    """The text of a UTF-8 file; `expected` says in an error what the file should have held.

    Raises `DataError` for a file that is missing, unreadable, not UTF-8 or empty.
    """
    source = str(path)
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: of a path with a null character
        cannot_be_read(source, expected, error)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = error.start
        line_start = data.rfind(b"\n", 0, start) + 1
        fail(
            source,
            f"expected UTF-8 text, got the byte 0x{data[start]:02x}; convert the file to UTF-8",
            line=data.count(b"\n", 0, start) + 1,
            column=len(data[line_start:start].decode("utf-8", "replace")) + 1,
        )
    text = text.removeprefix("\ufeff")
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


def find_file(directory: PathLike, names: Sequence[str], expected: str) -> Path:
    """The first of `names` that stands in `directory`; `DataError` that says what is expected."""
    folder = Path(directory)
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
