"""Models that ``cavs draw`` makes beside the classifiers, whose arguments have other names."""

from __future__ import annotations

from collections.abc import Callable

import cavs
from cavs.models import CharacterTagger, Seq2Seq

NUM_CLASSES, NUM_WORDS = 5, 100  # a picture does not show them

#: From the sizes of embeddings and of states.
OTHERS: dict[str, Callable[[int, int], cavs.VertexFunction]] = {
    "tagger": lambda e, h: CharacterTagger(NUM_WORDS, 30, e, 30, 50, h, NUM_CLASSES),
    "seq2seq": lambda e, h: Seq2Seq(NUM_WORDS, e, h),
}
