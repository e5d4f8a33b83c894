"""The protocol of peers: a peer trains and runs a workload's model beside cavs, on the same
weights.

A peer is a module in this folder with

- ``available(threads: int) -> str | None``: None if it can run here with `threads` threads, else
  the reason why not, in one line;
- ``VARIANTS: tuple[str, ...]``: the contenders that it gives, by name;
- ``WORKLOADS: tuple[str, ...]``: the workloads that it knows, by their names in ``cavs bench``;
- ``make(workload: str, variant: str, state: dict[str, np.ndarray], batches: list[PeerBatch],
  recipe: Recipe, threads: int) -> Peer``: a contender that starts from the weights `state`
  (copied), named as in ``Model.state_dict()``, and trains by the recipe
  (``cavs.bench.recipes``). It raises ``UnsuitableError`` if the peer cannot take the sizes, the
  graphs or the recipe.

and, optionally,

- ``versions() -> dict[str, str]``: the versions of its libraries, by name;
- ``flush_denormals()``: makes denormal numbers zeros, if its steps do not do so themselves; called
  once, in the process that measures, before threads start;
- ``MASKS: dict[str, tuple[str, ...]]``: for each variant the kinds of dropout masks that it knows,
  of ``classifier``, ``vertex`` and ``id``. Under a recipe with dropout each kind is a contender; a
  peer without ``MASKS`` takes no part.

In tables a contender is called by its module, without ``_peer``, its variant, and its masks.

A peer that needs another interpreter runs it as a subprocess behind the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cavs.bench.recipes import Recipe

Array = npt.NDArray[Any]


class UnsuitableError(ValueError):
    """Sizes or graphs that a peer is not made for."""


@dataclass(frozen=True)
class PeerBatch:
    """A minibatch of graphs as plain arrays.

    Attributes:
        ptr: int64 [graphs + 1]: the first vertex of each graph.
        child_ptr: int64 [vertices + 1]: where each vertex's children begin in `children`.
        children: int64 [edges]: vertices, counted over the whole batch.
        inputs: by name, an array with a row per vertex (or per edge, in the order of `children`);
            ids and labels are int32 with -1 for none. In a batch with types an input has a row for
            each vertex of the types that the model pulls it in.
        types: of each vertex, where the model is a function of types; else None.
    """

    ptr: Array
    child_ptr: Array
    children: Array
    inputs: dict[str, Array]
    types: list[str] | None = None

    @property
    def num_graphs(self) -> int:
        return len(self.ptr) - 1

    @property
    def num_vertices(self) -> int:
        return len(self.child_ptr) - 1


def check_known(
    workload: str, variant: str, workloads: Sequence[str], variants: Sequence[str]
) -> None:
    """Refuses workloads and variants that a peer does not have.

    Raises:
        ValueError: `workload` is none of `workloads`, or `variant` none of `variants`.
    """
    for name, value, known in (("workload", workload, workloads), ("variant", variant, variants)):
        if value not in known:
            raise ValueError(
                f"[peers] expected a {name} of {', '.join(known)}, got {value!r}; pass one of these"
            )


def check_plain(recipe: Recipe) -> None:
    """Refuses recipes with other settings than a learning rate.

    Raises:
        UnsuitableError: `recipe` has dropout, decay or a rate of its own for the embedding.
    """
    plain = Recipe(recipe.name, recipe.lr, recipe.lr)
    if recipe != plain:
        raise UnsuitableError(f"it knows no dropout and no decay, which recipe {recipe.name} has")


class Peer(Protocol):
    """One contender; a batch goes by its number in the list that `make` was given, and after the
    last batch comes the first. All flush denormal numbers to zero.

    Attributes:
        recipe: how it trains.

    It may also have ``shares() -> dict[str, float]``: the parts of a training step, by name, since
    the last call (of ``construction``, ``batching``, ``assembly`` and ``schedule`` the overhead is
    plotted); ``processor_seconds() -> float``: the processor time of its own processes so far; and
    ``close()``, called when it is no longer needed.

    A peer whose recipe has dropout takes `masks`, a last argument of `loss` and `gradients`: arrays
    of ones and zeros by vertex, named as in ``cavs.bench.recipes``. Loss and gradients are then
    those of a training step with these masks; ``train_with(number, masks)`` does that step.
    """

    recipe: Recipe

    def train_step(self, number: int) -> float:
        """Forward, backward and an update by Adagrad (eps 1e-10, sums starting at 0; of embeddings,
        only the rows that occur), by the recipe; returns how many graphs the batch has."""

    def infer_step(self, number: int) -> float:
        """Forward alone, up to the sum of the losses; returns how many graphs the batch has."""

    def loss(self, number: int) -> float:
        """The sum of the losses over all vertices."""

    def gradients(self, number: int) -> dict[str, npt.NDArray[np.float32]]:
        """Gradients of that sum by parameter; of an embedding, the rows of the distinct words >= 0
        of the batch, ascending."""
