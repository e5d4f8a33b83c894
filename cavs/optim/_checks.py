"""Finds out, before an update, whether it would leave a parameter that is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cavs._arrays import INT32, Array
from cavs.device import device_of
from cavs.optim._groups import Group, State
from cavs.tensor import Parameter, RowSparse, describe, magnitudes, nonfinite

if TYPE_CHECKING:
    from cavs.optim._optimizer import Optimizer

Bounds = Sequence[float]
"""Bounds of the magnitudes of a parameter and of the arrays, at most two, that are kept for it."""


# A whole table is measured only after this many steps by some of its rows: more will follow.
_STEPS_OF_A_TABLE = 30


class Update(NamedTuple):
    """A change that an optimizer is about to make.

    Attributes:
        name, parameter: the parameter that changes, and its name.
        group: the group of the parameter, with its options.
        state: the arrays that are kept for the parameter.
        by_rows: whether the gradient is row-sparse.
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
"""Of a parameter: a version, the bounds that hold while it has this version (None: no bounds), and
the number of its steps so far."""
Checked = tuple[Update, Bounds | None, Bounds | None]
"""An update, the bounds before it and the bounds after it; None where they are unknown."""


class UpdateChecks:
    """Checks the updates of one optimizer.

    Each step reads little more than the gradients. The bounds of a parameter and its states before
    an update, together with the formula of the update, give the bounds after it. Bounds are
    measured on the arrays if others wrote to the parameter, or if the bounds have grown too wide;
    for a row-sparse gradient on its rows alone. An update without bounds is computed on copies
    first.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._known: dict[Parameter, Known] = {}

    def __getstate__(self) -> Optimizer:
        return self._optimizer  # copies of parameters have other versions

    def __setstate__(self, optimizer: Optimizer) -> None:
        self.__init__(optimizer)  # type: ignore[misc]

    def forget(self) -> None:
        """Drops all bounds: the states may have changed."""
        self._known.clear()

    def check(self, updates: Sequence[Update]) -> list[Checked]:
        """Checks updates before they are done; the result is for :meth:`settle_all`.

        Raises:
            NonFiniteError: names the first parameter whose gradient is not finite, or that would
                not be finite after its update.
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
        known = self.known(parameters, Parameter.read_all(parameters)[1])
        found = []
        for update, most, before in zip(updates, greatest, known, strict=True):
            after = self._bounds_after(update, most, before)
            if after is None:
                self._compute(update)
            found.append((update, before, after))
        return found

    def settle_all(self, checked: Sequence[Checked]) -> None:
        """Notes that the updates are done."""
        for update, before, after in checked:
            parameter = update.parameter
            self.settle([parameter], [parameter.read()[1]], [before], [after], [not update.by_rows])

    def known(
        self, parameters: Sequence[Parameter], versions: Sequence[int]
    ) -> list[Bounds | None]:
        """Bounds of parameters and their states. They are None for a parameter whose version is -1
        or is not its version after the last step: others may have written to it."""
        entries = [self._known.get(parameter) for parameter in parameters]
        return [
            None
            if entry is None or version < 0 or entry[0] != version
            else entry[1] or self._measured(parameter, entry[2])
            for parameter, version, entry in zip(parameters, versions, entries, strict=True)
        ]

    def _measured(self, parameter: Parameter, steps: int) -> Bounds | None:
        """Measures a parameter after `_STEPS_OF_A_TABLE` updates by rows; None before."""
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
        """Notes that updates are done, and that the parameters now have these versions. The version
        -1: others may write to the parameter unseen.

        Args:
            before, after: bounds before the updates and after them. Where there were none before,
                those after hold for the updated elements alone.
            whole: whether all elements of a parameter were updated.
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
        """Bounds after an update by a gradient of magnitude `greatest` at most; None where they are
        unknown or too wide."""
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
        """Does the update on copies; raises NonFiniteError if the parameter is not finite then."""
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
