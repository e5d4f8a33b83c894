"""What inference keeps between calls: results that depend on one integer pull alone, by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs.core.passes.remember_pulls import Remembered
from cavs.scheduler import GraphBatch

Array = npt.NDArray[Any]


class Memory:
    """Results of one part, computed where an id comes for the first time.

    A row is valid for one version of the parameters. When they change, the arrays are left to the
    calls that still read them, and new ones begin.
    """

    def __init__(self, part: Remembered, dtype: np.dtype[Any]) -> None:
        self.part = part
        self._dtype = dtype
        self._lock = Lock()
        self._versions: list[int] = []
        self._known: Array = np.zeros(0, bool)
        self._results: list[Array] = []

    def results(
        self, ids: Array, compute: Callable[[GraphBatch, Array], Mapping[str, Array]]
    ) -> Mapping[str, Array] | None:
        """Results by key, a row per id and a last one for "no input", valid at least for `ids`.

        None where the parameters may change unseen, so that nothing can be kept.

        Args:
            ids: int32, in -1..count - 1.
            compute: runs the part over vertices without edges that have these ids.
        """
        versions = [p.read()[1] for p in self.part.params]
        if min(versions, default=0) < 0:
            return None
        with self._lock:
            if versions != self._versions:
                self._begin(versions)
            # NumPy's index -1 is the last row, which is that of "no input".
            known = self._known[ids]
            if not known.all():
                missing = np.unique(ids[~known])
                computed = compute(_vertices(len(missing)), missing)
                for key, results in zip(self.part.keys, self._results, strict=True):
                    results[missing] = computed[key]
                self._known[missing] = True
            return dict(zip(self.part.keys, self._results, strict=True))

    def _begin(self, versions: Sequence[int]) -> None:
        rows = self.part.count + 1
        self._versions = list(versions)
        self._known = np.zeros(rows, bool)
        self._results = [np.empty((rows, *shape), self._dtype) for shape in self.part.shapes]


def _vertices(count: int) -> GraphBatch:
    return GraphBatch.from_csr([0, count], np.zeros(count + 1, np.int64), np.zeros(0, np.int64))
