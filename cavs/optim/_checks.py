"""Whether an update would leave a parameter that is not finite, found out before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cavs._arrays import INT32, Array
from cavs.device import device_of
from cavs.tensor import Parameter, RowSparse, describe, magnitudes, nonfinite

if TYPE_CHECKING:
    from cavs.optim._optimizer import Group, Optimizer, State

Bounds = Sequence[float]
"""Of the magnitudes of a parameter and of the two arrays at most that are kept for it."""


# Going through a large table pays where many steps by some of its rows follow.
_STEPS_OF_A_TABLE = 30


class Update(NamedTuple):
    """What an optimizer is about to do.

    Attributes:
        name, parameter: of what it changes.
        group: the parameter's, with the options.
        state: what is kept for the parameter.
        by_rows: whether the gradient has some rows alone.
    """

    name: str
    parameter: Parameter
    group: Group
    state: State
    by_rows: bool

    @property
    def array(self) -> Array:
        """The elements of the gradient."""
        grad: Any = self.parameter.grad
        array: Array = grad.values if self.by_rows else grad
        return array


Known = tuple[int, Bounds | None, int]
"""Of a parameter: a version, bounds while it has that, None where there are none, and how many
steps there have been."""
Checked = tuple[Update, Bounds | None, Bounds | None]
"""An update, and bounds before it and after it where they are known."""


class UpdateChecks:
    """Of the updates of one optimizer.

    Little but gradients is gone through in each step: what bounds the magnitudes of a parameter and
    its states before it, and the formula of the update, bound those after it. They are taken from
    the arrays where the parameter was written by others, or bounds have grown too wide; for a
    row-sparse gradient from its rows alone. What is not bounded is computed on copies first.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._known: dict[Parameter, Known] = {}

    def __getstate__(self) -> Optimizer:
        return self._optimizer  # copies of parameters have other versions

    def __setstate__(self, optimizer: Optimizer) -> None:
        self.__init__(optimizer)  # type: ignore[misc]

    def forget(self) -> None:
        """States are no longer what they were."""
        self._known.clear()

    def check(self, updates: Sequence[Update]) -> list[Checked]:
        """What the updates will have done, for :meth:`settle_all`.

        Raises:
            NonFiniteError: names the first parameter whose gradient is not finite, or would leave
                it so.
        """
        greatest = magnitudes(update.array for update in updates)
        for update, most in zip(updates, greatest, strict=True):
            if not math.isfinite(most):
                raise nonfinite(
                    f"expected a finite gradient of parameter {update.name!r}, got "
                    f"{describe(update.array)}; no parameter was changed: lower the learning rate "
                    "or clip gradients"
                )
        parameters = [update.parameter for update in updates]
        known = self.known(parameters, [parameter.read()[1] for parameter in parameters])
        found = []
        for update, most, before in zip(updates, greatest, known, strict=True):
            after = self._bounds_after(update, most, before)
            if after is None:
                self._compute(update)
            found.append((update, before, after))
        return found

    def settle_all(self, checked: Sequence[Checked]) -> None:
        """Is told that the updates are done."""
        for update, before, after in checked:
            parameter = update.parameter
            self.settle([parameter], [parameter.read()[1]], [before], [after], [not update.by_rows])

    def known(
        self, parameters: Sequence[Parameter], versions: Sequence[int]
    ) -> list[Bounds | None]:
        """Bounds of parameters and their states; None where one has not the version that it had
        after the last step, or has -1: then others may have written to it."""
        entries = [self._known.get(parameter) for parameter in parameters]
        return [
            None
            if entry is None or version < 0 or entry[0] != version
            else entry[1] or self._measured(parameter, entry[2])
            for parameter, version, entry in zip(parameters, versions, entries, strict=True)
        ]

    def _measured(self, parameter: Parameter, steps: int) -> Bounds | None:
        """Of a table that has had so many updates of some of its rows."""
        if steps < _STEPS_OF_A_TABLE:
            return None
        (group,) = [g for g in self._optimizer.groups if any(p is parameter for p in g["params"])]
        _, *states = self._optimizer.native_states(parameter, group)
        return [*magnitudes([parameter.read()[0], *states]), 0.0, 0.0][:3]

    def settle(
        self,
        parameters: Sequence[Parameter],
        versions: Sequence[int],
        before: Sequence[Bounds | None],
        after: Sequence[Bounds | None],
        whole: Sequence[bool],
    ) -> None:
        """Is told that updates are done, which have left the parameters at these versions; -1:
        others may write to one unseen.

        Args:
            before, after: bounds before the updates and after them; of a part of the parameter
                alone where there was none before and not its `whole` was updated.
        """
        entries = map(self._known.get, parameters)
        steps = [0 if entry is None else entry[2] + 1 for entry in entries]
        self._known.update(
            (key, (version, new if all_of_it or old else None, count))
            for key, version, old, new, all_of_it, count in zip(
                parameters, versions, before, after, whole, steps, strict=True
            )
        )

    def _bounds_after(self, update: Update, greatest: float, known: Bounds | None) -> Bounds | None:
        """After an update by a gradient of at most this magnitude; None where they are unknown, or
        too wide."""
        parameter, group = update.parameter, update.group
        settings = self._optimizer.native_settings(group)
        if settings is None:
            return None  # a formula of the user's own
        step, *states = self._optimizer.native_states(parameter, group)
        grad: Any = parameter.grad
        rows = grad.indices if update.by_rows else None
        values = parameter.read()[0]
        found: Bounds | None = device_of(values).native.bounds_after(
            settings, step, greatest, values, states, rows, known
        )
        return found

    def _compute(self, update: Update) -> None:
        """Raises where the update, done on copies, leaves what is not finite."""
        parameter, state = update.parameter, update.state
        grad: Any = parameter.grad
        if update.by_rows:
            rows = grad.indices
            part = Parameter(parameter.read()[0][rows])
            numbers = device_of(grad.values).asarray(range(len(rows)), INT32)
            own = RowSparse(numbers, grad.values, tuple(part.shape))
            copies = {
                key: array[rows] if array.shape == parameter.shape else array.copy()
                for key, array in state.items()
            }
            self._optimizer._update_rows(part, own, copies, update.group)
            values = part.read()[0]
        else:
            values = parameter.read()[0].copy()
            copies = {key: array.copy() for key, array in state.items()}
            self._optimizer._update([values], [grad], [copies], update.group)
        if not math.isfinite(magnitudes([values])[0]):
            raise nonfinite(
                f"expected a finite parameter {update.name!r} after the update, got "
                f"{describe(values)}; no parameter was changed: lower the learning rate or clip "
                "gradients"
            )
