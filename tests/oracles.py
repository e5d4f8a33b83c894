"""Functions that NumPy lacks, from other sources than the project's."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np


def erfinv(x: Any) -> Any:
    """The inverse of the error function, elementwise: from the normal quantile, which Python's
    library computes by Wichura's algorithm AS 241. NaN outside of -1..1."""

    def one(value: float) -> float:
        if abs(value) == 1:
            return math.copysign(math.inf, value)
        if not abs(value) < 1:
            return math.nan
        # Of the nearer end: a number near 1 has lost what lies between it and 1.
        tail = NormalDist().inv_cdf((1 - abs(value)) / 2)
        return math.copysign(tail * math.sqrt(0.5), value)

    x = np.asarray(x)
    return np.vectorize(one, otypes=[x.dtype])(x)
