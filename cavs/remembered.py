"""What inference keeps between calls: results that depend on one integer pull alone, by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arrays import missing_ids
from cavs.core.ir import Name
from cavs.core.passes.remember_pulls import Remembered
from cavs.scheduler import GraphBatch

Array = npt.NDArray[Any]


class Memory:
    """Results of one part, computed where an id comes for the first time.

    A row is valid for one version of the parameters. When they change, the arrays are left to the
    calls that still read them, and new ones begin.
    """

    def __init__(self, part: Remembered, numbers: Sequence[int], dtype: np.dtype[Any]) -> None:
        """`numbers`: of what the part depends on, among the versions that :meth:`results` gets."""
        self.part = part
        self._numbers = numbers
        self._dtype = dtype
        self._lock = Lock()
        self._versions: list[int] = []
        self._known: Array = np.zeros(0, bool)
        self._results: dict[Name, Array] = {}

    def results(
        self,
        ids: Array,
        versions: Sequence[int],
        compute: Callable[[GraphBatch, Array], Mapping[Name, Array]],
    ) -> Mapping[Name, Array] | None:
        """Results by key, a row per id and a last one for "no input", valid at least for `ids`.

        None where the parameters may change unseen, so that nothing can be kept.

        Args:
            ids: int32, in -1..count - 1.
            versions: of all parameters of the compiled function (see Parameter.read) and of the
                settings that results depend on.
            compute: runs the part over vertices without edges that have these ids.
        """
        own = [versions[number] for number in self._numbers]
        if min(own, default=0) < 0:
            return None
        with self._lock:
            if own != self._versions:
                self._begin(own)
            missing = missing_ids(ids, self._known)
            if missing is not None:
                computed = compute(_vertices(len(missing)), missing)
                # NumPy's index -1 is the last row, which is that of "no input".
                for key, results in self._results.items():
                    results[missing] = computed[key]
                self._known[missing] = True
            return self._results

    def _begin(self, versions: list[int]) -> None:
        rows = self.part.count + 1
        self._versions = versions
        self._known = np.zeros(rows, bool)
        self._results = {
            key: np.empty((rows, *shape), self._dtype)
            for key, shape in zip(self.part.keys, self.part.shapes, strict=True)
        }


def _vertices(count: int) -> GraphBatch:
    return GraphBatch.from_csr([0, count], np.zeros(count + 1, np.int64), np.zeros(0, np.int64))
