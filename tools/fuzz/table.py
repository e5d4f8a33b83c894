"""All operations of random functions, by name."""

from __future__ import annotations

from collections.abc import Sequence

import attending
import convolving
import newer
import operations
from operations import Attrs, Operation
from tape import Value

OPERATIONS: dict[str, Operation] = {
    **operations.UNARY,
    **operations.BINARY,
    **operations.OTHER,
    **operations.RANDOM,
    **newer.UNARY,
    **newer.OTHER,
    **attending.OPERATIONS,
    **convolving.OPERATIONS,
}


def apply(name: str, operands: Sequence[Value], attrs: Attrs) -> Value:
    """The value of an operation; it has as many rows as its operands."""
    mean = OPERATIONS[name].mean
    assert mean is not None, name
    return mean(*operands, **attrs)
