"""What the command line trains: classifiers of all vertices of labelled trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cavs
from cavs.data import (
    LabelledTree,
    TreeCorpus,
    Vocabulary,
    listops_corpus,
    listops_vocabulary,
    load_sst,
    tree_vocabulary,
)
from cavs.errors import CheckpointError, DataError
from cavs.models import ChildSumTreeGRU, ChildSumTreeLSTM, NaryTreeLSTM, TreeFC
from cavs.training.checkpoint import Checkpoint, check_arrays

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
                f"[data] {what}, tree {number}: at most {arity} children of a vertex were expected "
                f"by {type(function).__name__}, came {counts.max()} (vertex {counts.argmax()}); "
                "use tree-lstm, which takes any number"
            )


def make_function(name: str, config: Mapping[str, Any]) -> cavs.VertexFunction:
    """The vertex function `name` with the arguments `config`, with fresh parameters.

    Raises:
        CheckpointError: there is no such model, or it does not take these arguments.
    """
    if name not in TREE_MODELS:
        raise CheckpointError(
            f"[checkpoint] one of the models {', '.join(TREE_MODELS)} was expected, came {name!r}"
        )
    try:
        return TREE_MODELS[name](**config)
    except TypeError as error:
        raise CheckpointError(
            f"[checkpoint] arguments of the model {name} were expected, came {dict(config)}: "
            f"{error}"
        ) from error


def load_model(
    path: str | Path, checkpoint: Checkpoint, parameters: Mapping[str, Any], seed: int = 0
) -> cavs.Model:
    """The compiled model of a checkpoint, with `parameters` of it.

    Raises:
        CheckpointError: the parameters are not those of the model that the checkpoint names.
    """
    function = make_function(checkpoint.model, checkpoint.config)
    check_arrays(path, parameters, dict(function.named_parameters()))
    model = cavs.compile(function, seed=seed)
    model.load_state_dict(parameters)
    return model
