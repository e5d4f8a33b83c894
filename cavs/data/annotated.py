"""Trees with words, labels and relations as text, as treebanks have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cavs._arguments import instance, items
from cavs.data._repr import Printed, first_words
from cavs.data._text import fail, quoted
from cavs.data.chains import chain_graph
from cavs.data.dataset import Dataset
from cavs.data.trees import LabelledTree, TreeBuilder
from cavs.data.vocabulary import Vocabulary
from cavs.errors import InputError
from cavs.scheduler import InputGraph

Texts = tuple[str | None, ...]


@dataclass(frozen=True, repr=False)
class AnnotatedTree(Printed):
    """A tree whose vertices have words, labels and relations, each as text or None.

    Attributes:
      graph: the tree.
      tokens: the word of each vertex.
      labels: its label: of a phrase its category, of a word its part of speech.
      relations: how it depends on its parent; at the root None, or
        ``root`` as in Universal Dependencies.

    Raises:
      InputError: no input graph, or texts that are not one, or None, for each vertex.
    """

    graph: InputGraph
    tokens: Texts
    labels: Texts
    relations: Texts

    def __post_init__(self) -> None:
        instance("data", "graph", self.graph, InputGraph, "an input graph")
        for name in ("tokens", "labels", "relations"):
            given = items("data", name, getattr(self, name), (str, type(None)), "texts")
            if len(given) != self.num_vertices:
                raise InputError(
                    f"[data] expected {self.num_vertices} {name}, one for each vertex, got "
                    f"{len(given)}; give None where there is none"
                )
            object.__setattr__(self, name, tuple(given))

    def _summary(self) -> str:
        return f"of {self.num_vertices} vertices: {first_words(self.tokens)}"

    @property
    def num_vertices(self) -> int:
        return self.graph.num_vertices

    @property
    def root(self) -> int:
        """The first vertex without a parent; raises InputError where there are no vertices."""
        if not self.num_vertices:
            raise InputError("[data] expected a tree with a root, got no vertices; leave it out")
        return int(self.graph.roots[0])

    def words(self) -> list[str]:
        """The words in the order of the vertices, which is that of the sentence."""
        return [token for token in self.tokens if token is not None]

    def edge_relations(self) -> list[str | None]:
        """The relation of each edge: that of its child, in the order of the graph's edges."""
        return [self.relations[child] for child in self.graph.child_index.tolist()]

    def labelled(self, labels: Vocabulary) -> LabelledTree:
        """The same tree with ids as labels, -1 for none, and its vertices in post-order.

        Raises InputError for a label that is not in a vocabulary without an unknown token.
        """
        ids = instance("data", "labels", labels, Vocabulary, "a Vocabulary").encode(self.labels)
        children, builder = self.graph.children, TreeBuilder()
        placed = {-1: -1}
        waiting = [(self.root, False)] if self.num_vertices else []
        while waiting:
            vertex, ready = waiting.pop()
            if ready:
                below = [placed[child] for child in children[vertex]]
                label = int(ids[vertex])
                placed[vertex] = builder.add_checked(label, self.tokens[vertex], below)
                continue
            waiting.append((vertex, True))
            waiting.extend((c, False) for c in reversed(children[vertex]) if c >= 0)
        return builder.build()


def sentence_tree(words: Sequence[str]) -> AnnotatedTree:
    """A sentence without a parse as a chain, in which each word has the one before it as child."""
    tokens = items("data", "words", words, str, "words")
    none = (None,) * len(tokens)
    return AnnotatedTree(chain_graph(len(tokens)), tuple(tokens), none, none)


def annotated_vocabularies(
    trees: Iterable[AnnotatedTree], *, min_count: int = 1
) -> tuple[Vocabulary, Vocabulary, Vocabulary]:
    """The words, labels and relations of trees; ``<unk>`` stands first in each.

    `min_count` is of words, as in `Vocabulary.from_tokens`. Raises InputError for anything but
    annotated trees.
    """
    given = check_annotated(trees)
    columns = (
        [text for tree in given for text in getattr(tree, name)]
        for name in ("tokens", "labels", "relations")
    )
    words, labels, relations = columns
    return (
        Vocabulary.from_tokens(words, min_count=min_count),
        Vocabulary.from_tokens(labels),
        Vocabulary.from_tokens(relations),
    )


def check_annotated(trees: Iterable[AnnotatedTree]) -> list[AnnotatedTree]:
    """A list of trees; raises InputError for anything else."""
    return items("data", "trees", trees, AnnotatedTree, "annotated trees")


def annotated_dataset(
    trees: Iterable[AnnotatedTree],
    words: Vocabulary,
    *,
    labels: Vocabulary | None = None,
    relations: Vocabulary | None = None,
) -> Dataset:
    """Trees as a data set with int32 inputs: of vertices ``word`` and, where there are `labels`,
    ``label``, both -1 for none; of edges, where there are `relations`, ``relation``.

    Raises InputError for a text that is not in a vocabulary without an unknown token.
    """
    given = check_annotated(trees)
    for name, vocabulary in (("words", words), ("labels", labels), ("relations", relations)):
        if vocabulary is not None or name == "words":
            instance("data", name, vocabulary, Vocabulary, "a Vocabulary")
    vertex = {"word": words.encode(text for tree in given for text in tree.tokens)}
    if labels is not None:
        vertex["label"] = labels.encode(text for tree in given for text in tree.labels)
    edge = {}
    if relations is not None:
        edge["relation"] = relations.encode(r for tree in given for r in tree.edge_relations())
    return Dataset([tree.graph for tree in given], vertex=vertex, edge=edge)


def only_below(graph: InputGraph, root: int) -> tuple[InputGraph, list[int]]:
    """The part of a graph that hangs below `root`, and the old numbers of its vertices."""
    ptr, index = graph.child_ptr.tolist(), graph.child_index.tolist()
    kept = np.zeros(graph.num_vertices, bool)
    waiting = [root]
    while waiting:
        vertex = waiting.pop()
        kept[vertex] = True
        waiting.extend(index[ptr[vertex] : ptr[vertex + 1]])
    place = (np.cumsum(kept) - 1).tolist()
    old = np.flatnonzero(kept).tolist()
    lists = [[place[c] for c in index[a:b]] for a, b in pairwise(ptr)]
    return InputGraph([lists[vertex] for vertex in old]), old


def parent_graph(heads: Sequence[int], lines: Sequence[int], source: str) -> InputGraph:
    """A dependency tree from the head of each word, counted from 1, 0 for the root; `lines` says
    where each word stands, for errors."""
    roots = [word for word, head in enumerate(heads) if head == 0]
    if len(roots) != 1:
        at = roots[1] if roots else 0
        fail(
            source,
            f"expected one word of head 0, the root of the sentence, got {len(roots)}; correct the "
            "heads",
            line=lines[at],
        )
    for word, head in enumerate(heads):
        if not 0 <= head <= len(heads):
            fail(
                source,
                f"expected a head in 0..{len(heads)}, got {head}; count words from 1",
                line=lines[word],
            )
    # Who is not reached from the root is on a cycle, or below one.
    below: list[list[int]] = [[] for _ in heads]
    for word, head in enumerate(heads):
        if head:
            below[head - 1].append(word)
    reached, waiting = {roots[0]}, [roots[0]]
    while waiting:
        fresh = below[waiting.pop()]
        reached.update(fresh)
        waiting.extend(fresh)
    for word, head in enumerate(heads):
        if word not in reached:
            fail(
                source,
                f"expected a tree, got word {word + 1} of head {quoted(str(head))}, which the root "
                "does not reach; correct the heads",
                line=lines[word],
            )
    return InputGraph(below)
