"""``cavs draw``: pictures of a vertex function, and of a tree with its levels."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cavs._files import write_atomically
from cavs.cli._dot import to_dot
from cavs.cli._options import integer
from cavs.cli._picture import function_picture, tree_picture
from cavs.cli._svg import to_svg
from cavs.data import LabelledTree, parse_listops, parse_tree
from cavs.errors import CavsRuntimeError, InputError
from cavs.models import CLASSIFIERS as MODELS
from cavs.models import LatticeLSTM
from cavs.training._fields import is_text

SUFFIXES = (".svg", ".dot", ".gv", ".png", ".pdf")


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "draw",
        help="picture of a vertex function, or of a tree with its levels",
        description="Draws the vertex function of a model, or a tree with the levels that its "
        "vertices are computed in, as SVG, as text for Graphviz (.dot), or, where Graphviz is "
        "installed, as .png or .pdf.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", choices=tuple(MODELS))
    what.add_argument(
        "--tree", metavar="TREE", help='such as "(3 (2 so) (3 good))" or "[MAX 2 [MIN 4 7 ] ]"'
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"{', '.join(SUFFIXES)} (default: dot on standard output)",
    )
    parser.add_argument(
        "--embedding-size", type=integer(1), default=300, metavar="N", help="(default: 300)"
    )
    parser.add_argument(
        "--hidden-size", type=integer(1), default=150, metavar="N", help="(default: 150)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the picture."""
    output: Path | None = options.output
    if output is not None and output.suffix not in SUFFIXES:
        raise InputError(
            f"[draw] expected a file that ends in {', '.join(SUFFIXES)}, got {output}; rename it"
        )
    if options.tree is not None:
        picture = tree_picture(_read_tree(options.tree))
    else:
        make: Any = MODELS[options.model]
        words = ("num_characters", "num_words") if make is LatticeLSTM else ("vocab_size",)
        sizes = {"embedding_size": options.embedding_size, "hidden_size": options.hidden_size}
        picture = function_picture(make(**dict.fromkeys(words, 100), **sizes, num_classes=5))
    if output is None:
        print(to_dot(picture), end="")
    elif output.suffix == ".svg":
        write_atomically(output, to_svg(picture).encode())
    elif output.suffix in (".dot", ".gv"):
        write_atomically(output, to_dot(picture).encode())
    else:
        _render(to_dot(picture), output)
    return 0


def _read_tree(text: str) -> LabelledTree:
    if not is_text(text):
        raise InputError("[draw] expected UTF-8 text as --tree, got other bytes; convert it")
    if text.lstrip().startswith("["):
        return parse_listops(text, source="--tree")
    return parse_tree(text, allow_unlabelled=True, allow_holes=True, source="--tree")


def _render(text: str, output: Path) -> None:
    program = shutil.which("dot")
    if program is None:
        raise CavsRuntimeError(
            f"[draw] expected Graphviz, whose program `dot` makes {output.suffix} files, got "
            "none; install the system's package graphviz, or write .svg, which needs nothing"
        )
    command = [program, f"-T{output.suffix[1:]}"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise CavsRuntimeError(
            f"[draw] {output}: expected Graphviz to draw it, got {reason[0]!r}; write .svg, which "
            "needs no Graphviz"
        )
    write_atomically(output, done.stdout)
