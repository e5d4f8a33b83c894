"""What holds arrays for modules and vertex functions: layers above this one put it here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _missing(*_: Any) -> Any:
    raise AssertionError("a layer above has not been imported")


@dataclass
class Makers:
    """Functions of an array, and of the trace at hand.

    Attributes:
        buffer: makes a module's buffer.
        constant: makes what holds the array in a vertex function, of the array and its line.
        tensor: makes a tensor of the outer program.
        value: makes a value of the vertex function that is being traced, else a tensor.
        ids: makes integers ids of the vertex function that is being traced, of an operation's name
            and them; gives everything else as it is.
        tracing: says whether a vertex function is being traced.
    """

    buffer: Callable[[Any], Any] = _missing
    constant: Callable[[Any, Any], Any] = _missing
    tensor: Callable[[Any], Any] = _missing
    value: Callable[[Any], Any] = _missing
    ids: Callable[[str, Any], Any] = _missing
    tracing: Callable[[], bool] = _missing


makers = Makers()
