"""Which values are zeros where some of their operands are: shared by passes that skip rows."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from cavs.core.ir import Node, constant_value
from cavs.core.ops.random import DROPOUTS

_MOVES = ("slice", "reshape", "broadcast", "concat")


def is_zero_of(node: Node, zeros: Collection[Node]) -> bool:
    """Whether a row of the value is zeros wherever those of its operands among `zeros` are."""
    name = node.op.name
    if name in ("matmul", "mul"):
        return any(x in zeros for x in node.inputs)
    if name in DROPOUTS:
        return node.inputs[0] in zeros
    known = [0.0 if x in zeros else constant_value(x) for x in node.inputs]
    values = [value for value in known if value is not None]
    if not values or len(values) < len(known):
        return False
    if name in _MOVES:
        return not any(values)
    if not node.op.elementwise or node.op.reference is None:
        return False
    with np.errstate(all="ignore"):
        return float(node.op.reference(np, *map(np.float64, values), **node.attrs)) == 0.0
