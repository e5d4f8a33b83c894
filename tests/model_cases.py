"""Models with graphs that suit them, small enough for loops and central differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import model_oracles as oracles
import numpy as np
import pytest

import cavs
from cavs import models

VOCABULARY, EMBEDDING, HIDDEN, CLASSES = 6, 3, 4, 3

TREES = [
    [[], [], [0, 1]],
    [[]],
    [[], [0], [], [1, 2], [], [3, 4]],
    [[3, 1], [2], [], []],
]
# Any number of children, several parents, a child twice.
DAGS = [*TREES, [[], [], [], [0, 1, 2], [3, 0], [3, 4, 4, 1, 2]], [[], [0], [0], [1, 2], []]]
CHAINS = [[[], [0], [1], [2], [3]], [[]], [[], [0]]]


class Children(list[list[int]]):
    """The children of each vertex of a graph with types."""

    def __init__(self, children: list[list[int]], types: str) -> None:
        """`types` has a letter for each vertex: its type is the name that begins so."""
        super().__init__(children)
        names = {"c": "char", "w": "word", "l": "leaf", "<": "left", ">": "right"}
        self.types = [names[letter] for letter in types]


# Words between characters, several that end together, one before the character before, none.
LATTICES = [
    Children([[], [0], [0], [1, 2], [0], [1], [3, 5, 4], [6]], "ccwcwwcc"),
    Children([[]], "c"),
    Children([[], [0], [0], [2, 1]], "ccwc"),
    Children([[], [0], [1, 3], [0]], "cccw"),
]
# Children to the west, the north and the north-west of a place, of two rows of three.
GRIDS = [*DAGS, [[], [0], [1], [0], [3, 1, 0], [4, 2, 1]]]
# The heavier child left or right.
SHAPED = [
    Children(TREES[0], "ll<"),
    Children(TREES[1], "l"),
    Children(TREES[2], "l<l<l<"),
    Children(TREES[3], "<<ll"),
    Children([[], [], [0, 1], [], [3, 2], [3]], "ll<l><"),
]


@dataclass(frozen=True)
class Case:
    """A model, the class that it is written as a loop, and graphs for it."""

    function: type[cavs.VertexFunction]
    oracle: oracles.Oracle
    graphs: Sequence[list[list[int]]]
    options: Mapping[str, Any]
    sizes: tuple[int, ...] = (VOCABULARY, EMBEDDING, HIDDEN, CLASSES)

    def make(self, seed: int = 0, **options: Any) -> cavs.Model:
        cavs.nn.init.manual_seed(seed)
        kind: Any = self.function
        function = kind(*self.sizes, **self.options, **options)
        return cavs.compile(function, dtype="float64", seed=seed)

    def drops(self, embedding_dropout_by: str = "vertex", **_: Any) -> bool:
        """Whether the model can drop its embeddings so."""
        return embedding_dropout_by == "vertex" or self.function is not models.DAGRNN

    def inputs(self, graph: list[list[int]], seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        n = len(graph)
        labels = rng.integers(-1, CLASSES, n).astype(np.int32)
        words = rng.integers(-1, VOCABULARY, n).astype(np.int32)
        if self.function is models.DAGRNN:
            return {"x": rng.normal(size=(n, EMBEDDING)), "label": labels}
        if self.function is not models.LatticeLSTM:
            return {"word": words, "label": labels}
        assert isinstance(graph, Children)
        is_word = np.array(graph.types) == "word"
        return {
            "character": words[~is_word],
            "label": labels[~is_word],
            "word": words[is_word].clip(max=VOCABULARY - 2),
        }

    def samples(self) -> list[tuple[list[list[int]], dict[str, Any]]]:
        return [(graph, self.inputs(graph, seed)) for seed, graph in enumerate(self.graphs)]


CASES = {
    "child-sum-tree-lstm": Case(models.ChildSumTreeLSTM, oracles.child_sum_tree_lstm, DAGS, {}),
    "nary-tree-lstm-2": Case(models.NaryTreeLSTM, oracles.nary_tree_lstm, TREES, {"arity": 2}),
    "nary-tree-lstm-5": Case(models.NaryTreeLSTM, oracles.nary_tree_lstm, DAGS, {"arity": 5}),
    "shaped-tree-lstm": Case(models.ShapedTreeLSTM, oracles.child_sum_tree_lstm, SHAPED, {}),
    "shaped-nary-tree-lstm": Case(
        models.ShapedNaryTreeLSTM, oracles.nary_tree_lstm, SHAPED[:-1], {"arity": 2}
    ),
    "tree-fc": Case(models.TreeFC, oracles.tree_fc, TREES, {}),
    "tree-gru": Case(models.ChildSumTreeGRU, oracles.tree_gru, DAGS, {}),
    "lstm": Case(models.LSTM, oracles.lstm, CHAINS, {}),
    "gru": Case(models.GRU, oracles.gru, CHAINS, {}),
    "lattice-lstm": Case(
        models.LatticeLSTM,
        oracles.lattice_lstm,
        LATTICES,
        {},
        (VOCABULARY, VOCABULARY - 1, EMBEDDING, HIDDEN, CLASSES),
    ),
    "mv-rnn": Case(models.MVRNN, oracles.mv_rnn, TREES, {}, (VOCABULARY, 3, CLASSES)),
    "dag-rnn": Case(models.DAGRNN, oracles.dag_rnn, GRIDS, {}, (EMBEDDING, HIDDEN, CLASSES)),
}

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def as_graph(children: list[list[int]]) -> cavs.InputGraph:
    """The input graph of a case."""
    return cavs.InputGraph(children, types=getattr(children, "types", None))


def together(
    samples: list[tuple[list[list[int]], dict[str, Any]]],
) -> tuple[cavs.GraphBatch, dict[str, Any]]:
    """All samples as one batch."""
    batch = cavs.batch([as_graph(graph) for graph, _ in samples])
    names = samples[0][1]
    return batch, {name: np.concatenate([inputs[name] for _, inputs in samples]) for name in names}
