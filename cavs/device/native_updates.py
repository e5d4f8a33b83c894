"""The functions of native code on arrays of a device other than the host: see ``Device.native``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cavs._arrays import Array
from cavs._native import core

if TYPE_CHECKING:
    from cavs.device.cuda import Gpu


class NativeUpdates:
    """Updates of optimisers, their bounds, and sums of squares, on one GPU."""

    def __init__(self, device: Gpu) -> None:
        self._device = device

    def update(
        self,
        settings: Any,
        params: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[Sequence[Array]] = (),
        steps: Sequence[int] = (),
    ) -> None:
        """See csrc/bindings/optim.cpp, as for all of them."""
        core.update_on(self._begun(), settings, params, grads, states, steps)

    def update_rows(
        self,
        settings: Any,
        param: Array,
        ids: Array,
        rows: Array,
        states: Sequence[Array] = (),
        step: int = 1,
    ) -> None:
        core.update_rows_on(self._begun(), settings, param, ids, rows, states, step)

    def bounds_after(
        self,
        settings: Any,
        step: int,
        grad: float,
        param: Array,
        states: Sequence[Array],
        ids: Array | None,
        known: Sequence[float] | None,
    ) -> list[float] | None:
        given = (self._begun(), settings, step, grad, param, states, ids, known)
        found: list[float] | None = core.bounds_after_on(*given)
        return found

    def sum_squares(self, x: Array) -> float:
        found: float = core.sum_squares_on(self._begun(), x)
        return found

    def scale_(self, x: Array, factor: float) -> None:
        core.scale_on_(self._begun(), x, factor)

    def _begun(self) -> str:
        """The device's name, after native calls were told its stream."""
        self._device.begin_native()
        return self._device.name
