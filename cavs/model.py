"""The result of `cavs.compile`: a vertex function that is called on batches and trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from cavs._arguments import boolean, instance, text
from cavs._missing import of_model
from cavs.call import Call
from cavs.compiled import convert, values_of
from cavs.core.compiler import Compiler
from cavs.core.ir import Name, ancestors
from cavs.core.structure import Structure
from cavs.core.trace import SlotsRead, Trace, check_grows, slots_read
from cavs.core.vertex import VertexFunction
from cavs.device import find_device
from cavs.errors import CavsRuntimeError, InputError
from cavs.execution.executor import Array, Executor, RandomState, Updates, write_buffers
from cavs.execution.native import NativeExecutor
from cavs.grown_graphs import Unfolded
from cavs.inputs import InputChecker
from cavs.inspection import Inspectable
from cavs.optim import Optimizer
from cavs.options import CompileOptions, DType, as_device_and_dtype, asked_outputs
from cavs.recording import record_call, search_in
from cavs.scheduler import GraphBatch, InputGraph, LearnedPolicy, Policy
from cavs.step import NativeSteps, StepOptions, separate_step
from cavs.tensor import Parameter, Stream, Tensor, Watch, detecting, is_grad_enabled

_values = attrgetter("_values")


class _Prepared(NamedTuple):
    """A call's batch and checked inputs, the inputs that want gradients, whether these or
    parameters do, and the vertices that are searched for NaN."""

    graphs: GraphBatch
    arrays: Mapping[Name, Array]
    tensors: dict[Name, Tensor]
    learns: bool


class Model(Inspectable):
    """A compiled vertex function.

    Attributes:
        function: the vertex function; it owns the parameters.
        training: whether dropout acts; see :meth:`train`, :meth:`eval`. Samples are drawn always.
    """

    function: VertexFunction

    def __init__(
        self,
        function: VertexFunction,
        *,
        dtype: DType = "float32",
        outputs: Iterable[str] | None = None,
        passes: Iterable[str] | None = None,
        policy: str | Policy | None = None,
        executor: str = "native",
        device: str = "cpu",
        seed: int | None = None,
        extra_children: str = "error",
        rewrite: Callable[[Trace], Trace] | None = None,
    ) -> None:
        """See :func:`cavs.compile`; `rewrite` changes F as it was traced."""
        options = CompileOptions(
            dtype, outputs, passes, policy, executor, device, extra_children, rewrite
        ).check()
        self._options = options
        self._compiler = Compiler(function, options.passes, options.outputs, rewrite)
        self.function = function
        self.training = True
        traced = self._compiler.trace
        self._samples = any(
            node.op.random and not node.op.drops for node in ancestors(traced.function.roots())
        )
        read = None if extra_children == "ignore" else slots_read(traced)
        if traced.types and extra_children != "ignore":
            read = SlotsRead(0)  # each type reads children of its own
        self._stream = Stream(seed)
        place = find_device(options.device)
        for value in values_of(function, self._compiler.params):
            convert(value, np.dtype(options.dtype), place)
        self._begin(read)
        self._structure = Structure(function, traced.reads)
        self._parameters = function.parameters()
        self._made = frozenset([*vars(self), "_made"])

    if not TYPE_CHECKING:  # type checkers would take it for attributes of any kind

        def __getattr__(self, name: str) -> Any:
            function = vars(self).get("function", self)
            own = {*vars(function), *dir(type(function))}.difference(dir(VertexFunction))
            raise of_model("a model", name, {each: f"use model.function.{each}" for each in own})

    def _state(self) -> dict[str, Any]:
        kept = {"training": self.training, "_stream": self._stream}
        return {"function": self.function, "options": self._options._asdict(), "kept": kept}

    def _restore(self, state: Mapping[str, Any]) -> None:
        Model.__init__(self, state["function"], **state["options"])
        vars(self).update(state["kept"])

    @property
    def _policy(self) -> str | Policy:
        """The policy in use."""
        if self._options.policy is None:
            return "depth" if self._compiler.types is None else "bound"
        return self._options.policy

    def _make_executor(self) -> Executor:
        options = self._options
        name = text("compile", "executor", options.executor)
        if name == "native":
            return NativeExecutor(self._compiler, options.dtype, self._policy, options.device)
        if name == "reference":
            from cavs.execution.reference import ReferenceExecutor  # not with cavs: few need it

            return ReferenceExecutor(self._compiler, options.dtype)
        raise InputError(
            f"[compile] expected executor native or reference, got {name!r}; pass one of these"
        )

    def __call__(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        /,
        *unnamed: NoReturn,
        outputs: Iterable[str] | None = None,
        **inputs: Any,
    ) -> dict[str, Tensor]:
        """Runs F over all vertices of `graphs`.

        Args:
            graphs: a batch, a graph, or graphs.
            outputs: names of the pushes to compute; None: all. What they do not depend on is not
                computed, and need not be given: a prediction needs no label.
            inputs: for each pull an array of shape (rows, *shape) over the batch's vertices, edges
                or graphs, in the user's order: arrays, or tensors, which then get gradients. All
                of them by name: there are no `unnamed` ones.

        Returns:
            For each push asked for a tensor of shape (rows, *shape), in the same order.

        Raises:
            InputError: no such output, an input is missing or unknown, or an id is out of range;
            ShapeError,
            DTypeError: it has another shape or dtype; GraphError: a graph has a cycle, or a vertex
            more children than F reads; CavsRuntimeError: an attribute that F read was replaced
            since it was compiled.
        """
        if unnamed:
            self._checker.refuse_unnamed(unnamed)
        if outputs is None:
            return self._call(graphs, inputs)
        asked = self._asked(outputs)
        if asked is not self:
            inputs = self._checker.needed(inputs, asked._checker)
        return asked._call(graphs, inputs)

    def _asked(self, outputs: Iterable[str] | str | None) -> Model:
        """The model that gives these outputs alone: of the same function, mode and random state."""
        part = self._parts.get((outputs,)) if isinstance(outputs, str) else None  # of each step
        if part is None:
            names = asked_outputs(outputs, self._compiler.trace.function.pushes)
            if names is None:
                return self
            part = self._parts.get(names)
            if part is None:
                part = self._parts.setdefault(names, self._part(names))
        part.training = self.training
        return part

    def _part(self, names: tuple[str, ...]) -> Model:
        self._structure.check()
        part = Model.__new__(type(self))
        vars(part).update(vars(self))
        part._options = self._options._replace(outputs=names)
        part._compiler = self._compiler.only(names)
        # Children that these outputs do not read may be there: other outputs read them.
        part._begin(self._checker.slots_read)
        return part

    def _begin(self, read: SlotsRead | None) -> None:
        """Sets up what follows from the compiler and the options."""
        options, types = self._options, self._compiler.types
        if isinstance(options.policy, LearnedPolicy):
            options.policy.check(() if types is None else types.names)
        self._checker = InputChecker(
            *(self._compiler.trace, options.dtype, self._policy, read),
            find_device(options.device),
            types,
        )
        self._parts: dict[tuple[str, ...], Model] = {}
        self._grown: Model | None = None
        self._grows: set[bool] = set()  # the modes, training or not, in which F can grow graphs
        self._executor = self._make_executor()
        self._steps: NativeSteps | None = None
        if isinstance(self._executor, NativeExecutor):
            self._steps = NativeSteps(self._executor)

    def _as_grown(self) -> Model:
        """The model whose calls compute a vertex as growth does, to the bit: leaves are not told
        apart, whose values could be rounded otherwise, and draws depend on values."""
        if self.training not in self._grows:
            check_grows(self._compiler.in_mode(self.training).trace, self.training)
            self._grows.add(self.training)
        if self._grown is None:
            part = Model.__new__(type(self))
            vars(part).update(vars(self))
            part._compiler = self._compiler.growing()
            part._begin(self._checker.slots_read)
            self._grown = part
        self._grown.training = self.training
        return self._grown

    def _call(self, graphs: Any, inputs: dict[Name, Any]) -> dict[Name, Tensor]:
        """A call with inputs of any name."""
        outputs, updates = self._forward(self._prepare(graphs, inputs), self._draw())
        if updates:
            write_buffers(self._compiler.params, updates)
        return outputs

    def _prepare(self, graphs: Any, inputs: dict[Name, Any]) -> _Prepared:
        """The checked arguments of a call; nothing has changed yet."""
        self._structure.check()
        batched = self._checker.batch(graphs)
        arrays, tensors = self._checker.take(batched, inputs), dict[Name, Tensor]()
        if arrays is None:
            arrays, tensors = self._checker.check(batched, inputs), self._checker.learning(inputs)
        learns = is_grad_enabled() and (bool(tensors) or self._learns())
        return _Prepared(batched, arrays, tensors, learns)

    def _forward(
        self, prepared: _Prepared, random: RandomState
    ) -> tuple[dict[Name, Tensor], Updates]:
        """The outputs, and the values for buffers, which are not written yet."""
        wanted = frozenset(prepared.tensors) if prepared.learns else None
        given = prepared.graphs, prepared.arrays, random, wanted
        detects = detecting()
        if wanted is None and not detects:
            outputs, _, updates = self._executor.forward(*given)
            return {name: Tensor._wrap(y) for name, y in outputs.items()}, updates
        # Begins before the forward: another thread may write while it runs.
        params = self._compiler.unwritten
        watch = None if wanted is None else Watch(list(map(_values, params)), params)
        call = Call(self._executor, *given, self._name_of)
        if detects:
            outputs, run, updates = search_in(call).checked_forward()
        else:
            outputs, run, updates = self._executor.forward(*given)
        if run is None or watch is None:
            return {name: Tensor._wrap(y) for name, y in outputs.items()}, updates
        return record_call(call, outputs, run, prepared.tensors, watch), updates

    def _draw(self) -> RandomState:
        """The state from which a call's random operations draw; counts the calls that may draw."""
        training = self.training
        state = self._stream.take() if training or self._samples else self._stream.peek()
        return RandomState(*state, training)

    def step(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        optimizer: Optimizer,
        /,
        *unnamed: NoReturn,
        loss: str = "loss",
        scale: float = 1.0,
        clip_norm: float = 0.0,
        **inputs: Any,
    ) -> Tensor:
        """A training step, to the same bits as::

            value = model(graphs, outputs=[loss], **inputs)[loss].sum() * scale
            optimizer.zero_grad()
            value.backward()
            if clip_norm:
                cavs.optim.clip_grad_norm(model.parameters(), clip_norm)
            optimizer.step()

        in one native call. The separate calls are made instead with the reference executor, with
        inputs that want gradients, with an optimizer of a class that is not in ``cavs.optim``, and
        with one that does not hold all parameters of the model that learn (with `clip_norm`: all
        parameters of the model). Afterwards ``grad`` of the parameters is as the separate calls
        leave it: the clipped gradient.

        Args:
            graphs: as for a call.
            optimizer: of ``cavs.optim``.
            loss: the output, of any shape, whose elements are summed up.
            scale: the factor of the sum, such as 1 / graphs.
            clip_norm: the greatest norm of all gradients together; 0 leaves them as they are.
            inputs: as for a call; those that `loss` does not depend on need not be given.

        Returns:
            The loss times `scale`, a tensor without axes that is not on the tape.

        Raises:
            InputError: no such output, no optimizer, one that has none of the parameters, numbers
            out of range; NonFiniteError: the loss, or the norm that gradients are clipped by, is
            not finite (the separate calls would go on); CavsRuntimeError: nothing learns, or under
            no_grad; and the errors of a call.
            Parameters and the optimizer's state are then as before; gradients may be gone.
        """
        if unnamed:
            self._checker.refuse_unnamed(unnamed)
        options = StepOptions(optimizer, loss, scale, clip_norm)
        options = options.check(self._compiler.function.pushes)
        asked = self._asked(loss)
        if asked is not self:
            inputs = self._checker.needed(inputs, asked._checker)
        return asked._step(graphs, options, inputs)

    def _step(self, graphs: Any, options: StepOptions, inputs: dict[Name, Any]) -> Tensor:
        prepared = self._prepare(graphs, inputs)
        if not prepared.learns:
            raise CavsRuntimeError(
                "[step] expected a parameter or an input with requires_grad, and gradients "
                "enabled, got none; call it outside of no_grad, and leave requires_grad of a "
                "parameter on"
            )
        drawn: list[RandomState] = []

        def random() -> RandomState:
            """Draws once, whichever way the step is made."""
            if not drawn:
                drawn.append(self._draw())
            return drawn[0]

        if self._steps is not None and not prepared.tensors:
            done = self._steps.run(
                prepared.graphs, prepared.arrays, options, self.training, self._parameters, random
            )
            if done is not None:
                return done
        if not prepared.tensors:  # else it may have what the inputs were computed from
            options.check_holds_some(self._parameters)
        outputs, updates = self._forward(prepared, random())
        done = separate_step(outputs, self._parameters, options)
        write_buffers(self._compiler.params, updates)
        return done

    def _name_of(self, parameter: Parameter) -> str:
        return self._compiler.param_names.get(parameter, "?")

    # Modes and randomness

    def train(self, mode: bool = True) -> Model:
        """Dropout acts from now on; with False it does nothing, as after :meth:`eval`. Gives the
        model. Raises InputError where `mode` is no bool."""
        self.training = boolean("train", "mode", mode)
        return self

    def eval(self) -> Model:
        """Dropout does nothing from now on. Gives the model."""
        self.training = False
        return self

    def to(self, device: Any = None, dtype: DType | None = None) -> Model:
        """Makes the model one of another device or precision, in place: its parameters, and what
        it computes with. Gives the model.

        Optimizers keep arrays like the parameters: make them afterwards. Other models that share
        the parameters are to be compiled again.

        Args:
            device: ``cpu``, ``cuda`` or ``cuda:1``; None: the model stays where it is. A dtype will
                do, too, where it is the only argument: ``model.to("float64")``.
            dtype: float32 or float64; None: it stays. Gradients are forgotten where it changes.

        Raises:
            InputError: no such device, or the model is part of a program; DeviceError: the GPU
            cannot be used; DTypeError: another dtype, or neither argument; CavsRuntimeError: an
            attribute that F read was replaced since it was compiled.
        """
        place, name = as_device_and_dtype(device, dtype)
        if self._structure.root is not self.function:
            raise InputError(
                "[to] expected a model that is no part of a program, got one that is; call to() of "
                "the program"
            )
        self._structure.check(thorough=True)
        self._convert(place, name)
        return self

    def _convert(self, device: str | None, dtype: str | None) -> None:
        """Makes it a model of this device and dtype; None: of its own."""
        options = self._options
        wanted = options._replace(device=device or options.device, dtype=dtype or options.dtype)
        wanted = wanted.check()
        for value in values_of(self.function, self._compiler.params):
            convert(value, np.dtype(wanted.dtype), find_device(wanted.device))
        if (wanted.device, wanted.dtype) != (options.device, options.dtype):
            self._options = wanted
            self._begin(self._checker.slots_read)

    def random_state(self) -> dict[str, int]:
        """Seed and step of the counter-based generator: the step counts the calls that may draw,
        in training mode and, where F draws samples, also in evaluation."""
        return self._stream.state()

    def set_random_state(self, state: Mapping[str, int]) -> None:
        """Goes on from a state that :meth:`random_state` gave."""
        self._stream.set_state(state)

    def replay(
        self, grown: Unfolded, /, *, outputs: Iterable[str] | None = None
    ) -> dict[str, Tensor]:
        """A call over graphs that :func:`cavs.unfold` grew, with the seed, the step and the keys of
        the growth: random operations draw the same numbers again, and gradients flow. So a loss on
        its outputs trains on what was sampled, as REINFORCE does (Williams, 1992)::

            grown = cavs.unfold(model, roots, expand, num_graphs=64)
            out = model.replay(grown)
            (-(reward(grown) * out["log_p"])).sum().backward()

        The model's own random state stays as it is. The parameters must be those that grew the
        graphs: with others, what was sampled could not be drawn again.

        Args:
            grown: what the same function grew.
            outputs: names of the pushes to compute; None: all.

        Returns:
            The outputs by name, as of a call over ``grown.graphs``.

        Raises:
            InputError: no grown graphs, those of another function, or with other graphs, keys, seed
                or step than they grew with; parameters have changed; and the errors of a call.
        """
        instance("replay", "grown", grown, Unfolded, "what cavs.unfold gave")
        if grown.origin is not None:
            grown.origin.check(self.function, grown)
        asked = self._asked(outputs)
        inputs: dict[Name, Any] = dict(grown.inputs)
        if asked is not self:
            inputs = self._checker.needed(inputs, asked._checker)
        random, asked = RandomState(grown.seed, grown.step, self.training), asked._as_grown()
        return asked._forward(asked._prepare(grown.graphs, inputs), random)[0]
