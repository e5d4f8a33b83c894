"""``cavs draw``: pictures of a vertex function, or of a tree or graph by levels or batches."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cavs
from cavs.cli._options import integer
from cavs.cli._trees import texts_of, tree_picture
from cavs.data import LabelledTree, parse_listops, parse_tree
from cavs.data.trees import with_shapes
from cavs.errors import InputError
from cavs.models import CLASSIFIERS as MODELS
from cavs.models import LatticeLSTM
from cavs.pictures.picture import SUFFIXES, Picture, checked_file
from cavs.scheduler.schedule import POLICIES
from cavs.training._drawn import NUM_CLASSES, NUM_WORDS, OTHERS
from cavs.training._fields import is_text
from cavs.training.tasks.tree_models import SHAPED


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "draw",
        help="picture of a vertex function, or of a tree or graph with its levels or batches",
        description="Draws the vertex function of a model, or a tree or graph with the levels or "
        "batches that its vertices are computed in, as SVG, as text for Graphviz (.dot), or, where "
        "Graphviz is installed, as .png or .pdf.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", choices=(*MODELS, *OTHERS))
    what.add_argument(
        "--tree", metavar="TREE", help='such as "(3 (2 so) (3 good))" or "[MAX 2 [MIN 4 7 ] ]"'
    )
    what.add_argument(
        "--graph",
        metavar="LISTS",
        help='the children of each vertex, such as "[[], [0], [1], [0], [2, 3]]"',
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"{', '.join(SUFFIXES)} (default: dot on standard output)",
    )
    parser.add_argument(
        "--types",
        metavar="NAMES",
        help=f"types of vertices: `shape` for a tree, or for {' or '.join(SHAPED)}; for a graph a "
        "name for each vertex, such as char,char,char,word,char",
    )
    parser.add_argument(
        "--policy",
        choices=POLICIES,
        help="draw the batches by this policy; of a tree or graph with types (default: levels)",
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
    if output is not None:
        checked_file(output)
    if options.policy is not None and (options.types is None or options.model is not None):
        raise InputError(
            "[draw] expected --policy with a --tree or --graph that has --types, got it without; "
            "give both, or leave it out"
        )
    picture = _structure(options) if options.model is None else cavs.draw(_make(options))
    if output is None:
        print(picture.dot(), end="")
    else:
        picture.save(output)
    return 0


def _make(options: argparse.Namespace) -> cavs.VertexFunction:
    name = options.model
    if options.types is not None and (name not in SHAPED or options.types != "shape"):
        raise InputError(
            f"[draw] expected --types shape, of {' or '.join(SHAPED)}, got {options.types!r} of "
            f"{name}; name one of these, or leave it out"
        )
    if name in OTHERS:
        return OTHERS[name](options.embedding_size, options.hidden_size)
    make: Any = (MODELS if options.types is None else SHAPED)[name]
    words = ("num_characters", "num_words") if make is LatticeLSTM else ("vocab_size",)
    sizes = {"embedding_size": options.embedding_size, "hidden_size": options.hidden_size}
    function: cavs.VertexFunction = make(
        **dict.fromkeys(words, NUM_WORDS), **sizes, num_classes=NUM_CLASSES
    )
    return function


def _structure(options: argparse.Namespace) -> Picture:
    """The picture of a tree or graph."""
    if options.graph is not None:
        types = None if options.types is None else options.types.split(",")
        return cavs.draw(
            cavs.InputGraph(_read_lists(options.graph), types=types), policy=options.policy
        )
    tree = _read_tree(options.tree)
    if options.types is None:
        return tree_picture(tree)
    if options.types != "shape":
        raise InputError(
            f"[draw] expected --types shape with --tree, got {options.types!r}; types of your own "
            "go with --graph"
        )
    return cavs.draw(with_shapes(tree.graph), policy=options.policy, labels=texts_of(tree))


def _read_lists(text: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    whole = isinstance(found, list) and all(isinstance(x, list) for x in found)
    if not whole or not all(type(k) is int for children in found for k in children):
        raise InputError(
            f"[draw] expected a list of the children of each vertex as --graph, got {text!r}; "
            "write it as in [[], [0], [0, 1]]"
        )
    return found


def _read_tree(text: str) -> LabelledTree:
    if not is_text(text):
        raise InputError("[draw] expected UTF-8 text as --tree, got other bytes; convert it")
    if text.lstrip().startswith("["):
        return parse_listops(text, source="--tree")
    return parse_tree(text, allow_unlabelled=True, allow_holes=True, source="--tree")
