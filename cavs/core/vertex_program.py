"""Vertex functions that make one model, such as an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cavs._arguments import mapping
from cavs.core.names import check_name
from cavs.core.trace import user_line
from cavs.core.vertex import Above, Module, VertexFunction, attributes, check_function, walk
from cavs.errors import TraceError


class VertexProgram(Module):
    """Vertex functions by name, which are trained together; a parameter that they share is one.

    ``cavs.compile`` makes a :class:`Program` of it. Parameters are called
    ``NAME.attribute.path``.

    Args:
        functions: :class:`cavs.VertexFunction` objects by name.
    """

    def __init__(self, functions: Mapping[str, VertexFunction]) -> None:
        """Raises TraceError where there is no function, one is no vertex function, or a name is no
        identifier or begins with an underscore."""
        given: Mapping[str, Any] = mapping("program", "functions", functions, TraceError)
        if not given:
            raise TraceError(
                "[program] expected a vertex function or more, got none; pass each by a name, as "
                'in VertexProgram({"up": ..., "down": ...})'
            )
        for name, function in given.items():
            check_name("program", "vertex functions", name, user_line())
            check_function("program", f"a cavs.VertexFunction as {name!r}", function)
        self._functions = dict(functions)

    def __getattr__(self, name: str) -> Any:
        # Called only for names that are no attributes: a function may be called as a method is.
        if name == "_functions":
            raise TraceError(
                f"[program] expected {type(self).__name__}.__init__ to name its functions, got "
                'none; begin it with super().__init__({"up": ..., "down": ...})'
            )
        functions: dict[str, VertexFunction] = self.__dict__.get("_functions", {})
        if name not in functions:
            raise AttributeError(
                f"[program] expected one of {list(functions)}, got {name!r}; name one of these"
            )
        return functions[name]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Raises TraceError: what is called are the functions of the program that
        :func:`cavs.compile` makes of it."""
        raise TraceError(
            f"[call] expected a function of a compiled program, got the {type(self).__name__} "
            "itself; compile it first: program = cavs.compile(...), then "
            f"program[{next(iter(self._functions))!r}](graphs, ...)"
        )

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
