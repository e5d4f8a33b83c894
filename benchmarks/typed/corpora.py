"""Real samples as data sets: with types, and as the models without types take them.

All have the graphs and rows of the same samples in the same order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from words_on_edges import edge_dataset

import cavs
from cavs import data
from typed import graphs

Dataset = data.Dataset


@dataclass(frozen=True)
class Corpus:
    """Samples.

    Attributes:
        typed: graphs with types.
        plain: for the model without types; None where there is none.
        sizes: arguments of the model's maker.
    """

    typed: Dataset
    plain: Dataset | None
    sizes: dict[str, int]


def ids(values: list[int]) -> np.ndarray:
    """As inputs are."""
    return np.array(values, np.int32)


def trees(folder: Path, names: tuple[str, ...], samples: int) -> Corpus:
    """Trees of SST's dev part, in the order of a seed; types of phrases are drawn."""
    found = data.read_trees(folder / "sst" / "dev.txt")
    found = random.Random(0).sample(found, min(samples, len(found)))
    coin = random.Random(1)
    typed = [graphs.by_coin(tree, names, coin) for tree in found]
    tokens = [token for tree in found for token in tree.tokens]
    words = data.Vocabulary.from_tokens(tokens, specials=(), unknown=None)
    number = {"leaf": 0} | {name: k for k, name in enumerate(names, 1)}
    kinds = [number[kind] for graph in typed for kind in graph.types]
    word = words.encode(tokens)  # -1 for none
    label = np.concatenate([tree.labels for tree in found])
    leaves = np.equal(kinds, 0)
    return Corpus(
        Dataset(typed, vertex={"word": word[leaves], "label": label}, of={"word": "leaf"}),
        Dataset(
            [tree.graph for tree in found],
            vertex={"word": word, "label": label, "kind": np.array(kinds, np.float32)},
        ),
        {"vocab_size": len(words)},
    )


def lattices(folder: Path, samples: int) -> Corpus:
    """Lattices of the training part."""
    read = data.read_lattices(folder / "lattice" / "train.txt")
    characters = 1 + max(int(x.ids[~x.is_word].max(initial=0)) for x in read)
    words = 1 + max(int(x.ids[x.is_word].max(initial=0)) for x in read)
    classes = 1 + max(int(x.tags.max()) for x in read)
    read = read[:samples]
    corpus = data.LatticeCorpus("lattice", read, [], [], classes, characters, words)
    plain = edge_dataset(corpus.train, characters)
    # The words in the order of the edges that end in them, which is that of their vertices.
    is_word = plain.flat("kind") != 0
    typed = Dataset(
        [graphs.words_as_vertices(x) for x in read],
        vertex={
            "character": plain.flat("character"),
            "label": plain.flat("label"),
            "word": plain.flat("word")[is_word],
        },
        of={"character": "char", "label": "char", "word": "word"},
    )
    return Corpus(typed, plain, {"vocab_size": characters + words, "classes": classes})


@dataclass(frozen=True)
class TaggerCorpus(Corpus):
    """Sentences, and their rare words apart.

    Attributes:
        sentences: chains with `word` (-1 for a rare one) and `label`.
        rare: a chain for each rare word, with `forth` and `back`: its characters both ways.
        first: [sentences + 1]: the first rare word of each sentence.
    """

    sentences: Dataset
    rare: Dataset
    first: np.ndarray


_MARKS = ["<begin>", "<end>"]


def tagger(folder: Path, samples: int) -> TaggerCorpus:
    """Sentences of WikiNER, in the order of a seed; words that occur less than five times are read
    by their characters."""
    read = data.read_tagged(folder / "tags" / "dev.txt")
    often = graphs.frequent_words([s.words for s in read], 5)
    read = random.Random(0).sample(read, min(samples, len(read)))
    alphabet = data.Vocabulary.from_tokens(
        (letter for s in read for word in s.words for letter in word), specials=_MARKS, unknown=None
    )
    words = data.Vocabulary.from_tokens(sorted(often), specials=(), unknown=None)
    tags = data.tag_vocabulary(read)
    letters: list[int] = []  # of typed graphs
    both: tuple[list[int], list[int]] = ([], [])
    lengths: list[int] = []
    for word in (word for s in read for word in s.words if word not in often):
        forth = alphabet.encode([_MARKS[0], *word, _MARKS[1]]).tolist()
        lengths.append(len(forth))
        letters += [*forth, *forth[::-1]]
        both[0].extend(forth)
        both[1].extend(forth[::-1])
    known = [[word if word in often else None for word in s.words] for s in read]
    label = tags.encode(tag for s in read for tag in s.tags)
    word = words.encode(w for s in known for w in s)
    typed = Dataset(
        [graphs.tagged(s.words, often) for s in read],
        vertex={"word": word[word >= 0], "letter": ids(letters), "label": label},
        of={"word": "word", "letter": ["forth", "back"], "label": "tag"},
    )
    sentences = Dataset(
        [data.chain_graph(len(s.words)) for s in read], vertex={"word": word, "label": label}
    )
    rare = Dataset(
        [data.chain_graph(n) for n in lengths],
        vertex={"forth": ids(both[0]), "back": ids(both[1])},
    )
    first = np.cumsum([0, *(sum(w is None for w in s) for s in known)])
    sizes = {"vocab_size": len(words), "alphabet": len(alphabet), "classes": len(tags)}
    return TaggerCorpus(typed, None, sizes, sentences, rare, first)


def attention(folder: Path, samples: int) -> Corpus:
    """Sentences of PTB's valid part, each to be made of the one before."""
    lines = data.read_sentences(folder / "ptb" / "valid.txt")
    pairs = list(pairwise(lines))[: 2 * samples : 2]
    words = data.Vocabulary.from_tokens(
        (w for line in lines for w in line), specials=["<begin>"], unknown=None
    )
    begin = words.encode(["<begin>"]).tolist()
    inputs: list[int] = []
    labels: list[int] = []
    for source, target in pairs:
        wanted = words.encode(target).tolist()
        inputs += [*words.encode(source).tolist(), *begin, *wanted[:-1]]
        labels += wanted
    typed = Dataset(
        [graphs.attending(len(a), len(b)) for a, b in pairs],
        vertex={"word": ids(inputs), "label": ids(labels)},
        of={"word": ["encode", "decode"], "label": "decode"},
    )
    return Corpus(typed, None, {"vocab_size": len(words)})


def numbered(typed: cavs.InputGraph) -> list[tuple[str, list[int]]]:
    """(type, children) of each vertex."""
    return list(zip(typed.types, graphs.children_of(typed), strict=True))
