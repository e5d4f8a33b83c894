"""Checks, before anything is timed, that all contenders compute the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from cavs.bench.contenders import OURS, Contender
from cavs.bench.corpora import Array
from cavs.bench.recipes import NO_MASKS, Recipe
from cavs.errors import CavsRuntimeError

#: How far losses and gradients may differ, relative to the largest element.
TOLERANCE = 2e-4


class Rival(Protocol):
    """A contender beside cavs; benchmarks/peers/protocol.py says more.

    A rival whose recipe has dropout also takes the masks of a batch, by name, for `loss` and
    `gradients`; without masks both are computed in evaluation mode.
    """

    recipe: Recipe

    def train_step(self, number: int) -> float: ...
    def infer_step(self, number: int) -> float: ...
    def loss(self, number: int) -> float: ...
    def gradients(self, number: int) -> Mapping[str, Array]: ...


def check_equal(ours: Mapping[str, Contender], others: Mapping[str, Rival]) -> dict[str, float]:
    """Compares loss and gradients of all contenders over the first batch, before anything is timed.

    The loss in evaluation mode must be the same for all. Contenders that train with dropout of the
    same values get the same masks, and their losses and gradients must then be the same too.

    Returns:
        Maps each contender to its largest difference, relative to the largest element; for the
            first contender with each kind of masks, only in evaluation mode.

    Raises:
        CavsRuntimeError: one differs by more than TOLERANCE.
    """
    contenders: dict[str, Any] = {**ours, **others}
    loss = ours[OURS].loss(0)
    found = {
        name: _worst(name, {"loss": _relative(c.loss(0), loss)})
        for name, c in contenders.items()
        if name != OURS
    }
    for masks in dict.fromkeys(c.recipe.masks for c in contenders.values()):
        alike = {name: c for name, c in contenders.items() if c.recipe.masks == masks}
        for name, difference in _check_alike(masks, alike):
            found[name] = max(found[name], difference)
    return found


def _check_alike(masks: str, alike: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Differences of the contenders with one kind of masks from the first of them."""
    (first, expected), *rest = alike.items()
    if not rest:
        return
    if not isinstance(expected, Contender):
        raise CavsRuntimeError(
            f"[bench] expected a contender of cavs with {masks} masks beside {first}, got none; "
            "add one"
        )
    given = () if masks == NO_MASKS else (expected.draw_masks(0),)
    loss, gradients = expected.loss(0, *given), expected.gradients(0, *given)
    for name, contender in rest:
        parts = {"loss": _relative(contender.loss(0, *given), loss)}
        parts |= _differences(gradients, contender.gradients(0, *given))
        yield name, _worst(name, parts)


def _relative(found: float, expected: float) -> float:
    return abs(found - expected) / max(abs(expected), 1e-30)


def _worst(name: str, parts: Mapping[str, float]) -> float:
    """The greatest of the differences; raises CavsRuntimeError if it is too great."""
    worst = max(parts, key=lambda part: _nan_first(parts[part]))
    if not parts[worst] <= TOLERANCE:
        raise CavsRuntimeError(
            f"[bench] expected {worst} of {name} within {TOLERANCE:g} of cavs's, got a difference "
            f"of {parts[worst]:.1e}; make both compute the same"
        )
    return parts[worst]


def _nan_first(x: float) -> float:
    return np.inf if np.isnan(x) else x


def _differences(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, float]:
    """Maps each parameter to its difference; a parameter that only one side has must be zero
    there."""
    found = {}
    for name in {**ours, **theirs}:
        mine, other = ours.get(name), theirs.get(name)
        if mine is None or other is None:
            (only,) = (x for x in (mine, other) if x is not None)
            found[name] = float(np.abs(only).max(initial=0.0))
        elif mine.shape != other.shape:
            found[name] = np.nan
        else:
            scale = float(np.abs(mine).max(initial=0.0)) or 1.0
            found[name] = float(np.abs(mine - other).max(initial=0.0)) / scale
    return found
