"""The common base of compiled vertex functions and of compiled programs of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np

from cavs._arrays import Array
from cavs.core.pickles import check_pickle
from cavs.core.structure import Structure
from cavs.core.vertex import Module, Unmatched, is_constant, named_values
from cavs.device import Device, host
from cavs.tensor import Buffer, Constant, Parameter

_Self = TypeVar("_Self", bound="Compiled")


class Compiled(ABC):
    """A compiled function or program, as the owner of its parameters.

    ``copy.deepcopy`` and ``pickle`` copy the function with its parameters and compile the copy
    again, with the same options, mode and random state. Objects that are copied together, such as
    ``copy.deepcopy((model, optimizer))``, keep their links. Pickling raises
    :class:`CavsRuntimeError` where the function cannot be pickled.

    Where a layer, a parameter or another attribute that ``forward`` read was replaced since, calls
    and all methods here raise :class:`CavsRuntimeError`, which names the attribute; see
    ``cavs.core.structure``.

    Attributes:
        function: the vertex function or program.
    """

    __cavs_compiled__ = True

    function: Module
    _structure: Structure
    _parameters: list[Parameter]
    _made: frozenset[str]  # attributes that are not the user's own

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """The state that a copy is made from."""

    @abstractmethod
    def _restore(self, state: Mapping[str, Any]) -> None:
        """Makes a copy from the state that :meth:`_state` gave."""

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        self._structure.check(thorough=True)  # else the copy would be of another function
        own = {name: value for name, value in vars(self).items() if name not in self._made}
        return self._state(), own

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        self._restore(state[0])
        vars(self).update(state[1])

    def __copy__(self) -> Any:
        copied = type(self).__new__(type(self))
        copied.__setstate__(self.__getstate__())
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(deepcopy(self.__getstate__(), memo))
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        check_pickle(self.function)
        return super().__reduce_ex__(protocol)

    def parameters(self) -> list[Parameter]:
        """All parameters, in order of assignment."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(attribute path, parameter)."""
        self._structure.check(thorough=True)
        return self.function.named_parameters()

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """(attribute path, buffer); see :meth:`Module.register_buffer`."""
        self._structure.check(thorough=True)
        return self.function.named_buffers()

    def buffers(self) -> list[Buffer]:
        """All buffers, in order of assignment."""
        return [buffer for _, buffer in self.named_buffers()]

    def state_dict(self) -> dict[str, Array]:
        """The arrays of parameters and buffers by attribute path; see :meth:`Module.state_dict`."""
        self._structure.check(thorough=True)
        return self.function.state_dict()

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> Unmatched:
        """Copies values in, and gives the names that are missing and those that are unexpected;
        see :meth:`Module.load_state_dict`."""
        self._structure.check(thorough=True)
        return self.function.load_state_dict(state, strict=strict)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(attribute path, module) of the function and of all modules in it; see
        :meth:`Module.named_modules`."""
        self._structure.check(thorough=True)
        return Module.named_modules(self.function, prefix)

    def apply(self: _Self, fn: Callable[[Module], Any]) -> _Self:
        """Calls `fn` with each module of the function, inner ones first, and with the function;
        gives this model or program. See :meth:`Module.apply`."""
        self._structure.check(thorough=True)
        Module.apply(self.function, fn)
        return self

    def requires_grad_(self: _Self, requires_grad: bool = True) -> _Self:
        """Says of all parameters whether they learn; gives this model or program. See
        :meth:`Module.requires_grad_`, which freezes a part: ``model.function.embedding``."""
        self._structure.check(thorough=True)
        Module.requires_grad_(self.function, requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        self._structure.check()
        for parameter in self._parameters:
            parameter.zero_grad()


def values_of(root: Module, params: Iterable[Any] = ()) -> list[Parameter]:
    """Parameters and buffers of a function or program, and the arrays among `params`."""
    return [*(x for _, x in named_values(root)), *filter(is_constant, params)]


def convert(parameter: Parameter, dtype: np.dtype[Any], device: Device) -> None:
    """Makes a parameter one of this dtype on this device, in place."""
    if isinstance(parameter, Constant):
        return parameter.become(dtype, device)
    if parameter.dtype != dtype:
        parameter.zero_grad()
        if parameter.device == host.name:
            parameter.data = parameter.read()[0].astype(dtype)
        else:
            parameter.move(device, dtype)
    parameter.move(device)
