"""Ctrl-C while the command line imports, which takes a moment, ends it as a signal does.

Imported before everything else. Until `cavs.cli.main` takes over, Python would show a traceback of
whatever import was under way.
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
    """From here on Ctrl-C ends a command at once, without a word; ignored it stays where it was."""
    replace_handler(signal.default_int_handler, signal.SIG_DFL)


def raise_on_interrupt() -> None:
    """From here on Ctrl-C raises KeyboardInterrupt in a command."""
    replace_handler(signal.SIG_DFL, signal.default_int_handler)


def replace_handler(before: object, after: object) -> None:
    """Only of the command, and where the handler is the one that is expected."""
    if is_command() and signal.getsignal(signal.SIGINT) == before:
        try:
            signal.signal(signal.SIGINT, after)
        except ValueError:  # not the main thread
            return


end_on_interrupt()
