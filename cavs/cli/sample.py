"""``cavs sample``: what a generative model makes up."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs.cli._dot import to_dot
from cavs.cli._options import add_threads, integer, number
from cavs.cli._picture import forest_picture
from cavs.cli._svg import to_svg
from cavs.data import format_listops
from cavs.errors import CheckpointError, InputError
from cavs.training import (
    Checkpoint,
    load_checkpoint,
    load_model,
    sample_images,
    sample_sentences,
    sample_text,
    sample_trees,
)
from cavs.training._fields import shown
from cavs.training.config import MOST_SEED
from cavs.training.tasks import source_of

_IMAGES, _TEXT, _TREES = ("vae", "iwae", "sbn"), ("lm", "sentence-vae"), ("tree-vae",)
_DRAWN = {"temperature": 1.0}
_PICTURES = {".svg": to_svg, ".dot": to_dot, ".gv": to_dot}
_SUFFIXES = {
    **dict.fromkeys(_IMAGES, (".png",)),
    **dict.fromkeys(_TEXT, (".txt",)),
    **dict.fromkeys(_TREES, (".txt", *_PICTURES)),
}
_MODELS = (*_IMAGES, *_TEXT, *_TREES)


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "sample",
        help="samples of a generative model",
        description="Draws samples from what a model learnt: a grid of images, sentences, "
        "or expressions.",
    )
    parser.add_argument("checkpoint", type=Path, help="such as runs/NAME/best.safetensors")
    parser.add_argument("-n", "--count", type=integer(1), default=16, help="(default: 16)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="images as .png (default: samples.png), others as .txt (default: standard output), "
        "expressions as .svg or .dot too",
    )
    parser.add_argument(
        "--temperature",
        type=number(0, exclusive=True),
        metavar="X",
        help="of words: below 1 likely ones come more often (default: 1)",
    )
    parser.add_argument(
        "--max-words", type=integer(1), metavar="N", help="of a sentence (default: 80)"
    )
    parser.add_argument(
        "--seed", type=integer(0, MOST_SEED - 1), default=0, help="0..2**64-2 (default: 0)"
    )
    add_threads(parser)
    parser.set_defaults(run=run)


@cavs.detect_nonfinite()
def run(options: argparse.Namespace) -> int:
    """Writes the samples."""
    if options.threads is not None:
        cavs.set_num_threads(options.threads)
    checkpoint = load_checkpoint(options.checkpoint)
    if checkpoint.model not in _MODELS:
        raise CheckpointError(
            f"[checkpoint] {options.checkpoint}: expected a generative model "
            f"({', '.join(_MODELS)}), got {shown(checkpoint.model)}; name the checkpoint of one"
        )
    given = {"temperature": options.temperature, "max_words": options.max_words}
    text = {name: value for name, value in given.items() if value is not None}
    if checkpoint.model not in _TEXT and text:
        name = next(iter(text)).replace("_", "-")
        raise InputError(
            f"[sample] expected --{name} for text only, got it for {checkpoint.model}; leave it out"
        )
    output: Path | None = options.output
    suffixes = _SUFFIXES[checkpoint.model]
    if output is not None and output.suffix not in suffixes:
        raise InputError(
            f"[sample] expected a file that ends in {', '.join(suffixes)}, got {output}; rename it"
        )
    model = load_model(options.checkpoint, checkpoint, checkpoint.parameters)
    if checkpoint.model in _IMAGES:
        output = output or Path("samples.png")
        write_images(output, sample_images(model.function, options.count, options.seed))
        print(output)
        return 0
    samples = (
        _trees(model, checkpoint, options)
        if checkpoint.model in _TREES
        else _sentences(model, checkpoint, options, {**_DRAWN, **text})
    )
    if output is None:
        print(samples, end="")
    else:
        output.write_text(samples, encoding="utf-8")
        print(output)
    return 0


def _trees(model: Any, checkpoint: Checkpoint, options: argparse.Namespace) -> str:
    """Trees as text, in brackets or as a picture."""
    assert checkpoint.vocabulary is not None
    depth = source_of(options.checkpoint, checkpoint).max_depth
    trees = sample_trees(
        model, checkpoint.vocabulary, options.count, max_depth=depth, seed=options.seed
    )
    draw = _PICTURES.get(options.output.suffix) if options.output is not None else None
    if draw is not None:
        complete = [tree for tree in trees if tree is not None]
        return draw(forest_picture(complete, f"{len(complete)} of {len(trees)} complete"))
    return "".join(
        ("(not complete)" if tree is None else format_listops(tree)) + "\n" for tree in trees
    )


def _sentences(
    model: Any, checkpoint: Checkpoint, options: argparse.Namespace, drawn: dict[str, Any]
) -> str:
    """A sentence on each line."""
    draw: Any = sample_text if checkpoint.model == "lm" else sample_sentences
    made_by = model.function if checkpoint.model == "lm" else model
    sentences = draw(made_by, checkpoint.vocabulary, options.count, seed=options.seed, **drawn)
    return "".join(" ".join(sentence) + "\n" for sentence in sentences)


def write_images(path: Path, images: Any) -> None:
    """Square images, (count, pixels) in 0..1, side by side in a PNG file.

    Raises:
        InputError: the images are not square, or matplotlib is not installed.
    """
    side = round(images.shape[1] ** 0.5)
    if side * side != images.shape[1]:
        raise InputError(
            f"[sample] expected square images, got ones of {images.shape[1]} pixels; draw images "
            "of n x n pixels"
        )
    try:
        from matplotlib import image
    except ImportError:
        raise InputError(
            "[sample] expected matplotlib, got none; install it with: pip install 'cavs-nn[viz]'"
        ) from None
    columns = int(np.ceil(len(images) ** 0.5))
    rows = -(-len(images) // columns)
    grid = np.ones((rows * columns, side + 1, side + 1))
    grid[: len(images), :side, :side] = 1 - images.reshape(-1, side, side)
    grid = grid.reshape(rows, columns, side + 1, side + 1).swapaxes(1, 2)
    flat = grid.reshape(rows * (side + 1), columns * (side + 1))[:-1, :-1]
    image.imsave(path, flat, cmap="gray", vmin=0, vmax=1, format="png")
