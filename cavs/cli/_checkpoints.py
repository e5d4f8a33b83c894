"""The common parts of the commands that read a checkpoint."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cavs.training.options import Option
from cavs.training.tasks import Trained
from cavs.training.user_model import load_user_model


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds the checkpoint, and --model."""
    parser.add_argument("checkpoint", type=Path, help="such as runs/NAME/best.safetensors")
    parser.add_argument(
        "--model",
        metavar="FILE.py:CLASS",
        help="of a model of a file: its class, since a checkpoint runs no code",
    )


def open_checkpoint(options: argparse.Namespace) -> Trained:
    """The checkpoint. Raises as `Trained.load` and `load_user_model`."""
    code = None if options.model is None else load_user_model(options.model)
    return Trained.load(options.checkpoint, code)


def abilities(options: Iterable[Sequence[Option]]) -> list[Option]:
    """Options of several tasks, each once."""
    return list({option.name: option for some in options for option in some}.values())


def given_options(
    options: argparse.Namespace, known: Iterable[Option], own: Sequence[Option]
) -> tuple[dict[str, Any], Option | None]:
    """The values of the given options among `known`, and the first given option that is not in
    `own`."""
    given = {
        option: value
        for option in known
        if (value := getattr(options, option.name)) not in (None, False)
    }
    names = {option.name for option in own}
    foreign = next((option for option in given if option.name not in names), None)
    return {option.name: value for option, value in given.items()}, foreign
