"""Finds the parameters that training does not reach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import cavs

LARGE, EVERY = 4096, 8
"""A gradient of more than LARGE elements is read in full in every EVERY-th step only. Otherwise a
large one that stays zero would take more than a hundredth of a step with one small graph."""


class WithoutGradient:
    """The parameters that learn but have had no gradient so far, or only zeros.

    A parameter is looked at until it has a gradient, which most have in the first step. Of a large
    gradient most steps read one element, each step another one, and every eighth step reads all. So
    a gradient of few elements that comes in few steps may be missed.
    """

    def __init__(self, model: cavs.Model | cavs.Program) -> None:
        self._left = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._step = 0

    @property
    def names(self) -> list[str]:
        """The names of these parameters, in the model's order."""
        return list(self._left)

    def note(self) -> None:
        """Strikes out the parameters that have a gradient now."""
        for name in [n for n, p in self._left.items() if _is_gradient(p.grad, self._step)]:
            del self._left[name]
        self._step += 1

    def keep(self, names: Collection[str]) -> None:
        """Strikes out all parameters but `names`."""
        self._left = {name: p for name, p in self._left.items() if name in names}


def _is_gradient(grad: Any, step: int) -> bool:
    """Whether `grad` is a gradient, and one of the elements read in this step is not zero."""
    if grad is None:
        return False
    values = grad.values if isinstance(grad, cavs.RowSparse) else grad
    if values.size > LARGE and step % EVERY:
        return bool(values.reshape(-1)[step * 7919 % values.size].item() != 0)
    return bool(values.any())
