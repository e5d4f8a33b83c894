"""A function made of the case table of the operations: a new operation is in it by its case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ops_cases
from ops_cases import OpCase, Operand

import cavs
from cavs import ops
from cavs.core.ops import OPS
from cavs.core.ops._def import apply
from vertex_functions.base import listed

# Values of the kinds that smooth cases take, from any.
_KINDS: dict[str, Callable[[Any], Any]] = {
    "spread": lambda x: x,
    "positive": ops.exp,
    "nonzero": lambda x: ops.exp(x) + 0.5,
    "open": lambda x: ops.tanh(x) * 0.9,
    "unit": lambda x: ops.sigmoid(x) * 0.9 + 0.05,
    "mask": lambda x: ops.greater(x, 0.0),
}


def _is_of_rows(operand: Operand) -> bool:
    return operand.ids is None and not operand.shared and operand.kind in _KINDS


def _cases() -> list[OpCase]:
    """Of each operation on floats of a row the first smooth case that is no single number."""
    found: dict[str, OpCase] = {}
    left_out = ops_cases.OVER_ROWS | ops_cases.NOT_LOWERED
    for case in ops_cases.CASES:
        wide = any(1 < size < 20 for x in case.operands for size in x.shape)
        if (
            wide
            and case.gradient
            and case.op not in left_out
            and all(map(_is_of_rows, case.operands))
        ):
            found.setdefault(case.op, case)
    return list(found.values())


@listed
class EveryCase(cavs.VertexFunction):
    """Each operation on floats of a row, on operands of its own, of which states are made."""

    def forward(self, v: cavs.Vertex) -> None:
        below = ops.tanh(v.gather(h=1).h.sum())
        total: Any = 0.0
        for number, case in enumerate(_cases()):
            operands = []
            for position, operand in enumerate(case.operands):
                name = "_".join(["x", *map(str, operand.shape)])
                x = v.pull(name, operand.shape) * (1.0 + position / 4)
                x = x + ops.reshape(below, ()) * (0.5 + number / 16)
                operands.append(_KINDS[operand.kind](x))
            y = apply(OPS[case.op], *operands, **case.attrs)
            total = total + ops.mean(ops.tanh(y))
            v.push(**{f"y{number}": y})
        v.scatter(h=ops.reshape(ops.tanh(total), (1,)))
