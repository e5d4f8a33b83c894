"""A vertex function for graphs whose vertices have types: a function for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cavs._arguments import shown
from cavs.core.named_functions import NamedFunctions
from cavs.core.vertex import VertexFunction
from cavs.errors import TraceError


class TypedFunction(NamedFunctions, VertexFunction):
    """The vertex functions of a graph's types as one: each vertex runs that of its type.

    ``cavs.compile`` makes a :class:`Model` of it, which takes graphs with types,
    ``InputGraph(children, types=[...])``. A function gathers from children of one type by
    ``v.gather(..., of="char")``, of any type without ``of``. A state has one shape, whichever types
    scatter it. Parameters are called ``TYPE.attribute.path``; those that several types share come
    once, under the first.

    Args:
        functions: a :class:`cavs.VertexFunction` for each type, by the type's name. A graph may
            also give types by number, in this order from 0.
    """

    _component = "types"
    _what = "types"
    _example = '{"char": ..., "word": ...}'

    def __init__(self, functions: Mapping[str, VertexFunction]) -> None:
        """Raises TraceError where there is no function, one is no vertex function or has types
        itself, or a name is no identifier or begins with an underscore."""
        super().__init__(functions)
        for name, function in self._functions.items():
            if isinstance(function, TypedFunction):
                raise TraceError(
                    f"[types] expected the function of one type as {name!r}, got one of several "
                    "types; give all types to one cavs.TypedFunction"
                )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self).get("_functions", ()):
            raise TraceError(
                f"[types] expected {name!r} to stay the function of this type, got "
                f"{shown(value)}; make another cavs.TypedFunction"
            )
        super().__setattr__(name, value)
