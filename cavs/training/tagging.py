"""Tagging: the data as models read them, the scores, and the tags of sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    Loader,
    TaggedSentence,
    Vocabulary,
    name_f1,
    name_spans,
    tagger_dataset,
)
from cavs.errors import DataError
from cavs.training._fields import shown
from cavs.training.metrics import finite_total, judging, placed, predictions, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop

#: The input that says of each word whether training did not see it; models do not pull it.
UNSEEN = "unseen"
#: The types that read characters.
READERS = ("char_before", "char_after")


class Tagging(Objective):
    """The loss is the sum of -log p over the words of a sentence. Epochs are judged by the F1 of
    names, or where no tag marks a name, as of parts of speech, by the share of right tags."""

    pushed: str | None = "loss"
    greater = True

    def __init__(self, tags: Vocabulary) -> None:
        self._tags = tags
        self._names = any(name_spans([tag]) for tag in tags)
        self.best = "f1" if self._names else "accuracy"

    def loss(self, model: cavs.Model, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, **inputs)
        return out["loss"].sum(), total(out["loss"])

    def evaluate(self, model: cavs.Model, batches: Batches, should_stop: ShouldStop) -> Judged:
        """See `Objective`. ``unseen_accuracy`` is of the words whose input `UNSEEN` is 1; 0 where
        there are none."""
        words = unseen = right = right_unseen = graphs = 0
        loss = 0.0
        found: list[list[str]] = []
        gold: list[list[str]] = []
        with judging(model):
            for number, (batch, given) in enumerate(batches):
                if should_stop():
                    return None
                inputs = {name: rows for name, rows in given.items() if name != UNSEEN}
                with placed(f"[evaluate] in batch {number}"):
                    out = model(batch, outputs=["logits", "loss"], **inputs)
                    loss += finite_total(out["loss"], "loss")
                labels, is_unseen = given["label"], given[UNSEEN] == 1
                tags = predictions(out["logits"])
                is_right = tags == labels
                words += len(labels)
                right += int(is_right.sum())
                unseen += int(is_unseen.sum())
                right_unseen += int((is_right & is_unseen).sum())
                graphs += batch.num_graphs
                if self._names:
                    found += tags_of(batch, tags, self._tags)
                    gold += tags_of(batch, labels, self._tags)
        scores = {
            "accuracy": right / max(words, 1),
            "unseen_accuracy": right_unseen / max(unseen, 1),
            "loss": loss / max(graphs, 1),
            "sentences": graphs,
            "words": words,
            "unseen_words": unseen,
        }
        return {"f1": name_f1(found, gold), **scores} if self._names else scores

    def describe(self, scores: Mapping[str, float]) -> str:
        names = f"F1 {100 * scores['f1']:5.2f} %  " if self._names else ""
        return (
            f"{names}words {100 * scores['accuracy']:5.2f} %  "
            f"unseen words {100 * scores['unseen_accuracy']:5.2f} %"
        )


def tags_of(batch: cavs.GraphBatch, ids: Any, tags: Vocabulary) -> list[list[str]]:
    """The tags of each sentence from the ids of all words."""
    names = np.array(tags.tokens, object)
    return [names[own].tolist() for own in cavs.unbatch(batch, ids, of="tag")]


def words_of(sentences: Sequence[TaggedSentence]) -> list[str]:
    """All words, one sentence after the other."""
    return [word for sentence in sentences for word in sentence.words]


def model_dataset(
    sentences: Sequence[TaggedSentence], words: Vocabulary, vocabularies: Mapping[str, Vocabulary]
) -> Dataset:
    """Sentences as the model reads them."""
    return tagger_dataset(sentences, words, vocabularies["tags"], vocabularies.get("characters"))


def judged_batches(
    sentences: Sequence[TaggedSentence],
    words: Vocabulary,
    vocabularies: Mapping[str, Vocabulary],
    what: str,
    batch_size: int,
) -> Loader:
    """Batches to judge a model by, with the input `UNSEEN`; `what` names the sentences in errors.

    Raises:
        DataError: a tag that the model does not know.
    """
    tags, seen = vocabularies["tags"], vocabularies["training words"]
    for number, sentence in enumerate(sentences, 1):
        strange = next((tag for tag in sentence.tags if tag not in tags), None)
        if strange is not None:
            raise DataError(
                f"[data] {what}: expected tags among {', '.join(tags.tokens[:20])}, as in the "
                f"model's training, got {shown(strange)} in sentence {number}; name data of these "
                "tags"
            )
    dataset = model_dataset(sentences, words, vocabularies)
    unseen = np.array([word not in seen for word in words_of(sentences)], np.int32)
    inputs = {name: dataset.flat(name) for name in dataset.names}
    of = {"word": "word", "label": "tag", "character": list(READERS), UNSEEN: "tag"}
    return Loader(
        Dataset(
            dataset.graphs,
            vertex={**inputs, UNSEEN: unseen},
            of={name: types for name, types in of.items() if name in inputs or name == UNSEEN},
        ),
        batch_size,
        cache=True,
    )


def tag_sentences(
    model: cavs.Model,
    sentences: Sequence[Sequence[str]],
    words: Vocabulary,
    vocabularies: Mapping[str, Vocabulary],
) -> list[tuple[list[str], list[dict[str, float]]]]:
    """Of each sentence the tags, and of each word the probability of every tag."""
    if not sentences:
        return []
    tags = vocabularies["tags"]
    plain = [TaggedSentence(tuple(own), (None,) * len(own)) for own in sentences]
    batch, inputs = model_dataset(plain, words, vocabularies).batch(np.arange(len(plain)))
    with cavs.no_grad():
        logits = model(batch, outputs=["logits"], **inputs)["logits"]
    shares = cavs.unbatch(batch, cavs.ops.softmax(logits).numpy(), of="tag")
    found = tags_of(batch, predictions(logits), tags)
    named = [[dict(zip(tags, row, strict=True)) for row in own.tolist()] for own in shares]
    return list(zip(found, named, strict=True))
