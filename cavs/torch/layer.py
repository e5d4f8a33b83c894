"""A compiled vertex function as a module of PyTorch."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import torch

from cavs._arguments import boolean
from cavs.call import Call
from cavs.core.compiler import Compiler
from cavs.core.program import Role
from cavs.core.vertex import VertexFunction
from cavs.core.vertex_program import VertexProgram
from cavs.errors import CavsRuntimeError, InputError
from cavs.execution.executor import RandomState, Weights
from cavs.execution.native import NativeExecutor
from cavs.model import Model
from cavs.scheduler import GraphBatch, InputGraph, Policy
from cavs.torch import _device
from cavs.torch._call import Evaluate, Learning, compute, tensors_of
from cavs.torch._compile import uncompiled
from cavs.torch._inputs import arrays_of, check_mode
from cavs.torch._shared_module import SharedModule

_Outputs = tuple[frozenset[str], list[str]]
Operands = tuple[list[Any], list[bool], Weights | None]


class Layer(SharedModule):
    """A vertex function, compiled, as a ``torch.nn.Module``.

    ``layer(graphs, **inputs)`` gives tensors on PyTorch's tape: gradients flow through float inputs
    and parameters. The parameters are ``torch.nn.Parameter`` of the same names as in cavs and share
    their memory with the vertex function's, both ways. PyTorch's ``_version`` says when they
    change, which writes through ``tensor.numpy()`` leave out: call
    ``torch.autograd.graph.increment_version(parameter)`` after those.

    Attributes:
        function: the vertex function.
    """

    def __init__(
        self,
        function: VertexFunction,
        *,
        outputs: Iterable[str] | None = None,
        dtype: Any = None,
        device: Any = None,
        seed: int | None = None,
        sparse: bool = False,
        policy: str | Policy | None = None,
        passes: Iterable[str] | None = None,
    ) -> None:
        """Compiles `function`; its parameters become `dtype`, in place.

        Args:
            function: the vertex function. Several layers of one function share its parameters.
            outputs: names of the pushes that calls give; None: all. As in :func:`cavs.compile`.
            dtype: ``torch.float32`` or ``torch.float64``, or its name; None: PyTorch's default.
            device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``, or a ``torch.device``; None: ``"cpu"``.
                The parameters go there.
            seed: of dropout and of samples, a stream of the layer's own as that of
                :func:`cavs.compile`. None: each call draws its seed from PyTorch's generator, so
                that ``torch.manual_seed`` makes it repeatable.
            sparse: whether gradients of embeddings are sparse tensors, coalesced, as SparseAdam,
                Adagrad and SGD take them; else they are dense.
            policy: as in :func:`cavs.compile`.
            passes: names of compiler passes; None: all. As in :func:`cavs.compile`.

        Raises:
            TraceError, ShapeError, DTypeError: ``forward`` is not a vertex function; DTypeError:
            another dtype; InputError: no such output, pass, policy or device; DeviceError: the GPU
            cannot be used.
        """
        super().__init__()
        if isinstance(function, VertexProgram):
            raise InputError(
                "[torch] expected a vertex function, got a program of several; make a layer of "
                f"each, as {type(function).__name__}.functions()"
                f"[{next(iter(function.functions()))!r}], which then share parameters"
            )
        boolean("torch", "sparse", sparse)
        options: dict[str, Any] = {
            "outputs": outputs,
            "passes": passes,
            "policy": policy,
            "device": _checked_device(device),
            "seed": 0 if seed is None else seed,
        }
        self._seeded, self._sparse = seed is not None, sparse
        precision = torch.get_default_dtype() if dtype is None else dtype
        self._share(Model(function, dtype=precision, **options))

    def forward(
        self,
        graphs: GraphBatch | InputGraph | Sequence[InputGraph],
        /,
        *unnamed: NoReturn,
        outputs: Iterable[str] | None = None,
        **inputs: Any,
    ) -> dict[str, torch.Tensor]:
        """Runs the vertex function over all vertices of `graphs`.

        Args:
            graphs: a batch, a graph, or graphs.
            outputs: names of the pushes to compute; None: those of the layer. What they do not
                depend on is not computed, and need not be given: a prediction needs no label.
            inputs: for each pull a tensor of shape (rows, *shape) over the batch's vertices, edges
                or graphs, in the user's order. Floats may have any float dtype and get gradients,
                integers any integer dtype; those of the layer's dtype, dense and contiguous are
                read where they are. Floats must be on the layer's device; integers go to the host
                from any. Arrays and lists will do, too.

        Returns:
            For each push asked for a tensor of shape (rows, *shape), in the same order, on the
            layer's device.

        Raises:
            InputError: no such output, an input is missing or unknown, is on another device or has
            no values, or an id is out of range; ShapeError, DTypeError: it has another shape
            or dtype; GraphError: a graph has a cycle, or a vertex more children than F reads;
            CavsRuntimeError: an attribute that F read was replaced since it was compiled, or the
            call is within a transform (``torch.func``) or trace.
        """
        if unnamed:
            self._model._checker.refuse_unnamed(unnamed)
        if torch.compiler.is_dynamo_compiling():
            return uncompiled(self, graphs, {"outputs": outputs, **inputs})
        check_mode()
        aware = torch.is_grad_enabled()
        tensors, flags = self._own_tensors(aware)
        weights = None
        if tensors is None:
            tensors, flags, weights = self._find_tensors(aware)
        model = self._model
        if outputs is not None:
            part = model._asked(outputs)
            inputs = model._checker.needed(inputs, part._checker)
            tensors, flags, weights = self._of_part(part, tensors, flags, weights)
            model = part
        with self._place.ordered():
            results = self._compute(model, graphs, inputs, aware, (tensors, flags, weights))
        if self._held and self.training:
            self._count_writes(model)
        return results

    def _compute(
        self, model: Model, graphs: Any, inputs: dict[str, Any], aware: bool, operands: Operands
    ) -> dict[str, torch.Tensor]:
        """The outputs of a model; on PyTorch's tape where it is to be `aware` of what learns."""
        tensors, flags, weights = operands
        place = self._place
        arrays, floats = arrays_of(inputs, self._dtype, place, model._checker.ids)
        prepared = model._prepare(graphs, arrays)
        wanted = frozenset[str]()
        learning = False
        if aware:
            wanted = frozenset(name for name, x in floats.items() if x.requires_grad)
            learning = bool(wanted) or True in flags
        call = Call(
            model._executor,
            prepared.graphs,
            prepared.arrays,
            self._draw(),
            wanted if learning else None,
            model._name_of,
        )
        if not learning:
            return tensors_of(compute(call, weights)[0], place)
        executor = model._executor
        compiler = model._compiler.in_mode(self.training)
        if isinstance(executor, NativeExecutor):
            compiler = executor.of_training(model._compiler, prepared.graphs, self.training)
        found = self._outputs(compiler, wanted, (self.training, *flags))
        names: list[str] = []
        results = Evaluate.apply(
            Learning(call, weights, list(floats), self._sparse, *found, place),
            names,
            *tensors,
            *floats.values(),
        )
        return dict(zip(names, results, strict=True))

    def _outputs(
        self, compiler: Compiler, wanted: frozenset[str], flags: tuple[bool, ...]
    ) -> _Outputs:
        """The outputs that gradients flow through, and those that backward reads again, for inputs
        that want gradients, and the parameters that learn."""
        found = self._known.get((compiler, wanted, flags))
        if found is None:
            program = compiler.training(wanted)
            saved = [program.values[program.root(number)] for number in program.saved]
            read = {value.index for value in saved if value.role is Role.OUTPUT}
            reread = [name for name, number in program.results.pushes if number in read]
            found = self._known[compiler, wanted, flags] = compiler.differentiable(wanted), reread
        return found

    def _draw(self) -> RandomState:
        """The state from which the call's random operations draw."""
        model, training = self._model, self.training
        if not (model._samples or (training and self._random)):
            return RandomState(0, 0, training)
        if not self._seeded:
            return RandomState(_drawn(), 0, training)
        if torch._C._current_graph_task_id() >= 0:
            raise CavsRuntimeError(
                "[torch] expected a call outside of backward of a layer with a seed, got one "
                "within, as torch.utils.checkpoint makes it, which would draw other numbers; leave "
                "out seed, so that they come from PyTorch's generator"
            )
        return RandomState(*model._stream.take(), training)

    def extra_repr(self) -> str:
        """The function, its inputs and outputs."""
        pushes = ", ".join(self._model._compiler.function.pushes)
        pulls = ", ".join(self._model.inputs)
        return f"{type(self.function).__name__}: {pulls} -> {pushes}, {self._dtype}"


class _Drawn(threading.local):
    """A number, drawn into memory of this thread."""

    def __init__(self) -> None:
        with torch.inference_mode(False):  # a tensor of that mode could not be drawn into after it
            self.tensor = torch.empty((), dtype=torch.int64, device="cpu")
        self.array = self.tensor.numpy()


_last = _Drawn()


def _drawn() -> int:
    """The next integer of PyTorch's generator, 63 bits."""
    _last.tensor.random_()
    return int(_last.array)


def _checked_device(device: Any) -> str:
    """The device by name; raises InputError where it is none, DeviceError where it cannot be
    used."""
    name = str(device) if isinstance(device, torch.device) else device
    return "cpu" if name is None else _device.place_named(name).device.name
