"""Compiles a vertex function, or several that make one model, such as an encoder and a decoder.

One function pulls the values that another pushes: the outer program joins them, and gradients flow
through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from cavs._arguments import boolean, is_among, listed, mapping, printed, shown, text
from cavs._missing import of_model
from cavs._seed import seed_or_default
from cavs.compiled import Compiled, convert, values_of
from cavs.core.reads import Reads
from cavs.core.structure import Structure
from cavs.core.vertex import VertexFunction
from cavs.core.vertex_program import VertexProgram
from cavs.device import Device, find_device
from cavs.errors import InputError
from cavs.execution.profile import MemoryBytes, Profile, together
from cavs.model import Model
from cavs.options import DType, as_device_and_dtype
from cavs.scheduler import GraphBatch, InputGraph, Policy
from cavs.tensor import check_seed

# Far apart, so that functions of one program draw from streams of their own.
_APART = 0x9E3779B97F4A7C15

Graphs = GraphBatch | InputGraph | Sequence[InputGraph]
Calls = Mapping[str, tuple[Graphs, Mapping[str, Any]]]
"""Calls of functions by name: the graphs, and inputs."""


class Program(Compiled):
    """A compiled vertex program: a model for each function, with one set of parameters, one mode
    and one random state; ``program["encode"](graphs, ...)`` calls one of them.

    Attributes:
        function: the vertex program.
        models: the functions' models, by name.
    """

    function: VertexProgram

    def __init__(self, program: VertexProgram, *, seed: int | None = None, **options: Any) -> None:
        self.function = program
        self.models = {
            name: Model(function, seed=0, **options)
            for name, function in program.functions().items()
        }
        # Parameters that belong to no function, for computations between the functions.
        for value in values_of(program):
            convert(value, *self._kind())
        self._join()
        self.set_random_state({"seed": check_seed(seed_or_default(seed)), "step": 0})
        self._made = frozenset([*vars(self), "_made"])

    if not TYPE_CHECKING:  # type checkers would take it for attributes of any kind

        def __getattr__(self, name: str) -> Any:
            own = {each: f"use program[{each!r}]" for each in vars(self).get("models", ())}
            step = {"step": f"call that of a function, {next(iter(own.values()), '')[4:]}.step"}
            raise of_model("a program", name, own | step)

    def _join(self) -> None:
        """Makes the models parts of one program."""
        program, reads = self.function, Reads()
        for name, model in self.models.items():
            reads.note(program, name)  # an attribute of this name may come to hide the function
            reads.update(model._compiler.trace.reads)
        self._structure = Structure(program, reads, program.functions())
        self._parameters = program.parameters()
        for model in self.models.values():
            model._structure = self._structure  # shared: all models are as compiled, or none is

    def _state(self) -> dict[str, Any]:
        return {"function": self.function, "models": self.models, "_seed": self._seed}

    def _restore(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._join()
        self._made = frozenset([*vars(self), "_made"])

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Raises InputError: a program's functions are called, ``program["encode"](graphs)``."""
        raise InputError(
            f"[call] expected one of the functions {list(self.models)}, got a call of the program; "
            f"call program[{next(iter(self.models))!r}](graphs, ...)"
        )

    def __getitem__(self, name: str) -> Model:
        if not is_among(name, self.models):
            raise InputError(
                f"[program] expected one of {list(self.models)}, got {shown(name)}; name one of "
                "these"
            )
        return self.models[name]

    @property
    def training(self) -> bool:
        """Whether dropout acts."""
        return all(model.training for model in self.models.values())

    def train(self, mode: bool = True) -> Program:
        """Dropout acts from now on; with False it does nothing, as after :meth:`eval`. Gives the
        program. Raises InputError where `mode` is no bool."""
        boolean("train", "mode", mode)
        for model in self.models.values():
            model.train(mode)
        return self

    def eval(self) -> Program:
        """Dropout does nothing from now on. Gives the program."""
        return self.train(False)

    def _kind(self) -> tuple[np.dtype[Any], Device]:
        """The dtype and the device of all functions."""
        first = next(iter(self.models.values()))
        return first.dtype, find_device(first.device)

    @property
    def device(self) -> str:
        """The device that it runs on: ``cpu``, ``cuda:0`` and so on."""
        return self._kind()[1].name

    def to(self, device: Any = None, dtype: DType | None = None) -> Program:
        """Makes the program, with all its functions, one of another device or precision, in place;
        see :meth:`Model.to`. Gives the program."""
        place, name = as_device_and_dtype(device, dtype)
        self._structure.check(thorough=True)
        for model in self.models.values():
            model._convert(place, name)
        for value in values_of(self.function):
            convert(value, *self._kind())
        return self

    @overload
    def explain(self, /, *, why: str = "most") -> str: ...

    @overload
    def explain(
        self, calls: Calls, /, *, repeats: int = 5, why: str = "most"
    ) -> dict[str, Profile]: ...

    def explain(self, calls: Calls | None = None, /, *, repeats: int = 5, why: str = "most") -> Any:
        """Describes the compiled programs of all functions or, over batches, measures where the
        time and memory of each call go: see :meth:`Model.explain`.

        Args:
            calls: for each function to run, its graphs and inputs, also the inputs that in a model
                come from other functions.
            repeats, why: as for :meth:`Model.explain`.

        Raises:
            InputError: no such function; and the errors of :meth:`Model.explain`.
        """
        if calls is None:
            parts = [f"=== {name}\n{model.explain(why=why)}" for name, model in self.models.items()]
            return "\n".join(parts)
        return {
            name: self[name].explain(graphs, repeats=repeats, why=why, **inputs)
            for name, (graphs, inputs) in _calls(calls).items()
        }

    def summary(self, calls: Calls | None = None, /) -> str:
        """A table of the modules and their parameters, and the inputs, states and outputs of each
        function; with calls, what each of them costs. ``print(program)`` shows it. See
        :meth:`Model.summary`.

        Args:
            calls: as for :meth:`explain`.

        Raises:
            InputError: no such function; and the errors of :meth:`Model.summary`.
        """
        from cavs.summary import parts_of

        given = {} if calls is None else {n: (self[n], *call) for n, call in _calls(calls).items()}
        mode = "training mode" if self.training else "evaluation mode"
        mode += "" if self.device == "cpu" else f", {self.device}"
        lines = parts_of(self.function, next(iter(self.models.values())).dtype, mode)
        for name, model in self.models.items():
            _, graphs, inputs = given.get(name, (model, None, {}))
            lines += [f"{name}: {type(model.function).__name__}"]
            lines += model._own_summary(graphs, dict(inputs))
        return "\n".join(lines)

    def __repr__(self) -> str:
        from cavs.core.outline import block

        functions = [
            f"({name}): {function!r}" for name, function in self.function.functions().items()
        ]
        dtype = next(iter(self.models.values())).dtype
        return block(type(self).__name__, [*functions, f"dtype={dtype}, training={self.training}"])

    def __str__(self) -> str:
        return self.summary()

    def memory(
        self,
        calls: Calls,
        /,
        *,
        gradients: bool | Mapping[str, bool | Iterable[str]] = True,
        retain: bool = False,
    ) -> MemoryBytes:
        """Bytes that the calls of a training step allocate, without running them: see
        :meth:`Model.memory`.

        They come in the order given, and all are there until backward; without `gradients` one
        after the other works in the same memory. Computations between them are not counted.

        Args:
            calls: for each function its graphs and integer inputs, to count distinct ids. Float
                inputs may be given too; the others are taken to come from earlier calls, if there
                are any, and to get gradients. The outputs of a call are then taken to be read by
                later calls, and to get cotangents.
            gradients: whether backward comes; by function also the outputs that the loss is made
                of, or that others read.
            retain: whether backward comes with ``retain_graph=True``.

        Returns:
            An int whose attribute `parts` says what it is made of, as that of
            :meth:`Model.memory`, over all calls.

        Raises:
            InputError: no such function; and the errors of :meth:`Model.memory`.
        """
        called = [(name, self[name], *call) for name, call in _calls(calls).items()]
        read = [
            {k for k, spec in model.inputs.items() if spec.dtype == "float" and k not in inputs}
            for _, model, _, inputs in called
        ]
        found = []
        for number, (name, model, graphs, inputs) in enumerate(called):
            asked = gradients.get(name, True) if isinstance(gradients, Mapping) else gradients
            wanted = read[number] if number else ()
            read_on = any(read[number + 1 :])
            memory = model._memory(graphs, asked, inputs, wanted, read_on=read_on, retain=retain)
            found.append(memory)
        return together(found)

    def random_state(self) -> dict[str, int]:
        """The seed, and the step of each function, as ``NAME.step``."""
        steps = {f"{name}.step": m.random_state()["step"] for name, m in self.models.items()}
        return {"seed": self._seed, **steps}

    def set_random_state(self, state: Mapping[str, int]) -> None:
        """Goes on from a state of :meth:`random_state`; with ``step``, all functions from there.

        Raises:
            InputError: not a seed and these steps, in 0..2**64-1; nothing has changed then.
        """
        steps = [f"{name}.step" for name in self.models]
        given: Any = state  # from a file, perhaps
        is_state = isinstance(given, Mapping)
        if not is_state or set(given) not in ({"seed", "step"}, {"seed", *steps}):
            came = listed(given) if is_state else type(given).__name__
            raise InputError(
                f"[random] expected a seed and {', '.join(steps)}, got {came}; pass what "
                "random_state() gave"
            )
        for value in state.values():
            check_seed(value)
        self._seed = state["seed"]
        for number, (name, model) in enumerate(self.models.items()):
            step = state["step"] if "step" in state else state[f"{name}.step"]
            model.set_random_state({"seed": (self._seed + number * _APART) % 2**64, "step": step})


def _calls(calls: Any) -> Calls:
    """Checks that the calls are by name, each with graphs and a dictionary of inputs."""
    for name, call in mapping("program", "calls", calls).items():
        if not isinstance(call, (tuple, list)) or len(call) != 2:
            raise InputError(
                f"[program] expected graphs and a dictionary of inputs for {printed(name)}, got "
                f"{shown(call)}; pass a pair"
            )
        for given in mapping("program", f"inputs of {printed(name)}", call[1]):
            text("program", "an input's name", given)
    result: Calls = calls
    return result


@overload
def compile(
    function: VertexFunction,
    *,
    dtype: DType = ...,
    outputs: Iterable[str] | None = ...,
    passes: Iterable[str] | None = ...,
    policy: str | Policy | None = ...,
    executor: str = ...,
    device: str = ...,
    seed: int | None = ...,
    extra_children: str = ...,
) -> Model: ...


@overload
def compile(
    function: VertexProgram,
    *,
    dtype: DType = ...,
    outputs: Iterable[str] | None = ...,
    passes: Iterable[str] | None = ...,
    policy: str | Policy | None = ...,
    executor: str = ...,
    device: str = ...,
    seed: int | None = ...,
    extra_children: str = ...,
) -> Program: ...


def compile(
    function: VertexFunction | VertexProgram,
    *,
    dtype: DType = "float32",
    outputs: Iterable[str] | None = None,
    passes: Iterable[str] | None = None,
    policy: str | Policy | None = None,
    executor: str = "native",
    device: str = "cpu",
    seed: int | None = None,
    extra_children: str = "error",
) -> Model | Program:
    """Traces, differentiates and optimises `function`, once; of a vertex program all functions.

    Args:
        function: the vertex function or program; its parameters become `dtype`, in place.
        dtype: ``float32``, or ``float64`` for gradient checks; ``numpy.float32`` will do, too.
        outputs: names of the pushes that calls give; values that no output depends on are not
            computed, and their inputs are not asked for. None means all pushes.
        passes: names among ``cavs.core.passes.PASSES``; None means all of them.
        policy: which vertices run together, and when; results are the same. ``depth``: level by
            level over all graphs, in each level type by type; ``agenda``, ``bound``: orders of
            types that need fewer batches; ``serial``: a vertex at a time; or a function from the
            number of ready vertices of each type to the type that runs next. None: ``bound`` for
            functions of types, ``depth`` for others.
        executor: ``native``, or ``reference``: NumPy, one vertex at a time, the tests' oracle.
        device: ``cpu``, ``cuda`` (the first GPU) or ``cuda:1``; the parameters move there.
        seed: of the counter-based generator of random operations, 0..2**64-1; None: that of
            :func:`cavs.manual_seed`, else 0.
        extra_children: if F gathers by slot alone, how a vertex counts that has more children than
            F reads: as an ``error``, or without its further children (``ignore``).

    Raises:
        TraceError, ShapeError, DTypeError: ``forward`` is not a vertex function; names the line.
        InputError: no such output, pass or device; DeviceError: the GPU cannot be used:
            ``cavs.cuda.why_not()`` says why.
    """
    options: dict[str, Any] = {
        "dtype": dtype,
        "passes": passes,
        "policy": policy,
        "executor": executor,
        "device": device,
        "seed": seed,
        "extra_children": extra_children,
    }
    if isinstance(function, VertexProgram):
        if outputs is not None:
            raise InputError(
                "[compile] expected outputs of one vertex function, got a program; choose them "
                "where each is compiled alone"
            )
        return Program(function, **options)
    return Model(function, outputs=outputs, **options)
