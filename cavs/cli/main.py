"""Reads the arguments, runs a command, and turns any error that a user can cause into one line."""

from __future__ import annotations

import argparse
import errno
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import cavs
from cavs import _startup
from cavs.cli import bench, draw, evaluate, info, predict, sample, train
from cavs.cli._options import nearest
from cavs.cli._streams import open_streams, say, silence
from cavs.errors import CavsError
from cavs.training.user_model import said_of_code

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class Parser(argparse.ArgumentParser):
    """Prints the error first, and then one line of usage."""

    def error(self, message: str) -> NoReturn:
        """Ends the program, after what argparse says as the errors of cavs say it."""
        chosen = r"invalid choice: (.*) \(choose from (.*)\)"
        message = re.sub(chosen, r"expected one of \2, got \1", message)
        missing = r"the following arguments are required: (.*)"
        message = re.sub(missing, r"expected \1, got none", message)
        message = re.sub(r"unrecognized arguments: (.*)", self._unknown, message)
        say(message)
        say_usage(self)
        self.exit(USAGE)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As that of argparse, but a command refuses itself what none of its options takes."""
        found, left = super().parse_known_args(args, namespace)
        if left and " " in self.prog:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return found, left

    def _unknown(self, found: re.Match[str]) -> str:
        """What is said of arguments that no option takes."""
        first = found[1].split()[0].partition("=")[0]
        own = [name for name in self._option_string_actions if name.startswith("--")]
        near = [name for name in own if name.endswith(first[1:])]  # --num-heads for --heads
        near = (near or nearest(first, own)) if first.startswith("--") else []
        remedy = f"{near[0]} is near" if near else "leave it out"
        return f"expected options of `{self.prog}`, got {found[1]}; {remedy}"

    def _print_message(self, message: str, file: Any = None) -> None:
        # The method of argparse ignores an output that cannot be written.
        if message:
            (file or sys.stderr).write(message)


def say_usage(parser: argparse.ArgumentParser) -> None:
    """Prints one line of usage on standard error."""
    try:
        print(f"usage: {parser.prog} ...; {parser.prog} --help says more", file=sys.stderr)
    except OSError:
        silence(sys.stderr)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="cavs", description="Dynamic neural networks over batches of input graphs."
    )
    parser.add_argument("--version", action="version", version=f"cavs {cavs.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    for command in (train, evaluate, predict, sample, draw, bench, info):
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        _startup.show_errors()
        _startup.raise_on_interrupt()
        code = _finish(_run(arguments))
    except KeyboardInterrupt:
        _startup.end_on_interrupt()
        say("interrupted")
        silence(sys.stdout)
        code = INTERRUPTED
    _startup.end_on_interrupt()  # while Python ends
    return code


def _run(arguments: Sequence[str] | None) -> int:
    """Parses and runs; returns the exit code."""
    is_read = open_streams()
    try:
        options = make_parser().parse_args(arguments)
    except SystemExit as stop:  # of --help, --version and wrong usage
        return stop.code if isinstance(stop.code, int) else USAGE
    except CavsError as error:
        return _fail(str(error))
    except OSError as error:  # help that cannot be written
        return _lost(error)
    try:
        code: int = options.run(options)
    except CavsError as error:
        return _fail(str(error))
    except BrokenPipeError as error:
        return _lost(error)
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO):  # of a print
            return _lost(error)
        reason = error.strerror or str(error)
        if error.filename is None:
            return _fail(reason)
        return _fail(
            f"[cavs] {error.filename}: expected a place to read from or write to, got: {reason}; "
            "check the path"
        )
    except MemoryError as error:
        asked = f" ({error})" if str(error) else ""
        return _fail(f"not enough memory{asked}; use a smaller --batch-size or --hidden-size")
    except Exception as error:
        said = said_of_code(error)
        if said is None:
            raise
        return _fail(str(said))
    if not is_read and options.command != "train":  # `train` leaves files
        return _fail("[cavs] expected a standard output, got a closed one; send it somewhere")
    return code


def _finish(code: int) -> int:
    """Flushes standard output; returns the exit code."""
    try:
        sys.stdout.flush()
    except OSError as error:
        lost = _lost(error, quiet=code != 0)
        return code or lost
    return code


def _lost(error: OSError, quiet: bool = False) -> int:
    """Ends after output that cannot be written; silently if a pipe was closed: its reader has
    enough."""
    silence(sys.stdout)
    if not (quiet or isinstance(error, BrokenPipeError)):
        say(f"standard output: {error.strerror or error}")
    return FAILED


def _fail(message: str) -> int:
    say(message)
    return FAILED
