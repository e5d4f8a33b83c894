"""Makes Ctrl-C end the command line as a signal does while its imports run, which take a moment,
and what keeps it from beginning a line.

Imported before everything else. Until `cavs.cli.main` takes over, Python would show a traceback of
the import that is under way.
"""

from __future__ import annotations

# The built-in part: signal itself takes a moment to import.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys

TYPE_CHECKING = False  # as of typing, which takes a moment to import, too
if TYPE_CHECKING:
    from types import TracebackType


def is_command() -> bool:
    """Whether this process is the command line, or a process that it started to measure."""
    name = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    if name in ("cavs", "cavs.exe"):
        return True
    # `python -m` gives the module's file as the program only after the package was imported.
    words = sys.orig_argv
    places = [i for i, word in enumerate(words[:-1]) if word == "-m"]
    return bool(places) and words[places[0] + 1] in ("cavs", "cavs.bench", "cavs.cli")


def end_on_interrupt() -> None:
    """From here on Ctrl-C ends a command at once and silently; if it was ignored, it stays so."""
    replace_handler(signal.default_int_handler, signal.SIG_DFL)


def raise_on_interrupt() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt in a command."""
    replace_handler(signal.SIG_DFL, signal.default_int_handler)


def say_failed_imports() -> None:
    """From here on, what keeps a command from beginning is a line on standard error: a variable of
    the environment, a library that is missing or does not load, memory."""
    if is_command() and sys.excepthook is sys.__excepthook__:
        sys.excepthook = _say_failed_import


def show_errors() -> None:
    """From here on errors that nobody catches have a traceback again."""
    if sys.excepthook is _say_failed_import:
        sys.excepthook = sys.__excepthook__


def _say_failed_import(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    damaged = isinstance(error, (OSError, SyntaxError, EOFError))
    known = isinstance(error, (ImportError, MemoryError)) or str(error).startswith("[cavs] ")
    if not (known or damaged) or sys.stderr is None:
        sys.__excepthook__(kind, error, trace)
        return
    lines = str(error).split("\n")  # of NumPy's the last one says what is wrong
    said = next((line.strip() for line in reversed(lines) if line.strip()), kind.__name__)
    if damaged:
        said = f"[cavs] expected files that Python can read, got: {said}; install cavs again"
    print(f"cavs: {said}", file=sys.stderr)


def replace_handler(before: object, after: object) -> None:
    """Replaces the handler of Ctrl-C in a command, if that handler is `before`."""
    if is_command() and signal.getsignal(signal.SIGINT) == before:
        try:
            signal.signal(signal.SIGINT, after)
        except ValueError:  # not the main thread
            return


end_on_interrupt()
say_failed_imports()
