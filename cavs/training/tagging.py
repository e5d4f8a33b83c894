"""The scores of taggers: of all words, of words that training did not see, and of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import cavs
from cavs.data import Vocabulary, name_f1, name_spans
from cavs.training.metrics import finite_total, judging, placed, predictions, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop

#: The input that says of each word whether training did not see it; models do not pull it.
UNSEEN = "unseen"


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
