"""The arrays of a run by name, checked where a file gives them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs.errors import CheckpointError
from cavs.training._fields import shown

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


def copies(arrays: Mapping[str, Array]) -> Arrays:
    """The same arrays in memory of their own."""
    return {name: array.copy() for name, array in arrays.items()}


def check_state(
    found: Mapping[str, Array],
    expected: Mapping[str, tuple[int | None, ...]],
    dtype: npt.DTypeLike = np.float32,
    may_lack: bool = False,
) -> None:
    """Checks the arrays that an objective goes on from.

    Args:
        found: the checkpoint's arrays.
        expected: maps each name to a shape, with None for any size.
        dtype: the dtype of all of them.
        may_lack: whether all of them may be missing.

    Raises:
        CheckpointError: the arrays are others, or one is not finite.
    """
    if may_lack and not found:
        return
    if found.keys() != expected.keys():
        raise CheckpointError(
            f"[train] expected the arrays {sorted(expected)} of the objective, got "
            f"{shown(sorted(found))}; take a checkpoint of this model"
        )
    for name, shape in expected.items():
        came = found[name]
        fits = came.ndim == len(shape) and all(
            size in (None, own) for size, own in zip(shape, came.shape, strict=True)
        )
        if not fits or came.dtype != np.dtype(dtype) or not np.isfinite(came).all():
            raise CheckpointError(
                f"[train] expected finite numbers of {np.dtype(dtype)} {shape} as {name!r} of the "
                f"objective, got {came.dtype} {came.shape}; take a checkpoint of this model"
            )


def check_arrays(path: str | Path, found: Mapping[str, Array], expected: Mapping[str, Any]) -> None:
    """Checks that a checkpoint's arrays fit a model.

    Args:
        path: the path of the checkpoint, for errors.
        found: the checkpoint's arrays.
        expected: the model's arrays or parameters, of which name, shape and dtype count.

    Raises:
        CheckpointError: names the first mismatch, or array that is not finite.
    """
    for name, array in expected.items():
        if name not in found:
            raise CheckpointError(
                f"[checkpoint] {path}: expected parameter {name!r} of shape {tuple(array.shape)}, "
                "got none; name a checkpoint of this model"
            )
        got = found[name]
        if tuple(got.shape) != tuple(array.shape) or got.dtype != array.dtype:
            raise CheckpointError(
                f"[checkpoint] {path}: expected parameter {name!r} as {array.dtype} "
                f"{tuple(array.shape)}, got {got.dtype} {tuple(got.shape)}; name a checkpoint of "
                "this model"
            )
        if got.dtype.kind == "f" and not np.isfinite(got).all():
            raise CheckpointError(
                f"[checkpoint] {path}: expected finite numbers as parameter {name!r}, got "
                f"{got[~np.isfinite(got)][0]}; name a checkpoint that is whole"
            )
    for name in found:
        if name not in expected:
            raise CheckpointError(
                f"[checkpoint] {path}: expected parameters {sorted(expected)}, got "
                f"{shown(name)} too; name a checkpoint of this model"
            )
