"""Labelled trees as a task reads them: their source, and how many children their vertices have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

import cavs
from cavs.data import (
    LabelledTree,
    TreeCorpus,
    Vocabulary,
    listops_corpus,
    listops_vocabulary,
    load_sst,
    tree_vocabulary,
)
from cavs.errors import DataError
from cavs.training._fields import is_whole
from cavs.training.tasks._source import EXPRESSION_RANGES, Source


@dataclass(frozen=True)
class TreeSource(Source):
    """The source of trees.

    Attributes:
        path: directory of a treebank, or None for the built-in ListOps expressions.
        num_train: number of expressions to train on.
        max_depth: greatest depth of the expressions.
    """

    path: str | None = None
    num_train: int = 40_000
    max_depth: int = 20

    ranges = EXPRESSION_RANGES

    def load(self) -> TreeCorpus:
        if self.path is not None:
            return load_sst(self.path)
        # One seed for every run, so that all are judged by the same test set.
        return listops_corpus(self.num_train, max_depth=self.max_depth, seed=0)

    def vocabulary(self, corpus: TreeCorpus, min_count: int = 1) -> Vocabulary:
        """The words of the trees to train on."""
        if self.path is None:
            return listops_vocabulary()
        return tree_vocabulary(corpus.train, min_count=min_count)


def tokens_of(corpus: TreeCorpus) -> Iterator[str | None]:
    """The words of the vertices of all trees, None for none."""
    for tree in chain(corpus.train, corpus.dev, corpus.test):
        yield from tree.tokens


def most_children(trees: Sequence[LabelledTree]) -> int:
    """The greatest number of children of a vertex."""
    return max((int(np.diff(tree.graph.child_ptr).max(initial=0)) for tree in trees), default=0)


def has_inner_word(tree: LabelledTree) -> bool:
    """Whether a vertex with children has a word."""
    counts = np.diff(tree.graph.child_ptr).tolist()
    return any(
        token is not None and count for token, count in zip(tree.tokens, counts, strict=True)
    )


def check_arity(function: cavs.VertexFunction, trees: Sequence[LabelledTree], what: str) -> None:
    """Raises `DataError` for a vertex with more children than `function` reads."""
    arity = getattr(function, "arity", None)
    if not is_whole(arity):  # a user's model may use the name for anything
        return
    for number, tree in enumerate(trees, 1):
        counts = np.diff(tree.graph.child_ptr)
        if counts.max(initial=0) > arity:
            raise DataError(
                f"[data] {what}, tree {number}: expected at most {arity} children of a vertex for "
                f"{type(function).__name__}, got {counts.max()} (vertex {counts.argmax()}); use "
                "tree-lstm, which takes any number"
            )
