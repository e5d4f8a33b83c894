"""Learns the order in which the types of a model run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from cavs._arguments import instance, integer, items
from cavs._native import core
from cavs.core.type_order import TypeOrder
from cavs.errors import InputError
from cavs.model import Model
from cavs.scheduler import GraphBatch, InputGraph, LearnedPolicy, Policy, batch


def learn_policy(
    model: Model, batches: Iterable[GraphBatch | InputGraph], *, seed: int = 0
) -> str | Policy:
    """Learn from some minibatches which type a model of a `TypedFunction` should run next.

    Learns on one half of the minibatches, compares the policy with ``agenda`` on the other half,
    and returns the one that needs fewer batches; where that is ``agenda``, a warning says so.

    The policy is a finite-state machine: from the types with ready vertices, those with most first,
    to the type that runs next. It is learned by tabular Q-learning (Chen et al., "ED-Batch", ICML
    2023), natively, in seconds. The default, ``policy="bound"``, needs no learning:
    compare the two by ``model.explain(batch).num_batches``.

    Args:
        model: of a function of types.
        batches: two minibatches or more like those of training.
        seed: the same seed gives the same policy.

    Returns:
        A :class:`cavs.LearnedPolicy`, or "agenda": for ``policy=`` of `cavs.compile`.

    Raises:
        InputError: the model has no types, or there are fewer than two minibatches; GraphError: one
        does not fit the model.
    """
    types = _types_of(model)
    found = _batches(batches)
    seed = integer("policy", "seed", seed, 0)
    order = types.numbers()
    half = len(found) // 2
    table, _, _ = core.learn_policy([each.native for each in found[:half]], order, seed)
    names = types.names
    rows = tuple((tuple(names[t] for t in state), names[chosen]) for state, chosen in table.items())
    learned = LearnedPolicy(names, rows)
    counts = [
        sum(each.schedule(policy, order).num_batches for each in found[half:])
        for policy in (learned, "agenda")
    ]
    if counts[0] >= counts[1]:
        warnings.warn(
            f"[policy] expected fewer batches than the {counts[1]} of 'agenda' on "
            f"{len(found) - half} minibatches, got {counts[0]} by what was learned; 'agenda' is "
            "returned",
            stacklevel=2,
        )
        return "agenda"
    return learned


def _types_of(model: Any) -> TypeOrder:
    instance("policy", "model", model, Model, "a compiled model of a TypedFunction")
    types: TypeOrder | None = model._compiler.types
    if types is None:
        raise InputError(
            "[policy] expected a compiled model of a TypedFunction, got one of a function without "
            "types, for which all policies but 'serial' are the same; compile a TypedFunction"
        )
    return types


def _batches(batches: Any) -> list[GraphBatch]:
    kinds = (GraphBatch, InputGraph)
    found: list[Any] = items("policy", "batches", batches, kinds, "minibatches of graphs")
    if len(found) < 2 or isinstance(batches, GraphBatch):
        raise InputError(
            f"[policy] expected two minibatches of graphs or more, got {len(found)}; pass some "
            "that cavs.batch made"
        )
    return [x if isinstance(x, GraphBatch) else batch([x]) for x in found]
