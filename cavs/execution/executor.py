"""The interface of executors: F and G meet here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from cavs._arrays import Array as Array
from cavs.core.compiler import Compiler
from cavs.core.ir import Name
from cavs.device import Device
from cavs.scheduler import GraphBatch


class RandomState(NamedTuple):
    """The numbers from which random operations draw, with the keys of graph and vertex."""

    seed: int
    step: int
    training: bool


class Gradients(NamedTuple):
    """The results of a backward call.

    Attributes:
        params: (parameter number, gradient); a gradient by rows is (ids, rows), ids ascending and
            distinct, int32. A parameter may come several times, to be added.
        inputs: cotangents by input name.
    """

    params: list[tuple[int, Array | tuple[Array, Array]]]
    inputs: dict[Name, Array]


Updates = list[tuple[int, Array]]
"""(parameter number, value) of the buffers that a call in training mode writes."""


class Weights(NamedTuple):
    """Values of the parameters, by number, and the version of each, or -1 (see Parameter.read).
    Anything that was made of a weight is valid until its version changes."""

    values: list[Array]
    versions: list[int]


class NanState(Exception):  # noqa: N818
    """Raised by a forward call that looks for NaN in states; names the state that has one.

    Attributes:
        name: the state.
        vertex: the user's number of the first vertex that scattered it, children first.
    """

    def __init__(self, name: Name, vertex: int) -> None:
        super().__init__(f"NaN in state {name} of vertex {vertex}")
        self.name = name
        self.vertex = vertex


class Run(Protocol):
    """A forward call that waits for its backward."""

    def backward(self, cotangents: Mapping[Name, Array], *, retain: bool = False) -> Gradients:
        """Gradients, from cotangents of outputs in the user's order, C-contiguous.

        It is called once, or several times of which all but the last have `retain`: with that, the
        values of the forward stay as they are. All arrays of a result are new.

        Raises:
            CavsRuntimeError: a call without `retain` came before.
        """


class Executor(Protocol):
    """Runs one compiled function. Float inputs, outputs and gradients are arrays of `device`; ids
    are arrays of the host."""

    compiler: Compiler
    dtype: np.dtype[Any]
    device: Device

    def of(self, compiler: Compiler) -> Executor:
        """The executor of another function, with the same settings."""

    def forward(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        wanted: frozenset[Name] | None,
        *,
        check_states: bool = False,
    ) -> tuple[dict[Name, Array], Run | None, Updates]:
        """Outputs in the user's order, and the values for buffers, which are not written yet.
        `wanted`: inputs whose cotangents a backward call will give; None if none follows.
        `check_states`: whether NaN in a state raises :class:`NanState`."""


def write_buffers(params: Sequence[Any], updates: Updates) -> None:
    """Writes the values that a call gave for buffers."""
    for number, value in updates:
        with params[number].writing() as array:
            array[...] = value.reshape(array.shape)


def read_parameters(params: Sequence[Any]) -> Weights:
    """The parameters' values and versions, to be read only."""
    return Weights(*params[0].read_all(params)) if params else Weights([], [])
