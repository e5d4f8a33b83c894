"""Which parameters training does not reach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import cavs

LARGE, EVERY = 4096, 8
"""Gradients of more elements are gone through in every so many steps: a large one that stays zeros
would else take more than a hundredth of a step with one small graph."""


class WithoutGradient:
    """The parameters that learn and have had no gradient so far, or zeros only.

    Each is looked at until it has one, nearly all in the first step only. Of a large one that stays
    zeros it is an element by turns, and all of it in every eighth step: missed is a gradient of few
    elements that comes in few steps.
    """

    def __init__(self, model: cavs.Model | cavs.Program) -> None:
        self._left = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._step = 0

    @property
    def names(self) -> list[str]:
        """Which ones, in the model's order."""
        return list(self._left)

    def note(self) -> None:
        """Strikes out those that have a gradient now."""
        for name in [n for n, p in self._left.items() if _is_gradient(p.grad, self._step)]:
            del self._left[name]
        self._step += 1

    def keep(self, names: Collection[str]) -> None:
        """Strikes out all but these."""
        self._left = {name: p for name, p in self._left.items() if name in names}


def _is_gradient(grad: Any, step: int) -> bool:
    """Whether there is one, and an element that is not zero among those looked at in this step."""
    if grad is None:
        return False
    values = grad.values if isinstance(grad, cavs.RowSparse) else grad
    if values.size > LARGE and step % EVERY:
        return bool(values.item(step * 7919 % values.size) != 0)
    return bool(values.any())
