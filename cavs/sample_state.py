"""Rows that outlive a call, such as the states of Markov chains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cavs._arguments import instance, integer, listed, shown, shown_dtype
from cavs._arrays import Array, check_dtype
from cavs.core.ops.shape import sizes
from cavs.device import Device, find_device
from cavs.device.taking import as_array, host_array, moved
from cavs.errors import DTypeError, InputError, ShapeError
from cavs.scheduler import GraphBatch, InputGraph, batch
from cavs.tensor import Tensor

_VERTEX = InputGraph([[]])


class SampleState:
    """Rows that calls read by number and write back, such as the chains of persistent contrastive
    divergence (Tieleman 2008), which go on from one step of training to the next::

        chains = cavs.SampleState(100, visible=784)
        rows = np.arange(20)
        out = model(chains.batch(rows), **chains.read(rows))
        chains.write(rows, visible=out["visible"])

    A row is a graph of :meth:`batch`, whose random numbers are drawn by the row's number. Its key
    is below 0, so that no row shares its numbers with a sample of a data set.

    Attributes:
        shapes: maps the name of each value to the shape of a row of it.
        dtype: of all values.
        device: the name of the device that they are on.
    """

    def __init__(
        self, count: int, /, *, device: Any = "cpu", dtype: Any = "float32", **shapes: Any
    ) -> None:
        """All values are zeros.

        Args:
            count: the number of rows.
            device: ``cpu``, ``cuda`` or ``cuda:1``.
            dtype: float32, float64 or int32.
            shapes: maps the name of each value to the shape of a row: an integer or a sequence.

        Raises:
            InputError: a count below 0, no values, or no such device; ShapeError: a size below 0;
                DTypeError: another dtype.
        """
        self._count = integer("samples", "count", count, 0)
        self.dtype = check_dtype(dtype, "samples")
        self.device = find_device(device, "samples").name
        if not shapes:
            raise InputError(
                "[samples] expected the shape of a value at least, got none; name one, such as "
                "visible=784"
            )
        self.shapes = {name: tuple(sizes("samples", shape, 0)) for name, shape in shapes.items()}
        self._values = {
            name: self._device.zeros((self._count, *shape), self.dtype)
            for name, shape in self.shapes.items()
        }

    @property
    def _device(self) -> Device:
        return find_device(self.device, "samples")

    def __len__(self) -> int:
        """The number of rows."""
        return self._count

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"<SampleState of {self._count} rows on {self.device}: {values}>"

    def batch(self, rows: Any = None, graph: InputGraph = _VERTEX) -> GraphBatch:
        """A graph for each row, with the key -1 - n for row n.

        Args:
            rows: (n,) distinct numbers of rows; None: all rows.
            graph: the graph of each row; by default a single vertex.

        Raises:
            InputError: a number is out of range or comes twice, or no graph; DTypeError: no
                integers; ShapeError: not one axis.
        """
        instance("samples", "graph", graph, InputGraph, "a cavs.InputGraph")
        numbers = self._numbers(rows)
        return batch([graph] * len(numbers), keys=-1 - numbers)

    def read(self, rows: Any = None) -> dict[str, Array]:
        """Copies of the rows by the names of the values, (n, *shape) each, on the device.

        Args:
            rows: (n,) distinct numbers of rows; None: all rows.

        Raises:
            InputError, DTypeError, ShapeError: as :meth:`batch`.
        """
        if rows is None:
            return {name: self._device.copy(value) for name, value in self._values.items()}
        at = self._device.asarray(self._numbers(rows))
        return {name: value[at] for name, value in self._values.items()}

    def write(self, rows: Any = None, /, **values: Any) -> None:
        """Puts values into rows; those that are not named stay.

        Args:
            rows: (n,) distinct numbers of rows; None: all rows.
            values: arrays or tensors (n, *shape), of any device; no gradient flows through them.

        Raises:
            InputError: a value of another name, and as :meth:`batch`; ShapeError: a value of
                another shape; DTypeError: one that is no number. Nothing was written then.
        """
        numbers = self._numbers(rows)
        taken = {name: self._taken(name, value, len(numbers)) for name, value in values.items()}
        at: Any = slice(None) if rows is None else self._device.asarray(numbers)
        for name, value in taken.items():
            self._values[name][at] = value

    def state_dict(self) -> dict[str, Array]:
        """Copies of all rows by name, in this machine's memory."""
        return {name: np.array(self._device.to_host(value)) for name, value in self._values.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what :meth:`state_dict` gave.

        Raises:
            InputError: other names; ShapeError, DTypeError: another number of rows, or another
                shape or dtype. Nothing has changed then.
        """
        given: Any = state  # from a file, perhaps
        if not isinstance(given, Mapping) or set(given) != set(self.shapes):
            got = listed(given) if isinstance(given, Mapping) else shown(given)
            raise InputError(
                f"[samples] expected the values {listed(self.shapes)}, got {got}; pass what "
                "state_dict() gave"
            )
        for name, value in given.items():
            dtype = getattr(value, "dtype", None)
            if dtype != self.dtype:
                got = shown(value) if dtype is None else shown_dtype(dtype)
                raise DTypeError(
                    f"[samples] expected {self.dtype} as {name}, got {got}; pass what state_dict() "
                    "gave"
                )
        self.write(**given)

    def _numbers(self, rows: Any) -> Array:
        """Distinct numbers of rows, int64."""
        if rows is None:
            return np.arange(self._count)
        given = host_array(rows, "samples")
        if given.ndim != 1:
            raise ShapeError(
                f"[samples] expected numbers of rows of shape (n,), got shape {given.shape}; pass "
                "one axis"
            )
        if len(given) and given.dtype.kind not in "iu":
            raise DTypeError(
                f"[samples] expected integers as numbers of rows, got {given.dtype}; convert them "
                "to int64"
            )
        numbers: Array = given.astype(np.int64)
        outside = (numbers < 0) | (numbers >= self._count)
        if outside.any():
            raise InputError(
                f"[samples] expected numbers of rows in 0..{self._count - 1}, got "
                f"{given[outside][0]}; pass rows that are there"
            )
        if len(np.unique(numbers)) < len(numbers):
            raise InputError(
                "[samples] expected each row once, got one twice; pass distinct numbers of rows"
            )
        return numbers

    def _taken(self, name: str, value: Any, count: int) -> Array:
        """A value to be written, on the device."""
        if name not in self.shapes:
            raise InputError(
                f"[samples] expected values among {listed(self.shapes)}, got {name}; name one of "
                "these"
            )
        given = value._values if isinstance(value, Tensor) else value
        array = as_array(given, "samples", self.dtype)
        wanted = (count, *self.shapes[name])
        if array.shape != wanted:
            raise ShapeError(
                f"[samples] expected {name} of shape {wanted}, got {array.shape}; pass a row for "
                "each number"
            )
        return moved(array, self._device)
