"""Samples from a language model of segments that remember those before."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs._arguments import instance, integer
from cavs.data import END_OF_SENTENCE, Vocabulary, segment_graph
from cavs.errors import InputError
from cavs.training.sampling import Draw, as_it_is, check_temperature


def sample_segments(
    function: cavs.VertexFunction,
    vocabulary: Vocabulary,
    count: int,
    *,
    memory: int = 64,
    temperature: float = 1.0,
    max_words: int = 80,
    seed: int | None = None,
) -> list[list[str]]:
    """Sentences of a :class:`cavs.models.TransformerXL`, each from the beginning to ``<eos>``,
    which is left out, or to `max_words`.

    All sentences grow together, word by word: a segment of one word, and up to `memory` words
    before it, fewer than the function's `context`. Words are drawn as in
    :func:`cavs.training.sample_text`.

    Raises:
        InputError: a temperature that is not above 0, a number out of range, or a function that
            makes no memory.
    """
    check_temperature(temperature)
    instance("sample", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    count, memory = integer("sample", "count", count, 0), integer("sample", "memory", memory, 0)
    integer("sample", "max_words", max_words, 1)
    next_memory: Any = getattr(function, "next_memory", None)
    if not isinstance(function, cavs.TypedFunction) or next_memory is None:
        raise InputError(
            "[sample] expected a language model of segments, which makes its next memory, got a "
            f"{type(function).__name__}; pass a TransformerXL"
        )
    layers = sum(name.startswith("memory") for name in function.functions())
    model = cavs.compile(
        function, outputs=["logits", "memory"], seed=seed, **as_it_is(function)
    ).eval()
    draw = Draw(vocabulary, temperature, cavs.Generator(seed))
    (end,) = vocabulary.encode([END_OF_SENTENCE]).tolist()
    word = np.full(count, end, np.int32)
    rows: Any = np.zeros((0, *model.inputs["memory"].shape), model.dtype)
    written = np.zeros((count, 0), np.int32)
    while written.shape[1] < max_words and not (written == end).any(axis=1).all():
        seen = min(written.shape[1], memory)
        graphs = cavs.batch([segment_graph(1, seen, layers)] * count)
        out = model(graphs, word=word, memory=rows)
        word = draw(out["logits"].numpy(), np.arange(count)).astype(np.int32)
        rows = next_memory(rows, out["memory"], count, memory)
        written = np.concatenate([written, word[:, None]], axis=1)
    ended = [[*np.flatnonzero(row == end), len(row)][0] for row in written]
    return [
        [str(word) for word in vocabulary.decode(row[:length])]
        for row, length in zip(written, ended, strict=True)
    ]
