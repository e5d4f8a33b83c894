"""What an executor is given and gives: where F and G meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cavs.core.compiler import Compiler
from cavs.core.ir import Name
from cavs.scheduler import GraphBatch

Array = npt.NDArray[Any]


class RandomState(NamedTuple):
    """What random operations draw from, with the keys of graph and vertex."""

    seed: int
    step: int
    training: bool


class Gradients(NamedTuple):
    """What a backward call gives.

    Attributes:
        params: (parameter number, gradient); a gradient by rows is (ids, rows), ids ascending and
            distinct, int32. A parameter may come several times, to be added.
        inputs: cotangents by input name.
    """

    params: list[tuple[int, Array | tuple[Array, Array]]]
    inputs: dict[Name, Array]


class Weights(NamedTuple):
    """Values of the parameters, by number, and of each a number that changes with them or -1 (see
    Parameter.read): what was made of a weight serves until it changes."""

    values: list[Array]
    versions: list[int]


class NanState(Exception):  # noqa: N818
    """What a forward call that looks for NaN in states raises: the state that has one.

    Attributes:
        name: of the state.
        vertex: the user's number of the first vertex that scattered it, children first.
    """

    def __init__(self, name: Name, vertex: int) -> None:
        super().__init__(f"NaN in state {name} of vertex {vertex}")
        self.name = name
        self.vertex = vertex


class Run(Protocol):
    """A forward call that waits for its backward."""

    def backward(self, cotangents: Mapping[Name, Array]) -> Gradients:
        """Gradients, from cotangents of outputs in the user's order, C-contiguous. Once."""


class Executor(Protocol):
    """Runs one compiled function."""

    compiler: Compiler
    dtype: np.dtype[Any]

    def forward(
        self,
        graphs: GraphBatch,
        inputs: Mapping[Name, Array],
        random: RandomState,
        wanted: frozenset[Name] | None,
        *,
        check_states: bool = False,
    ) -> tuple[dict[Name, Array], Run | None]:
        """Outputs in the user's order. `wanted`: inputs whose cotangents a backward will give; None
        where no backward comes. `check_states`: whether NaN in a state raises :class:`NanState`."""


def read_parameters(params: Sequence[Any]) -> Weights:
    """Their values and versions, to be read only."""
    values, versions = [], []
    for parameter in params:
        array, version = parameter.read()
        values.append(array)
        versions.append(version)
    return Weights(values, versions)
