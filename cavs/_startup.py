"""Makes Ctrl-C end the command line as a signal does while its imports run, which take a moment.

Imported before everything else. Until `cavs.cli.main` takes over, Python would show a traceback of
the import that is under way.
"""

from __future__ import annotations

# The built-in part: signal itself takes a moment to import.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys


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


def replace_handler(before: object, after: object) -> None:
    """Replaces the handler of Ctrl-C in a command, if that handler is `before`."""
    if is_command() and signal.getsignal(signal.SIGINT) == before:
        try:
            signal.signal(signal.SIGINT, after)
        except ValueError:  # not the main thread
            return


end_on_interrupt()
