"""Whether NaN and infinities are looked for, and how arrays are searched."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from contextlib import ContextDecorator
from typing import Any

import numpy as np

from cavs._arguments import boolean
from cavs._arrays import Array
from cavs.device import device_of
from cavs.errors import NonFiniteError

Look = Callable[[int | None], Any]
REMEDY = "keep operands in the operation's range, lower the learning rate or clip gradients"


class _Here(threading.local):
    enabled: bool | None = None  # None: as the process


class _OfProcess:
    enabled = False


_here, _of_process = _Here(), _OfProcess()


def detecting() -> bool:
    """Whether this thread looks for NaN and infinities."""
    here = _here.enabled
    return _of_process.enabled if here is None else here


def get_detect_nonfinite() -> bool:
    """Whether this thread looks for NaN and infinities; see :class:`detect_nonfinite`."""
    return detecting()


def set_detect_nonfinite(enabled: bool) -> None:
    """Whether all threads look for NaN and infinities from now on, except inside of a
    :class:`detect_nonfinite`. Off at first.

    Raises:
        InputError: `enabled` is no bool.
    """
    _of_process.enabled = boolean("nonfinite", "", enabled)


class detect_nonfinite(ContextDecorator):  # noqa: N801
    """``with detect_nonfinite():``, or a decorator: this thread looks for NaN and infinities.

    :class:`NonFiniteError` says where the first comes from: the output, its graph and vertex, and
    the line of F. It is raised where

    * a call of a model gives NaN in an output, or scatters it as a state;
    * backward starts from NaN or an infinity, or comes to one in a gradient;
    * an optimizer would write one to a parameter: then no parameter is changed.

    Infinities in outputs are right, and so is all that is masked before it reaches an output. To
    say where a value comes from, one graph is computed again, vertex by vertex. Looking costs some
    hundredths of a step over few graphs, and less over many.

    Args:
        enabled: False: this thread does not look, whatever an outer block or the process has set.
    """

    def __init__(self, enabled: bool = True) -> None:
        """Raises InputError where `enabled` is no bool."""
        self._enabled = boolean("nonfinite", "", enabled)
        # By thread: several may be inside of one block, and each may enter it again meanwhile.
        self._before: dict[int, list[bool | None]] = {}

    def __enter__(self) -> None:
        self._before.setdefault(threading.get_ident(), []).append(_here.enabled)
        _here.enabled = self._enabled

    def __exit__(self, *error: object) -> None:
        _here.enabled = self._before[threading.get_ident()].pop()

    def _recreate_cm(self) -> detect_nonfinite:
        return detect_nonfinite(self._enabled)  # a new one for each call of a decorated function


def magnitudes(arrays: Iterable[Array]) -> list[float]:
    """The greatest magnitude of each: NaN or infinite if an element is; 0 without elements."""
    given = list(arrays)
    devices = {device_of(array).name: device_of(array) for array in given}
    if len(devices) == 1:
        return next(iter(devices.values())).max_abs(given)
    return [device_of(array).max_abs([array])[0] for array in given]


def is_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite; integers never are."""
    return array.dtype.kind != "f" or math.isfinite(magnitudes([array])[0])


def not_finite(array: Array) -> bool:
    """Whether an element is NaN or infinite."""
    return not is_finite(array)


def has_nan(array: Array) -> bool:
    """Whether an element is NaN."""
    return array.dtype.kind == "f" and math.isnan(magnitudes([array])[0])


def worst(array: Array) -> float:
    """The first element that is NaN or, if there is none, the first infinite one."""
    array = device_of(array).to_host(array)
    found = array[np.isnan(array)] if has_nan(array) else array[np.isinf(array)]
    return float(found.reshape(-1)[0])


def describe(array: Array) -> str:
    """The value of an array that is not finite, its place and its count, for errors."""
    array = device_of(array).to_host(array)
    value = worst(array)
    same = np.isnan(array) if math.isnan(value) else np.isinf(array)
    where = tuple(int(i) for i in np.argwhere(same)[0])
    place = f" at {where if len(where) > 1 else where[0]}" if where else ""
    return f"{value}{place}, {int(same.sum())} of {array.size} elements"


class Found(str):
    """Words that say where a value comes from.

    Attributes:
        look: see :meth:`cavs.NonFiniteError.values`.
    """

    look: Look

    @staticmethod
    def at(words: str, look: Look) -> Found:
        """Words, and how to look there."""
        found = Found(words)
        found.look = look
        return found


def nonfinite(message: str, origin: str = "") -> NonFiniteError:
    """The error, in the form of all others. `origin`: the part of the message that says where the
    value comes from."""
    if not isinstance(origin, Found):
        return NonFiniteError(f"[nonfinite] {message}")
    error = NonFiniteError(f"[nonfinite] {message}; values() of this error shows all lines there")
    error._look = origin.look
    return error
