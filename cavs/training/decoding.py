"""Decoding of an encoder and decoder: greedy, or by beam search, for all sentences together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import cavs
from cavs._arguments import instance, integer
from cavs.data import END_OF_SENTENCE, Vocabulary
from cavs.data.ptb import check_sentences
from cavs.errors import InputError
from cavs.training.arrays import Array


class Written(NamedTuple):
    """A sentence that was written.

    Attributes:
        words: its words, without `<eos>`.
        log_probability: natural logarithm of its probability, `<eos>` included.
        ended: whether it ended with `<eos>`, and not at the most words.
    """

    words: list[str]
    log_probability: float
    ended: bool


class _Hypothesis(NamedTuple):
    """The beginning of a sentence.

    Attributes:
        score: its log-probability.
        ids: its words.
        before: the place among the live ones of the hypothesis that it goes on from.
    """

    score: float
    ids: tuple[int, ...]
    before: int = 0


def write_sentences(
    model: cavs.Model,
    vocabulary: Vocabulary,
    sentences: Sequence[Sequence[str]],
    *,
    beam: int = 1,
    max_words: int | None = None,
) -> list[list[Written]]:
    """What a :class:`cavs.models.Seq2Seq` writes by each sentence: the `beam` best found, best
    first.

    The graphs grow (:func:`cavs.unfold`) as :func:`cavs.data.seq2seq_dataset` makes them. After
    each word the `beam` likeliest hypotheses of a sentence are kept, ended ones among them, until
    all of these have ended; with 1 that is greedy decoding. Scores are log-probabilities, which are
    not divided by lengths. What is not gathered from any more is forgotten, so the memory of states
    is that of the encoders and of the hypotheses that live, however long they get.

    Args:
        model: the compiled function, which pushes ``logits``.
        vocabulary: the words of both sides.
        sentences: lists of words.
        beam: how many hypotheses are kept.
        max_words: the most words of an output, `<eos>` counted; None: ten more than twice as many
            as the sentence has.

    Raises:
        InputError: no model, no sentences, a word or `<eos>` that the vocabulary lacks, or a number
            below 1; GraphError: the model is none of the types ``encoder`` and ``decoder``.
    """
    instance("decode", "model", model, cavs.Model, "a compiled cavs.Model")
    instance("decode", "vocabulary", vocabulary, Vocabulary, "a Vocabulary")
    integer("decode", "beam", beam, 1)
    if max_words is not None:
        integer("decode", "max_words", max_words, 1)
    sources = check_sentences(sentences)
    if END_OF_SENTENCE not in vocabulary:
        raise InputError(
            f"[decode] expected {END_OF_SENTENCE} in the vocabulary, got none; pass that of the "
            "model"
        )
    search = _Search(vocabulary, sources, beam, max_words)
    if sources:
        cavs.unfold(
            model,
            search.roots(),
            search,
            num_graphs=len(sources),
            outputs=["logits"],
            keep=(),
            max_levels=max(map(len, search.sources)) + max(search.most) + 1,
            max_vertices=max(map(len, search.sources)) + beam * max(search.most),
        )
    return search.results()


class _Vertex(NamedTuple):
    """A vertex to open."""

    graph: int
    type: str
    children: list[int]
    word: int


class _Search:
    """Beam search: says which vertices come next.

    Attributes:
        sources: the words that each encoder reads, `<eos>` behind them.
        most: the most words of each output, `<eos>` counted.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        sentences: Sequence[Sequence[str]],
        beam: int,
        max_words: int | None,
    ) -> None:
        (self._end,) = vocabulary.encode([END_OF_SENTENCE]).tolist()
        self._vocabulary, self._beam = vocabulary, beam
        self.sources = [vocabulary.encode([*x, END_OF_SENTENCE]).tolist() for x in sentences]
        self.most = [max_words or 2 * len(x) + 10 for x in sentences]
        self._read: list[list[int]] = [[] for _ in sentences]  # vertices of the encoders
        self._kept = [[_Hypothesis(0.0, ())] for _ in sentences]

    def roots(self) -> cavs.Growth:
        """The first vertices: each encoder reads its first word."""
        new = [_Vertex(g, "encoder", [], ids[0]) for g, ids in enumerate(self.sources)]
        return _growth(new, ())

    def __call__(self, frontier: cavs.Frontier) -> cavs.Growth:
        reading, writing = frontier.rows("encoder"), frontier.rows("decoder")
        read = zip(frontier.graph[reading], frontier.vertices[reading], strict=True)
        new = [self._after_reading(int(graph), int(vertex)) for graph, vertex in read]
        ids, scores = _likeliest(frontier.outputs["logits"], self._beam)
        graph, vertices = frontier.graph[writing], frontier.vertices[writing]
        graphs, first = np.unique(graph, return_index=True)
        last = np.searchsorted(graph, graphs, side="right")
        over = vertices.tolist()  # hypotheses go on from new vertices, or are dead ends
        for g, a, b in zip(graphs.tolist(), first, last, strict=True):
            found = self._after_writing(g, vertices[a:b].tolist(), ids[a:b], scores[a:b])
            over += () if found else self._read[g]
            new += found
        new.sort(key=lambda vertex: vertex.graph)  # a graph's stand together
        return _growth(new, over)

    def _after_reading(self, graph: int, vertex: int) -> _Vertex:
        """What follows a vertex of an encoder: the next word, or the first vertex that writes."""
        source, read = self.sources[graph], self._read[graph]
        read.append(vertex)
        if len(read) < len(source):
            return _Vertex(graph, "encoder", [vertex], source[len(read)])
        return _Vertex(graph, "decoder", [-1, *read], self._end)

    def _after_writing(
        self, graph: int, vertices: list[int], ids: Array, scores: Array
    ) -> list[_Vertex]:
        """What follows the live hypotheses of a sentence, whose last vertices these are; `ids` and
        `scores`: (vertices, beam), the likeliest words after each."""
        live = [x for x in self._kept[graph] if not self._is_over(graph, x)]
        found = [x for x in self._kept[graph] if self._is_over(graph, x)]
        for row, before in enumerate(live):
            for word, score in zip(ids[row].tolist(), scores[row].tolist(), strict=True):
                found.append(_Hypothesis(before.score + score, (*before.ids, word), row))
        self._kept[graph] = kept = sorted(found, key=lambda x: -x.score)[: self._beam]
        return [
            _Vertex(graph, "decoder", [vertices[x.before], *self._read[graph]], x.ids[-1])
            for x in kept
            if not self._is_over(graph, x)
        ]

    def _is_over(self, graph: int, found: _Hypothesis) -> bool:
        return found.ids[-1:] == (self._end,) or len(found.ids) == self.most[graph]

    def results(self) -> list[list[Written]]:
        """What was kept of each sentence, best first."""
        return [[self._written(x) for x in kept] for kept in self._kept]

    def _written(self, found: _Hypothesis) -> Written:
        ended = found.ids[-1:] == (self._end,)
        words = self._vocabulary.decode(found.ids[:-1] if ended else found.ids)
        return Written([str(word) for word in words], found.score, ended)


def _growth(new: Sequence[_Vertex], over: Sequence[int]) -> cavs.Growth:
    return cavs.Growth(
        [vertex.children for vertex in new],
        {"word": np.array([vertex.word for vertex in new], np.int32)},
        np.array([vertex.graph for vertex in new], np.int64),
        types=[vertex.type for vertex in new],
        forget=over,
    )


def _likeliest(logits: Array, count: int) -> tuple[Array, Array]:
    """(rows, count) the words of the greatest logits, best first, of equal ones the first, and the
    logarithms of their probabilities."""
    count = min(count, logits.shape[1])
    top = logits.max(axis=1, keepdims=True, initial=-np.inf)
    total = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1, dtype=np.float64))
    if count == 1:
        ids = logits.argmax(axis=1)[:, np.newaxis]
    else:
        ids = np.sort(np.argpartition(-logits, count - 1, axis=1)[:, :count], axis=1)
        order = np.argsort(-np.take_along_axis(logits, ids, 1), axis=1, kind="stable")
        ids = np.take_along_axis(ids, order, 1)
    return ids, np.take_along_axis(logits, ids, 1) - total[:, np.newaxis]
