"""``cavs sample``: samples of a generative model."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs._files import write_atomically
from cavs.cli._checkpoints import Use, add_checkpoint
from cavs.cli._options import add_device, add_options, add_threads, integer
from cavs.cli._trees import forest_picture
from cavs.data import LabelledTree, format_listops
from cavs.errors import InputError
from cavs.pictures.dot import to_dot
from cavs.pictures.svg import to_svg
from cavs.training.config import MOST_SEED
from cavs.training.tasks import Samples

USE: Use[Samples] = Use("sample", Samples, "a generative model", lambda task: task.sampling_options)

_PICTURES: dict[str, Callable[[Any], str]] = {".svg": to_svg, ".dot": to_dot, ".gv": to_dot}
# Maps each kind of samples to the suffixes of the files that it can be written to.
_SUFFIXES = {"images": (".png",), "text": (".txt",), "trees": (".txt", *_PICTURES)}


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "sample",
        help="samples of a generative model",
        description="Draws samples from what a model learnt: a grid of images, sentences, "
        "or expressions.",
    )
    add_checkpoint(parser)
    parser.add_argument(
        "-n", "--count", type=integer(1), default=16, metavar="N", help="(default: 16)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="images as .png (default: samples.png), others as .txt (default: standard output), "
        "expressions as .svg or .dot too",
    )
    add_options(parser, USE.options(), default=None)
    parser.add_argument(
        "--seed",
        type=integer(0, MOST_SEED - 1),
        default=0,
        metavar="N",
        help="0..2**64-2 (default: 0)",
    )
    add_device(parser)
    add_threads(parser)
    parser.set_defaults(run=run)


@cavs.detect_nonfinite()
def run(options: argparse.Namespace) -> int:
    """Writes the samples."""
    trained, task, given = USE.begin(options)
    output: Path | None = options.output
    suffixes = _SUFFIXES[task.kind]
    if output is not None and output.suffix not in suffixes:
        raise InputError(
            f"[sample] expected a file that ends in {', '.join(suffixes)}, got {output}; rename it"
        )
    samples = task.sample(trained, options.count, options.seed, **given)
    if task.kind == "images":
        output = output or Path("samples.png")
        write_images(output, samples)
    elif output is None:
        print(_as_text(task.kind, samples), end="")
        return 0
    elif output.suffix in _PICTURES:
        write_atomically(output, _as_picture(output.suffix, samples).encode())
    else:
        write_atomically(output, _as_text(task.kind, samples).encode())
    print(output)
    return 0


def _as_text(kind: str, samples: list[Any]) -> str:
    """Sentences, or trees in brackets, one on a line."""
    lines = [
        " ".join(sample)
        if kind == "text"
        else "(not complete)"
        if sample is None
        else format_listops(sample)
        for sample in samples
    ]
    return "".join(f"{line}\n" for line in lines)


def _as_picture(suffix: str, trees: list[LabelledTree | None]) -> str:
    """A picture of the complete trees, side by side."""
    complete = [tree for tree in trees if tree is not None]
    return _PICTURES[suffix](forest_picture(complete, f"{len(complete)} of {len(trees)} complete"))


def write_images(path: Path, images: Any) -> None:
    """Square images, (count, pixels) in 0..1, side by side in a PNG file; several of one kind,
    (count, several, pixels), stay beside each other.

    Raises:
        InputError: the images are not square, or matplotlib is not installed.
    """
    pixels, together = images.shape[-1], 1 if images.ndim == 2 else images.shape[1]
    side = round(pixels**0.5)
    if side * side != pixels:
        raise InputError(
            f"[sample] expected square images, got ones of {pixels} pixels; draw images "
            "of n x n pixels"
        )
    try:
        from matplotlib import image
    except ImportError:
        raise InputError(
            "[sample] expected matplotlib, got none; install it with: pip install 'cavs-nn[viz]'"
        ) from None
    columns = together * int(np.ceil((len(images) / together) ** 0.5))
    images = images.reshape(-1, pixels)
    rows = -(-len(images) // columns)
    grid = np.ones((rows * columns, side + 1, side + 1))
    grid[: len(images), :side, :side] = 1 - images.reshape(-1, side, side)
    grid = grid.reshape(rows, columns, side + 1, side + 1).swapaxes(1, 2)
    flat = grid.reshape(rows * (side + 1), columns * (side + 1))[:-1, :-1]
    content = io.BytesIO()
    image.imsave(content, flat, cmap="gray", vmin=0, vmax=1, format="png")
    write_atomically(path, content.getvalue())
