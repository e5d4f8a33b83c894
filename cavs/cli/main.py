"""Reads the arguments, runs a command, and turns whatever a user can cause into one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import cavs
from cavs.cli import bench, draw, evaluate, info, predict, sample, train
from cavs.errors import CavsError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="cavs", description="Dynamic neural networks over batches of input graphs."
    )
    parser.add_argument("--version", action="version", version=f"cavs {cavs.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    for command in (train, evaluate, predict, sample, draw, bench, info):
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        options = make_parser().parse_args(arguments)
    except SystemExit as stop:  # of --help, --version and wrong usage
        return stop.code if isinstance(stop.code, int) else USAGE
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has enough. What is still buffered must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except CavsError as error:
        return _say(str(error), FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", FAILED)
    except MemoryError as error:
        asked = f" ({error})" if str(error) else ""
        return _say(
            f"not enough memory{asked}; use a smaller --batch-size or --hidden-size", FAILED
        )
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)


def _say(message: str, code: int) -> int:
    print(f"cavs: {' '.join(message.split())}", file=sys.stderr)
    return code
