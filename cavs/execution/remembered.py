"""Results that inference keeps between calls, by id: they depend on one integer pull alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from cavs._arrays import Array, IdRows, NativeSpace, missing_ids
from cavs._locks import new_lock
from cavs.core.ir import Name
from cavs.core.ops._spaces import SpaceKind, Typed
from cavs.core.passes.remember_pulls import Remembered
from cavs.core.trace import Trace
from cavs.core.type_order import TypeOrder
from cavs.device import Device
from cavs.scheduler import GraphBatch, Schedule

_lock = new_lock()  # held while rows are written


class _Rows:
    """The results that are known for one version of the parameters."""

    def __init__(
        self, versions: tuple[int, ...], part: Remembered, dtype: np.dtype[Any], device: Device
    ) -> None:
        rows = part.count + 1
        self._device = device
        self.versions = versions
        self.known: Array = np.zeros(rows, bool)
        self.results: dict[Name, Array] = {
            key: device.table(rows, shape, dtype)
            for key, shape in zip(part.keys, part.shapes, strict=True)
        }

    def note(self, ids: Array, computed: Mapping[Name, Array]) -> None:
        """Writes the rows that nobody else has written meanwhile."""
        with _lock:
            new = np.flatnonzero(~self.known[ids])
            chosen = ids[new]  # the index -1 is the last row, which is "no input"
            with self._device.here():
                rows, where = self._device.asarray(new), self._device.asarray(chosen)
                for key, results in self.results.items():
                    results[where] = computed[key][rows]
            self.known[ids] = True


MOST_AT_ONCE = 1024
"""How many ids are computed together: the arrays copied from stay small beside the results."""


class Memory:
    """Results of one part; a row is computed when its id comes for the first time.

    A row is valid for one version of the parameters. When they change, the arrays are left to the
    calls that still read them, and new ones begin. Several threads may compute the same row; the
    first to finish writes it, once, since others may read it from then on.
    """

    def __init__(
        self,
        part: Remembered,
        numbers: Sequence[int],
        dtype: np.dtype[Any],
        device: Device,
        id_rows: Any,
    ) -> None:
        """`numbers`: positions of the part's own versions among all that :meth:`results` gets;
        `id_rows`: see :func:`id_rows_of`."""
        self.part = part
        self._id_rows = id_rows
        self._own = itemgetter(*numbers, numbers[0])  # a tuple also of a single number
        self._dtype = dtype
        self._device = device
        self._rows: _Rows | None = None

    def results(
        self,
        ids: Array,
        schedule: Schedule | None,
        versions: Sequence[int],
        compute: Callable[[GraphBatch, Array], Mapping[Name, Array]],
    ) -> Mapping[Name, Array] | None:
        """Results by key, a row per id and a last one for "no input", valid at least for `ids`.

        None if the parameters may change unseen, so that nothing can be kept.

        Args:
            ids: int32, in -1..count - 1; for the rows of the input.
            schedule: of the batch, for a function of types.
            versions: of all parameters of the compiled function (see Parameter.read) and of the
                settings that results depend on.
            compute: runs the part over vertices without edges that have these ids.
        """
        own = self._own(versions)
        if min(own) < 0:
            return None
        rows = self._rows
        if rows is None or rows.versions != own:
            rows = self._rows = _Rows(own, self.part, self._dtype, self._device)
        if schedule is None or self._id_rows is None:
            missing = missing_ids(ids, rows.known)
        else:
            missing = schedule.missing_ids(ids, rows.known, self._id_rows)
        if missing is not None:
            for first in range(0, len(missing), MOST_AT_ONCE):
                chosen = missing[first : first + MOST_AT_ONCE]
                rows.note(chosen, compute(vertices(len(chosen)), chosen))
        return rows.results

    def bytes(self, rows: Array) -> int:
        """Bytes that results of some ids take, by the distinct numbers of their rows."""
        return sum(
            self._device.table_bytes(
                rows, math.prod(shape) * self._dtype.itemsize, self.part.count + 1
            )
            for shape in self.part.shapes
        )


def id_rows_of(part: Remembered, trace: Trace, types: TypeOrder | None) -> Any:
    """The rows whose ids a part looks up, among those of its input, as a native ``IdRows``; None:
    all, as in a function without types: there few ids are of rows that a part does not have, and to
    choose among them would cost more than it saves."""
    if types is None:
        return None
    base, given = part.base, trace.inputs[part.pull].rows
    if base == given:
        return None
    kind = NativeSpace[base.kind.value.upper()]
    assert isinstance(base, Typed)
    assert isinstance(given, Typed)
    order: Sequence[Any] = types.lists if base.kind is SpaceKind.EDGE else types.names
    (own,), among = ([order.index(member) for member in x.members] for x in (base, given))
    return IdRows(kind, own, sorted(among))


def vertices(count: int) -> GraphBatch:
    """A graph of so many vertices and no edges."""
    return GraphBatch.from_csr([0, count], np.zeros(count + 1, np.int64), np.zeros(0, np.int64))
