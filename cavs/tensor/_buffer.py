"""Values without rows that training does not learn: of modules, and arrays in vertex functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from cavs._arguments import boolean
from cavs._arrays import FLOAT32, INT32, Array
from cavs.core.ops._holding import makers
from cavs.core.tracing import SourceLine
from cavs.device import Device, host
from cavs.device.taking import moved
from cavs.errors import InputError
from cavs.tensor._parameter import Parameter
from cavs.tensor._tensor import Tensor
from cavs.tensor._watch import rebind


class Buffer(Parameter):
    """Values of a module that no gradient reaches, such as running averages; made by
    :meth:`cavs.nn.Module.register_buffer`. In a vertex function it is a value without rows.

    It stands in ``state_dict`` and in checkpoints, and is none of ``parameters()``. Calls read the
    values that it has then; ``data`` may be written to as that of a parameter.
    """

    __slots__ = ()
    __cavs_buffer__ = True

    def __init__(self, data: Any, dtype: Any = None) -> None:
        """Shares the memory of `data` as a parameter does.

        Raises:
            DTypeError: not float32 or float64.
        """
        super().__init__(data, dtype, requires_grad=False)

    @property
    def requires_grad(self) -> bool:
        """False."""
        return False

    @requires_grad.setter
    def requires_grad(self, value: Any) -> None:
        if boolean("buffer", "requires_grad", value):
            raise InputError(
                "[buffer] expected requires_grad=False, got True: no gradient reaches a buffer; "
                "make a cavs.Parameter of it"
            )


class Constant(Buffer):
    """An array that stands in a vertex function.

    Attributes:
        exact: its numbers as the user gave them, float64.
        where: the line of F that has it.
    """

    __slots__ = ("exact", "where")
    __cavs_constant__ = True

    exact: Array
    where: SourceLine | None

    def __init__(self, exact: Array, where: SourceLine | None) -> None:
        self.exact, self.where = exact, where
        super().__init__(exact, FLOAT32)

    def become(self, dtype: np.dtype[Any], device: Device) -> None:
        """Makes it one of this dtype on this device, in place."""
        if self.dtype == dtype and self.device == device.name:
            return
        rebind()
        self._values = moved(host.asarray(self.exact, dtype), device)
        self._version.start(None, private=True)


class ConstantIds(Constant):
    """An array of ids that stands in a vertex function: int32, whatever the model's dtype."""

    __slots__ = ()

    def __init__(self, exact: Array, where: SourceLine | None) -> None:
        self.exact, self.where = exact, where
        self._set(host.asarray(exact, INT32), False)

    def become(self, dtype: np.dtype[Any], device: Device) -> None:
        """Brings it to this device, in place."""
        super().become(INT32, device)


def _constant(exact: Array, where: SourceLine | None) -> Constant:
    return (ConstantIds if exact.dtype == INT32 else Constant)(exact, where)


makers.buffer, makers.constant, makers.tensor = Buffer, _constant, Tensor
