"""Pictures before they are written: boxes in rows and lines between them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cavs._arguments import shown
from cavs._files import write_atomically
from cavs.errors import CavsRuntimeError, InputError

SUFFIXES = (".svg", ".dot", ".gv", ".png", ".pdf")

_TYPE_COLOURS = (
    ("#d6e6f5", "#2166ac"),
    ("#fbe3c8", "#d9770b"),
    ("#d9f0d3", "#2a8a3a"),
    ("#e2d6f3", "#7a4fb5"),
    ("#f9d5dc", "#c2304f"),
    ("#fdf3b4", "#a08a00"),
    ("#cdeeee", "#128a8a"),
    ("#e6dccb", "#7d5a2c"),
)
"""A light and a dark colour for each type of vertices."""


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        label: its text; a line feed begins a new line.
        row: 0 is the uppermost.
        colour: the colour that fills it, as ``#rrggbb``.
        rounded: whether it is an ellipse, in place of a rectangle.
        outline: the colour of its border; empty for the usual thin one.
        group: boxes of a group stand together, groups in order.
    """

    label: str
    row: int
    colour: str
    rounded: bool = False
    outline: str = ""
    group: int = 0


@dataclass(frozen=True)
class Key:
    """What colours mean: the text, and the colours of a box that it explains."""

    label: str
    colour: str
    outline: str = ""


@dataclass
class Picture:
    """Boxes in rows and lines between them; a notebook shows it.

    Attributes:
        title: the text above the picture.
        boxes: maps each box's name, which is a word, to the box.
        lines: pairs of names, from above to below.
        rows: maps the number of a row to the text beside it.
        arrows: whether lines have heads, and lead from above to below.
        tree: whether each box has one line from above at most, and boxes stand in reading order.
        keys: what colours mean.
    """

    title: str
    arrows: bool = True
    tree: bool = False
    boxes: dict[str, Box] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    rows: dict[int, str] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)

    def svg(self) -> str:
        """The picture as text of SVG."""
        from cavs.pictures.svg import to_svg

        return to_svg(self)

    def dot(self) -> str:
        """The picture in the language of Graphviz."""
        from cavs.pictures.dot import to_dot

        return to_dot(self)

    _repr_svg_ = svg

    def __repr__(self) -> str:
        return f"<Picture of {len(self.boxes)} boxes and {len(self.lines)} lines>"

    def save(self, file: str | os.PathLike[str]) -> None:
        """Writes the picture, as the ending of the file's name says: ``.svg``, ``.dot`` or ``.gv``,
        and, where Graphviz is installed, ``.png`` or ``.pdf``.

        Raises:
            InputError: another ending; CavsRuntimeError: Graphviz is missing, or cannot draw it;
            OSError: the file cannot be written.
        """
        path = checked_file(file)
        if path.suffix == ".svg":
            write_atomically(path, self.svg().encode())
        elif path.suffix in (".dot", ".gv"):
            write_atomically(path, self.dot().encode())
        else:
            _render(self.dot(), path)


def checked_file(file: object) -> Path:
    """The path of a picture's file; raises InputError where its ending is of no kind of picture."""
    if not isinstance(file, (str, os.PathLike)) or Path(file).suffix not in SUFFIXES:
        got = file if isinstance(file, os.PathLike) else shown(file)
        raise InputError(
            f"[draw] expected a file that ends in {', '.join(SUFFIXES)}, got {got}; rename it"
        )
    return Path(file)


def type_keys(types: Iterable[str]) -> dict[str, Key]:
    """Colours for types; after the last they begin again."""
    found = {}
    for number, name in enumerate(dict.fromkeys(types)):
        found[name] = Key(name, *_TYPE_COLOURS[number % len(_TYPE_COLOURS)])
    return found


def are_told_apart(types: Iterable[str]) -> bool:
    """Whether no two of these types have the same colours."""
    return len(set(types)) <= len(_TYPE_COLOURS)


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
