"""A training step: forward, loss, gradients, clipping and update, in one native call or by parts.

Both ways give the same bits. `separate_step` makes the calls that a training loop would make;
`NativeSteps` runs the step without Python in between.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cavs._arguments import is_among, number, shown
from cavs._native import core
from cavs.core.compiler import Compiler
from cavs.core.ir import Name
from cavs.core.program import Program
from cavs.errors import InputError, NonFiniteError, ShapeError
from cavs.execution.executor import Array, RandomState, read_parameters, write_buffers
from cavs.execution.native import NativeExecutor
from cavs.optim import Optimizer, clip_grad_norm
from cavs.scheduler import GraphBatch
from cavs.tensor import Parameter, RowSparse, Tensor, Writing, detecting


class StepOptions(NamedTuple):
    """The options of a step beside its call: see :meth:`cavs.Model.step`."""

    optimizer: Optimizer
    loss: str
    scale: float
    clip_norm: float

    def check(self, outputs: Collection[Name]) -> StepOptions:
        """The options with numbers as floats, if they are valid.

        Raises:
            InputError: `loss` is none of `outputs`, or another option is out of its range.
        """
        optimizer: Any = self.optimizer
        if not isinstance(optimizer, Optimizer):
            raise InputError(
                f"[step] expected an optimizer of cavs.optim, got {type(optimizer).__name__}; "
                "make one of the model's parameters"
            )
        if not is_among(self.loss, outputs):
            raise InputError(
                f"[step] expected an output among {sorted(outputs)} as the loss, got "
                f"{shown(self.loss)}; name one of these"
            )
        scale = number("step", "scale", self.scale)
        clip_norm = number("step", "clip_norm", self.clip_norm, 0)
        return StepOptions(optimizer, self.loss, scale, clip_norm)

    def check_holds_some(self, parameters: Sequence[Parameter]) -> None:
        """Raises InputError where the optimizer has none of the parameters."""
        if _held(self.optimizer).isdisjoint(parameters):
            raise InputError(
                "[step] expected an optimizer of the model's parameters, got one that has none of "
                "them; make it of model.parameters()"
            )


def separate_step(
    outputs: Mapping[Name, Tensor], parameters: Sequence[Parameter], options: StepOptions
) -> Tensor:
    """The rest of a step whose forward call gave `outputs`, by the calls of a training loop.

    Raises:
        NonFiniteError: the loss, or the norm to clip by, is not finite; no parameter has changed.
    """
    loss = outputs[options.loss].sum() * options.scale
    if not detecting():  # else backward says where the bad value comes from
        check_loss(loss.item())
    options.optimizer.zero_grad()
    loss.backward()
    if options.clip_norm:
        check_norm(clip_grad_norm(parameters, options.clip_norm))
    options.optimizer.step()
    result: Tensor = loss.detach()
    return result


def check_loss(loss: float, of: str = "") -> None:
    """Raises NonFiniteError where the loss is not finite; `of` says which step's."""
    if not math.isfinite(loss):
        raise NonFiniteError(
            f"[step] expected a finite loss, got {loss}{of}; no parameter was changed: lower the "
            "learning rate or clip gradients"
        )


def check_norm(norm: float, of: str = "") -> None:
    """Raises NonFiniteError where the norm of the gradients is not finite."""
    if not math.isfinite(norm):
        raise NonFiniteError(
            f"[step] expected gradients of a finite norm, to be clipped, got {norm}{of}; no "
            "parameter was changed: lower the learning rate"
        )


_EARLIER = " in an earlier step, for which the host did not wait"
_MOST_AHEAD = 64  # steps that the host may be ahead of the device


class _Plan(NamedTuple):
    """The plan of a step from one loss: the native plan and its forward program, the parameters
    that get gradients with their numbers among the function's, which of them get a whole gradient,
    and the numbers of the buffers that it updates."""

    native: Any
    forward: Program
    params: list[Parameter]
    numbers: list[int]
    whole: list[bool]
    positions: dict[Parameter, int]  # the numbers of `params`
    updated: list[int]


class NativeSteps:
    """Training steps of one compiled function, in one native call each."""

    def __init__(self, executor: NativeExecutor) -> None:
        self._executor = executor
        self._plans: dict[tuple[Compiler, str, tuple[bool, ...]], _Plan] = {}
        self._outcomes: deque[Any] = deque()  # of steps that the device may still work at

    def run(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        options: StepOptions,
        training: bool,
        parameters: Sequence[Parameter],
        random: Callable[[], RandomState],
    ) -> Tensor | None:
        """The loss of a step that is done; None if it must be done by separate calls: for an
        optimizer of the user's own or one that does not hold all parameters that learn, and where
        a value is not finite while this thread looks for that: the separate calls say where.

        Args:
            graphs, inputs: as checked.
            options: as checked.
            training: the mode of the model.
            parameters: all of the model, whose gradients are clipped.
            random: gives the state that random operations draw from; called if the step runs here.

        Raises:
            NonFiniteError: the loss, or the norm to clip by, is not finite; no parameter has
                changed; CavsRuntimeError: see :meth:`cavs.optim.Optimizer.check`.
        """
        self._check_earlier()
        optimizer = options.optimizer
        plan = self._plan(graphs, options.loss, training)
        try:
            groups = _groups(plan, optimizer)
        except (KeyError, TypeError):  # of an option that a user set
            optimizer.check_values()
            raise
        if groups is None:
            return None
        order: list[int] = []
        if options.clip_norm:
            if not _held(optimizer).issuperset(parameters):
                return None
            positions = [plan.positions.get(p, -1) for p in parameters]
            order = [position for position in positions if position >= 0]
        optimizer.check()
        executor, state = self._executor, random()
        checking = detecting()
        writing = Writing(plan.params, versions=checking)
        with writing:
            weights = read_parameters(executor.compiler.params)
            values, versions = weights
            known = None
            if checking:
                read = [versions[i] for i in plan.numbers]
                known = optimizer.checks.known(plan.params, read)
            optimizer.zero_grad()
            gradients: list[Any] = [
                parameter.take_grad_buffer() if whole else None
                for parameter, whole in zip(plan.params, plan.whole, strict=True)
            ]
            rows: list[tuple[Array, Array] | None]
            executor.device.begin_native()
            try:
                loss, norm, rows, bounds, updated = plan.native.run(
                    executor.schedule(graphs, plan.forward),
                    graphs.keys,
                    *state,
                    values,
                    versions,
                    executor.placed([inputs[name] for name in plan.forward.inputs]),
                    gradients,
                    groups,
                    options.scale,
                    options.clip_norm,
                    order,
                    known,
                )
            except (InputError, ShapeError):
                executor.check_parameters(weights)
                optimizer.check_states()
                raise
        if known is not None and not (
            bounds is not None and math.isfinite(loss) and math.isfinite(norm)
        ):
            return None
        later = isinstance(norm, core.StepOutcome)
        if later and plan.updated:  # buffers take the values of good steps alone
            check_loss(norm.loss)
            check_norm(norm.norm)
        elif later:
            self._outcomes.append(norm)
        else:
            check_loss(loss)
        for parameter, whole, sparse in zip(plan.params, gradients, rows, strict=True):
            parameter._grad = whole if sparse is None else RowSparse._wrap(*sparse, parameter.shape)
        if not later:
            check_norm(norm)
        for parameter in plan.params:
            optimizer.updated(parameter)
        write_buffers(executor.compiler.params, list(zip(plan.updated, updated, strict=True)))
        if known is not None:
            optimizer.checks.settle(plan.params, writing.versions, known, bounds, plan.whole)
        return Tensor._wrap(loss if later else np.array(loss, executor.dtype))

    def _check_earlier(self) -> None:
        """Looks at steps that the device is done with by now. Raises NonFiniteError."""
        while self._outcomes and (self._outcomes[0].is_known or len(self._outcomes) > _MOST_AHEAD):
            outcome = self._outcomes.popleft()
            check_loss(outcome.loss, _EARLIER)
            check_norm(outcome.norm, _EARLIER)

    def _plan(self, graphs: GraphBatch, loss: str, training: bool) -> _Plan:
        compiler = self._executor.of_training(self._executor.compiler, graphs, training)
        key = (compiler, loss, compiler.learning())
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._make_plan(compiler, loss)
        return plan

    def _make_plan(self, compiler: Compiler, loss: str) -> _Plan:
        executor = self._executor
        forward = compiler.training(())
        backward = compiler.backward([loss], ())
        results = backward.results
        parts = [(parameter, output, -1) for parameter, output in results.whole]
        parts += [(parameter, rows, ids) for parameter, ids, rows in results.by_rows]
        whole = {parameter for parameter, _ in results.whole}
        native = core.StepPlan(
            executor.load(forward),
            executor.load(backward),
            dict(forward.results.pushes)[loss],
            parts,
            [output for _, output in forward.results.updates],
        )
        numbers = list(native.params)
        params = [compiler.params[i] for i in numbers]
        return _Plan(
            native,
            forward,
            params,
            numbers,
            [i in whole for i in numbers],
            {parameter: position for position, parameter in enumerate(params)},
            [buffer for buffer, _ in forward.results.updates],
        )


def _groups(plan: _Plan, optimizer: Optimizer) -> list[Any] | None:
    """The optimizer's groups as native code takes them: settings, and for each parameter with a
    gradient its position, the number of the update and its arrays."""
    groups, found = [], 0
    for group in optimizer.groups:
        settings = optimizer.native_settings(group)
        if settings is None:
            return None
        updates = []
        for parameter in group["params"]:
            position = plan.positions.get(parameter)
            if position is not None:
                updates.append((position, *optimizer.native_states(parameter, group)))
        found += len(updates)
        groups.append((settings, updates))
    return groups if found == len(plan.params) else None


def _held(optimizer: Optimizer) -> set[Parameter]:
    return {p for group in optimizer.groups for p in group["params"]}
