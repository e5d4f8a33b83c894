"""Lines of the user's code: where F was declared, and where an error was caused."""

from __future__ import annotations

import linecache
import os
import sys
from types import FrameType

from cavs.core.tracing import SourceLine
from cavs.errors import CavsError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INTERNAL = tuple(
    os.path.join(_PACKAGE, part)
    for part in (
        "_arguments",
        "_arrays",
        "core",
        "derivatives",
        "nn",
        "tensor",
        "execution",
        "program",
    )
)


def _is_users(frame: FrameType) -> bool:
    """Whether it runs outside of this package's own layers and of PyTorch, whose modules call
    functions on values of F that its users give them."""
    if frame.f_code.co_filename.startswith(_INTERNAL):
        return False
    return not str(frame.f_globals.get("__name__")).startswith("torch.")


def user_line() -> SourceLine | None:
    """The innermost line that runs outside of this package's own layers."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if _is_users(frame):
            text = linecache.getline(file, frame.f_lineno).strip()
            return SourceLine(file, frame.f_lineno, text)
        frame = frame.f_back
    return None


def locate(error: CavsError) -> None:
    """Adds the innermost line of the user's code to an error that does not name it yet."""
    where: SourceLine | None = None
    trail = error.__traceback__
    while trail is not None:
        file, line = trail.tb_frame.f_code.co_filename, trail.tb_lineno
        if _is_users(trail.tb_frame):
            where = SourceLine(file, line, linecache.getline(file, line).strip())
        trail = trail.tb_next
    if where is not None and f"{where.file}:{where.line}" not in str(error):
        message, semicolon, remedy = str(error).rpartition("; ")
        if not semicolon:
            message, remedy = remedy, ""
        error.args = (f"{message}, at {where}{semicolon}{remedy}", *error.args[1:])
