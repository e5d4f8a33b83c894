"""The base of all optimizers: their steps, the state of parameters, and saving it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cavs._arguments import listed, number
from cavs._arrays import Array
from cavs.core._state import fitting_arrays, narrowed
from cavs.core.owners import Owners
from cavs.device import device_of
from cavs.device.taking import moved
from cavs.errors import CavsError, CheckpointError, InputError, ShapeError
from cavs.optim._checks import Update, UpdateChecks
from cavs.optim._gradients import (
    check_devices,
    check_gradient,
    check_like,
    check_state,
    is_like,
    unlike,
)
from cavs.optim._groups import (
    Group,
    State,
    as_group_given,
    as_groups,
    called,
    check_parameters,
    check_paths,
    named,
    option_of,
    option_places,
)
from cavs.tensor import Parameter, RowSparse, Writing, detecting


class Optimizer(ABC):
    """Changes parameters in place by their gradients.

    Attributes:
        groups, param_groups: dictionaries with ``params``, ``names`` and the options, such as
            ``lr``, which may be changed between steps: ``optimizer.param_groups[0]["lr"] = 0.1``.
        defaults: the options of a group that gives none of its own.
        checks: finds updates that would leave a parameter that is not finite.
    """

    def __init__(self, parameters: Any, **options: float | bool) -> None:
        """Takes parameters, as a list, as (name, parameter) pairs such as
        ``model.named_parameters()``, or as groups: dictionaries with ``params`` and options of
        their own. Unnamed parameters are called 0, 1, 2, ....

        Raises:
            InputError: no parameter, one twice, something else, or an option out of its range.
        """
        self.defaults: dict[str, float | bool] = dict(options)
        self.groups: list[Group] = []
        self._states: dict[Parameter, State] = {}
        self.checks = UpdateChecks(self)
        self._add(as_groups(parameters))

    @property
    def param_groups(self) -> list[Group]:
        """The groups, by the name that PyTorch has for them."""
        return self.groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds a group of parameters, such as layers that learn from now on.

        Args:
            param_group: ``params``, as for the optimizer: a parameter, a list of them or of (name,
                parameter) pairs; and options of the group's own in place of the defaults.

        Raises:
            InputError: no group, or as for a new optimizer; the optimizer is then as before.
        """
        self._add([as_group_given(param_group)])

    def _add(self, given_groups: Sequence[Mapping[str, Any]]) -> None:
        """Adds groups, or raises InputError and adds none."""
        groups, count = list(self.groups), sum(len(group["params"]) for group in self.groups)
        for given in given_groups:
            group = self._as_group(given, count)
            count += len(group["params"])
            groups.append(group)
        check_parameters(groups)
        states = {
            parameter: self._new_state(parameter, group)
            for group in groups[len(self.groups) :]
            for parameter in group["params"]
        }
        check_paths(groups, {**self._states, **states})
        self._states.update(states)
        self.groups[:] = groups
        self._owners = Owners([p for group in groups for p in group["params"]])

    def _as_group(self, given: Mapping[str, Any], count: int) -> Group:
        """A group with all options; parameters without a name are numbered from `count`."""
        unknown = set(given) - set(self.defaults) - {"params"}
        if unknown:
            raise InputError(
                f"[optim] expected options among {sorted(self.defaults)}, got {listed(unknown)}; "
                "leave the others out"
            )
        pairs = named(given["params"], count)
        group: Group = {
            name: option_of(name, given.get(name, value), type(value))
            for name, value in self.defaults.items()
        }
        group["names"] = [name for name, _ in pairs]
        group["params"] = [parameter for _, parameter in pairs]
        self._check_options(group)
        return group

    def _check_options(self, group: Group) -> None:
        for name, value in group.items():
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= 0):
                raise InputError(
                    f"[optim] expected a finite {name} >= 0, got {value}; pass such a number"
                )

    def native_settings(self, group: Group) -> Any | None:
        """The options of a group as a native training step takes them (see ``cavs.step``); None
        where the update is computed in Python alone."""
        return None

    def native_states(self, parameter: Parameter, group: Group) -> tuple[Any, ...]:
        """Number of the next update of `parameter`, from 1, and the arrays that it changes."""
        return (1,)

    def updated(self, parameter: Parameter) -> None:  # noqa: B027
        """Called after a native training step changed `parameter` and its arrays."""

    @abstractmethod
    def _new_state(self, parameter: Parameter, group: Group) -> State:
        """Arrays that are kept for `parameter` from step to step, by name."""

    @abstractmethod
    def _update(
        self,
        values: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[State],
        group: Group,
    ) -> None:
        """Changes `values` by dense gradients of the same shapes and dtypes; all values of a group
        at once, in one native call."""

    @abstractmethod
    def _update_rows(
        self, parameter: Parameter, grad: RowSparse, state: State, group: Group
    ) -> None:
        """Changes the rows of `parameter` that `grad` has; other rows neither decay nor go on by
        momentum."""

    def step(self) -> None:
        """Changes every parameter that has a gradient.

        Raises:
            ShapeError: a gradient has another shape or dtype than its parameter; InputError: one is
                no array, or shares memory with the parameter's values; CavsRuntimeError: see
                :meth:`check`; NonFiniteError: a gradient, or a parameter after the step, is not
                finite, see :class:`cavs.detect_nonfinite`. After an error no parameter has changed.
        """
        self.check()
        try:
            if not detecting():
                self._update_all()
                return
            checked = self.checks.check(self._updates())
            self._update_all()
            self.checks.settle_all(checked)
        except CavsError:
            raise
        except Exception:  # a wrong option or gradient may raise anything
            self.check_values()
            raise

    def check_values(self) -> None:
        """Looks, after a step failed, for an option that a user set and no step takes.

        Raises:
            InputError: names the option, or the arrays that the options need and nobody made.
        """
        for group in self.groups:
            for name, value in group.items():
                if name not in ("names", "params") and not isinstance(value, bool):
                    number("optim", name, value)
            self._check_states(group)

    def check_states(self) -> None:
        """Looks, after a native training step failed, for a parameter that has become another.

        Raises:
            ShapeError: names the parameter.
        """
        for group in self.groups:
            for parameter in group["params"]:
                check_state(parameter, self._states[parameter], group)

    def _updates(self) -> list[Update]:
        """The updates of a step; raises as :meth:`step` does, before a parameter has changed."""
        updates = []
        for group in self.groups:
            for name, parameter in zip(group["names"], group["params"], strict=True):
                grad: Any = parameter.grad
                if grad is None:
                    continue
                if not is_like(grad, parameter):
                    raise unlike(parameter, group)
                by_rows = isinstance(grad, RowSparse)
                state = self._states[parameter]
                name = called(name, parameter)
                updates.append(Update(name, parameter, group, state, by_rows))
        return updates

    def _update_all(self) -> None:
        updates = []
        for group in self.groups:
            learning = [p for p in group["params"] if p.grad is not None]
            rows = [p for p in learning if isinstance(p.grad, RowSparse)]
            dense = [p for p in learning if not isinstance(p.grad, RowSparse)] if rows else learning
            updates.append((group, rows, dense))
        if len(updates) > 1 or updates[0][1]:
            # Several native updates, each of which checks its own: what one refuses must not come
            # behind another.
            for group, rows, dense in updates:
                check_devices(dense)
                self._check_update(group, rows, dense)
        for group, rows, dense in updates:
            for parameter in rows:
                self._step_rows(parameter, parameter.grad, group)
            if dense:
                self._step_dense(dense, group)

    def _check_update(
        self, group: Group, rows: Sequence[Parameter], dense: Sequence[Parameter]
    ) -> None:
        """Raises for an option, or a gradient, that does not fit."""
        self.native_settings(group)
        for parameter in (*rows, *dense)[:1]:  # all of a group have arrays of the same names
            self.native_states(parameter, group)
        for parameter in rows:
            if not is_like(parameter.grad, parameter):
                raise unlike(parameter, group)
        if dense:
            check_like(dense, [p.read()[0] for p in dense], group)

    def check(self) -> None:
        """Checks that the compiled functions that own the parameters have kept their structure.

        Raises:
            CavsRuntimeError: a layer or a parameter of a function was replaced, see
                ``cavs.core.structure``.
        """
        self._owners.check()

    def _step_rows(self, parameter: Parameter, grad: RowSparse, group: Group) -> None:
        if not is_like(grad, parameter):
            raise unlike(parameter, group)
        try:
            self._update_rows(parameter, grad, self._states[parameter], group)
        except (InputError, ShapeError):
            check_state(parameter, self._states[parameter], group)
            raise

    def _step_dense(self, params: Sequence[Parameter], group: Group) -> None:
        grads: list[Any] = [p.grad for p in params]
        states = [self._states[p] for p in params]
        with Writing(params) as values:
            check_like(params, values, group)
            try:
                self._update(values, grads, states, group)
            except (InputError, ShapeError):
                # The native update knows no names; it raised before it changed anything.
                for parameter, state in zip(params, states, strict=True):
                    check_gradient(parameter, state, group)
                raise

    def zero_grad(self) -> None:
        """Forgets the gradients of all parameters."""
        for group in self.groups:
            for parameter in group["params"]:
                parameter.zero_grad()

    def state_dict(self) -> dict[str, Array]:
        """Everything that the next step depends on, as arrays: ``NAME.STATE`` of each parameter,
        and ``groups.N.OPTION`` of each group, without axes.

        The arrays are NumPy's. Those of parameters on the CPU are the optimizer's own; copy them to
        keep them.

        Raises:
            InputError: an option that a user set is no number.
        """
        self.checks.forget()  # the caller may change the arrays
        result: dict[str, Array] = {}
        for group in self.groups:
            for name, parameter in zip(group["names"], group["params"], strict=True):
                for key, array in self._states[parameter].items():
                    result[f"{name}.{key}"] = device_of(array).to_host(array)
        try:
            for path, (at, option) in option_places(self.groups).items():
                result[path] = np.asarray(self.groups[at][option], np.float64)
        except (TypeError, ValueError):
            self.check_values()
            raise
        return result

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a result of :meth:`state_dict`, options included; loads all of it or
        nothing.

        Raises:
            CheckpointError: names that are missing or unexpected, shapes that differ, options out
                of their ranges, or numbers that no training gives.
        """
        own = self.state_dict()
        shapes = {name: array.shape for name, array in own.items()}
        values = fitting_arrays("optim", type(self).__name__, shapes, state)
        changed = [dict(group) for group in self.groups]
        for path, (at, option) in option_places(self.groups).items():
            wanted = type(changed[at][option])
            changed[at][option] = wanted(values.pop(path).item())
        try:
            for group in changed:
                self._check_options(group)
                self._check_states(group)
        except InputError as error:
            raise CheckpointError(
                f"[optim] expected options of {type(self).__name__} within their ranges, got "
                f"others: {error}"
            ) from error
        found = {name: self._checked(name, value, own[name]) for name, value in values.items()}
        for group, given in zip(self.groups, changed, strict=True):
            group.update(given)
        for group in self.groups:
            for name, parameter in zip(group["names"], group["params"], strict=True):
                for key, array in self._states[parameter].items():
                    array[...] = moved(found[f"{name}.{key}"], device_of(array))

    def _check_states(self, given: Group) -> None:
        """Raises InputError if the options `given` need arrays that this optimizer does not
        keep."""
        for parameter in given["params"][:1]:
            missing = set(self._new_state(parameter, given)) - set(self._states[parameter])
            if missing:
                raise InputError(
                    f"[optim] expected options that need no {sorted(missing)}, as this optimizer "
                    "was made, got others; make it with such options from the beginning"
                )

    #: Names of the arrays of a state that have no negative element.
    _non_negative: frozenset[str] = frozenset()

    def _checked(self, name: str, value: Array, own: Array) -> Array:
        """An array of the state in the dtype of `own`; CheckpointError for numbers that no state
        has."""
        # Infinite numbers occur: sums of squares overflow where the parameter does not.
        good = not np.isnan(value).any()
        if good and own.dtype.kind == "i":
            good = bool(((value >= 0) & (value < 2**53) & (value == np.floor(value))).all())
        if good and name.rpartition(".")[2] in self._non_negative:
            good = not (value < 0).any()
        if not good:
            what = "counts" if own.dtype.kind == "i" else "numbers of the right sign"
            raise CheckpointError(
                f"[optim] expected {what} as {name!r}, got others; pass what state_dict gave"
            )
        return narrowed("optim", name, value, own.dtype)
