"""cavs over padded chains: what padding costs with the same kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import cavs
from cavs.bench.contenders import Weights
from cavs.bench.corpora import Array
from cavs.bench.workloads import Subject
from cavs.data import Dataset

#: Takes the lengths of a minibatch's samples; gives the steps that all of them are padded to.
Length = Callable[[Array], int]
WORD, PADDING = "word", "padding"


class Padding(cavs.VertexFunction):
    """A vertex behind a sample's end: hands the states on, and computes nothing."""

    def __init__(self, hidden_size: int) -> None:
        self.hidden_size = hidden_size

    def forward(self, v: cavs.Vertex) -> None:
        before = v.gather(0, h=self.hidden_size, c=self.hidden_size)
        v.scatter(h=before.h, c=before.c)


class PaddedChains:
    """Chains of a data set, padded in each minibatch anew; takes the part of a `Dataset`.

    Args:
        dataset: of chains, each vertex after its child, with inputs by vertex.
        lengths: what the chains of a minibatch are padded to.
        types: padding is vertices of a type of its own, without inputs; else of vertices whose
            word and label are -1, at which the cell runs.

    Attributes:
        sizes: int64 [samples]: words of each.
    """

    def __init__(self, dataset: Dataset, lengths: Length, types: bool) -> None:
        graphs, self._inputs = dataset.batch(np.arange(len(dataset)))
        self._ptr = np.asarray(graphs.ptr, np.int64)
        self.sizes = np.diff(self._ptr)
        self._lengths, self._types = lengths, types

    def __len__(self) -> int:
        return len(self.sizes)

    def batch(self, indices: Array) -> tuple[cavs.GraphBatch, dict[str, Array]]:
        """The minibatch of these samples."""
        sizes = self.sizes[indices]
        steps, count, words = self._lengths(sizes), len(sizes), int(sizes.sum())
        step = np.arange(words) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = np.repeat(self._ptr[indices], sizes) + step
        inputs = {name: values[rows] for name, values in self._inputs.items()}
        position = np.tile(np.arange(steps), count)
        child_ptr = np.concatenate([[0], np.cumsum(position > 0)])
        types = None
        if self._types:
            types = (position >= np.repeat(sizes, steps)).astype(np.int64)
        else:
            places = np.repeat(np.arange(count) * steps, sizes) + step
            inputs = {name: _spread(x, places, count * steps) for name, x in inputs.items()}
        graphs = cavs.GraphBatch.from_csr(
            np.arange(count + 1) * steps, child_ptr, position[position > 0] - 1, types=types
        )
        return graphs, inputs


def _spread(values: Array, places: Array, count: int) -> Array:
    """`values` at `places`, -1 elsewhere."""
    found = np.full(count, -1, values.dtype)
    found[places] = values
    return found


class PaddedWeights(Weights):
    """The same parameters and optimiser over padded chains."""

    def __init__(self, weights: Weights, lengths: Length, types: bool) -> None:
        vars(self).update(vars(weights))
        self._types = types
        chains: Any = PaddedChains(weights.corpus.dataset, lengths, types)
        self.corpus = replace(weights.corpus, dataset=chains)

    def subject(self, function: Any, passes: Sequence[str] | None, *options: Any) -> Subject:
        if self._types:
            padding = Padding(function.hidden_size)
            function = cavs.TypedFunction({WORD: function, PADDING: padding})
        return super().subject(function, passes, *options)
