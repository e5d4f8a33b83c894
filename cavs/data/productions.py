"""Trees as productions: each vertex says its symbol and how many children it has, so that a tree
can be generated from its root down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cavs._arguments import instance, integer
from cavs._arrays import Array
from cavs.data._text import quoted
from cavs.data.dataset import Dataset
from cavs.data.trees import LabelledTree, TreeBuilder, check_tree, check_trees
from cavs.data.vocabulary import Vocabulary
from cavs.errors import DataError, InputError
from cavs.scheduler import GraphBatch, InputGraph


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


def production_dataset(
    trees: Sequence[LabelledTree], vocabulary: Vocabulary, *, num_slots: int | None = None
) -> Dataset:
    """Trees of two types of vertices, ``leaf`` and ``phrase``, with the vertex inputs
    ``production``, int32; ``slot``, int32, the position among the parent's children; ``above``,
    int32, the parent's production; both -1 at the root; and for phrases ``phrases``, float32
    (num_slots,): 1 for a child that is a phrase, 0 for a leaf, -1 for none.

    Args:
        trees: without holes.
        vocabulary: the vocabulary of the productions.
        num_slots: at least as many as a vertex has children; None: the most of the vocabulary.

    Raises:
        DataError: the vocabulary lacks a production, or a vertex has more children than slots;
            names the tree.
    """
    trees = check_trees(trees)
    most = int(arities(vocabulary).max(initial=1))
    slots = most if num_slots is None else integer("data", "num_slots", num_slots, 1)
    known = {token: number for number, token in enumerate(vocabulary.to_list())}
    columns: dict[str, list[Array]] = {"production": [], "slot": [], "above": [], "phrases": []}
    graphs = []
    for number, tree in enumerate(trees, 1):
        tokens = productions_of(tree)
        strange = [token for token in tokens if token not in known]
        if strange:
            raise DataError(
                f"[data] tree {number}: expected productions of the training set, got "
                f"{quoted(strange[0])} (symbol and number of children); leave the tree out"
            )
        own = np.array([known[token] for token in tokens], np.int32)
        graphs.append(_typed(tree.graph))
        slot, above, phrases = _places(tree.graph, own, max(slots, 1))
        if phrases.shape[1] > slots:
            raise DataError(
                f"[data] tree {number}: expected at most {slots} children of a vertex, got "
                f"{phrases.shape[1]}; raise num_slots, or leave the tree out"
            )
        values = {"production": own, "slot": slot, "above": above, "phrases": phrases}
        for name, column in columns.items():
            column.append(values[name])
    none = {name: np.zeros(0, np.int32) for name in columns}
    none["phrases"] = np.zeros((0, slots), np.float32)
    arrays = {name: np.concatenate([none[name], *parts]) for name, parts in columns.items()}
    return Dataset(graphs, vertex=arrays, of={"phrases": "phrase"})


def _typed(graph: InputGraph) -> InputGraph:
    """The graph with types: leaves, and all others."""
    types = ["phrase" if n else "leaf" for n in np.diff(graph.child_ptr).tolist()]
    return InputGraph.from_csr(graph.child_ptr, graph.child_index, types=types)


def _places(graph: InputGraph, productions: Array, slots: int) -> tuple[Array, Array, Array]:
    """The inputs ``slot``, ``above`` and ``phrases`` of a tree; the last has more columns than
    `slots` where a vertex has more children."""
    slot, above = np.full(len(productions), -1, np.int32), np.full(len(productions), -1, np.int32)
    counts = np.diff(graph.child_ptr)
    phrases = np.full((len(counts), max(slots, counts.max(initial=0))), -1, np.float32)
    for vertex, children in enumerate(graph.children):
        for position, child in enumerate(children):
            slot[child], above[child] = position, productions[vertex]
            phrases[vertex, position] = counts[child] > 0
    return slot, above, phrases[counts > 0]


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
    tokens, opened = vocabulary.to_list(), arities(vocabulary)[productions]
    vertices = np.delete(np.arange(graphs.num_vertices), graphs.ptr[:-1])  # all but the roots
    parents = graphs.children[graphs.child_ptr[vertices]]
    full = np.bincount(parents, minlength=graphs.num_vertices) == opened
    trees: list[LabelledTree | None] = []
    for begin, end in pairwise(graphs.ptr.tolist()):
        if not full[begin:end].all():
            trees.append(None)
            continue
        children: list[list[int]] = [[] for _ in range(end - begin)]
        first = begin - len(trees)  # as many roots stand before
        for vertex, parent in enumerate(parents[first : first + end - begin - 1].tolist(), 1):
            children[parent - begin].append(vertex)
        own = productions[begin:end]
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
