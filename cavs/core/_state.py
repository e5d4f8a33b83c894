"""Fits named arrays of a checkpoint to the names and shapes that their owner expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cavs._arguments import printed
from cavs.errors import CheckpointError

_SHOWN = 8


def fitting_arrays(
    component: str, owner: str, own: Mapping[str, tuple[int, ...]], state: Mapping[str, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of `state`, if they have the names and shapes of `own` and hold numbers.

    Args:
        component: the component that asks, for errors.
        owner: the owner of the arrays, for errors.
        own: the shape expected for each name.
        state: the arrays by name.

    Raises:
        CheckpointError: names every entry that is missing, unexpected or does not fit.
    """
    if not isinstance(state, Mapping):
        raise CheckpointError(
            f"[{component}] expected a dictionary of the arrays of {owner}, got "
            f"{type(state).__name__}; pass what state_dict gave"
        )
    values = {name: _as_array(value) for name, value in state.items()}
    problems = [f"{name!r} is missing" for name in own if name not in values]
    for name, value in values.items():
        if name not in own:
            problems.append(f"{printed(name)} is unexpected")
        elif value.shape != own[name]:
            problems.append(f"{name!r} has shape {value.shape} instead of {own[name]}")
        elif value.dtype.kind not in "fiub":
            problems.append(f"{name!r} has dtype {value.dtype}")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise CheckpointError(
            f"[{component}] expected the {len(own)} arrays of {owner}, got {len(values)}: "
            f"{'; '.join(problems[:_SHOWN])}{more}; load a state of the same kind"
        )
    return values


def _as_array(value: Any) -> np.ndarray[Any, Any]:
    """The value as an array; an array of objects, which is refused, if it holds no numbers."""
    try:
        return np.asarray(value)
    except Exception:  # lists of several lengths, or any error of an object's own conversion
        return np.array(None)


def narrowed(
    component: str, name: str, value: np.ndarray[Any, Any], dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    """`value` as `dtype`.

    Raises:
        CheckpointError: a finite number of it is infinite as `dtype`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found = value.astype(dtype, copy=False)
    if found.dtype.kind == "f" and np.isfinite(found).sum() < np.isfinite(value).sum():
        raise CheckpointError(
            f"[{component}] expected numbers that {dtype} holds as {name!r}, got larger ones; "
            "scale them"
        )
    return found
