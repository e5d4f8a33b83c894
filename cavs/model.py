"""The result of `cavs.compile`: a vertex function that is called on batches and trained."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from cavs._arguments import integer, is_among, items, shown, text
from cavs.compiled import Compiled
from cavs.core import report
from cavs.core.compiler import Compiler
from cavs.core.ir import Name, ancestors
from cavs.core.passes import PASSES
from cavs.core.stepwise import stepwise
from cavs.core.structure import Structure
from cavs.core.trace import InputSpec, Trace, children_read
from cavs.core.vertex import VertexFunction
from cavs.device import find_device
from cavs.errors import CavsRuntimeError, DTypeError, GraphError, InputError
from cavs.execution.executor import Executor, RandomState, Run
from cavs.execution.native import NativeExecutor
from cavs.execution.profile import CallMemory, Profile, call_memory, measure, outputs_of_loss
from cavs.execution.reference import ReferenceExecutor
from cavs.inputs import InputChecker
from cavs.nonfinite import WHOLE, Call, Part, Search
from cavs.optim import Optimizer
from cavs.scheduler import GraphBatch, InputGraph, batch, check_children
from cavs.step import NativeSteps, StepOptions, separate_step
from cavs.tensor import (
    Parameter,
    RowSparse,
    Stream,
    Tensor,
    Watch,
    detecting,
    grad_lock,
    is_grad_enabled,
    record,
    wrong_cotangent,
)

Array = npt.NDArray[Any]
DType = str | npt.DTypeLike
_values = attrgetter("_values")


class _Call(NamedTuple):
    """A call's batch and checked inputs, the inputs that want gradients, whether these or
    parameters do, and the vertices that are searched for NaN."""

    graphs: GraphBatch
    arrays: Mapping[Name, Array]
    tensors: dict[Name, Tensor]
    learns: bool
    part: Part = WHOLE


class Model(Compiled):
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
        policy: str = "batching",
        executor: str = "native",
        device: str = "cpu",
        seed: int = 0,
        extra_children: str = "error",
        rewrite: Callable[[Trace], Trace] | None = None,
    ) -> None:
        name: Any = _dtype_name(dtype)
        if name not in ("float32", "float64"):
            raise DTypeError(
                f"[compile] expected dtype float32 or float64, got {shown(dtype)}; pass one of "
                "these"
            )
        if not is_among(policy, ("batching", "serial")):
            raise InputError(
                f"[compile] expected policy batching or serial, got {policy!r}; pass one of these"
            )
        find_device(device)
        if not is_among(extra_children, ("error", "ignore")):
            raise InputError(
                f"[compile] expected extra_children error or ignore, got {extra_children!r}; pass "
                "one of these"
            )
        if passes is not None:
            passes = items("compile", "passes", passes, str, "names of passes")
        if outputs is not None:
            outputs = items("compile", "outputs", outputs, str, "names of outputs")
        if policy == "serial":  # runs a vertex at a time, so leaves do not come first
            passes = [p for p in (PASSES if passes is None else passes) if p != "specialize_leaves"]
        # stepwise() reads them once more.
        passes = None if passes is None else tuple(passes)
        outputs = None if outputs is None else tuple(outputs)
        self._compiler = Compiler(function, passes, outputs, rewrite)
        self.function = function
        self.training = True
        self._dtype: np.dtype[Any] = np.dtype(name)
        self._policy = policy
        self._specs = self._compiler.trace.inputs
        read = children_read(self._compiler.trace)
        self._children_read = None if extra_children == "ignore" else read
        self._samples = any(
            node.op.random and not node.op.drops
            for node in ancestors(self._compiler.trace.function.roots())
        )
        self._checker = InputChecker(self._compiler.trace, name)
        for parameter in function.parameters():
            convert(parameter, self._dtype)
        self._stream = Stream(seed)
        self._options: dict[str, Any] = {
            "dtype": name,
            "outputs": outputs,
            "passes": passes,
            "policy": policy,
            "executor": executor,
            "device": device,
            "extra_children": extra_children,
            "rewrite": rewrite,
        }
        self._stepwise: Model | None = None
        self._executor = self._make_executor(executor, name, policy, device)
        self._steps: NativeSteps | None = None
        if isinstance(self._executor, NativeExecutor):
            self._steps = NativeSteps(self._executor)
        self._structure = Structure(function, self._compiler.trace.reads)
        self._parameters = function.parameters()
        self._made = frozenset([*vars(self), "_made"])

    def _state(self) -> dict[str, Any]:
        kept = {"training": self.training, "_stream": self._stream}
        return {"function": self.function, "options": self._options, "kept": kept}

    def _restore(self, state: Mapping[str, Any]) -> None:
        Model.__init__(self, state["function"], **state["options"])
        vars(self).update(state["kept"])

    def _make_executor(self, name: str, dtype: str, policy: str, device: str) -> Executor:
        text("compile", "executor", name)
        if name == "native":
            return NativeExecutor(self._compiler, dtype, policy, device)
        if name == "reference":
            return ReferenceExecutor(self._compiler, dtype)
        raise InputError(
            f"[compile] expected executor native or reference, got {name!r}; pass one of these"
        )

    def __call__(
        self, graphs: GraphBatch | InputGraph | Sequence[InputGraph], /, **inputs: Any
    ) -> dict[str, Tensor]:
        """Runs F over all vertices of `graphs`.

        Args:
            graphs: a batch, a graph, or graphs.
            inputs: for each pull an array of shape (rows, *shape) over the batch's vertices, edges
                or graphs, in the user's order: arrays, or tensors, which then get gradients.

        Returns:
            For each push a tensor of shape (rows, *shape), in the same order.

        Raises:
            InputError: an input is missing or unknown, or an id is out of range; ShapeError,
            DTypeError: it has another shape or dtype; GraphError: a graph has a cycle, or a vertex
            more children than F reads; CavsRuntimeError: an attribute that F read was replaced
            since it was compiled.
        """
        return self._call(graphs, inputs)

    def _call(self, graphs: Any, inputs: dict[Name, Any], part: Part = WHOLE) -> dict[Name, Tensor]:
        """A call with inputs of any name."""
        return self._forward(self._prepare(graphs, inputs)._replace(part=part), self._draw())

    def _prepare(self, graphs: Any, inputs: dict[Name, Any]) -> _Call:
        """The checked arguments of a call; nothing has changed yet."""
        self._structure.check()
        batched = self._batch(graphs)
        arrays, tensors = self._checker.take(batched, inputs), dict[Name, Tensor]()
        if arrays is None:
            arrays, tensors = self._checker.check(batched, inputs), self._learning(inputs)
        return _Call(batched, arrays, tensors, bool(tensors) or self._learns())

    def _forward(self, call: _Call, random: RandomState) -> dict[Name, Tensor]:
        wanted = frozenset(call.tensors) if call.learns and is_grad_enabled() else None
        # Begins before the forward: another thread may write while it runs.
        params = self._compiler.params
        watch = None if wanted is None else Watch(list(map(_values, params)), params)
        given = call.graphs, call.arrays, random, wanted
        search = Search(Call(self._executor, *given, self._name_of, call.part))
        if detecting():
            outputs, run = search.checked_forward()
        else:
            outputs, run = self._executor.forward(*given)
        if run is None or watch is None:
            return {name: Tensor._wrap(y) for name, y in outputs.items()}
        return self._record(outputs, run, call.tensors, watch, search)

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
        *,
        loss: str = "loss",
        scale: float = 1.0,
        clip_norm: float = 0.0,
        **inputs: Any,
    ) -> Tensor:
        """A training step, to the same bits as::

            value = model(graphs, **inputs)[loss].sum() * scale
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
            inputs: as for a call.

        Returns:
            The loss times `scale`, a tensor without axes that is not on the tape.

        Raises:
            InputError: no such output, no optimizer, numbers out of range; NonFiniteError: the
            loss, or the norm that gradients are clipped by, is not finite (the separate calls would
            go on); CavsRuntimeError: nothing learns, or under no_grad; and the errors of a call.
            Parameters and the optimizer's state are then as before; gradients may be gone.
        """
        options = StepOptions(optimizer, loss, scale, clip_norm)
        options = options.check(self._compiler.function.pushes)
        call = self._prepare(graphs, inputs)
        if not (call.learns and is_grad_enabled()):
            raise CavsRuntimeError(
                "[step] expected a parameter or an input with requires_grad, and gradients "
                "enabled, got none; call it outside of no_grad, and leave requires_grad of a "
                "parameter on"
            )
        random = cache(self._draw)
        if self._steps is not None and not call.tensors:
            done = self._steps.run(
                call.graphs, call.arrays, options, self.training, self._parameters, random
            )
            if done is not None:
                return done
        return separate_step(self._forward(call, random()), self._parameters, options)

    def _batch(self, graphs: Any) -> GraphBatch:
        """The graphs as a batch whose vertices have no children that F would leave out."""
        found = _as_batch(graphs)
        read = self._children_read
        if read is not None and found.schedule(self._policy).max_arity > read:
            check_children(found, read)
        return found

    def _learns(self) -> bool:
        """Whether a parameter wants a gradient."""
        return True in self._compiler.learning()

    def _learning(self, inputs: Mapping[Name, Any]) -> dict[Name, Tensor]:
        """The inputs that want gradients."""
        return {
            name: x
            for name, x in inputs.items()
            if isinstance(x, Tensor) and x.requires_grad and self._specs[name].dtype == "float"
        }

    def _record(
        self,
        outputs: dict[Name, Array],
        run: Run,
        tensors: dict[Name, Tensor],
        watch: Watch,
        search: Search,
    ) -> dict[Name, Tensor]:
        """The outputs on the tape. Parameters are leaves, and get their gradients here and not
        through the tape: there may be many, and a step is short."""
        params: list[Parameter] = self._compiler.params
        names = list(outputs)

        def backward(cotangents: Sequence[Array | None]) -> list[Any]:
            self._check_unwritten(watch)
            known = {n: dy for n, dy in zip(names, cotangents, strict=True) if dy is not None}
            gradients = run.backward(known)
            if detecting():
                search.check_gradients(gradients, known, wrong_cotangent())
            with grad_lock:
                for number, part in gradients.params:
                    parameter = params[number]
                    grad: Any = part
                    if isinstance(part, tuple):
                        grad = RowSparse._wrap(*part, parameter.shape)
                    parameter._accumulate(grad, adopt=True)
            # Tensors of the other precision were converted on their way in.
            found = gradients.inputs
            return [
                found[n].astype(x.dtype, copy=False) if n in found else None
                for n, x in tensors.items()
            ]

        def find(index: int, output: Array) -> str:
            return search.origin_of(names[index], output)

        results = record(
            outputs.values(), tensors.values(), backward, name="model", learns=True, find=find
        )
        return dict(zip(names, results, strict=True))

    def _check_unwritten(self, watch: Watch) -> None:
        """Checks that the parameters are as in the forward: backward reads them in place."""
        written = watch.first_changed()
        if written >= 0:
            name = self._name_of(self._compiler.params[written])
            raise CavsRuntimeError(
                f"[backward] expected parameter {name!r} as it was in the forward, got one that "
                "was written since; call backward before optimizers, load_state_dict or others "
                "change it, or call the model again"
            )
        watch.end()

    def _name_of(self, parameter: Parameter) -> str:
        names = (name for name, p in self.function.named_parameters() if p is parameter)
        return next(names, "?")

    # Parameters

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: of parameters, inputs and outputs."""
        return self._dtype

    # Modes and randomness

    def train(self) -> Model:
        """Dropout acts from now on."""
        self.training = True
        return self

    def eval(self) -> Model:
        """Dropout does nothing from now on."""
        self.training = False
        return self

    def random_state(self) -> dict[str, int]:
        """Seed and step of the counter-based generator: the step counts the calls that may draw,
        in training mode and, where F draws samples, also in evaluation."""
        return self._stream.state()

    def set_random_state(self, state: Mapping[str, int]) -> None:
        """Goes on from a state that :meth:`random_state` gave."""
        self._stream.set_state(state)

    # Looking inside

    @property
    def inputs(self) -> dict[Name, InputSpec]:
        """The inputs that F pulls, by name."""
        return dict(self._specs)

    @property
    def children_read(self) -> int | None:
        """How many children a vertex may have: one more than the last slot that F gathers. None if
        it may have any number: F gathers all children or none, or was compiled with
        ``extra_children="ignore"``."""
        return self._children_read

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states that F scatters."""
        return tuple(self._compiler.trace.function.scatters)

    def stepwise(self) -> Model:
        """F over the vertices of a graph that grows, with the same parameters and random state:
        known vertices scatter the states that they are given (see ``cavs.core.stepwise``)."""
        self._structure.check()
        if self._stepwise is None:
            self._stepwise = Model(self.function, **{**self._options, "rewrite": stepwise})
            self._stepwise._stream = self._stream
        self._stepwise.training = self.training
        return self._stepwise

    @property
    def program(self) -> str:
        """The compiled programs of the mode, as text: inference, training forward, and backward."""
        self._structure.check()
        return report.programs(self._compiler.in_mode(self.training))

    @overload
    def explain(self, /) -> str: ...

    @overload
    def explain(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        /,
        *,
        loss: str | None = None,
        repeats: int = 5,
        **inputs: Any,
    ) -> Profile: ...

    def explain(
        self,
        graphs: Any = None,
        /,
        *,
        loss: str | None = None,
        repeats: int = 5,
        **inputs: Any,
    ) -> str | Profile:
        """Describes the compiled programs; over a batch, measures where their time and memory go.

        Both are of the model's mode: in evaluation there is no dropout.
        Both give the reasons why a product of F does not run once per distinct id.
        Without a batch: F after each pass and the programs, with FLOPs and bytes per row. With one,
        inference and training are run `repeats` times each with the engine's clocks on, and the
        fastest run of each is shown. Training is forward, and backward from cotangents of ones of
        the output `loss`, or of all outputs; there is none where nothing learns. The model stays as
        it is, its gradients and the step of its random operations too.

        Args:
            graphs: as for a call.
            loss: name of an output.
            repeats: 1 or more.
            inputs: as for a call; tensors get no gradients.

        Raises:
            InputError: no such output; CavsRuntimeError: the executor is the reference; and the
            errors of a call.
        """
        self._structure.check()
        if graphs is None:
            compiler = self._compiler.in_mode(self.training)
            return report.explain(compiler, self._dtype.itemsize)
        executor = self._native_executor("explain")
        pushes = self._compiler.function.pushes
        if loss is not None and not is_among(loss, pushes):
            raise InputError(
                f"[explain] expected an output among {sorted(pushes)}, got {loss!r}; name one of "
                "these"
            )
        repeats = integer("explain", "repeats", repeats, 1)
        graphs = self._batch(graphs)
        losses = frozenset(pushes) if loss is None else frozenset([loss])
        return measure(
            executor,
            graphs,
            self._checker.check(graphs, inputs),
            RandomState(*self._stream.peek(), self.training),
            losses if self._learns() else None,
            repeats,
        )

    def _native_executor(self, asked: str) -> NativeExecutor:
        self._structure.check()
        if not isinstance(self._executor, NativeExecutor):
            raise CavsRuntimeError(
                f"[{asked}] expected the native executor, got the reference; compile with "
                "executor='native'"
            )
        return self._executor

    def memory(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        /,
        *,
        gradients: bool | str | Iterable[str] = True,
        **ids: Any,
    ) -> int:
        """Bytes that a call over `graphs` in the model's mode allocates, without running it.

        It counts all bytes that are there at once beside parameters and inputs: the values of the
        call and the threads' scratch, its outputs, weights in the layout that products read and,
        with `gradients`, the memory of backward, cotangents of the outputs and gradients; without,
        the results that inference keeps by id. It is the need of a first call: later calls use
        again the memory that this one leaves (arenas, weights, results by id, and with
        ``zero_grad`` gradients). It does not count the schedule, which is kept with `graphs`, and
        values that are computed from the outputs outside of F.

        Args:
            graphs: as for a call.
            gradients: whether backward comes, or names of the outputs that the loss is made of.
                True stands for the outputs of shape () by which anything learns, or for all outputs
                if there are none.
            ids: the integer inputs, to count distinct ids. The ids of an input that is not given
                count as all distinct, which takes more, but for the gaps that the planner leaves. A
                float input that is a tensor with `requires_grad` gets a gradient too.

        Raises:
            InputError: no such output; CavsRuntimeError: the executor is the reference; and the
            errors of a call.
        """
        return self._memory(graphs, gradients, ids).total

    def _memory(
        self,
        graphs: Any,
        gradients: Any,
        ids: Mapping[Name, Any],
        wanted: Collection[Name] = (),
        *,
        read_on: bool = False,
    ) -> CallMemory:
        """The memory that a call allocates.

        Args:
            graphs, gradients, ids: see :meth:`memory`.
            wanted: float inputs that get gradients, beside those with `requires_grad`.
            read_on: whether later calls read the outputs, so that all get cotangents.
        """
        executor = self._native_executor("memory")
        graphs = self._batch(graphs)
        known = self._checker.check(graphs, dict(ids), partial=True)
        inputs = frozenset([*wanted, *self._learning(ids)])
        pushes = self._compiler.trace.function.pushes
        losses = outputs_of_loss(pushes, gradients, read_on=read_on)
        if not (inputs or self._learns()):
            losses = None
        return call_memory(executor, graphs, known, losses, inputs, training=self.training)


def _dtype_name(dtype: Any) -> Any:
    """The name of a dtype, given in any form that NumPy takes for one."""
    if dtype is None or isinstance(dtype, str):
        return dtype
    try:
        return np.dtype(dtype).name
    except Exception:  # NumPy asks any object for its dtype, which may raise any error
        return shown(dtype)


def convert(parameter: Parameter, dtype: np.dtype[Any]) -> None:
    """Makes a parameter one of this dtype, in place."""
    if parameter.dtype != dtype:
        parameter.data = parameter.read()[0].astype(dtype)
        parameter.zero_grad()


def _as_batch(graphs: Any) -> GraphBatch:
    if isinstance(graphs, GraphBatch):
        return graphs
    if not isinstance(graphs, (InputGraph, Iterable)):
        raise GraphError(
            f"[graph] expected a cavs.GraphBatch, or graphs, got {type(graphs).__name__}; make "
            "one by cavs.GraphBatch(graphs)"
        )
    return batch([graphs] if isinstance(graphs, InputGraph) else graphs)
