"""Every error that cavs raises on purpose.

Messages read ``[component] expected X, got Y; do Z``. A place may stand before "expected", as in
``[data] train.txt, line 3: expected ...``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cavs._printable import printable

__all__ = [
    "CavsError",
    "CavsRuntimeError",
    "CheckpointError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "GraphError",
    "InputError",
    "NonFiniteError",
    "ShapeError",
    "TraceError",
]


_LONGEST = 1000


class CavsError(Exception):
    """Base class of every error that cavs raises on purpose. The message is one line that can be
    printed, for any values that it shows."""

    def __init__(self, *args: object) -> None:
        message, *rest = args or ("",)
        if isinstance(message, str):
            line = " ".join(message.split()) if "\n" in message or "\r" in message else message
            message = _shortened(printable(_shortened(line)))
        super().__init__(message, *rest)


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    half = _LONGEST // 2 - 3
    return f"{line[:half]} ... {line[-half:]}"  # the advice stands at the end


class GraphError(CavsError, ValueError):
    """An input graph is malformed: a cycle, a child out of range; names graph and vertex."""


class ShapeError(CavsError, ValueError):
    """Shapes do not fit; names the input or the operation, the expected shape and the given one."""


class DTypeError(CavsError, TypeError):
    """A dtype does not fit, for example floating-point ids."""


class InputError(CavsError, ValueError):
    """An argument or a vertex input is missing, unknown or out of range."""


class TraceError(CavsError, TypeError):
    """A vertex function used a symbol as only a value can be used; names the source line."""


class DataError(CavsError, ValueError):
    """A data file does not have the expected content; names file and line."""


class CheckpointError(CavsError, RuntimeError):
    """A checkpoint cannot be read, or belongs to another model; names the mismatch."""


class DeviceError(CavsError, RuntimeError):
    """A GPU, its driver or one of its libraries is missing or failed; says what to do about it."""


class NonFiniteError(CavsError, ArithmeticError):
    """NaN or infinity where a finite value is needed; names the output, graph, vertex and line, or
    the parameter: see ``cavs.detect_nonfinite``. :meth:`values` shows the lines there."""

    _look: Callable[[int | None], Any] | None = None

    def values(self, vertex: int | None = None) -> Any:
        """The value of each line of ``forward`` in the call that failed, with the same random
        numbers: a :class:`cavs.VertexValues`, to be printed.

        Args:
            vertex: its number in the graph that the message names; None: the vertex where the bad
                value comes from. In a graph that grows there is only this one.

        Raises:
            InputError: no such vertex; CavsRuntimeError: the bad value comes from no vertex, but
            from a sum over many, an operation on tensors or an optimiser, or the error was copied
            or came from another process.
        """
        if self._look is None:
            raise CavsRuntimeError(
                "[values] expected an error that comes from one vertex, got one of a sum over "
                "vertices, of tensors or of an optimizer, or a copy; call model.values for a vertex"
            )
        return self._look(vertex)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in vars(self).items() if name != "_look"}
        return type(self), self.args, state


class CavsRuntimeError(CavsError, RuntimeError):
    """The engine was used out of order, for example two backward calls on one run."""
