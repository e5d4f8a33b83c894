"""Writes to parameters with a beginning and an end that cavs is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cavs._arrays import Array
from cavs.tensor._version import numbers
from cavs.tensor._watch import give_out

if TYPE_CHECKING:
    from cavs.tensor._parameter import Parameter


class Writing:
    """``with Writing(parameters) as arrays:``: the values of several parameters to write to, as one
    change of each; see `Parameter.writing`.

    Attributes:
        versions: if they are asked for, the version of each parameter after the block; -1 where
            somebody else may have written to it since the block began.
    """

    __slots__ = ("_before", "_parameters", "versions")

    versions: list[int]

    def __init__(self, parameters: Sequence[Parameter], versions: bool = False) -> None:
        self._parameters = parameters
        self._before = [p._version.number for p in parameters] if versions else None

    def __enter__(self) -> list[Array]:
        arrays = [parameter._values for parameter in self._parameters]
        give_out(*arrays)
        return arrays

    def __exit__(self, *error: object) -> None:
        if self._before is None:
            for parameter in self._parameters:
                parameter._version.number = next(numbers)
            return
        self.versions = []
        for parameter, before in zip(self._parameters, self._before, strict=True):
            version = parameter._version
            alone = version.private and version.number == before
            version.number = number = next(numbers)
            self.versions.append(number if alone else -1)


class WritingOne:
    """The same for one parameter."""

    __slots__ = ("_parameter",)

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def __enter__(self) -> Array:
        values = self._parameter._values
        give_out(values)
        return values

    def __exit__(self, *error: object) -> None:
        self._parameter._version.number = next(numbers)
