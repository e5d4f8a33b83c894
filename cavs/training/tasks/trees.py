"""Classifiers of all vertices of labelled trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    LabelledTree,
    Loader,
    TreeCorpus,
    Vocabulary,
    listops_corpus,
    listops_vocabulary,
    load_sst,
    tree_dataset,
    tree_vocabulary,
)
from cavs.errors import DataError
from cavs.models import ChildSumTreeGRU, ChildSumTreeLSTM, NaryTreeLSTM, TreeFC
from cavs.training.config import TrainingConfig
from cavs.training.metrics import Classification
from cavs.training.tasks._task import (
    MOST_GRAPHS,
    NO_EMBEDDING_DROPOUT,
    Task,
    check_ranges,
    check_source,
)

EVALUATION_BATCH_SIZE = 256
TREE_MODELS: dict[str, type[cavs.VertexFunction]] = {
    "tree-lstm": ChildSumTreeLSTM,
    "nary-tree-lstm": NaryTreeLSTM,
    "tree-gru": ChildSumTreeGRU,
    "tree-fc": TreeFC,
}


@dataclass(frozen=True)
class TreeSource:
    """Where trees come from.

    Attributes:
        path: directory of a treebank, or None for the built-in ListOps expressions.
        num_train: how many expressions there are to train on.
        max_depth: of the expressions.
    """

    path: str | None = None
    num_train: int = 40_000
    max_depth: int = 20

    def __post_init__(self) -> None:
        check_source(self)
        check_ranges(self, {"num_train": (1, MOST_GRAPHS), "max_depth": (2, 2**31 - 1)})

    def load(self) -> TreeCorpus:
        """The trees; `DataError` names what is missing or malformed."""
        if self.path is not None:
            return load_sst(self.path)
        # One seed for every run, so that all are judged by the same test set.
        return listops_corpus(self.num_train, max_depth=self.max_depth, seed=0)

    def vocabulary(self, corpus: TreeCorpus, min_count: int = 1) -> Vocabulary:
        """The words of the trees to train on."""
        if self.path is None:
            return listops_vocabulary()
        return tree_vocabulary(corpus.train, min_count=min_count)

    @property
    def name(self) -> str:
        """A short name."""
        return "listops" if self.path is None else Path(self.path).resolve().name or "data"

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def most_children(trees: Sequence[LabelledTree]) -> int:
    """The greatest number of children of a vertex."""
    return max((int(np.diff(tree.graph.child_ptr).max(initial=0)) for tree in trees), default=0)


def check_arity(function: cavs.VertexFunction, trees: Sequence[LabelledTree], what: str) -> None:
    """Raises `DataError` for a vertex with more children than `function` reads."""
    arity = getattr(function, "arity", None)
    if arity is None:
        return
    for number, tree in enumerate(trees, 1):
        counts = np.diff(tree.graph.child_ptr)
        if counts.max(initial=0) > arity:
            raise DataError(
                f"[data] {what}, tree {number}: expected at most {arity} children of a vertex for "
                f"{type(function).__name__}, got {counts.max()} (vertex {counts.argmax()}); use "
                "tree-lstm, which takes any number"
            )


class TreeTask(Task):
    """Classifies all vertices of labelled trees."""

    unit, source_type = "trees", TreeSource
    sizes_read = ("num_classes",)

    _embedding_std: float | None = None

    @classmethod
    def create(
        cls,
        name: str,
        source: TreeSource,
        *,
        min_count: int = 1,
        embedding_std: float | None = None,
        **sizes: Any,
    ) -> TreeTask:
        """A new task.

        Args:
            name: of the model, one of `TREE_MODELS`.
            source: of the trees.
            min_count: words that occur fewer times read as unknown.
            embedding_std: standard deviation of the initial embedding; None: the layer's own.
            sizes: ``embedding_size``, ``hidden_size``, ``dropout``, ``embedding_dropout`` and
                ``embedding_dropout_by`` of the model.

        Raises:
            DataError: names what is missing or malformed.
        """
        corpus = source.load()
        vocabulary = source.vocabulary(corpus, min_count)
        arguments = {
            "vocab_size": len(vocabulary),
            "num_classes": corpus.num_classes,
            **NO_EMBEDDING_DROPOUT,
            **sizes,
        }
        if name == "nary-tree-lstm":
            arguments["arity"] = max(1, most_children(corpus.train))
        task = cls(name, arguments, vocabulary, source, corpus)
        task._embedding_std = embedding_std
        return task

    def make_objective(self) -> Classification:
        """See `Task`."""
        return Classification()

    def make_function(self) -> cavs.VertexFunction:
        """See `Task`."""
        function: Any = TREE_MODELS[self.name](**self.arguments)
        if self._embedding_std is not None:
            cavs.nn.init.normal_(function.embedding.weight, std=self._embedding_std)
        # Where every word of the training set is kept, no gradient comes to the unknown one: random
        # numbers in its place would be judged as if they had been learnt.
        unknown = self.words.unknown_id
        if unknown is not None:
            with function.embedding.weight.writing() as weight:
                weight[unknown] = 0
        return function  # type: ignore[no-any-return]

    def check(self, function: cavs.VertexFunction) -> None:
        """See `Task`."""
        for split in self.sizes:
            check_arity(function, self.split(split), f"the {split} set")

    def train_set(self, config: TrainingConfig) -> Dataset:
        """See `Task`."""
        return tree_dataset(self.split("train"), self.words, labels=config.labels)

    def batches(self, split: str) -> Loader:
        """See `Task`."""
        dataset = tree_dataset(self.split(split), self.words)
        return Loader(dataset, EVALUATION_BATCH_SIZE, cache=True)
