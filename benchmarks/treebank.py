"""Labelled trees to measure on: a treebank, or random trees of its kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NUM_CLASSES = 5


def load_data(directory: str | None) -> tuple[Any, int, str]:
    """The training trees as a data set, the size of their vocabulary, and what they are."""
    from cavs.data import load_sst, tree_dataset, tree_vocabulary

    if directory is None:
        trees, name = random_trees(4096, np.random.default_rng(0)), "random binary trees"
    else:
        trees, name = load_sst(directory).train, "SST, training set"
    vocabulary = tree_vocabulary(trees)
    return tree_dataset(trees, vocabulary), len(vocabulary), name


def random_trees(count: int, generator: np.random.Generator) -> list[Any]:
    """Binary trees of the treebank's sizes (19 leaves on average) over words of its frequencies."""
    from cavs.data import TreeBuilder

    trees = []
    for _ in range(count):
        builder = TreeBuilder()
        size = int(np.clip(generator.normal(19.0, 9.0), 1, 50))
        words = generator.zipf(1.3, size) % 16000
        labels = iter(generator.integers(0, NUM_CLASSES, 2 * size).tolist())
        spans = [builder.add(next(labels), f"w{word}") for word in words.tolist()]
        while len(spans) > 1:
            left = int(generator.integers(0, len(spans) - 1))
            spans[left : left + 2] = [builder.add(next(labels), None, spans[left : left + 2])]
        trees.append(builder.build())
    return trees


def choose_batches(count: int, batch_size: int) -> list[Array]:
    """Sample numbers of the batches, the same for every contender: up to 4,096 trees, at random."""
    order = np.random.default_rng(1).permutation(count)[
        : max(batch_size, min(4096, 256 * batch_size))
    ]
    return [order[i : i + batch_size] for i in range(0, len(order) - batch_size + 1, batch_size)]
