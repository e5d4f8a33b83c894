"""Which parameters training does not reach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import cavs


class WithoutGradient:
    """The parameters that learn and have had no gradient so far, or zeros only.

    Each is looked at until it has one, nearly all in the first step only; a weight of zeros costs
    less than its update.
    """

    def __init__(self, model: cavs.Model | cavs.Program) -> None:
        self._left = {n: p for n, p in model.named_parameters() if p.requires_grad}

    @property
    def names(self) -> list[str]:
        """Which ones, in the model's order."""
        return list(self._left)

    def note(self) -> None:
        """Strikes out those that have a gradient now."""
        for name in [name for name, p in self._left.items() if _is_gradient(p.grad)]:
            del self._left[name]

    def keep(self, names: Collection[str]) -> None:
        """Strikes out all but these."""
        self._left = {name: p for name, p in self._left.items() if name in names}


def _is_gradient(grad: Any) -> bool:
    """Whether there is one, and an element that is not zero in it."""
    if grad is None:
        return False
    return bool((grad.values if isinstance(grad, cavs.RowSparse) else grad).any())
