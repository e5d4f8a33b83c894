"""Vertex functions by name, as parts of one module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from cavs._arguments import mapping
from cavs.core.names import check_name
from cavs.core.user_code import user_line
from cavs.core.vertex import Above, Module, VertexFunction, attributes, check_function, walk
from cavs.errors import TraceError


class NamedFunctions(Module):
    """Vertex functions by name; a parameter that they share is one. Paths of parameters are
    ``NAME.attribute.path``."""

    _component: ClassVar[str]  # in messages
    _what: ClassVar[str]  # the functions, in messages
    _example: ClassVar[str]  # of a dictionary

    def __init__(self, functions: Mapping[str, VertexFunction]) -> None:
        """Raises TraceError where there is no function, one is no vertex function, or a name is no
        identifier or begins with an underscore."""
        component = self._component
        given: Mapping[str, Any] = mapping(component, "functions", functions, TraceError)
        if not given:
            raise TraceError(
                f"[{component}] expected a vertex function or more, got none; pass each by a "
                f"name, as in {type(self).__name__}({self._example})"
            )
        for name, function in given.items():
            check_name(component, self._what, name, user_line())
            check_function(component, f"a cavs.VertexFunction as {name!r}", function)
        self._functions = dict(functions)

    def __getattr__(self, name: str) -> Any:
        # Called only for names that are no attributes: a function may be called as a method is.
        if name == "_functions":
            raise TraceError(
                f"[{self._component}] expected {type(self).__name__}.__init__ to name its "
                f"functions, got none; begin it with super().__init__({self._example})"
            )
        functions: dict[str, VertexFunction] = self.__dict__.get("_functions", {})
        if name not in functions:
            raise AttributeError(
                f"[{self._component}] expected one of {list(functions)}, got {name!r}; name one of "
                "these"
            )
        return functions[name]

    def functions(self) -> dict[str, VertexFunction]:
        """The vertex functions by name."""
        return dict(self._functions)

    def __cavs_items__(self) -> Iterator[tuple[str, Any]]:
        for name, value in attributes(self).items():
            yield from value.items() if value is self._functions else [(name, value)]

    def _walk(self, prefix: str, place: str, above: Above = ()) -> Iterator[tuple[str, str, Any]]:
        above = (*above, id(self))
        for attribute, value in attributes(self).items():
            if value is not self._functions:
                yield from walk(f"{prefix}{attribute}", f"{place}.{attribute}", value, above)
                continue
            for name, function in self._functions.items():
                yield from walk(f"{prefix}{name}", f"{place}[{name!r}]", function, above)
