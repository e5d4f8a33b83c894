"""Spans that the tags of a sequence spell, such as names in a sentence, and their F1.

Tags are numbers, and what they are called is not known: that 4 is ``B-PER`` and 5 ``M-PER``. The
training set says how they spell. Outside of spans stands the *outside* tag, most often the most
frequent one. A tag that stands behind it, or first in a sequence, anywhere in the training set
begins a span (``B-``, ``S-``); any other goes on with the span before it (``I-``, ``M-``, ``E-``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Tags = npt.NDArray[np.integer[Any]]
_Places = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Spelling:
    """How tags spell spans.

    Attributes:
        outside: the tag outside of spans; -1 for none.
        begins: bool [tags], whether a tag begins a span.
    """

    outside: int
    begins: _Places

    @classmethod
    def of(cls, sequences: Iterable[Tags], num_tags: int, outside: int | None = None) -> Spelling:
        """The spelling of the sequences of a training set.

        Args:
            sequences: the tags of each.
            num_tags: how many tags there are, 0 to `num_tags` - 1.
            outside: the tag outside of spans, -1 for none; None: the most frequent one.
        """
        tags, first = _together(sequences)
        if outside is None:
            outside = int(np.bincount(tags, minlength=1).argmax())
        behind = first.copy()
        behind[1:] |= tags[:-1] == outside
        begins = np.zeros(num_tags, np.bool_)
        begins[tags[behind]] = True
        begins[[outside] if outside >= 0 else []] = False
        return cls(outside, begins)

    def bounds(self, tags: Tags, first: _Places) -> tuple[_Places, _Places]:
        """Where spans begin, and where they end, both bool [places]; `first` is where sequences
        begin. A tag that begins no span does so where it has no span to go on with."""
        inside = tags != self.outside
        alone = first.copy()
        alone[1:] |= ~inside[:-1]
        begin = inside & (self.begins[tags] | alone)
        goes_on = np.zeros_like(begin)
        goes_on[:-1] = (inside & ~begin)[1:]
        return begin, inside & ~goes_on


@dataclass
class SpanCounts:
    """Spans that were counted: the right ones, the predicted ones, and those that there are."""

    right: int = 0
    predicted: int = 0
    gold: int = 0

    def add(self, spelling: Spelling, predicted: Tags, gold: Tags, first: _Places) -> None:
        """Counts those of some sequences. A span is right where it begins and ends where one does
        that there is, and all its tags are that one's."""
        begin, end = spelling.bounds(gold, first)
        other_begin, other_end = spelling.bounds(predicted, first)
        self.gold += int(begin.sum())
        self.predicted += int(other_begin.sum())
        begins, ends = np.flatnonzero(begin), np.flatnonzero(end)
        wrong = np.concatenate([[0], np.cumsum(predicted != gold)])
        same = wrong[ends + 1] == wrong[begins]
        self.right += int((same & other_begin[begins] & other_end[ends]).sum())

    @property
    def precision(self) -> float:
        """Of the predicted spans, the share that is right; 0 without any."""
        return self.right / max(self.predicted, 1)

    @property
    def recall(self) -> float:
        """Of the spans that there are, the share that was predicted; 0 without any."""
        return self.right / max(self.gold, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where nothing is right."""
        return 2 * self.right / max(self.predicted + self.gold, 1)


def _together(sequences: Iterable[Tags]) -> tuple[npt.NDArray[np.int64], _Places]:
    """All tags, and where sequences begin."""
    parts = [np.asarray(tags, np.int64) for tags in sequences]
    tags = np.concatenate([np.empty(0, np.int64), *parts])
    first = np.zeros(len(tags), np.bool_)
    first[np.cumsum([0, *map(len, parts)])[:-1][[len(part) > 0 for part in parts]]] = True
    return tags, first
