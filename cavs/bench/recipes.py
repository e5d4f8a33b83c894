"""Recipes: the settings of training that decide the work of a training step."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import cavs
from cavs.bench.corpora import Array
from cavs.core import ir
from cavs.core.ops._spaces import SpaceKind
from cavs.core.ops.loss import EMBEDDING
from cavs.core.ops.structure import PULL
from cavs.core.trace import Trace
from cavs.core.traced_vertex import InputSpec
from cavs.errors import InputError

PLAIN, SST = "plain", "sst"
#: The values that dropout acts on: none; the input of the classifier; this input and words, with a
#: mask for each vertex or for each distinct word of the batch.
NO_MASKS, CLASSIFIER_MASKS, VERTEX_MASKS, ID_MASKS = "none", "classifier", "vertex", "id"
#: The names under which `given_masks` pulls masks: of words, and before the classifier.
MASKS = WORD, STATE = "word_mask", "state_mask"


@dataclass(frozen=True)
class Recipe:
    """Settings of training by Adagrad (eps 1e-10, sums that start at 0).

    Attributes:
        name: as the command line calls it.
        lr: learning rate of all parameters but the embedding.
        embedding_lr: learning rate of the embedding; only the rows that a batch reads change.
        weight_decay: L2 coefficient of all parameters but the embedding.
        mean: whether the loss is divided by the graphs of the batch.
        dropout: probability of dropout before the classifier.
        embedding_dropout: probability of dropout of words.
        embedding_dropout_by: whether a mask of words is drawn for each ``vertex`` or for each
            ``id``.
        batch_size: graphs in a batch; None: any.
    """

    name: str
    lr: float
    embedding_lr: float
    weight_decay: float = 0.0
    mean: bool = False
    dropout: float = 0.0
    embedding_dropout: float = 0.0
    embedding_dropout_by: str = "vertex"
    batch_size: int | None = None

    @property
    def masks(self) -> str:
        """The kind of its masks: ``none``, ``classifier``, ``vertex`` or ``id``."""
        if self.embedding_dropout:
            return self.embedding_dropout_by
        return CLASSIFIER_MASKS if self.dropout else NO_MASKS

    def with_masks(self, masks: str) -> Recipe:
        """The same recipe with `masks` of this kind, and the probability of dropout before the
        classifier."""
        words = masks in (VERTEX_MASKS, ID_MASKS)
        return replace(
            self,
            dropout=0.0 if masks == NO_MASKS else self.dropout,
            embedding_dropout=self.dropout if words else 0.0,
            embedding_dropout_by=masks if words else "vertex",
        )

    def without_regularization(self) -> Recipe:
        """The same recipe without dropout and decay."""
        return replace(self.with_masks(NO_MASKS), weight_decay=0.0)


RECIPES: dict[str, Recipe] = {
    # The speed of the model alone.
    PLAIN: Recipe(PLAIN, lr=0.05, embedding_lr=0.05),
    # The training that `cavs train` does on a treebank; a test compares both.
    SST: Recipe(*(SST, 0.05, 0.1), weight_decay=1e-4, mean=True, dropout=0.5, batch_size=25),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of this name."""
    if name not in RECIPES:
        raise InputError(
            f"[bench] expected a recipe among {list(RECIPES)}, got {name!r}; choose one of these"
        )
    return RECIPES[name]


def with_dropout(function: Any, recipe: Recipe) -> Any:
    """The vertex function with the recipe's dropout, over the same parameters."""
    if recipe.masks == NO_MASKS:
        return function
    for name in ("dropout", "embedding_dropout"):
        if not hasattr(function, name):
            raise InputError(
                f"[bench] expected a model with {name} for recipe {recipe.name}, got "
                f"{type(function).__name__}; choose another recipe"
            )
    changed = copy.copy(function)
    changed.dropout = recipe.dropout
    changed.embedding_dropout = cavs.nn.Dropout(
        recipe.embedding_dropout, by=recipe.embedding_dropout_by
    )
    return changed


def make_optimizer(function: Any, recipe: Recipe) -> cavs.optim.Optimizer:
    """Adagrad over the function's parameters, the embedding in a group of its own."""
    named = list(function.named_parameters())
    groups: list[dict[str, Any]] = [
        {
            "params": [(n, p) for n, p in named if not n.startswith("embedding.")],
            "lr": recipe.lr,
            "weight_decay": recipe.weight_decay,
        },
        {
            "params": [(n, p) for n, p in named if n.startswith("embedding.")],
            "lr": recipe.embedding_lr,
        },
    ]
    return cavs.optim.Adagrad([group for group in groups if group["params"]])


def given_masks(traced: Trace) -> Trace:
    """F with masks of ones and zeros from the caller in place of drawn masks: `WORD` where words
    are dropped, else `STATE`."""
    new: dict[ir.Node, ir.Node] = {}
    inputs = dict(traced.inputs)
    for node in ir.ancestors(traced.function.roots()):
        if not node.op.drops:
            new[node] = ir.rebuild(node, [new[x] for x in node.inputs])
            continue
        name = WORD if node.inputs[0].op is EMBEDDING else STATE
        if name in inputs:
            raise InputError(
                f"[bench] expected one dropout of each kind, got two ({name}); leave one out"
            )
        assert node.space == SpaceKind.VERTEX  # rows of distinct ids come with the passes
        inputs[name] = InputSpec(name, node.shape, "float", "vertex", None, node.space)
        mask = ir.source(PULL, node.shape, node.space, name=name)
        new[node] = new[node.inputs[0]] * mask * (1 / (1 - node.attrs["p"]))
    return Trace(traced.function.map(new), inputs, traced.name)


def draw_masks(recipe: Recipe, sizes: dict[str, int], word: Array) -> dict[str, Array]:
    """Masks of ones and zeros for the vertices of a batch, for the check before the clock starts.

    Args:
        recipe: the recipe with dropout.
        sizes: maps each mask's name to the size of its rows.
        word: (vertices,) the words' ids, -1 for none.
    """
    generator = np.random.default_rng(0)
    masks = {}
    for name, size in sizes.items():
        p = recipe.embedding_dropout if name == WORD else recipe.dropout
        by_id = name == WORD and recipe.masks == ID_MASKS
        rows = int(word.max()) + 2 if by_id else len(word)
        drawn = (generator.random((rows, size)) >= p).astype(np.float32)
        masks[name] = drawn[word] if by_id else drawn
    return masks
