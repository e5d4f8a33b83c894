"""The classes that a user subclasses: modules that own parameters, and the vertex function F."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cavs._arguments import printed, text
from cavs.core._state import fitting_arrays, narrowed
from cavs.errors import TraceError

if TYPE_CHECKING:
    from cavs.core.trace import Vertex


class Module:
    """Owns parameters and other modules as plain attributes; their names are attribute paths."""

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """(attribute path, parameter) in order of assignment; a shared parameter comes once.

        Raises:
            TraceError: two parameters have one path, as ``{"a": {"b": p}, "a.b": q}`` gives them.
        """
        text("parameters", "prefix", prefix, TraceError)
        seen: set[int] = set()
        places: dict[str, str] = {}
        for path, place, parameter in self._walk(prefix, type(self).__name__):
            if id(parameter) in seen:
                continue
            if path in places:
                raise TraceError(
                    f"[parameters] expected one parameter of path {path!r}, got two, "
                    f"{places[path]} and {place}; use other attributes or keys"
                )
            seen.add(id(parameter))
            places[path] = place
            yield path, parameter

    def parameters(self) -> list[Any]:
        """The parameters, each once, in order of assignment."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, Any]:
        """The values of each parameter, by attribute path.

        The arrays are the parameters' own, which training goes on changing; copy them to keep them.
        """
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copies values into the parameters; nothing is changed unless everything fits.

        Args:
            state: an array of each parameter's shape, by attribute path; dtypes are converted.

        Raises:
            CheckpointError: names that are missing or unexpected, or shapes that differ.
        """
        own = dict(self.named_parameters())
        shapes = {name: tuple(parameter.shape) for name, parameter in own.items()}
        values = fitting_arrays("load_state_dict", type(self).__name__, shapes, state)
        found = {
            name: narrowed("load_state_dict", name, value, own[name].dtype)
            for name, value in values.items()
        }
        for name, value in found.items():
            with own[name].writing() as array:
                array[...] = value

    def _walk(self, prefix: str, place: str, above: Above = ()) -> Iterator[_Found]:
        for name, value in attributes(self).items():
            own = f".{name}" if name.isidentifier() else f".__dict__[{name!r}]"
            yield from walk(f"{prefix}{name}", f"{place}{own}", value, (*above, id(self)))


def attributes(module: Module) -> dict[str, Any]:
    """The module's own attributes, by name; they do not count as read by ``forward``."""
    own: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return own


_Found = tuple[str, str, Any]
Above = tuple[int, ...]


def walk(path: str, place: str, value: Any, above: Above = ()) -> Iterator[_Found]:
    """(path, place as Python writes it, parameter) of the parameters in an attribute's value.

    `above`: identities of the objects that the value stands in; a way back to one is no new path.
    """
    if getattr(value, "__cavs_parameter__", False):
        yield path, place, value
    elif id(value) in above:
        return
    elif isinstance(value, Module):
        yield from value._walk(f"{path}.", place, above)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from walk(f"{path}.{index}", f"{place}[{index}]", item, (*above, id(value)))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(
                f"{path}.{printed(key, str)}",
                f"{place}[{printed(key)}]",
                item,
                (*above, id(value)),
            )


class VertexFunction(Module):
    """The static vertex function F: describes one vertex, declared once for all vertices.

    Subclasses make their layers in ``__init__`` and define ``forward(v)``, which runs once, on
    symbols: ``v.pull`` reads inputs of the vertex, ``v.gather`` the states of its children,
    ``v.scatter`` hands states to its parents and ``v.push`` gives outputs (Xu et al. 2018, sec. 3).
    """

    def forward(self, v: Vertex) -> None:
        """Describes one vertex."""
        raise TraceError(
            f"[trace] expected {type(self).__name__}.forward(self, v), got none; define it"
        )
