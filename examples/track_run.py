"""Sends a training run to an experiment tracker: each epoch's scores, as JSON over HTTP.

    python examples/track_run.py http://localhost:8000/runs/1

The tracker is whatever listens there. For one with a library of its own, such as MLflow or Weights
& Biases, call that library in `send`: ``wandb.log(values, step=step)``.
"""

import argparse
import json
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cavs.training import Observer, Progress, TrainingRun, make_task


class Tracker:
    """An `Observer`: training calls its methods. It passes each call on, so that the progress is
    still shown, and never stops a run because the tracker cannot be reached."""

    def __init__(self, url: str, observer: Observer, every: int = 100) -> None:
        """`every`: after how many steps the loss is sent."""
        self._url = url
        self._observer = observer
        self._every = every
        self._step = 0

    def send(self, step: int, values: Mapping[str, Any]) -> None:
        """Sends named numbers of a step."""
        body = json.dumps({"step": step, **values}).encode()
        request = urllib.request.Request(
            self._url, body, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            urllib.request.urlopen(request, timeout=5).close()
        except OSError as error:
            print(f"step {step} was not tracked: {error}", file=sys.stderr)

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        """Epoch `epoch` begins, or goes on after `done` of its `graphs` graphs."""
        self._observer.epoch_begins(epoch, done, graphs)

    def step_done(self, graphs: int, loss: float) -> None:
        """A batch is done; `loss` is the epoch's so far, for each graph."""
        self._step += 1
        if self._step % self._every == 0:
            self.send(self._step, {"train/loss": loss})
        self._observer.step_done(graphs, loss)

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        """An epoch is done; `record` is its row in metrics.json."""
        scores = {f"dev/{name}": score for name, score in record["dev"].items()}
        self.send(self._step, {"epoch": record["epoch"], "epoch/loss": record["loss"], **scores})
        self._observer.epoch_ends(record, improved)


def main() -> None:
    """Trains a small Tree-LSTM on generated expressions, and tracks it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url", help="where the tracker listens")
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="the run's folder (default: a temporary one)")
    options = parser.parse_args()
    given = {"num_train": options.trees, "max_depth": 3, "epochs": options.epochs}
    task, config = make_task("tree-lstm", given)
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun.start(options.output or Path(folder) / "run", task, config)
        progress = Progress(unit=task.unit, describe=task.objective.describe)
        run.fit(Tracker(options.url, progress, every=10))


if __name__ == "__main__":
    main()
