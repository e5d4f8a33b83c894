"""Arrays that stand in a vertex function: operands without rows, alike in every call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cavs._arguments import shown
from cavs.core.ir import Node, param
from cavs.core.ops._holding import makers
from cavs.core.tracing import SourceLine, here, tracing
from cavs.errors import DTypeError

_NO_LINE = SourceLine("<array>", 1)


def checked(component: str, array: Any) -> Any:
    """The array as float64, where it holds real numbers."""
    if array.dtype.kind not in "biuf":
        raise DTypeError(
            f"[{component}] expected an array of real numbers, got {shown(array.dtype.name)}; "
            "convert it, as by astype('float32'), or number its values and look them up in an "
            "embedding"
        )
    return array.astype(np.float64)


def array_operand(component: str, array: Any) -> Node:
    """An array as an operand; equal ones of a trace are one."""
    values = checked(component, array)
    key = values.shape, values.tobytes()
    found: Node | None = here.arrays.get(key)
    if found is None:
        line = here.locate()
        if np.isnan(values).any():
            _warn(component, line)
        found = here.arrays[key] = param(makers.constant(values, line))
    return found


def _warn(component: str, line: SourceLine | None) -> None:
    file, number = (line or _NO_LINE).file, (line or _NO_LINE).line
    text = f"[{component}] expected numbers, got an array with NaN; what it meets becomes NaN"
    warnings.warn_explicit(text, UserWarning, file, number)


def _value(array: Any) -> Any:
    values = np.asarray(array)
    if here.tracing:
        return array_operand("constant", values)
    return makers.tensor(checked("constant", values))


makers.value, makers.tracing = _value, tracing
