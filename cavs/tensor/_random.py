"""Random tensors of the outer program, from the counter-based generator of vertex functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cavs._arguments import listed, shown
from cavs._arrays import INT32, check_dtype, draw_uniform
from cavs._locks import new_lock
from cavs._seed import seed_or_default
from cavs.core.ops._def import size_of
from cavs.core.ops.random import standard_normal
from cavs.core.ops.shape import sizes as checked_sizes
from cavs.device import find_device
from cavs.device.taking import host_array, moved
from cavs.errors import DTypeError, InputError, ShapeError
from cavs.tensor._tensor import Tensor

# Operations of vertex functions are numbered from 0 on.
_OPERATION = 2**32 - 1


_lock = new_lock()


class Stream:
    """Seed and step of successive draws; several threads may take steps at once.

    Attributes:
        seed: 0..2**64-1.
        step: how many steps were taken.
    """

    def __init__(self, seed: int | None = None) -> None:
        """`seed`: None stands for that of :func:`cavs.manual_seed`, else 0. Raises InputError for
        a seed out of range."""
        self.seed = check_seed(seed_or_default(seed))
        self.step = 0

    def state(self) -> dict[str, int]:
        """Seed and step, for :meth:`set_state`."""
        seed, step = self.peek()
        return {"seed": seed, "step": step}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Goes on from a state that :meth:`state` gave.

        Raises:
            InputError: not a seed and a step in 0..2**64-1; nothing has changed then.
        """
        given: Any = state  # from a file, perhaps
        if not isinstance(given, Mapping) or set(given) != {"seed", "step"}:
            raise InputError(
                f"[random] expected a seed and a step, got {_keys(state)}; pass what state() gave"
            )
        seed, step = check_seed(state["seed"]), check_seed(state["step"])
        with _lock:
            self.seed, self.step = seed, step

    def peek(self) -> tuple[int, int]:
        """Seed and step that :meth:`take` would give."""
        return self.seed, self.step

    def take(self) -> tuple[int, int]:
        """Seed and step for this caller alone; the next caller gets the next step."""
        with _lock:
            step = self.step
            self.step = step + 1
            return self.seed, step


class Generator(Stream):
    """Draws tensors. A number depends on the seed, on how many tensors were drawn before, on the
    key of its row and on its place in the row: not on the other rows.

    Attributes:
        seed: 0..2**64-1.
        step: how many tensors were drawn.
    """

    def uniform(
        self,
        shape: int | Sequence[int],
        dtype: Any = "float32",
        keys: Any = None,
        places: Any = None,
        device: Any = "cpu",
    ) -> Tensor:
        """Uniform numbers in [0, 1), of 24 random bits each.

        Args:
            shape: of the tensor; its first axis are rows.
            dtype: float32 or float64.
            keys: (rows,) integers, such as the samples' numbers in a data set; None counts rows.
            places: (rows,) integers in 0..2**32-1 that tell rows of one key apart, such as the
                numbers of vertices within their graph; None: zeros.
            device: that the tensor is on; the numbers are the same on all of them.

        Raises:
            ShapeError: sizes below 0, or not a key and a place for each row; DTypeError: not a
                float dtype, or keys or places that are no integers.
        """
        sizes = checked_sizes("random", shape, 0)
        wanted = check_dtype(dtype, "random")
        if wanted == INT32:
            raise DTypeError("[random] expected float32 or float64, got int32; pass one of these")
        rows = sizes[0] if sizes else 1
        numbers = np.arange(rows) if keys is None else host_array(keys, "random")
        within = np.zeros(rows, np.int64) if places is None else host_array(places, "random")
        for what, given in (("keys", numbers), ("places", within)):
            if given.shape != (rows,):
                raise ShapeError(
                    f"[random] expected {rows} {what}, got shape {given.shape}; pass one for each "
                    "row"
                )
            if rows and given.dtype.kind not in "iub":
                raise DTypeError(
                    f"[random] expected integers as {what}, got {given.dtype}; convert them to "
                    "int64"
                )
        target = find_device(device, "random")
        width = size_of(tuple(sizes[1:]))
        drawn = draw_uniform(
            *self.take(),
            _OPERATION,
            numbers.astype(np.int64),
            within.astype(np.uint32).view(np.int32),
            width,
            wanted,
        )
        return Tensor(moved(drawn.reshape(sizes), target))

    def normal(
        self,
        shape: int | Sequence[int],
        dtype: Any = "float32",
        keys: Any = None,
        places: Any = None,
        device: Any = "cpu",
    ) -> Tensor:
        """Standard normal numbers; for the rest as :meth:`uniform`."""
        result: Tensor = standard_normal(self.uniform(shape, dtype, keys, places, device))
        return result


def check_seed(value: Any) -> int:
    """`value`, if it is a seed or a step; raises InputError if it is neither."""
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**64:
        raise InputError(
            f"[random] expected an integer in 0..2**64-1, got {shown(value)}; pass such an integer"
        )
    return value


def _keys(state: Any) -> Any:
    """A state in errors: its keys, in one line of some length."""
    return listed(state) if isinstance(state, Mapping) else type(state).__name__
