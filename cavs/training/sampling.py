"""Samples of what generative models learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import cavs
from cavs.data import END_OF_SENTENCE, Vocabulary
from cavs.errors import InputError
from cavs.models import VAE, LSTMLanguageModel, SBNDream, SigmoidBeliefNetwork, VAESampler

Array = npt.NDArray[Any]


def sample_images(function: VAE | SigmoidBeliefNetwork, count: int, seed: int = 0) -> Array:
    """Probabilities of the pixels of `count` images, (count, image_size)."""
    sampler = VAESampler(function) if isinstance(function, VAE) else SBNDream(function)
    model = cavs.compile(sampler, outputs=["mean"], seed=seed).eval()
    mean: Array = model(cavs.batch([cavs.InputGraph([[]])] * count))["mean"].data
    return mean


def sample_text(
    function: LSTMLanguageModel,
    vocabulary: Vocabulary,
    count: int,
    *,
    temperature: float = 1.0,
    max_words: int = 80,
    seed: int = 0,
) -> list[list[str]]:
    """Sentences, each from the beginning to ``<eos>``, which is left out, or to `max_words`.

    A sentence is a chain that grows: each word opens the vertex of the next one. Words are drawn
    from softmax(logits / temperature), never ``<unk>``, by the sentence's number: the first ones
    are the same however many are asked for.

    Raises:
        InputError: a temperature that is not above 0.
    """
    if not temperature > 0:
        raise InputError(f"[sample] a temperature > 0 was expected, came ({temperature})")
    model = cavs.compile(function, outputs=["logits"], seed=seed).eval()
    generator = cavs.Generator(seed)
    end = int(vocabulary.encode([END_OF_SENTENCE])[0])

    def next_words(frontier: cavs.Frontier) -> cavs.Growth | None:
        if frontier.level == max_words:
            return None
        logits = frontier.outputs["logits"] * (1.0 / temperature)
        if vocabulary.unknown is not None:
            logits[:, int(vocabulary.encode([vocabulary.unknown])[0])] = -np.inf
        word = _draw(logits, generator.uniform((len(logits), 1), "float64", frontier.graph).data)
        goes_on = word != end
        return cavs.Growth(frontier.vertices[goes_on], _vertices(word[goes_on], first=0.0))

    state = np.zeros((count, function.state_size), np.float32)
    roots = cavs.Growth(
        [[]] * count, _vertices(np.full(count, end, np.int32), first=1.0), np.arange(count)
    )
    grown = cavs.unfold(
        model,
        roots,
        next_words,
        num_graphs=count,
        graph_inputs={"state": state},
        max_levels=max_words + 1,
    )
    words = cavs.unbatch(grown.graphs, grown.inputs["word"])
    return [[str(word) for word in vocabulary.decode(sentence[1:])] for sentence in words]


def _draw(logits: Array, uniform: Array) -> Array:
    """A class of each row (rows, classes), by a number in [0, 1) of its own (rows, 1)."""
    p = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    total = p.cumsum(axis=-1)
    drawn: Array = (total <= uniform * total[:, -1:]).sum(axis=-1)
    return drawn


def _vertices(word: Array, first: float) -> dict[str, Array]:
    return {"word": word.astype(np.int32), "first": np.full(len(word), first, np.float32)}
