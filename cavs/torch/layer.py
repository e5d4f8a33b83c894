"""A compiled vertex function as a module of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

import torch

from cavs._arguments import boolean, instance
from cavs.call import WHOLE, Call
from cavs.core.ir import ancestors
from cavs.core.program import Role
from cavs.core.vertex import VertexFunction
from cavs.errors import CavsError, CavsRuntimeError, DTypeError
from cavs.execution.executor import RandomState, Weights
from cavs.model import Model
from cavs.scheduler import GraphBatch, InputGraph
from cavs.tensor import Parameter
from cavs.torch._call import Evaluate, Learning, compute, tensors_of
from cavs.torch._compile import uncompiled
from cavs.torch._copies import dump, load, parameter_of
from cavs.torch._inputs import array_of, arrays_of, check_mode
from cavs.torch._parameters import bind, check_values
from cavs.torch._parts import Entry, Holder, attach, build

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_OF_CAVS = {"_model", "_entries", "_places", "_known"}
_Outputs = tuple[frozenset[str], list[str]]


class Layer(Holder):
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
        policy: str | None = None,
        passes: Iterable[str] | None = None,
    ) -> None:
        """Compiles `function`; its parameters become `dtype`, in place.

        Args:
            function: the vertex function. Several layers of one function share its parameters.
            outputs: names of the pushes that calls give; None: all. As in :func:`cavs.compile`.
            dtype: ``torch.float32`` or ``torch.float64``, or its name; None: PyTorch's default.
            device: ``"cpu"``; None: the same.
            seed: of dropout and of samples, a stream of the layer's own as that of
                :func:`cavs.compile`. None: each call draws its seed from PyTorch's generator, so
                that ``torch.manual_seed`` makes it repeatable.
            sparse: whether gradients of embeddings are sparse tensors, coalesced, as SparseAdam,
                Adagrad and SGD take them; else they are dense.
            policy: ``batching`` or ``serial``; None: ``batching``. As in :func:`cavs.compile`.
            passes: names of compiler passes; None: all. As in :func:`cavs.compile`.

        Raises:
            TraceError, ShapeError, DTypeError: ``forward`` is not a vertex function; DTypeError:
            another dtype; InputError: no such output, pass, policy or device.
        """
        super().__init__()
        instance("torch", "function", function, VertexFunction, "a cavs.VertexFunction")
        boolean("torch", "sparse", sparse)
        options: dict[str, Any] = {
            "outputs": outputs,
            "passes": passes,
            "policy": "batching" if policy is None else policy,
            "device": "cpu" if device is None else _device_name(device),
            "seed": 0 if seed is None else seed,
        }
        self._seeded, self._sparse = seed is not None, sparse
        model = Model(function, dtype=_dtype_name(dtype), **options)
        self._hold(model)
        self._entries = self._used_first(build(self, model.named_parameters()))

    def _used_first(self, entries: list[Entry]) -> list[Entry]:
        """In the order of the compiler's numbers, and then those that F does not use."""
        used = {id(p): number for number, p in enumerate(self._model._compiler.params)}
        return sorted(entries, key=lambda entry: used.get(id(entry.parameter), len(used)))

    def _hold(self, model: Model) -> None:
        self._model = model
        self._used = len(model._compiler.params)
        self._places: list[Any] | None = None  # as of the last call
        self._known: dict[Any, _Outputs] = {}
        self._dtype = _DTYPES[model.dtype.name]
        self._random = any(
            node.op.random for node in ancestors(model._compiler.trace.function.roots())
        )

    @property
    def function(self) -> VertexFunction:
        """The vertex function; it owns the parameters of cavs."""
        return self._model.function

    @property
    def model(self) -> Model:
        """The compiled model, of the layer's mode, to look at: ``layer.model.explain()``."""
        self._model.training = self.training
        return self._model

    def forward(
        self, graphs: GraphBatch | InputGraph | Sequence[InputGraph], /, **inputs: Any
    ) -> dict[str, torch.Tensor]:
        """Runs the vertex function over all vertices of `graphs`.

        Args:
            graphs: a batch, a graph, or graphs.
            inputs: for each pull a tensor of shape (rows, *shape) over the batch's vertices, edges
                or graphs, in the user's order. Floats may have any float dtype and get gradients,
                integers any integer dtype; those of the layer's dtype, dense and contiguous are
                read where they are. Arrays and lists will do, too.

        Returns:
            For each push a tensor of shape (rows, *shape), in the same order.

        Raises:
            InputError: an input is missing or unknown, has no values in this machine's memory, or
            an id is out of range; ShapeError, DTypeError: it has another shape or dtype;
            GraphError: a graph has a cycle, or a vertex more children than F reads;
            CavsRuntimeError: an attribute that F read was replaced since it was compiled, or the
            call is within a transform (``torch.func``) or trace.
        """
        if torch.compiler.is_dynamo_compiling():
            return uncompiled(self, graphs, inputs)
        check_mode()
        learns = torch.is_grad_enabled()
        tensors, flags = self._own_tensors(learns)
        weights = None
        if tensors is None:
            tensors, flags, weights = self._find_tensors(learns)
        model = self._model
        arrays, floats = arrays_of(inputs, self._dtype)
        prepared = model._prepare(graphs, arrays)
        wanted = frozenset[str]()
        if learns:
            wanted = frozenset(name for name, x in floats.items() if x.requires_grad)
            learns = bool(wanted) or True in flags
        call = Call(
            model._executor,
            prepared.graphs,
            prepared.arrays,
            self._draw(),
            wanted if learns else None,
            model._name_of,
            WHOLE,
        )
        if not learns:
            return tensors_of(compute(call, weights)[0])
        outputs = self._outputs(wanted, (self.training, *flags))
        learning = Learning(call, weights, list(floats), self._sparse, *outputs)
        names: list[str] = []
        found = Evaluate.apply(learning, names, *tensors, *floats.values())
        return dict(zip(names, found, strict=True))

    def _own_tensors(self, learns: bool) -> tuple[list[Any] | None, list[bool]]:
        """The parameters that F uses, and which of them learn; None unless all are where they were
        at the last call. `learns`: whether cavs is to know which of them learn."""
        tensors: list[Any] = []
        flags: list[bool] = []
        if self._places is None:
            return None, flags
        for held, key, tensor, pointer, parameter, values in self._places:
            if (
                held.get(key) is not tensor
                or tensor.data_ptr() != pointer
                or parameter._values is not values
            ):
                return None, flags
            flag = tensor.requires_grad
            if learns and parameter.requires_grad is not flag:
                parameter.requires_grad = flag
            tensors.append(tensor)
            flags.append(flag)
        return tensors, flags

    def _find_tensors(self, learns: bool) -> tuple[list[Any], list[bool], Weights | None]:
        """The same with tensors that stand in place of parameters, whose values are then given; and
        after parameters moved."""
        found = [entry.find() for entry in self._entries]
        weights = self._weights(found)
        for entry, tensor in zip(self._entries, found, strict=True):
            if learns:
                entry.parameter.requires_grad = tensor.requires_grad
        self._places = [entry.place() for entry in self._entries[: self._used]]
        used = found[: self._used]
        return used, [tensor.requires_grad for tensor in used], weights

    def _outputs(self, wanted: frozenset[str], flags: tuple[bool, ...]) -> _Outputs:
        """The outputs that gradients flow through, and those that backward reads again, for inputs
        that want gradients, the mode, and the parameters that learn."""
        found = self._known.get((wanted, flags))
        if found is None:
            compiler = self._model._compiler.in_mode(self.training)
            program = compiler.training(wanted)
            saved = [program.values[program.root(number)] for number in program.saved]
            read = {value.index for value in saved if value.role is Role.OUTPUT}
            reread = [name for name, number in program.results.pushes if number in read]
            found = self._known[wanted, flags] = compiler.differentiable(wanted), reread
        return found

    def _weights(self, tensors: Sequence[Any]) -> Weights | None:
        """Values of tensors that stand in place of the layer's parameters in this call; None if
        none does. Also follows the layer to another dtype."""
        used = tensors[: self._used]
        entries = self._entries[: self._used]
        own = [x is entry.tensor for x, entry in zip(used, entries, strict=True)]
        if all(own):
            if any(x.dtype is not self._dtype for x in used):
                self._convert()
            return None
        values = []
        for x, entry in zip(used, entries, strict=True):
            check_values(x, tuple(entry.parameter.shape), entry.name)
            if x.dtype is not self._dtype:
                raise DTypeError(
                    f"[torch] expected {self._dtype} for parameter {entry.name!r}, got {x.dtype}; "
                    "convert it, or the layer"
                )
            values.append(array_of(x, f"parameter {entry.name!r}"))
        return Weights(values, [-1] * len(values))

    def _draw(self) -> RandomState:
        """The state from which the call's random operations draw."""
        model, training = self._model, self.training
        if not (model._samples or (training and self._random)):
            return RandomState(0, 0, training)
        if not self._seeded:
            drawn = torch.empty((), dtype=torch.int64, device="cpu").random_()
            return RandomState(int(drawn), 0, training)
        if torch._C._current_graph_task_id() >= 0:
            raise CavsRuntimeError(
                "[torch] expected a call outside of backward of a layer with a seed, got one "
                "within, as torch.utils.checkpoint makes it, which would draw other numbers; leave "
                "out seed, so that they come from PyTorch's generator"
            )
        return RandomState(*model._stream.take(), training)

    # Modes and dtypes

    def _convert(self) -> None:
        """Compiles again after the parameters became another dtype, as by ``double()``."""
        dtypes = {entry.tensor.dtype for entry in self._entries}
        if len(dtypes) > 1:
            found = {entry.tensor.dtype: entry.name for entry in self._entries}
            raise DTypeError(
                "[torch] expected all parameters of one dtype, got "
                f"{', '.join(f'{dtype} of {name!r}' for dtype, name in found.items())}; convert "
                "the layer by layer.to(dtype)"
            )
        old, (dtype,) = self._model, dtypes
        options = old._options._replace(dtype=_dtype_name(dtype))
        model = Model(old.function, **options._asdict())
        model._stream = old._stream
        self._hold(model)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        result = super()._apply(fn, recurse)
        found = [(entry, entry.part._parameters.get(entry.key)) for entry in self._entries]
        try:
            for entry, tensor in found:
                if tensor is not None and tensor is not entry.tensor:
                    check_values(tensor, tuple(entry.parameter.shape), entry.name)
        except CavsError:
            for entry, tensor in found:
                if tensor is not None:
                    entry.part._parameters[entry.key] = entry.tensor
            raise
        for entry, tensor in found:  # cavs sees the new memory now, not at the next call
            if tensor is not None and tensor is not entry.tensor:
                bind(entry.parameter, tensor, entry.name)
            entry.find()
        return result

    def extra_repr(self) -> str:
        """The function, its inputs and outputs."""
        pushes = ", ".join(self._model._compiler.function.pushes)
        pulls = ", ".join(self._model.inputs)
        return f"{type(self.function).__name__}: {pulls} -> {pushes}, {self._dtype}"

    # Copies

    def __copy__(self) -> Any:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = memo[id(self)] = type(self).__new__(type(self))
        for entry in self._entries:
            tensor = deepcopy(entry.tensor, memo)
            parameter = memo.get(id(entry.parameter))
            if parameter is None:
                memo[id(entry.parameter)] = parameter_of(tensor)
            else:  # copied with the function, before
                bind(parameter, tensor)
        copied._restore(
            deepcopy(self._own_state(), memo),
            deepcopy(self._model, memo),
            {entry.name: memo[id(entry.parameter)] for entry in self._entries},
        )
        return copied

    def __getstate__(self) -> dict[str, Any]:
        parameters = [entry.parameter for entry in self._entries]
        return {
            "module": self._own_state(),
            "names": [entry.name for entry in self._entries],
            "tensors": [entry.tensor for entry in self._entries],
            "model": dump(self.model, parameters),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        parameters = [parameter_of(tensor) for tensor in state["tensors"]]
        named = dict(zip(state["names"], parameters, strict=True))
        self._restore(state["module"], load(state["model"], parameters), named)

    def _own_state(self) -> dict[str, Any]:
        """The attributes of the module, but for those that hold objects of cavs."""
        return {name: x for name, x in super().__getstate__().items() if name not in _OF_CAVS}

    def _restore(self, state: dict[str, Any], model: Model, named: dict[str, Parameter]) -> None:
        super().__setstate__(state)
        self._hold(model)
        self._entries = self._used_first(attach(self, named.items()))


def _dtype_name(dtype: Any) -> str:
    """The name that cavs gives a dtype of PyTorch; others are left to cavs's own check."""
    found = torch.get_default_dtype() if dtype is None else dtype
    name: str = str(found).removeprefix("torch.") if isinstance(found, torch.dtype) else found
    return name


def _device_name(device: Any) -> Any:
    return str(device) if isinstance(device, torch.device) else device
