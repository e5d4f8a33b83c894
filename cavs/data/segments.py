"""Segments of text, for models with layers of attention (:class:`cavs.models.TransformerXL`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np

from cavs._arguments import integer
from cavs.data.dataset import Dataset
from cavs.data.ptb import cut_text
from cavs.data.vocabulary import Vocabulary
from cavs.scheduler import InputGraph


def segment_graph(length: int, memory: int, num_layers: int) -> InputGraph:
    """A segment of `length` words with `memory` remembered outputs of each layer below another.

    For each n from 0 to `num_layers` - 1 there are `memory` vertices of type ``memoryn``, the
    oldest first, and behind them the words: of type ``word`` for n = 0, else ``layern``. Vertices
    of ``layerN``, N = `num_layers`, are the last. The children of word i in layer n are the
    vertices of ``memory(n-1)`` and the words 0..i of layer n - 1, in this order; so the last child
    is the word itself in the layer below. Graphs are immutable, so equal ones share one object.

    Raises:
        InputError: a number is no integer, `length` or `num_layers` below 1 or `memory` below 0.
    """
    return _segment(
        integer("data", "length", length, 1),
        integer("data", "memory", memory, 0),
        integer("data", "num_layers", num_layers, 1),
    )


@lru_cache(maxsize=64)
def _segment(length: int, memory: int, num_layers: int) -> InputGraph:
    types: list[str] = []
    for n in range(num_layers):
        types += [f"memory{n}"] * memory + [f"layer{n}" if n else "word"] * length
    types += [f"layer{num_layers}"] * length
    block = memory + length
    counts = np.zeros(len(types), np.int64)
    firsts = np.zeros(len(types), np.int64)
    for n in range(1, num_layers + 1):
        first = n * block + (memory if n < num_layers else 0)
        counts[first : first + length] = memory + 1 + np.arange(length)
        firsts[first : first + length] = (n - 1) * block
    return InputGraph.windows(firsts, counts, types=types)


def segments_dataset(
    sentences: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    streams: int,
    length: int,
    memory: int,
    num_layers: int,
) -> Dataset:
    """Text without breaks as segments of `length` words, cut and ordered as by
    :func:`running_text_dataset`: batches of `streams` samples go on where the batch before ended.

    Graphs are those of :func:`segment_graph`. They remember up to `memory` words of the segments
    before, the first ones of a stream none. What is remembered is no part of the data set: a model
    makes it (:meth:`cavs.models.TransformerXL.next_memory`).

    Inputs of words: ``word`` and, of the last layer, ``label``, the next word, int32. Inputs of
    graphs: ``goes_on``, float32, 0 for the first segment of a stream.

    Raises:
        InputError: a number is no integer or too small; DataError: too little text.
    """
    memory = integer("data", "memory", memory, 0)
    num_layers = integer("data", "num_layers", num_layers, 1)
    text = cut_text(sentences, vocabulary, streams, length)
    before = [min(seen, memory) for seen in accumulate(text.sizes, initial=0)]
    graphs = [
        segment_graph(size, rows, num_layers)
        for size, rows in zip(text.sizes, before, strict=False)
        for _ in range(streams)
    ]
    return Dataset(
        graphs,
        vertex={"word": text.words, "label": text.labels},
        graph={"goes_on": text.goes_on},
        of={"word": "word", "label": f"layer{num_layers}"},
    )
