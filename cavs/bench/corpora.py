"""The data of the workloads: data sets in a directory, or generated samples of their kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs import data
from cavs.data import Dataset, LabelledTree, TreeBuilder, Vocabulary, chain_graph
from cavs.errors import DataError
from cavs.scheduler import InputGraph

Array = npt.NDArray[Any]

FIXED_LENGTH = 64
SIDE, PATCH = 28, 5
_SEED = 0


@dataclass(frozen=True)
class Corpus:
    """Samples, and the sizes that a model needs for them.

    Attributes:
        dataset: the samples, with the inputs that the workload's model pulls.
        sizes: `vocab_size` or `input_size`, and `num_classes`.
        what: a description of the data.
    """

    dataset: Dataset
    sizes: Mapping[str, int]
    what: str


def treebank(directory: Path | None, samples: int) -> Corpus:
    """The training trees of SST, or `samples` random binary trees of its sizes and frequencies."""
    if directory is None:
        trees = _random_trees(samples, np.random.default_rng(_SEED))
        what = f"{samples:,} random binary trees"
    else:
        trees = data.load_sst(directory).train
        what = f"SST, training set, {len(trees):,} trees"
    vocabulary = data.tree_vocabulary(trees)
    sizes = {"vocab_size": len(vocabulary), "num_classes": 5}
    return Corpus(data.tree_dataset(trees, vocabulary), sizes, what)


def _random_trees(count: int, generator: np.random.Generator) -> list[LabelledTree]:
    """Binary trees with 19 leaves on average, words on the leaves, labels everywhere."""
    trees = []
    for _ in range(count):
        builder = TreeBuilder()
        size = int(np.clip(generator.normal(19.0, 9.0), 1, 50))
        words = generator.zipf(1.3, size) % 16000
        labels = iter(generator.integers(0, 5, 2 * size).tolist())
        spans = [builder.add(next(labels), f"w{word}") for word in words.tolist()]
        while len(spans) > 1:
            left = int(generator.integers(0, len(spans) - 1))
            spans[left : left + 2] = [builder.add(next(labels), None, spans[left : left + 2])]
        trees.append(builder.build())
    return trees


def complete_trees(leaves: int, samples: int) -> Corpus:
    """Complete binary trees: a word on each leaf, a label on each vertex, all drawn uniformly."""
    graph, vocabulary, classes = _complete_tree(leaves), 10_000, 5
    generator = np.random.default_rng(_SEED)
    words = np.full((samples, graph.num_vertices), -1, np.int32)
    words[:, :leaves] = generator.integers(0, vocabulary, (samples, leaves))
    labels = generator.integers(0, classes, words.shape).astype(np.int32)
    dataset = Dataset(
        [graph] * samples, vertex={"word": words.reshape(-1), "label": labels.reshape(-1)}
    )
    sizes = {"vocab_size": vocabulary, "num_classes": classes}
    return Corpus(dataset, sizes, f"{samples:,} complete binary trees of {leaves:,} leaves")


def _complete_tree(leaves: int) -> InputGraph:
    """A tree with its leaves first, then level after level; the last vertex of an odd level goes up
    unchanged."""
    children: list[list[int]] = [[] for _ in range(leaves)]
    level = list(range(leaves))
    while len(level) > 1:
        above = []
        for i in range(0, len(level) - 1, 2):
            above.append(len(children))
            children.append(level[i : i + 2])
        level = above + level[len(level) - len(level) % 2 :]
    return InputGraph(children=children)


def sentences(directory: Path | None, samples: int) -> Corpus:
    """The training sentences of PTB, or random ones of their lengths, for next-word prediction."""
    if directory is not None:
        corpus = data.load_ptb(directory)
        vocabulary = data.language_model_vocabulary(corpus.train)
        dataset = data.language_model_dataset(corpus.train, vocabulary)
        what = f"PTB, training set, {len(dataset):,} sentences"
        return Corpus(dataset, _language_sizes(len(vocabulary)), what)
    generator = np.random.default_rng(_SEED)
    lengths = np.clip(generator.normal(22.0, 10.0, samples), 2, 83).astype(np.int64)
    graphs = [chain_graph(length) for length in lengths.tolist()]
    what = f"{samples:,} random sentences of 22 words on average"
    return _language_model(graphs, _zipf_words(int(lengths.sum()) + 1, generator), what)


def text(directory: Path | None, samples: int) -> Corpus:
    """PTB's training text as one stream cut every FIXED_LENGTH words, or a random one."""
    if directory is None:
        words = _zipf_words(samples * FIXED_LENGTH + 1, np.random.default_rng(_SEED))
        what = "random words"
    else:
        train = data.load_ptb(directory).train
        vocabulary = data.language_model_vocabulary(train)
        words = vocabulary.encode(w for line in train for w in [*line, data.END_OF_SENTENCE])
        what = "PTB, training set"
    count = (len(words) - 1) // FIXED_LENGTH
    what = f"{what}, {count:,} pieces of {FIXED_LENGTH} words"
    return _language_model([chain_graph(FIXED_LENGTH)] * count, words, what)


def _language_sizes(words: int) -> dict[str, int]:
    return {"vocab_size": words, "num_classes": words}


def _language_model(graphs: Sequence[InputGraph], words: Array, what: str) -> Corpus:
    """The words one after another on the chains; the label of each is the next word."""
    rows = sum(graph.num_vertices for graph in graphs)
    vertex = {"word": words[:rows], "label": words[1 : rows + 1]}
    return Corpus(Dataset(graphs, vertex=vertex), _language_sizes(int(words.max()) + 1), what)


def _zipf_words(count: int, generator: np.random.Generator, words: int = 10_000) -> Array:
    drawn: Array = (generator.zipf(1.2, count) % words).astype(np.int32)
    return drawn


def tagged(directory: Path | None, samples: int) -> Corpus:
    """Tagged sentences, or random ones of their lengths."""
    if directory is not None:
        found = data.read_tagged(directory / "dev.txt")
        words = Vocabulary.from_tokens(word for sentence in found for word in sentence.words)
        tags = data.tag_vocabulary(found)
        sizes = {"vocab_size": len(words), "num_classes": len(tags)}
        what = f"WikiNER, {len(found):,} sentences"
        return Corpus(data.tagging_dataset(found, words, tags), sizes, what)
    generator = np.random.default_rng(_SEED)
    lengths = np.clip(generator.normal(23.0, 11.0, samples), 1, 100).astype(np.int64)
    graphs = [chain_graph(length) for length in lengths.tolist()]
    vertex = {
        "word": _zipf_words(int(lengths.sum()), generator, 8000),
        "label": generator.integers(0, 9, int(lengths.sum())).astype(np.int32),
    }
    what = f"{samples:,} random sentences of 23 words on average"
    return Corpus(Dataset(graphs, vertex=vertex), {"vocab_size": 8000, "num_classes": 9}, what)


def images(directory: Path | None, samples: int) -> Corpus:
    """Noisy images, 28 x 28: each place sees 5 x 5 pixels, of which a fifth are flipped.

    The label of a place is its pixel without noise. The images are those of MNIST, or random blobs.
    """
    count = min(samples, 512)
    generator = np.random.default_rng(_SEED)
    if directory is None:
        pixels, what = _blobs(count, generator), "random blobs"
    else:
        pixels, what = _read_mnist(directory, count), "binarised MNIST"
    noisy = pixels ^ (generator.random(pixels.shape) < 0.2)
    edge = PATCH // 2
    padded = np.pad(noisy, ((0, 0), (edge, edge), (edge, edge))).astype(np.float32)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), axis=(1, 2))
    vertex = {
        "x": np.ascontiguousarray(patches).reshape(-1, PATCH * PATCH),
        "label": pixels.reshape(-1).astype(np.int32),
    }
    sizes = {"input_size": PATCH * PATCH, "num_classes": 2}
    dataset = Dataset([data.grid_graph(SIDE, SIDE)] * count, vertex=vertex)
    return Corpus(dataset, sizes, f"{what}, {count:,} noisy images of {SIDE} x {SIDE}")


def _blobs(count: int, generator: np.random.Generator) -> Array:
    """bool [count, SIDE, SIDE]: the pixels near one of three points."""
    places = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1)
    centres = generator.uniform(4, SIDE - 4, (count, 3, 1, 1, 2))
    near: Array = (((places - centres) ** 2).sum(axis=-1) < 20).any(axis=1)
    return near


def _read_mnist(directory: Path, count: int) -> Array:
    """bool [count, SIDE, SIDE], from binarized_mnist.npz."""
    path = directory / "binarized_mnist.npz"
    try:
        with np.load(path) as arrays:
            packed = arrays["train"][:count]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"[data] {path}: expected the array 'train' of packed pixels, got {error}; check the "
            "path given as data"
        ) from None
    pixels: Array = np.unpackbits(packed, axis=1)[:, : SIDE * SIDE].astype(np.bool_)
    return pixels.reshape(-1, SIDE, SIDE)


def lattices(directory: Path | None, samples: int) -> Corpus:
    """The training lattices, or random ones: a chain of characters with words over it."""
    if directory is not None:
        corpus = data.load_lattices(directory)
        dataset = data.lattice_dataset(corpus.train)
        sizes = {
            "num_characters": corpus.num_characters,
            "num_words": corpus.num_words,
            "num_classes": corpus.num_tags,
        }
        return Corpus(dataset, sizes, f"word lattices, training set, {len(dataset):,} lattices")
    characters, words, tags = 3000, 10_000, 11
    generator = np.random.default_rng(_SEED)
    made = [_random_lattice(generator, characters, words, tags) for _ in range(samples)]
    sizes = {"num_characters": characters, "num_words": words, "num_classes": tags}
    dataset = data.lattice_dataset(made)
    return Corpus(dataset, sizes, f"{samples:,} random word lattices")


def _random_lattice(
    generator: np.random.Generator, characters: int, words: int, tags: int
) -> data.Lattice:
    """45 characters on average; a word of two to four of them ends at every second one."""
    length = 1 + int(np.clip(generator.normal(45.0, 25.0), 2, 250))
    children: list[list[int]] = [[]]
    for vertex in range(1, length):
        span = int(generator.integers(2, 5))
        has_word = vertex >= span and generator.random() < 0.5
        children.append([vertex - 1, vertex - span] if has_word else [vertex - 1])
    is_word = np.array([i > 0 for origins in children for i in range(len(origins))], np.bool_)
    limit = np.where(is_word, words, characters)
    ids = (generator.zipf(1.2, len(is_word)) % limit).astype(np.int32)
    drawn = generator.integers(0, tags, length).astype(np.int32)
    return data.Lattice(InputGraph(children=children), drawn, ids, is_word)


def choose_batches(dataset: Dataset, batch_size: int) -> list[Array]:
    """Numbers of the samples of each batch, drawn once: the same for every contender.

    Up to 256 batches and about 150,000 vertices, but at least one batch.
    """
    order = np.random.default_rng(1).permutation(len(dataset))
    mean = max(1.0, float(dataset.sizes.mean()))
    most = int(np.clip(150_000 / (mean * batch_size), 1, 256))
    count = max(1, min(most, len(order) // batch_size))
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(count)]
