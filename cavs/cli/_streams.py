"""Standard input, output and error of the command, even if the caller closed some of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any, NoReturn

from cavs._printable import printable
from cavs.errors import DataError

# No line of data is longer; a line without end must not fill memory.
_LONGEST_LINE = 1 << 26


def open_streams() -> bool:
    """Opens the missing ones of the three, text as UTF-8, terminals so that they follow no escape.
    Returns whether anyone reads the output.

    Otherwise the next file that is opened would get a closed descriptor, and prints would go to
    that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the least free number
    output: Any = sys.stdout
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for name, errors in (("stdout", "surrogateescape"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
            if stream.isatty():
                setattr(sys, name, _Terminal(stream))
    return output is not None


class _Terminal:
    """A stream whose escapes the terminal shows, and does not follow: words of data and names of
    files may hold any. Lines, tabs and the progress bar's returns stay."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(printable(text, "\n\t\r\xa0"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(message: str) -> None:
    """Prints one line on standard error, if anyone reads it."""
    try:
        print(f"cavs: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: Any) -> None:
    """Discards the buffered and the later output of a stream: it must not raise again at the
    end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


def read_line(source: str, number: int) -> str:
    """The next line of standard input, UTF-8 in any locale; "" at its end.

    Raises:
        DataError: it is not UTF-8, cannot be read, or has no end; names it by `source` and number.
    """

    def bad(message: str) -> NoReturn:
        raise DataError(f"[data] {source}, line {number}: {message}") from None

    try:
        line = sys.stdin.buffer.readline(_LONGEST_LINE + 1)
    except OSError as error:
        bad(f"expected text, got {error.strerror or error}; give a file or a pipe")
    if len(line) > _LONGEST_LINE:
        bad(f"expected at most {_LONGEST_LINE} bytes, got more; put one item on a line")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        bad("expected UTF-8 text, got other bytes; convert it")
    return text.removeprefix("\ufeff") if number == 1 else text
