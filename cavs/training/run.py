"""A run of training in a directory: its checkpoints, its metrics, and going on with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cavs
from cavs.data import Loader, TreeCorpus, Vocabulary, tree_dataset
from cavs.errors import CheckpointError
from cavs.training.checkpoint import Arrays, Checkpoint, save_checkpoint, write_atomically
from cavs.training.config import TrainingConfig
from cavs.training.metrics import Scores, evaluate
from cavs.training.tasks import TreeSource, check_arity, load_model, make_function, most_children
from cavs.training.trainer import EVALUATION_BATCH_SIZE, Observer, Trainer

LAST, BEST, METRICS = "last.safetensors", "best.safetensors", "metrics.json"


class TrainingRun:
    """Training of a tree classifier, with all that is kept of it.

    The directory holds ``last.safetensors``, from which the run can go on, ``best.safetensors``,
    the parameters that were best on dev, and ``metrics.json``.

    Attributes:
        directory: where these are.
        source: where the trees come from.
        splits: the trees, by ``train``, ``dev`` and ``test``.
        trainer: the loop.
        model: what is trained.
        test: scores of the best parameters on the test set, once finished.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        source: TreeSource,
        corpus: TreeCorpus,
        vocabulary: Vocabulary,
        arguments: Mapping[str, Any],
        model: cavs.Model,
        config: TrainingConfig,
    ) -> None:
        self.directory = directory
        self.model = model
        self.test: Scores | None = None
        self._name = name
        self.source = source
        self.splits = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
        self._vocabulary = vocabulary
        self._arguments = dict(arguments)
        for split, trees in self.splits.items():
            check_arity(model.function, trees, f"the {split} set")
        self.trainer = Trainer(
            model,
            tree_dataset(corpus.train, vocabulary, labels=config.labels),
            tree_dataset(corpus.dev, vocabulary),
            config,
        )

    @classmethod
    def start(
        cls,
        directory: Path,
        name: str,
        source: TreeSource,
        config: TrainingConfig,
        *,
        min_count: int = 1,
        embedding_std: float | None = None,
        **sizes: Any,
    ) -> TrainingRun:
        """A new run of model `name`.

        Args:
            directory: where to keep it; made when something is saved.
            name: of the model, one of `TREE_MODELS`.
            source: of the trees.
            config: how to train.
            min_count: words that occur fewer times read as unknown.
            embedding_std: standard deviation of the initial embedding; None: the layer's own.
            sizes: ``embedding_size``, ``hidden_size`` and ``dropout`` of the model.
        """
        corpus = source.load()
        vocabulary = source.vocabulary(corpus, min_count)
        arguments = {
            "vocab_size": len(vocabulary),
            "num_classes": corpus.num_classes,
            **sizes,
        }
        if name == "nary-tree-lstm":
            arguments["arity"] = max(1, most_children(corpus.train))
        cavs.nn.init.manual_seed(config.seed)
        function = make_function(name, arguments)
        if embedding_std is not None:
            embedding: Any = function
            cavs.nn.init.normal_(embedding.embedding.weight, std=embedding_std)
        model = cavs.compile(function, seed=config.seed)
        return cls(directory, name, source, corpus, vocabulary, arguments, model, config)

    @classmethod
    def resume(
        cls, path: Path, checkpoint: Checkpoint, config: TrainingConfig, directory: Path
    ) -> TrainingRun:
        """Goes on from the checkpoint of `path`, with the settings `config`.

        Raises:
            CheckpointError: it holds no training state, or one that does not fit model or data.
        """
        state = checkpoint.training
        if "source" not in state or "progress" not in state:
            raise CheckpointError(
                f"[checkpoint] {path}: a checkpoint to go on from was expected, came one of "
                f"parameters only; take {LAST} of the run"
            )
        source = TreeSource(**state["source"])
        corpus = source.load()
        model = load_model(path, checkpoint, checkpoint.parameters, config.seed)
        run = cls(
            directory,
            checkpoint.model,
            source,
            corpus,
            checkpoint.vocabulary,
            checkpoint.config,
            model,
            config,
        )
        run.trainer.restore(path, checkpoint)
        return run

    def fit(
        self, observer: Observer | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Trains, saving after each epoch; then scores the best parameters on the test set.

        Returns:
            False where `should_stop` ended it before; the state is saved then too.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        finished = self.trainer.fit(_Saver(self, observer), should_stop)
        if finished:
            self.model.load_state_dict(self.trainer.best_parameters())
            test = tree_dataset(self.splits["test"], self._vocabulary)
            batches = Loader(test, EVALUATION_BATCH_SIZE)
            self.test = evaluate(self.model, batches, should_stop=should_stop)
            finished = self.test is not None
        if not finished:
            self.save_last()
        self.save_metrics()
        return finished

    def save_last(self) -> None:
        """Writes the checkpoint to go on from."""
        parameters, optimizer, best = self.trainer.arrays()
        training = {
            "source": self.source.to_dict(),
            "settings": self.trainer.config.to_dict(),
            "progress": self.trainer.state_dict(),
        }
        self._save(LAST, parameters, training, optimizer, best)

    def save_best(self) -> None:
        """Writes the best parameters."""
        training = {"source": self.source.to_dict(), "best": self.trainer.best}
        self._save(BEST, self.trainer.best_parameters(), training, {}, {})

    def _save(
        self,
        name: str,
        parameters: Arrays,
        training: dict[str, Any],
        optimizer: Arrays,
        best: Arrays,
    ) -> None:
        checkpoint = Checkpoint(
            self._name,
            self._arguments,
            self._vocabulary,
            parameters,
            optimizer=optimizer,
            best=best,
            training=training,
        )
        save_checkpoint(self.directory / name, checkpoint)

    def metrics(self) -> dict[str, Any]:
        """What metrics.json holds."""
        return {
            "version": cavs.__version__,
            "model": self._name,
            "arguments": self._arguments,
            "data": {
                **self.source.to_dict(),
                "name": self.source.name,
                "trees": {name: len(trees) for name, trees in self.splits.items()},
            },
            "settings": self.trainer.config.to_dict(),
            "threads": cavs.get_num_threads(),
            "history": self.trainer.history,
            "best": self.trainer.best,
            "test": None if self.test is None else self.test.to_dict(),
        }

    def save_metrics(self) -> None:
        """Writes metrics.json."""
        text = json.dumps(self.metrics(), indent=2) + "\n"
        path = self.directory / METRICS
        try:
            write_atomically(path, text.encode())
        except OSError as error:
            raise CheckpointError(
                f"[train] {path} cannot be written ({error.strerror or error})"
            ) from error


class _Saver:
    """Saves the run after each epoch, and passes on what it is told."""

    def __init__(self, run: TrainingRun, observer: Observer | None) -> None:
        self._run = run
        self._observer = observer

    def epoch_begins(self, epoch: int, done: int, graphs: int) -> None:
        if self._observer is not None:
            self._observer.epoch_begins(epoch, done, graphs)

    def step_done(self, graphs: int, loss: float) -> None:
        if self._observer is not None:
            self._observer.step_done(graphs, loss)

    def epoch_ends(self, record: Mapping[str, Any], improved: bool) -> None:
        self._run.save_last()
        if improved:
            self._run.save_best()
        self._run.save_metrics()
        if self._observer is not None:
            self._observer.epoch_ends(record, improved)
