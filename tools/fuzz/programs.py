"""Wrong native programs and wrong arguments of runs: an error or a run, never a crash.

The descriptions that functions and models are lowered to, and the arguments of their runs, are
recorded; a trial changes some of their fields and goes on as the executor would.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from drawing import draw_function
from functions import DescribedFunction
from graphs import draw_batch, draw_inputs
from mutations import mutated, mutated_array, wrong
from workers import Worker

import cavs
import cavs.execution.native
import cavs.step
from cavs._native import core
from cavs.core.passes import PASSES

_ENUMERATIONS = (
    *(core.DType, core.SpaceKind, core.Role),
    *(core.TableKind, core.SegmentKind, core.Read),
)
#: Words of descriptions; a trial puts one of them in a wrong place.
WORDS = [
    *(member for enumeration in _ENUMERATIONS for member in enumeration),
    *("cpu", "cuda", "a\nb", "\ud800", "x" * 300, "vertex", "float32", "width", "calls", "key"),
    *core.kernel_names(),
    *core.scalar_ops(),
]
_LARGEST = 64 << 20  # bytes: a larger run is not worth its time
_DRAWN = 24  # functions
_OPTIMIZERS: list[Callable[..., cavs.optim.Optimizer]] = [
    cavs.optim.SGD,
    partial(cavs.optim.RMSprop, momentum=0.9, centered=True),
    cavs.optim.Adagrad,
    cavs.optim.Adam,
]


class Recorded(NamedTuple):
    """The arguments that one call with its backward, or one step, gave to the extension."""

    programs: list[tuple[Any, ...]]  # the forward one, then the backward one, if there is one
    run: tuple[Any, ...]  # the schedule and the arguments after it
    forward: tuple[Any, ...]
    backward: tuple[Any, ...] | None
    plan: tuple[Any, ...] | None  # of a step: the arguments after the programs
    step: tuple[Any, ...] | None  # of a step: the arguments of its run


class _Recorder:
    """The extension, with a record of its calls."""

    def __init__(self) -> None:
        self.programs: dict[int, tuple[Any, ...]] = {}
        self.made: list[tuple[Any, Any]] = []  # kept alive: the keys above are their ids
        self.runs: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(core, name)

    def Program(self, *args: Any) -> Any:  # noqa: N802 - as the extension calls it
        program = core.Program(*args)
        self.programs[id(program)] = args
        self.made.append((program, args))
        return program

    def Run(self, program: Any, *args: Any) -> _RecordedRun:  # noqa: N802
        note = {"program": self.programs.get(id(program)), "run": args}
        self.runs.append(note)
        return _RecordedRun(core.Run(program, *args), note, self)

    def StepPlan(self, forward: Any, backward: Any, *args: Any) -> _RecordedPlan:  # noqa: N802
        note = {
            "program": self.programs[id(forward)],
            "second": self.programs[id(backward)],
            "plan": args,
        }
        self.runs.append(note)
        return _RecordedPlan(core.StepPlan(forward, backward, *args), note)


class _RecordedRun:
    def __init__(self, run: Any, note: dict[str, Any], recorder: _Recorder) -> None:
        self.__dict__.update(_run=run, _note=note, _recorder=recorder)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._run, name, value)

    def forward(self, *args: Any, versions: Any = ()) -> Any:
        self._note["forward"] = (*args, *(None,) * (4 - len(args)), list(versions))
        return self._run.forward(*args, versions=versions)

    def backward(self, program: Any, *args: Any, retain: bool = False) -> Any:
        self._note["second"] = self._recorder.programs.get(id(program))
        self._note["backward"] = args
        return self._run.backward(program, *args, retain=retain)


class _RecordedPlan:
    def __init__(self, plan: Any, note: dict[str, Any]) -> None:
        self._plan, self._note = plan, note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plan, name)

    def run(self, *args: Any) -> Any:
        copied = [x.copy() if isinstance(x, np.ndarray) else x for x in args]
        self._note["step"] = tuple(copied)
        return self._plan.run(*args)


@contextmanager
def _recording() -> Iterator[_Recorder]:
    recorder, before = _Recorder(), (cavs.execution.native._core, cavs.step.core)
    cavs.execution.native._core = cavs.step.core = recorder  # type: ignore[attr-defined,assignment]
    try:
        yield recorder
    finally:
        cavs.execution.native._core, cavs.step.core = before  # type: ignore[attr-defined]


def _sources() -> list[Callable[[random.Random], tuple[cavs.VertexFunction, Any]]]:
    """Functions that make a vertex function, with its description if it was drawn."""
    from vertex_functions import FUNCTIONS, make_function

    def listed(name: str) -> Callable[[random.Random], tuple[cavs.VertexFunction, Any]]:
        return lambda rng: (make_function(name, "float32"), None)

    def drawn(seed: int) -> Callable[[random.Random], tuple[cavs.VertexFunction, Any]]:
        def make(rng: random.Random) -> tuple[cavs.VertexFunction, Any]:
            description = draw_function(seed, random_numbers=seed % 4 == 0)
            return DescribedFunction(description, "float32"), description

        return make

    return [*map(listed, FUNCTIONS), *map(drawn, range(_DRAWN))]


def _inputs(model: cavs.Model, graphs: cavs.GraphBatch, numbers: np.random.Generator) -> Any:
    """Inputs of a listed function, drawn by the model's own record of its inputs."""
    found = {}
    for name, spec in model.inputs.items():
        rows = graphs.rows(spec.space)
        if spec.dtype == "int32":
            found[name] = numbers.integers(-1, 3, (rows, *spec.shape)).astype(np.int32)
        else:
            found[name] = numbers.standard_normal((rows, *spec.shape)).astype(np.float32)
    return found


@cache
def _recorded(number: int, variant: int) -> list[Recorded]:
    """Everything that a source gave to the extension, compiled in the way `variant`."""
    rng, numbers = random.Random(f"{number} {variant}"), np.random.default_rng(number)
    function, description = _sources()[number](rng)
    passes = None if variant else tuple(name for name in PASSES if rng.random() < 0.6)
    with _recording() as recorder:
        model = cavs.compile(function, passes=passes, extra_children="ignore")
        for _ in range(2):
            graphs = draw_batch(rng)
            if description is None:
                inputs = _inputs(model, graphs, numbers)
            else:
                drawn = draw_inputs(description.pulls, graphs, numbers)
                inputs = {name: x for name, x in drawn.items() if name in model.inputs}
            try:
                _use(model, graphs, inputs)
            except cavs.CavsError:
                continue  # too few children, an id out of range
    return [
        Recorded(
            [note["program"], *([note["second"]] if note.get("second") else [])],
            note.get("run", ()),
            note.get("forward", ()),
            note.get("backward"),
            note.get("plan"),
            note.get("step"),
        )
        for note in recorder.runs
        if note["program"] is not None and ("forward" in note or "step" in note)
    ]


def _use(model: cavs.Model, graphs: cavs.GraphBatch, inputs: Any) -> None:
    with cavs.no_grad():
        model(graphs, **inputs)
    outputs = model(graphs, **inputs)
    losses = [y.sum() for y in outputs.values() if y.requires_grad]
    if losses:
        sum(losses[1:], losses[0]).backward()
    scalar = [name for name, y in outputs.items() if y.requires_grad]
    if scalar and model.parameters():
        optimizer = _OPTIMIZERS[len(inputs) % len(_OPTIMIZERS)](model.parameters(), lr=0.01)
        model.step(graphs, optimizer, loss=scalar[0], **inputs)


def trial(seed: int) -> str | None:
    """Tries one wrong program, or one wrong run of a right one; returns the fault, or None."""
    rng = random.Random(f"programs {seed}")
    recorded = _recorded(rng.randrange(len(_sources())), rng.randrange(2))
    if not recorded:
        return None
    case = rng.choice(recorded)
    try:
        _go(rng, case)
    except BaseException as error:
        return wrong(error)
    return None


def _go(rng: random.Random, case: Recorded) -> None:
    target = rng.choice(["first", "first", "second", "run"])
    programs: list[Any] = []
    for place, args in enumerate(case.programs):
        given = list(args)
        if place == 1:
            given[5] = programs[0]
        if target == ("first", "second")[place]:
            for _ in range(rng.choice([1, 1, 1, 2, 3])):
                field = rng.choice([1, 1, 2, 2, 2, 2, 2, 0, 3, 4, 6, 7, 8])
                given[field] = mutated(rng, given[field], WORDS)
        programs.append(core.Program(*given))
    if rng.random() < 0.05 and len(programs) > 1:
        programs.reverse()
    change = target == "run"
    if case.plan is not None and case.step is not None:
        _step(rng, case, programs, change)
    else:
        _run(rng, case, programs, change)


def _arguments(rng: random.Random, args: tuple[Any, ...]) -> list[Any]:
    """The arguments with one of them changed, or with one array in them changed."""
    given = list(args)
    place = rng.randrange(len(given))
    value = given[place]
    if isinstance(value, (list, tuple)) and value and rng.random() < 0.7:
        items = list(value)
        inner = rng.randrange(len(items))
        items[inner] = (
            mutated_array(rng, items[inner])
            if isinstance(items[inner], np.ndarray)
            else mutated(rng, items[inner], WORDS)
        )
        given[place] = items
    elif isinstance(value, np.ndarray):
        given[place] = mutated_array(rng, value)
    else:
        given[place] = mutated(rng, value, WORDS)
    return given


def _run(rng: random.Random, case: Recorded, programs: list[Any], change: bool) -> None:
    args, forward = list(case.run), list(case.forward)
    backward = list(case.backward or ())
    if change:
        which = rng.randrange(4)
        if which == 0:
            args = _arguments(rng, case.run)
        elif which == 1 or not backward:
            forward = _arguments(rng, case.forward)
        elif which == 2:
            backward = _arguments(rng, tuple(backward))
        else:
            args[0] = draw_batch(rng).schedule(rng.choice(["batching", "serial"]))
    rows, retain = [rng.choice([0, 1, 3, 5]) for _ in case.programs[0][3]], rng.random() < 0.3
    second = programs[1] if len(programs) > 1 else None
    try:
        sweeps = core.plan_sweeps(programs[0], second, args[0], rows, True, 2, retain)
        if sum(sweep.total for sweep in sweeps) > _LARGEST:
            return
    except cavs.CavsError:
        pass
    run = core.Run(programs[0], *args)
    run.check_states = rng.random() < 0.5
    run.profile = rng.random() < 0.2
    run.forward(*forward)
    _ = run.nan_state
    if second is not None and backward:
        if retain:
            run.backward(second, *backward, retain=True)
        run.backward(second, *backward)
    run.profile_sweeps()


def _step(rng: random.Random, case: Recorded, programs: list[Any], change: bool) -> None:
    assert case.plan is not None
    assert case.step is not None
    plan_args, step_args = list(case.plan), list(case.step)
    if change:
        if rng.random() < 0.3:
            plan_args = [mutated(rng, x, WORDS) for x in plan_args]
        else:
            step_args = _arguments(rng, case.step)
    plan = core.StepPlan(*programs, *plan_args)
    # Steps change parameters and states in place: the recorded ones must stay as they are.
    plan.run(*[_copied(x) for x in step_args])


def _copied(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x.copy() if x.flags.c_contiguous and x.flags.writeable else x
    if isinstance(x, (list, tuple)):
        return type(x)([_copied(item) for item in x])
    return x


_worker = Worker("programs")
check = _worker.check
