"""Parsing by shift and reduce: each decision opens the next vertex, for all sentences together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import cavs
from cavs.data import REDUCE, SHIFT, LabelledTree, Vocabulary, parsed_trees
from cavs.errors import InputError
from cavs.training.arrays import Array


class Buffers:
    """The words in front of the parser at each place of each sentence.

    Args:
        program: a compiled :class:`cavs.models.ShiftReduceParser`.
        words: (all words,) ids, one sentence after the other.
        lengths: (sentences,) number of words of each, at least 1.
        keys: (sentences,) the keys that random numbers are drawn by.
    """

    def __init__(self, program: cavs.Program, words: Array, lengths: Array, keys: Array) -> None:
        self._ends = np.cumsum(lengths)
        self._begins = self._ends - lengths
        ptr = np.concatenate([[0], self._ends])
        has_next = np.ones(len(words), np.int64)
        has_next[self._ends - 1] = 0
        place = np.arange(len(words)) - np.repeat(self._begins, lengths)
        to_the_end = cavs.GraphBatch.from_csr(
            ptr, np.concatenate([[0], np.cumsum(has_next)]), (place + 1)[has_next > 0], keys
        )
        self._states = program["buffer"](to_the_end, word=words.astype(np.int32))["h"]

    def fronts(self, sentence: Array, read: Array) -> cavs.Tensor:
        """The state of the words of each sentence that follow the first `read`, (rows,
        hidden_size); zeros where no word follows."""
        place = self._begins[sentence] + read
        some = place < self._ends[sentence]
        states = self._states[np.where(some, place, 0)]
        return states * some[:, None].astype(states.dtype)


def parse(
    program: cavs.Program, vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]
) -> list[LabelledTree]:
    """The binary tree of each sentence, by the likeliest action at each step.

    Raises:
        InputError: a sentence without words.
    """
    return [tree for tree, _ in parse_with_scores(program, vocabulary, sentences)]


def parse_with_scores(
    program: cavs.Program, vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]
) -> list[tuple[LabelledTree, float]]:
    """As `parse`, with the log probability of each tree: that of its actions, where a step that
    could not be another one has probability 1."""
    if not sentences:
        return []
    lengths = np.array([len(sentence) for sentence in sentences])
    if lengths.min() == 0:
        raise InputError(
            f"[parse] expected words, got none in sentence {lengths.argmin()}; leave it out"
        )
    count = len(sentences)
    ids = vocabulary.encode(word for sentence in sentences for word in sentence)
    # The vertices on each stack, the empty one included, how many, and the words shifted until now.
    stacks = np.zeros((count, lengths.max() + 2), np.int64)
    height, read = np.zeros(count, np.int64), np.zeros(count, np.int64)
    begins = np.cumsum(lengths) - lengths
    scores = np.zeros(count)

    with cavs.no_grad():
        buffers = Buffers(program, ids, lengths, np.arange(count))

        def inputs(graph: Array, word: Array) -> dict[str, Array]:
            front = buffers.fronts(graph, read[graph]).numpy()
            return {"word": word, "front": front}

        def act(frontier: cavs.Frontier) -> cavs.Growth:
            stacks[frontier.graph, height[frontier.graph]] = frontier.vertices
            height[frontier.graph] += 1
            can_shift = read[frontier.graph] < lengths[frontier.graph]
            can_reduce = height[frontier.graph] > 2
            chosen = np.where(can_shift, SHIFT, REDUCE)
            free = can_shift & can_reduce
            logits = np.asarray(frontier.outputs["logits"])[free].astype(np.float64)
            chosen[free] = logits.argmax(axis=-1)
            difference = logits.max(axis=-1) - logits.min(axis=-1)
            scores[frontier.graph[free]] -= np.log1p(np.exp(-difference))
            goes_on = can_shift | can_reduce
            graph, reduces = frontier.graph[goes_on], chosen[goes_on] == REDUCE
            height[graph[reduces]] -= 2
            below, top = stacks[graph, height[graph] - 1], height[graph]
            children = [
                [b, *stacks[g, t : t + 2]] if reduce else [b]
                for g, b, t, reduce in zip(graph, below, top, reduces, strict=True)
            ]
            reduced = [v for c in children if len(c) > 1 for v in c[1:]]
            word = np.where(reduces, -1, ids[np.where(reduces, 0, begins[graph] + read[graph])])
            read[graph[~reduces]] += 1
            return cavs.Growth(children, inputs(graph, word.astype(np.int32)), forget=reduced)

        everyone = np.arange(count)
        grown = cavs.unfold(
            program["stack"],
            cavs.Growth([[]] * count, inputs(everyone, np.full(count, -1, np.int32)), everyone),
            act,
            num_graphs=count,
            outputs=["logits"],
            keep=(),
            max_levels=2 * int(lengths.max()),
            max_vertices=2 * int(lengths.max()),
        )
    trees = parsed_trees(grown.graphs, sentences)
    return list(zip(trees, scores.tolist(), strict=True))
