"""Arrays that stand in a vertex function: operands without rows, alike in every call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cavs._arguments import shown
from cavs.core.ir import Node, param
from cavs.core.ops._holding import makers
from cavs.core.tracing import SourceLine, here, tracing
from cavs.errors import DTypeError, InputError, ShapeError

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


def is_of_ids(value: Any) -> bool:
    """Whether it may stand for ids: an array of NumPy, or one number."""
    return isinstance(value, (int, np.generic, np.ndarray))


def ids_operand(component: str, given: Any) -> Node:
    """Integers as an operand that are ids; equal ones of a trace are one."""
    array = np.asarray(given)
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"[{component}] expected integers as ids, got {shown(array.dtype.name)}; convert them, "
            "as by astype('int32')"
        )
    if array.size and not (array.min() >= -1 and array.max() < 2**31):
        raise InputError(
            f"[{component}] expected ids of -1 or more that int32 holds, got {array.min()}.."
            f"{array.max()}; correct them"
        )
    return _held(component, array.astype(np.int32))


def array_operand(component: str, array: Any) -> Node:
    """An array as an operand; equal ones of a trace are one."""
    return _held(component, checked(component, array))


def _held(component: str, values: Any) -> Node:
    if not values.size:
        raise ShapeError(
            f"[{component}] expected an array with elements, got shape {values.shape}; leave it out"
        )
    key = values.dtype, values.shape, values.tobytes()
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


def _ids(component: str, given: Any) -> Any:
    return ids_operand(component, given) if here.tracing and is_of_ids(given) else given


makers.value, makers.ids, makers.tracing = _value, _ids, tracing
