"""The objective of classifiers of images."""

from __future__ import annotations

from collections.abc import Mapping

import cavs
from cavs.training.metrics import Classification, evaluate
from cavs.training.objective import Batches, Judged, ShouldStop


class ImageClassification(Classification):
    """As `Classification`, of images, which are graphs of one vertex. ``error`` is the share that
    is classified wrongly, by which the best epoch is chosen."""

    best, greater = "error", False

    def evaluate(self, model: cavs.Model, batches: Batches, should_stop: ShouldStop) -> Judged:
        scores = evaluate(model, batches, should_stop=should_stop)
        if scores is None:
            return None
        return {"error": 1 - scores.root_accuracy, "loss": scores.loss, "images": scores.graphs}

    def describe(self, scores: Mapping[str, float]) -> str:
        return f"error {100 * scores['error']:5.2f} %  loss {scores['loss']:.4f}"
