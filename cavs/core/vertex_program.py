"""Vertex functions that make one model, such as an encoder and a decoder."""

from __future__ import annotations

from typing import Any

from cavs.core.named_functions import NamedFunctions
from cavs.errors import TraceError


class VertexProgram(NamedFunctions):
    """Vertex functions by name, which are trained together; a parameter that they share is one.

    ``cavs.compile`` makes a :class:`Program` of it, whose functions are called one by one; for
    vertices of several types in one graph see :class:`cavs.TypedFunction`. Parameters are called
    ``NAME.attribute.path``.

    Args:
        functions: :class:`cavs.VertexFunction` objects by name.
    """

    _component = "program"
    _what = "vertex functions"
    _example = '{"up": ..., "down": ...}'

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Raises TraceError: what is called are the functions of the program that
        :func:`cavs.compile` makes of it."""
        raise TraceError(
            f"[call] expected a function of a compiled program, got the {type(self).__name__} "
            "itself; compile it first: program = cavs.compile(...), then "
            f"program[{next(iter(self._functions))!r}](graphs, ...)"
        )
