"""Trees as productions: each vertex says its symbol and how many children it has, so that a tree
can be generated from its root down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cavs._arguments import instance
from cavs._arrays import Array
from cavs.data._text import quoted
from cavs.data.dataset import Dataset
from cavs.data.trees import LabelledTree, TreeBuilder, check_tree, check_trees
from cavs.data.vocabulary import Vocabulary
from cavs.errors import DataError, InputError
from cavs.scheduler import GraphBatch


def production(symbol: str | None, arity: int) -> str:
    """The token of a vertex: ``SYMBOL/ARITY``."""
    return f"{symbol}/{arity}"


def productions_of(tree: LabelledTree) -> list[str]:
    """The productions of the vertices, by their words and numbers of children."""
    if check_tree(tree).graph.has_holes:
        raise InputError(
            "[data] expected a tree without holes, since a production counts the children, got one "
            "with a missing child; leave the holes out"
        )
    arity = np.diff(tree.graph.child_ptr).tolist()
    return [production(word, count) for word, count in zip(tree.tokens, arity, strict=True)]


def production_vocabulary(trees: Iterable[LabelledTree]) -> Vocabulary:
    """All productions of the trees, sorted."""
    tokens = {token for tree in check_trees(trees) for token in productions_of(tree)}
    return Vocabulary(sorted(tokens), unknown=None)


def arities(vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """The number of children that each production of a vocabulary opens."""
    instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    counts = [token.rpartition("/")[2] for token in vocabulary.to_list()]
    wrong = [token for token, n in zip(vocabulary, counts, strict=True) if not n.isdecimal()]
    if wrong:
        raise InputError(
            f"[data] expected productions SYMBOL/ARITY, got {quoted(wrong[0])}; make them by "
            "production_vocabulary"
        )
    return np.array(list(map(int, counts)), np.int64)


def production_dataset(trees: Sequence[LabelledTree], vocabulary: Vocabulary) -> Dataset:
    """Trees with the vertex inputs, int32: ``production``; ``slot``, the position among the
    parent's children; ``above``, the parent's production; both -1 at the root.

    Raises:
        DataError: the vocabulary lacks a production; names the tree.
    """
    trees = check_trees(trees)
    instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    known = {token: number for number, token in enumerate(vocabulary.to_list())}
    columns: dict[str, list[Array]] = {"production": [], "slot": [], "above": []}
    for number, tree in enumerate(trees, 1):
        tokens = productions_of(tree)
        strange = [token for token in tokens if token not in known]
        if strange:
            raise DataError(
                f"[data] tree {number}: expected productions of the training set, got "
                f"{quoted(strange[0])} (symbol and number of children); leave the tree out"
            )
        own = np.array([known[token] for token in tokens], np.int32)
        slot, above = np.full(len(own), -1, np.int32), np.full(len(own), -1, np.int32)
        for vertex, children in enumerate(tree.graph.children):
            for position, child in enumerate(children):
                slot[child], above[child] = position, own[vertex]
        for name, values in (("production", own), ("slot", slot), ("above", above)):
            columns[name].append(values)
    none = np.zeros(0, np.int32)
    arrays = {name: np.concatenate([none, *parts]) for name, parts in columns.items()}
    return Dataset([tree.graph for tree in trees], vertex=arrays)


def grown_trees(
    graphs: GraphBatch, productions: Array, vocabulary: Vocabulary
) -> list[LabelledTree | None]:
    """Trees from graphs that grew from their roots down, in which each vertex gathers from its
    parent; None for an incomplete tree: a vertex has fewer children than its production says.

    Args:
        graphs: the result of :func:`cavs.unfold`; the first vertex of each is its root, and
            siblings were opened in order.
        productions: (vertices,) ids.
        vocabulary: the vocabulary of the productions.
    """
    tokens, arity = vocabulary.to_list(), arities(vocabulary)
    trees: list[LabelledTree | None] = []
    ptr = graphs.ptr.tolist()
    for begin, end in pairwise(ptr):
        children: list[list[int]] = [[] for _ in range(end - begin)]
        for vertex in range(begin + 1, end):
            parent = int(graphs.children[graphs.child_ptr[vertex]])
            children[parent - begin].append(vertex - begin)
        own = productions[begin:end]
        if any(len(c) != arity[p] for c, p in zip(children, own, strict=True)):
            trees.append(None)
            continue
        trees.append(_build([tokens[p].rpartition("/")[0] for p in own], children))
    return trees


def _build(symbols: list[str], children: list[list[int]]) -> LabelledTree:
    """The tree in post-order; no recursion."""
    builder = TreeBuilder()
    placed: dict[int, int] = {}
    waiting = [(0, False)]
    while waiting:
        vertex, ready = waiting.pop()
        if ready or not children[vertex]:
            placed[vertex] = builder.add(-1, symbols[vertex], [placed[c] for c in children[vertex]])
            continue
        waiting.append((vertex, True))
        waiting.extend((child, False) for child in reversed(children[vertex]))
    return builder.build()
