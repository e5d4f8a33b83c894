"""The modules of PyTorch that hold a layer's parameters under the names that cavs gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from cavs.core.vertex import Module
from cavs.errors import CavsRuntimeError, InputError
from cavs.tensor import Parameter
from cavs.torch._parameters import bind, is_bound, rebind, share


class Holder(torch.nn.Module):
    """Holds parameters of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self._shared: dict[str, Parameter] = {}

    def register_parameter(self, name: str, param: Any) -> None:
        """As of any module; a parameter of cavs then shares the new one's memory.

        Raises:
            InputError, DTypeError, ShapeError: cavs cannot read its memory.
        """
        parameter = vars(self).get("_shared", {}).get(name)
        if parameter is not None:
            bind(parameter, param, name)
        super().register_parameter(name, param)

    def __setattr__(self, name: str, value: Any) -> None:
        part = self.__dict__.get("_modules", {}).get(name)
        if isinstance(part, Part) and value is not part:
            raise InputError(
                f"[torch] expected to keep part {name!r}, whose parameters the layer reads, got "
                f"{type(value).__name__} for it; assign its parameters, or change the vertex "
                "function and make a new layer"
            )
        super().__setattr__(name, value)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        arrays = {
            name: torch.from_numpy(np.array(x))
            for name in (prefix + key for key in (*self._parameters, *self._buffers))
            if isinstance(x := state_dict.get(name), np.ndarray)  # as in a state of cavs
        }
        given = {**state_dict, **arrays} if arrays else state_dict
        super()._load_from_state_dict(given, prefix, *args)

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if name != "_shared"}


class Part(Holder):
    """A part of a layer, of the name of the cavs module, list or dictionary that holds the
    parameters there."""

    _kind, _options = "Part", ""

    def describe(self, module: Module) -> None:
        """Takes the name of a cavs module, and its options, for ``print``."""
        self._kind = type(module).__name__
        own = type(module).__repr__ is not Module.__repr__
        text = repr(module) if own else ""
        if text.startswith(f"{self._kind}(") and "\n" not in text:
            self._options = text[len(self._kind) + 1 : -1]

    def _get_name(self) -> str:
        return self._kind

    def extra_repr(self) -> str:
        """The options of the cavs module."""
        return self._options

    def forward(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the layer reads the parameters itself."""
        if args or kwargs:
            raise InputError(
                "[torch] expected a call of the layer, got one of a part of it, which holds "
                "parameters alone; call the layer"
            )


class Entry:
    """A parameter in its place.

    Attributes:
        name: its path.
        part, key: the module that holds it, and the last part of its path.
        parameter: the parameter of cavs.
        tensor: the torch parameter, as it was found last.
    """

    __slots__ = ("_pointer", "_values", "key", "name", "parameter", "part", "tensor")

    def __init__(self, name: str, part: Holder, key: str, parameter: Parameter) -> None:
        self.name, self.part, self.key, self.parameter = name, part, key, parameter
        self.tensor = share(parameter)
        self._note()

    def _note(self) -> None:
        self._pointer = self.tensor.data_ptr()
        self._values = self.parameter._values

    def place(self) -> tuple[Any, ...]:
        """Where the parameter was found last, and its memory there: all that says whether
        :meth:`find` would find the same."""
        held = self.part._parameters
        return held, self.key, self.tensor, self._pointer, self.parameter, self._values

    def find(self) -> Any:
        """The tensor to compute with: the shared parameter, or one that stands in its place for
        this call, as ``torch.func.functional_call`` and parametrizations put it there.

        Raises:
            CavsRuntimeError: cavs was given another array.
        """
        tensor = self.part._parameters.get(self.key)
        if (
            tensor is self.tensor
            and tensor.data_ptr() == self._pointer
            and self.parameter._values is self._values
        ):
            return tensor
        return self._settle(tensor)

    def _settle(self, tensor: Any) -> Any:
        if is_bound(self.parameter, tensor):
            rebind(self.parameter, tensor, self.name)
            self.tensor = tensor
            self._note()
            return tensor
        return self._computed() if tensor is None else tensor

    def _computed(self) -> Any:
        part = self.part
        if isinstance(part, Part) and part._forward_pre_hooks:  # as of pruning
            part()
        found = getattr(part, self.key, None)
        if not isinstance(found, torch.Tensor):
            raise CavsRuntimeError(
                f"[torch] expected parameter {self.name!r} of the layer, got "
                f"{type(found).__name__} in its place; leave it there, or freeze it by "
                "requires_grad_(False)"
            )
        return found


def build(
    root: Holder, named: Iterable[tuple[str, Parameter]], modules: Iterable[tuple[str, Module]]
) -> list[Entry]:
    """Makes the parts below `root`, called as the modules there, and puts the parameters into them.

    They are put in without ``register_parameter``, which refuses names such as ``type``.
    """
    entries = attach(root, named)
    for entry in entries:
        entry.part._parameters[entry.key] = entry.tensor
    for path, module in modules:
        part: Any = root
        for step in path.split(".") if path else ():
            part = part._modules.get(step)
        if isinstance(part, Part):
            part.describe(module)
    return entries


def attach(root: Holder, named: Iterable[tuple[str, Parameter]]) -> list[Entry]:
    """Tells the parts below `root`, which it makes where there are none, of their parameters."""
    entries = []
    for name, parameter in named:
        *path, key = name.split(".")
        part = part_at(root, path)
        part.__dict__.setdefault("_shared", {})[key] = parameter
        entries.append(Entry(name, part, key, parameter))
    return entries


def part_at(root: Holder, path: Iterable[str]) -> Holder:
    """The part at a path below `root`; made where there is none."""
    part: Any = root
    for step in path:
        below = part._modules.get(step)
        if below is None:
            below = part._modules[step] = Part()
        part = below
    found: Holder = part
    return found
