"""Labelled trees, and data sets of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cavs._arguments import INT32_MAX, choice, instance, integer, items, text
from cavs.data._repr import Corpus, Printed, first_words
from cavs.data.dataset import Dataset
from cavs.data.vocabulary import Vocabulary
from cavs.errors import InputError
from cavs.scheduler import InputGraph

_HOLE, _CLOSE = -1, -2
_BAD_IN_WORD = re.compile(r"[\s()]", re.ASCII)


@dataclass(frozen=True, eq=False, repr=False)
class LabelledTree(Printed):
    """A tree with a label, and perhaps a word, on every vertex.

    Attributes:
      graph: its vertices in post-order: children before their parent, the root last.
      labels: int32 [num_vertices]; -1 where there is no label.
      tokens: the word of each vertex, None where it has none.
    """

    graph: InputGraph
    labels: npt.NDArray[np.int32]
    tokens: tuple[str | None, ...]

    @property
    def num_vertices(self) -> int:
        return len(self.tokens)

    @property
    def root(self) -> int:
        """The number of the root, which is the last vertex."""
        return len(self.tokens) - 1

    @property
    def root_label(self) -> int:
        return int(self.labels[-1])

    def words(self) -> list[str]:
        """The words in the order of the vertices; in a treebank, the sentence."""
        return [token for token in self.tokens if token is not None]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelledTree):
            return NotImplemented
        return (
            self.tokens == other.tokens
            and np.array_equal(self.labels, other.labels)
            and self.graph == other.graph
        )

    def __str__(self) -> str:
        return format_tree(self)

    def _summary(self) -> str:
        label = f"root label {self.root_label}" if len(self.labels) else "no label"
        return f"of {self.num_vertices} vertices, {label}: {first_words(self.tokens)}"


@dataclass(frozen=True, repr=False)
class TreeCorpus(Corpus):
    """Training, development and test trees with labels 0 .. num_classes - 1."""

    name: str
    train: list[LabelledTree]
    dev: list[LabelledTree]
    test: list[LabelledTree]
    num_classes: int

    _unit = "trees"

    def _details(self) -> str:
        return f"{self.num_classes} classes"


class TreeBuilder(Printed):
    """Collects the vertices of a tree in post-order."""

    def __init__(self) -> None:
        self._labels: list[int] = []
        self._tokens: list[str | None] = []
        self._children: list[Sequence[int]] = []

    def add(self, label: int, token: str | None, children: Sequence[int] = ()) -> int:
        """Add a vertex whose children are there already; returns its number."""
        label = integer("data", "label", label, -INT32_MAX)
        if token is not None:
            text("data", "token", token)
        return self.add_checked(label, token, children)

    def add_checked(self, label: int, token: str | None, children: Sequence[int] = ()) -> int:
        """Add a vertex as `add` does, without checking the label and the word."""
        self._labels.append(label)
        self._tokens.append(token)
        self._children.append(children)
        return len(self._labels) - 1

    def label(self, vertex: int) -> int:
        return self._labels[vertex]

    def _summary(self) -> str:
        return f"of {len(self._labels)} vertices so far"

    def build(self) -> LabelledTree:
        return LabelledTree(
            InputGraph(children=self._children),
            np.array(self._labels, dtype=np.int32),
            tuple(self._tokens),
        )


def check_tree(tree: LabelledTree) -> LabelledTree:
    """The tree; raises InputError for anything else."""
    return instance("data", "tree", tree, LabelledTree, "a LabelledTree")


def check_trees(trees: Iterable[LabelledTree]) -> list[LabelledTree]:
    """A list of trees; raises InputError for anything else."""
    return items("data", "trees", trees, LabelledTree, "labelled trees")


def format_tree(tree: LabelledTree) -> str:
    """Write a tree in brackets on one line, so that `cavs.data.parse_tree` reads it back; a missing
    child is ``()``.

    Raises `InputError` for a word that brackets cannot hold (empty, with a blank or a bracket).
    """
    check_tree(tree)
    children = tree.graph.children
    labels = tree.labels.tolist()
    parts: list[str] = []
    waiting = [tree.root]
    while waiting:
        vertex = waiting.pop()
        if vertex < 0:
            parts.append(" ()" if vertex == _HOLE else ")")
            continue
        token = tree.tokens[vertex]
        parts.append(f" ({labels[vertex]}" + ("" if token is None else f" {_escape(token)}"))
        waiting.append(_CLOSE)
        waiting.extend(reversed(children[vertex]))
    return "".join(parts)[1:]


def _escape(token: str) -> str:
    if not token or _BAD_IN_WORD.search(token):
        raise InputError(
            f"[data] expected a word without blanks and brackets, got {token!r}; write -LRB- and "
            "-RRB- for brackets"
        )
    return token.replace("/", "\\/").replace("*", "\\*")


def tree_vocabulary(trees: Iterable[LabelledTree], *, min_count: int = 1) -> Vocabulary:
    """The words of the trees, `<unk>` first."""
    return Vocabulary.from_tokens(
        (token for tree in check_trees(trees) for token in tree.tokens), min_count=min_count
    )


def tree_dataset(
    trees: Sequence[LabelledTree],
    vocabulary: Vocabulary,
    *,
    labels: Literal["all", "root"] = "all",
    types: Literal["none", "shape"] = "none",
) -> Dataset:
    """Trees as a data set with the vertex inputs `word` and `label`, both int32.

    `word` is -1 where a vertex has no word. `label` is -1 where it has no label; with labels="root"
    only the root has one. With types="shape" vertices have types, as
    :class:`cavs.models.ShapedTreeLSTM` takes them: ``leaf`` without children, ``left`` where below
    the first child are at least as many vertices as below the last, else ``right``.
    """
    trees = check_trees(trees)
    choice("data", "labels", labels, ("all", "root"))
    choice("data", "types", types, ("none", "shape"))
    instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    words = vocabulary.encode(token for tree in trees for token in tree.tokens)
    flat = np.concatenate([np.empty(0, np.int32), *(tree.labels for tree in trees)])
    if labels == "root":
        roots = np.cumsum([tree.num_vertices for tree in trees], dtype=np.int64) - 1
        kept = np.full_like(flat, -1)
        kept[roots] = flat[roots]
        flat = kept
    graphs = [tree.graph if types == "none" else with_shapes(tree.graph) for tree in trees]
    return Dataset(graphs, vertex={"word": words, "label": flat})


def with_shapes(graph: InputGraph) -> InputGraph:
    """The tree, whose vertices stand behind their children, with types by its shape."""
    below: list[int] = []  # vertices of each subtree; a hole has none
    types: list[str] = []
    for children in graph.children:
        sizes = [below[k] if k >= 0 else 0 for k in children]
        below.append(1 + sum(sizes))
        types.append("leaf" if not sizes else "left" if sizes[0] >= sizes[-1] else "right")
    return InputGraph(graph.children, types=types)
