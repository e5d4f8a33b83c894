"""Fitting named arrays from a checkpoint to what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cavs.errors import CheckpointError

_SHOWN = 8


def fitting_arrays(
    component: str, owner: str, own: Mapping[str, tuple[int, ...]], state: Mapping[str, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of `state`, if they are those of `own`, by name and shape, and hold numbers.

    Args:
        component: who asks, for errors.
        owner: what the arrays are for, for errors.
        own: name to shape expected.
        state: name to array.

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
            problems.append(f"{name!r} is unexpected")
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
    """An array of objects, which is refused, where NumPy makes none of numbers of it."""
    try:
        return np.asarray(value)
    except Exception:  # lists of several lengths, or whatever an object's own way to it raises
        return np.array(None)


def narrowed(
    component: str, name: str, value: np.ndarray[Any, Any], dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    """`value` as `dtype`.

    Raises:
        CheckpointError: finite numbers of it are not finite as `dtype`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found = value.astype(dtype, copy=False)
    if found.dtype.kind == "f" and np.isfinite(found).sum() < np.isfinite(value).sum():
        raise CheckpointError(
            f"[{component}] expected numbers that {dtype} holds as {name!r}, got larger ones; "
            "scale them"
        )
    return found
