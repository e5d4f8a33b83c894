"""Pictures of trees with labels."""

from __future__ import annotations

from collections.abc import Sequence

from cavs.core.ops._spaces import SpaceKind
from cavs.data import LabelledTree
from cavs.pictures.functions import COLOURS
from cavs.pictures.picture import Box, Picture


def tree_picture(tree: LabelledTree) -> Picture:
    """A tree, its root above; a row for each level, whose vertices are computed together."""
    levels = tree.graph.levels.tolist()
    top = max(levels, default=0)
    picture = Picture("", arrows=False, tree=True)
    picture.rows = {top - i: f"level {i}" for i in range(top + 1)}
    _add_tree(picture, tree, "v", [top - level for level in levels])
    return picture


def forest_picture(trees: Sequence[LabelledTree], title: str) -> Picture:
    """Trees side by side, their roots above; a row for each distance from the root."""
    picture = Picture(title, arrows=False, tree=True)
    for number, tree in enumerate(trees):
        rows = [0] * tree.num_vertices
        for vertex in reversed(range(tree.num_vertices)):  # parents come before their children
            for child in _present(tree.graph.children[vertex]):
                rows[child] = rows[vertex] + 1
        _add_tree(picture, tree, f"t{number}v", rows)
    return picture


def _add_tree(picture: Picture, tree: LabelledTree, prefix: str, rows: Sequence[int]) -> None:
    """Adds the vertices of a tree, with their rows, and its edges."""
    labels = texts_of(tree)
    # From the root on, in reading order, so that a row keeps the order of the words.
    waiting, children = [tree.root], list(map(_present, tree.graph.children))
    while waiting:
        vertex = waiting.pop()
        picture.boxes[f"{prefix}{vertex}"] = Box(
            labels[vertex], rows[vertex], COLOURS[SpaceKind.VERTEX], rounded=not children[vertex]
        )
        picture.lines += [(f"{prefix}{vertex}", f"{prefix}{child}") for child in children[vertex]]
        waiting += reversed(children[vertex])


def texts_of(tree: LabelledTree) -> list[str]:
    """The word and the label of each vertex, as far as it has them, a line each."""
    found = []
    for word, label in zip(tree.tokens, tree.labels.tolist(), strict=True):
        parts = [] if word is None else [word]
        parts += [str(label)] if label >= 0 else []
        found.append("\n".join(parts))
    return found


def _present(children: Sequence[int]) -> list[int]:
    """The children of a list that are there."""
    return [child for child in children if child >= 0]
