"""Pairs of sentences for an encoder and a decoder, by teacher forcing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from cavs._arguments import instance
from cavs.data.chains import chain_graph
from cavs.data.dataset import Dataset
from cavs.data.pair_graphs import PairGraph, pair_graph
from cavs.data.ptb import END_OF_SENTENCE, check_sentences
from cavs.data.vocabulary import Vocabulary
from cavs.errors import InputError


def seq2seq_dataset(
    sources: Sequence[Sequence[str]],
    targets: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
) -> Dataset:
    """Sentences to read, and the sentence to write by each.

    A sample is a `pair_graph` of two chains, with types ``encoder`` and ``decoder``. For a source
    of n words the encoder has n + 1 vertices: they read the words, and `<eos>` behind them. For a
    target of m words the decoder has m + 1 vertices: they read `<eos>` and then the words, each as
    if it had been written before (teacher forcing), and write the words and then `<eos>`.

    Inputs: ``word``, int32 per vertex, what it reads; ``label``, int32 per vertex of the decoder,
    what it writes.

    Args:
        sources, targets: lists of words, as many of both.
        vocabulary: the words of both sides, with `<eos>`.

    Raises:
        InputError: there are not as many targets as sources, or these are no lists of words; or the
            vocabulary lacks `<eos>`, or a word and has no unknown one.
    """
    read, written = check_sentences(sources), check_sentences(targets)
    instance("data", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    if len(read) != len(written):
        raise InputError(
            f"[data] expected a target for each of {len(read)} sources, got {len(written)}; give "
            "as many of both"
        )
    if END_OF_SENTENCE not in vocabulary:
        raise InputError(f"[data] expected {END_OF_SENTENCE} in the vocabulary, got none; add it")
    end = [END_OF_SENTENCE]
    pairs = list(zip(read, written, strict=True))
    words = vocabulary.encode(x for a, b in pairs for part in (a, end, end, b) for x in part)
    labels = vocabulary.encode(x for _, b in pairs for part in (b, end) for x in part)
    graphs = [_graph(len(a) + 1, len(b) + 1) for a, b in pairs]
    vertex = {"word": words.astype(np.int32), "label": labels.astype(np.int32)}
    return Dataset(graphs, vertex=vertex, of={"label": "decoder"})


@lru_cache(maxsize=4096)
def _graph(encoder: int, decoder: int) -> PairGraph:
    """The pair of two chains; graphs are immutable, so equal sizes share one object."""
    return pair_graph(chain_graph(encoder), chain_graph(decoder))
