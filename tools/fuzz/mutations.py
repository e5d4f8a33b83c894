"""Random changes of nested descriptions and of arrays, to values that nothing expects."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

import cavs

#: The errors that wrong arguments may raise; any other, and a message of several lines, is a
#: finding.
EXPECTED = (cavs.CavsError, TypeError, ValueError, OverflowError, MemoryError)
NUMBERS = [
    *(0, 1, -1, 2, 3, 7, 16, 255, 4096, 1 << 16, (1 << 20) - 1, 1 << 28),
    *(2**31 - 1, 2**31, -(2**31), 2**32, 2**34, 2**61, 2**62, 2**63 - 1, -(2**63), 2**63, 2**64),
]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1e308, -1e308, 1e-320, float("nan"), float("inf")]
OBJECTS = [None, True, "x", b"x", [], (), {}, 1.5, 2**70, object(), [[]], ("x", -1), 1j]


def wrong(error: BaseException) -> str | None:
    """The fault of an error, or None. A message of pybind11 may have several lines: it lists the
    arguments of a function that was called with other types."""
    if not isinstance(error, EXPECTED):
        return f"{type(error).__name__}: {error}"
    text = str(error)
    if "\n" in text and "incompatible" not in text.splitlines()[0]:
        return f"{type(error).__name__} of several lines: {text}"
    return None


def mutated(rng: random.Random, value: Any, words: Sequence[Any]) -> Any:
    """`value` with one part of it changed."""
    if isinstance(value, (list, tuple)) and value and rng.random() < 0.93:
        items = list(value)
        place = rng.randrange(len(items))
        items[place] = mutated(rng, items[place], words)
        return type(value)(items)
    if isinstance(value, dict) and value and rng.random() < 0.93:
        name = rng.choice(list(value))
        changed = {k: v for k, v in value.items() if k != name}
        way = rng.random()
        if way > 0.1:  # else it is left out
            new = mutated(rng, value[name], words)
            changed[rng.choice(words) if way < 0.15 else name] = new
        return changed
    return _replaced(rng, value, words)


def _replaced(rng: random.Random, value: Any, words: Sequence[Any]) -> Any:
    if rng.random() < 0.05:
        return rng.choice(OBJECTS)
    if isinstance(value, (list, tuple)):
        return type(value)(_rearranged(rng, list(value)))
    if isinstance(value, (str, Enum)):
        return rng.choice(words)
    if isinstance(value, bool) or value is None:
        return rng.choice([True, False, None])
    if isinstance(value, int):
        near = [value + 1, value - 1, value * 2, -value, value + 16, rng.randrange(40)]
        return rng.choice(near if rng.random() < 0.6 else NUMBERS)
    if isinstance(value, float):
        return rng.choice(FLOATS)
    return rng.choice(OBJECTS)


def _rearranged(rng: random.Random, items: list[Any]) -> list[Any]:
    way = rng.randrange(5)
    if way == 0 or not items:
        return [*items, rng.choice(items) if items else rng.choice([0, 1, -1, "", 2**62])]
    place = rng.randrange(len(items))
    if way == 1:
        return items[:place] + items[place + 1 :]
    if way == 2:
        rng.shuffle(items)
        return items
    if way == 3:
        items[place] = rng.choice(items)
        return items
    return items[:place]


def mutated_array(rng: random.Random, x: Any) -> Any:
    """An array of other elements, dtype, shape or layout, or none."""
    try:
        return _mutated_array(rng, x)
    except (TypeError, ValueError, OverflowError):  # NumPy does not make such an array
        return x


def _mutated_array(rng: random.Random, x: Any) -> Any:
    way = rng.randrange(12)
    if not isinstance(x, np.ndarray):
        return rng.choice([np.zeros(3), *OBJECTS])
    if way == 0:
        return rng.choice([*OBJECTS, x.tolist()])
    if way == 1:
        dtypes = [
            "i1",
            "i4",
            "i8",
            "u4",
            "u8",
            "f2",
            "f4",
            "f8",
            ">f4",
            ">i4",
            "c8",
            "O",
            "?",
            "U3",
        ]
        with np.errstate(all="ignore"):
            return x.astype(rng.choice(dtypes))
    if way == 2:
        return x[:-1] if x.ndim else np.zeros(0, x.dtype)
    if way == 3:
        return np.concatenate([x, x]) if x.ndim else x.reshape(1, 1)
    if way == 4 and x.ndim:
        return np.repeat(x, 2, axis=0)[::2]
    if way == 5 and x.ndim:
        return x[::-1]
    if way == 6:
        return x.reshape(-1)
    if way == 7:
        return np.broadcast_to(x[:1] if x.ndim else x, x.shape)
    if way == 8:
        memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
        odd = np.ndarray(x.shape, x.dtype, memory.data) if x.dtype.kind != "O" else x
        odd[...] = x
        return odd
    if way == 9:
        frozen = x.copy()
        frozen.flags.writeable = False
        return frozen
    changed = x.copy()
    if changed.size and changed.dtype.kind in "iuf":
        numbers = NUMBERS if changed.dtype.kind in "iu" else FLOATS
        with np.errstate(all="ignore"):
            place, number = rng.randrange(changed.size), np.array(rng.choice(numbers))
            changed.reshape(-1)[place] = number.astype(changed.dtype)
    return changed
