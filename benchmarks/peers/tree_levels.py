"""The plan of a minibatch of trees for a hand-written, level-batched Tree-LSTM: flat index arrays.

It is made for treebanks, where words stand on leaves alone, and is as favourable to its user as
treebanks allow: each inner vertex takes its gradient from one parent, and leaves with one word are
one row if the caller wants that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from peers.protocol import UnsuitableError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TreeLevels:
    """Rows: the leaf cells first, then inner vertices by height, in a level roots last.

    Attributes:
        num_trees: trees of the batch.
        words: [W] ascending; row w is a leaf cell of words[w]: one for each distinct word, or one
            for each leaf.
        vocabulary: [distinct words] ascending.
        word_ptr: [distinct words + 1]: the first row of `words` with that word.
        levels: (first, split, last) of each level of inner vertices: rows first .. last - 1, of
            which split .. last - 1 are roots.
        child_ptr, child_rows: CSR over inner rows (row - W): the rows of their children.
        parent: [inner rows] row of the parent, counted from W; -1 for roots.
        leaf_ptr, leaf_parents: CSR over leaf cells: the parents of their leaves, counted from W.
        label_counts: float32 [rows, classes]: the number of vertices of a row that have a label.
        vertices: [vertices]: the vertices of the batch in the order of their rows; leaves by their
            words.
        cell_ptr: [W + 1]: the places in `vertices` where the leaves of each cell begin.
        labels: [vertices]: the labels of `vertices`, -1 for none.
    """

    num_trees: int
    words: Ints
    vocabulary: Ints
    word_ptr: Ints
    levels: list[tuple[int, int, int]]
    child_ptr: Ints
    child_rows: Ints
    parent: Ints
    leaf_ptr: Ints
    leaf_parents: Ints
    label_counts: npt.NDArray[np.float32]
    vertices: Ints
    cell_ptr: Ints
    labels: Ints

    @property
    def num_words(self) -> int:
        return len(self.words)

    @property
    def num_rows(self) -> int:
        return len(self.label_counts)


def tree_levels(
    child_ptr: npt.NDArray[Any],
    children: npt.NDArray[Any],
    words: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    num_classes: int,
    *,
    distinct: bool = True,
) -> TreeLevels:
    """Plans a batch of trees given as one CSR of children over all vertices.

    Args:
        child_ptr, children: CSR over vertices.
        words, labels: by vertex, -1 for none.
        distinct: whether leaves with one word share a row.

    Raises:
        UnsuitableError: a vertex with two parents, an inner vertex with a word, a leaf without a
            word.
    """
    count = len(words)
    arity = np.diff(child_ptr)
    parents = np.full(count, -1, np.int64)
    parents[children] = np.repeat(np.arange(count), arity)
    if len(np.unique(children)) != len(children) or ((arity == 0) != (words >= 0)).any():
        raise UnsuitableError("expected trees with words on the leaves and nowhere else")
    heights = _heights(arity, parents)
    leaves = np.flatnonzero(arity == 0)
    vocabulary, by_word = np.unique(words[leaves], return_inverse=True)
    counts = np.ones(len(vocabulary), np.int64) if distinct else np.bincount(by_word)
    cells = np.repeat(vocabulary, counts)
    leaf_rows = by_word if distinct else np.argsort(np.argsort(by_word, kind="stable"))
    order = np.lexsort((parents < 0, heights))[len(leaves) :]
    rows = np.empty(count, np.int64)
    rows[leaves] = leaf_rows
    rows[order] = len(cells) + np.arange(len(order))
    up = np.where(parents >= 0, rows[parents] - len(cells), -1)
    inner_ptr = np.concatenate([[0], np.cumsum(arity[order])])
    picks = np.arange(inner_ptr[-1]) + np.repeat(child_ptr[order] - inner_ptr[:-1], arity[order])
    below = leaves[parents[leaves] >= 0]
    parents_of_cells = np.bincount(rows[below], minlength=len(cells))
    labelled = labels >= 0
    places = rows[labelled] * num_classes + labels[labelled]
    num_rows = len(cells) + len(order)
    vertices = np.concatenate([leaves[np.argsort(by_word, kind="stable")], order])
    leaves_of_cells = np.bincount(leaf_rows, minlength=len(cells))
    return TreeLevels(
        num_trees=int((parents < 0).sum()),
        words=cells.astype(np.int64),
        vocabulary=vocabulary.astype(np.int64),
        word_ptr=np.concatenate([[0], np.cumsum(counts)]),
        levels=_levels(heights[order], parents[order] < 0, len(cells)),
        child_ptr=inner_ptr,
        child_rows=rows[children[picks]],
        parent=up[order],
        leaf_ptr=np.concatenate([[0], np.cumsum(parents_of_cells)]),
        leaf_parents=up[below][np.argsort(rows[below], kind="stable")],
        label_counts=np.bincount(places, minlength=num_rows * num_classes)
        .reshape(num_rows, num_classes)
        .astype(np.float32),
        vertices=vertices,
        cell_ptr=np.concatenate([[0], np.cumsum(leaves_of_cells)]),
        labels=labels[vertices].astype(np.int64),
    )


def _heights(arity: npt.NDArray[Any], parents: Ints) -> Ints:
    pending = arity.astype(np.int64)
    heights = np.zeros(len(arity), np.int64)
    ready = np.flatnonzero(pending == 0)
    height = 0
    while len(ready):
        heights[ready] = height
        up = parents[ready]
        up = up[up >= 0]
        pending -= np.bincount(up, minlength=len(arity))
        ready = np.unique(up)
        ready = ready[pending[ready] == 0]
        height += 1
    return heights


def _levels(
    heights: Ints, is_root: npt.NDArray[np.bool_], first_row: int
) -> list[tuple[int, int, int]]:
    bounds = [0, *(np.flatnonzero(np.diff(heights)) + 1).tolist(), len(heights)]
    levels = []
    for first, last in pairwise(bounds):
        if last > first:
            split = last - int(is_root[first:last].sum())
            levels.append((first_row + first, first_row + split, first_row + last))
    return levels
