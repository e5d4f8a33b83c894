"""Graphs whose vertices have types, of trees, lattices and sentences.

Vertices are numbered children first, and the types of random trees are drawn in this order, so that
a seed always gives the same graphs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cavs
from cavs import data
from cavs.data.trees import with_shapes


class Builder:
    """A graph to which vertices are added, children first."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.children: list[list[int]] = []

    def add(self, kind: str, children: Sequence[int] = ()) -> int:
        """Adds a vertex of this type; gives its number."""
        self.types.append(kind)
        self.children.append(list(children))
        return len(self.types) - 1

    def chain(self, kind: str, length: int) -> int:
        """Adds a chain; gives its last vertex."""
        last = self.add(kind)
        for _ in range(length - 1):
            last = self.add(kind, [last])
        return last

    def graph(self) -> cavs.InputGraph:
        """The graph."""
        return cavs.InputGraph(self.children, types=self.types)


# Trees


def children_of(graph: cavs.InputGraph) -> list[list[int]]:
    """The children of each vertex, in order."""
    return [graph.child_index[a:b].tolist() for a, b in pairwise(graph.child_ptr.tolist())]


def by_coin(tree: data.LabelledTree, names: Sequence[str], coin: random.Random) -> cavs.InputGraph:
    """Leaves, and phrases whose types are drawn."""
    children = children_of(tree.graph)
    types = [coin.choice(names) if below else "leaf" for below in children]
    return cavs.InputGraph(children, types=types)


def by_shape(tree: data.LabelledTree) -> cavs.InputGraph:
    """Leaves, and phrases by where the heavier child stands."""
    return with_shapes(tree.graph)


def leaf_and_inner(tree: data.LabelledTree) -> cavs.InputGraph:
    """Leaves, and phrases of one type (MV-RNN)."""
    children = children_of(tree.graph)
    return cavs.InputGraph(children, types=["inner" if below else "leaf" for below in children])


def of_characters(tree: data.LabelledTree, frequent: set[str]) -> cavs.InputGraph:
    """A tree whose rare words are read character by character."""
    built = Builder()
    place: list[int] = []
    for below, token in zip(children_of(tree.graph), tree.tokens, strict=True):
        if below:
            place.append(built.add("inner", [place[k] for k in below]))
        elif token in frequent:
            place.append(built.add("leaf"))
        else:
            place.append(built.chain("char", len(token or " ")))
    return built.graph()


# Lattices (Zhang & Yang 2018)


def words_as_vertices(given: data.Lattice) -> cavs.InputGraph:
    """A vertex for each place behind a character, and one for each word: a word gathers from the
    place where it begins, and the place where it ends gathers from it."""
    built = Builder()
    place: list[int] = []
    for i, origins in enumerate(children_of(given.graph)):
        words = [built.add("word", [place[b]]) for b in origins if b != i - 1]
        place.append(built.add("char", [*place[-1:], *words]))
    return built.graph()


def edges_as_vertices(given: data.Lattice) -> cavs.InputGraph:
    """A vertex for each edge, of characters and of words, and one for each place, which joins
    them: the lattice that ED-Batch measures (Chen et al., ICML 2023)."""
    built = Builder()
    place: list[int] = []
    for i, origins in enumerate(children_of(given.graph)):
        arcs = [built.add("char" if b == i - 1 else "word", [place[b]]) for b in origins]
        place.append(built.add("place", arcs))
    return built.graph()


# Sentences


def frequent_words(sentences: Iterable[Sequence[str]], least: int) -> set[str]:
    """Those that occur so often."""
    tally = Counter(word for sentence in sentences for word in sentence)
    return {word for word, count in tally.items() if count >= least}


def tagged(words: Sequence[str], frequent: set[str], spelled: bool = True) -> cavs.InputGraph:
    """A BiLSTM tagger whose rare words are read by two LSTMs over their characters, begin and end
    marked (as in DyNet's benchmark, Neubig et al. 2017). With `spelled` a rare word has a vertex
    between its characters and the sentence."""
    built = Builder()
    reads: list[list[int]] = []
    for word in words:
        if word in frequent:
            reads.append([built.add("word")])
        else:
            ends = [built.chain(kind, len(word) + 2) for kind in ("forth", "back")]
            reads.append([built.add("spelled", ends)] if spelled else ends)
    before: list[int] = []
    for read in reads:
        before.append(built.add("before", [*before[-1:], *read]))
    after: list[int] = []
    for read in reversed(reads):
        after.append(built.add("after", [*after[-1:], *read]))
    for left, right in zip(before, reversed(after), strict=True):
        built.add("tag", [left, right])
    return built.graph()


def attending(source: int, target: int) -> cavs.InputGraph:
    """An encoder, and a decoder that attends to all of it before each step; sizes in words."""
    built = Builder()
    encoder = [built.add("encode")]
    for _ in range(source - 1):
        encoder.append(built.add("encode", [encoder[-1]]))
    last: list[int] = []
    for _ in range(target):
        context = built.add("attend", [*last, *encoder])
        last = [built.add("decode", [*(last or encoder[-1:]), context])]
    return built.graph()


def attending_both_ways(source: int, target: int) -> cavs.InputGraph:
    """The same with an encoder of both directions, and outputs (Bahdanau et al. 2015)."""
    built = Builder()
    encoders: list[list[int]] = [[], []]
    for _ in range(source):
        for way, kind in zip(encoders, ("before", "after"), strict=True):
            way.append(built.add(kind, way[-1:]))
    state = encoders[0][-1]
    for _ in range(target):
        context = built.add("attend", [state, *encoders[0], *encoders[1]])
        state = built.add("decode", [state, context])
        built.add("output", [state])
    return built.graph()


# Cases of schedules


@dataclass(frozen=True)
class Case:
    """Graphs of a kind.

    Attributes:
        name: of the kind.
        types: of its vertices.
        graphs: of its samples.
        outside: types that run before or after all batches, since they gather nothing or nobody
            gathers from them.
    """

    name: str
    types: tuple[str, ...]
    graphs: Sequence[cavs.InputGraph]
    outside: tuple[str, ...] = ()


def cases(folder: Path, samples: int = 512) -> Iterator[Case]:
    """Real graphs; `folder` holds lattice/, sst/, tags/ and ptb/."""
    lattices = data.read_lattices(folder / "lattice" / "train.txt")[:samples]
    trees = data.read_trees(folder / "sst" / "dev.txt")[:samples]
    sentences = [list(s.words) for s in data.read_tagged(folder / "tags" / "dev.txt")]
    often = frequent_words(sentences, 5)
    lines = data.read_sentences(folder / "ptb" / "valid.txt")
    lengths = [(len(a), len(b)) for a, b in pairwise(lines)][: 2 * samples : 2]
    in_trees = frequent_words([tree.words() for tree in trees], 3)
    coin = random.Random(0)
    two = ("left", "right")
    yield Case(
        "lattice LSTM, words as vertices", ("char", "word"), [*map(words_as_vertices, lattices)]
    )
    yield Case(
        "lattice, every edge a cell",
        ("char", "word", "place"),
        [*map(edges_as_vertices, lattices)],
    )
    yield Case("tree, leaf and inner", ("leaf", "inner"), [*map(leaf_and_inner, trees)], ("leaf",))
    yield Case("tree, 2 types by shape", ("leaf", *two), [*map(by_shape, trees)], ("leaf",))
    yield Case(
        "tree, 2 types by coin",
        ("leaf", *two),
        [by_coin(t, two, coin) for t in trees],
        ("leaf",),
    )
    yield Case(
        "Tree-LSTM over characters",
        ("leaf", "char", "inner"),
        [of_characters(t, in_trees) for t in trees],
        ("leaf",),
    )
    yield Case(
        "tagger with characters",
        ("word", "forth", "back", "before", "after", "tag"),
        [tagged(s, often, spelled=False) for s in sentences[:samples]],
        ("word", "tag"),
    )
    yield Case(
        "attention",
        ("before", "after", "attend", "decode", "output"),
        [attending_both_ways(a, b) for a, b in lengths],
        ("output",),
    )
