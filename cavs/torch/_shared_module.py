"""A module of PyTorch that shares its parameters with a compiled model."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch

from cavs._arguments import dtype_name
from cavs.core.ir import ancestors
from cavs.core.vertex import Module, VertexFunction, is_buffer
from cavs.errors import CavsError, DTypeError, InputError
from cavs.execution.executor import Weights, read_parameters
from cavs.model import Model
from cavs.tensor import Parameter
from cavs.torch import _device
from cavs.torch._buffers import HeldBuffer, hold
from cavs.torch._copies import dump, load, parameter_of
from cavs.torch._parameters import agree, bind, check_values, learns, stand_in
from cavs.torch._parts import Entry, Holder, attach, build

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_OF_CAVS = {"_model", "_entries", "_held", "_places", "_known", "_place"}


class SharedModule(Holder):
    """Holds a model and its parameters: finds them at each call, follows them to other memory, to
    another dtype and to another device, and copies both.

    Attributes:
        _place: the model's device.
        _used: how many parameters F uses: the first ones of `_entries`, in the compiler's order.
        _places: where they were, and their memory, at the last call.
        _held: the buffers of the function.
        _known: what a subclass keeps of the model's programs; empty for each new model.
    """

    def _share(self, model: Model) -> None:
        """Begins with a model."""
        self._hold(model)
        self._entries = self._used_first(
            build(self, model.named_parameters(), Module.named_modules(model.function))
        )
        self._held: list[HeldBuffer] = hold(self, model.named_buffers())

    def _used_first(self, entries: list[Entry]) -> list[Entry]:
        """In the order of the compiler's numbers, and then those that F does not use."""
        used = {id(p): number for number, p in enumerate(self._model._compiler.params)}
        return sorted(entries, key=lambda entry: used.get(id(entry.parameter), len(used)))

    def _hold(self, model: Model) -> None:
        self._model = model
        # Buffers, and arrays in F, come after the parameters; no gradient reaches them.
        self._used = sum(not is_buffer(p) for p in model._compiler.params)
        self._places: list[Any] | None = None  # as of the last call
        self._known: dict[Any, Any] = {}
        self._dtype = _DTYPES[model.dtype.name]
        self._place = _device.place_named(model.device)
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
        self._follow()
        self._model.training = self.training
        return self._model

    def _own_tensors(self, aware: bool) -> tuple[list[Any] | None, list[bool]]:
        """The parameters that F uses, and which of them learn; None unless all are where they were
        at the last call. `aware`: whether cavs is to know which of them learn."""
        tensors: list[Any] = []
        flags: list[bool] = []
        for buffer in self._held:
            buffer.settle()
        if self._places is None:
            return None, flags
        for held, key, tensor, pointer, parameter, values in self._places:
            if (
                held.get(key) is not tensor
                or tensor.data_ptr() != pointer
                or parameter._values is not values
            ):
                return None, flags
            flag = learns(tensor)
            if aware and parameter.requires_grad is not flag:
                return None, flags
            tensors.append(tensor)
            flags.append(flag)
        return tensors, flags

    def _find_tensors(self, aware: bool) -> tuple[list[Any], list[bool], Weights | None]:
        """The same with tensors that stand in place of parameters, whose values are then given; and
        after parameters moved."""
        found = [entry.find() for entry in self._entries]
        weights = self._weights(found)
        for entry, tensor in zip(self._entries, found, strict=True):
            if aware and tensor is entry.tensor:
                agree(entry.parameter, tensor)
            elif aware:
                stand_in(entry.parameter, entry.tensor, tensor.requires_grad)
        self._places = [entry.place() for entry in self._entries[: self._used]]
        used = found[: self._used]
        return used, [tensor.requires_grad for tensor in used], weights

    def _weights(self, tensors: Sequence[Any]) -> Weights | None:
        """Values of tensors that stand in place of the layer's parameters in this call; None if
        none does. Also follows the layer to another dtype or device."""
        used = tensors[: self._used]
        entries = self._entries[: self._used]
        own = [x is entry.tensor for x, entry in zip(used, entries, strict=True)]
        if all(own):
            self._follow()
            return None
        values = []
        for x, entry in zip(used, entries, strict=True):
            check_values(x, tuple(entry.parameter.shape), entry.name)
            if x.dtype is not self._dtype:
                raise DTypeError(
                    f"[torch] expected {self._dtype} for parameter {entry.name!r}, got {x.dtype}; "
                    "convert it, or the layer"
                )
            values.append(self._place.array_of(x, f"parameter {entry.name!r}"))
        rest = read_parameters(self._model._compiler.params[self._used :])
        return Weights([*values, *rest.values], [*[-1] * len(values), *rest.versions])

    def _of_part(
        self, part: Model, tensors: list[Any], flags: list[bool], weights: Weights | None
    ) -> tuple[list[Any], list[bool], Weights | None]:
        """What :meth:`_find_tensors` gives, of the parameters that a part of the model uses."""
        place = {id(p): number for number, p in enumerate(self._model._compiler.params)}
        params = part._compiler.params
        if weights is not None:
            values, versions = weights
            read = [place[id(p)] for p in params]
            weights = Weights([values[i] for i in read], [versions[i] for i in read])
        numbers = [place[id(p)] for p in params if not is_buffer(p)]
        return [tensors[i] for i in numbers], [flags[i] for i in numbers], weights

    def _count_writes(self, model: Model) -> None:
        """Tells PyTorch which buffers a training call of a model has written to."""
        compiler = model._compiler
        written = set(map(id, compiler.params[len(compiler.unwritten) :]))
        for held in self._held:
            if id(held.buffer) in written:
                held.count_write()

    # Other memory and dtypes

    def _follow(self) -> None:
        """Compiles again where the parameters became others, as by ``double()`` and ``cuda()``."""
        used = [entry.tensor for entry in self._entries[: self._used] or self._entries]
        if all(x.dtype is self._dtype and _device.place_of(x) is self._place for x in used):
            return
        dtypes = {entry.tensor.dtype: entry.name for entry in self._entries}
        if len(dtypes) > 1:
            found = ", ".join(f"{dtype} of {name!r}" for dtype, name in dtypes.items())
            raise DTypeError(
                f"[torch] expected all parameters of one dtype, got {found}; convert the layer by "
                "layer.to(dtype)"
            )
        places = {_device.place_of(entry.tensor): entry.name for entry in self._entries}
        if len(places) > 1:
            found = ", ".join(f"{name!r} on {place.device.name}" for place, name in places.items())
            raise InputError(
                f"[torch] expected all parameters on one device, got {found}; move the layer by "
                "layer.to(device)"
            )
        old, (dtype,), (place,) = self._model, dtypes, places
        options = old._options._replace(dtype=dtype_name(dtype), device=place.device.name)
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
            for buffer in self._held:
                buffer.check()
        except CavsError:
            for buffer in self._held:
                buffer.put_back()
            for entry, tensor in found:
                if tensor is not None:
                    entry.part._parameters[entry.key] = entry.tensor
            raise
        for entry, tensor in found:  # cavs sees the new memory now, not at the next call
            if tensor is not None and tensor is not entry.tensor:
                bind(entry.parameter, tensor, entry.name)
            entry.find()
        for buffer in self._held:
            buffer.settle()
        return result

    # Copies

    def __copy__(self) -> Any:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        self._follow()
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
        self._held = hold(self, model.named_buffers())
