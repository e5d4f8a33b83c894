"""What a user subclasses: modules that own parameters, and the vertex function F among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cavs.core._state import fitting_arrays
from cavs.errors import TraceError

if TYPE_CHECKING:
    from cavs.core.trace import Vertex


class Module:
    """Owns parameters and other modules as plain attributes; their names are attribute paths."""

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """(attribute path, parameter) in order of assignment; a shared parameter comes once."""
        seen: set[int] = set()
        for name, parameter in self._walk(prefix):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self) -> list[Any]:
        """The parameters, each once, in order of assignment."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, Any]:
        """Attribute path to the values of each parameter.

        The arrays are the parameters' own, which training goes on changing; copy them to keep them.
        """
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copies values into the parameters; nothing is changed unless everything fits.

        Args:
            state: attribute path to an array of the parameter's shape; dtypes are converted.

        Raises:
            CheckpointError: names that are missing or unexpected, or shapes that differ.
        """
        own = dict(self.named_parameters())
        shapes = {name: tuple(parameter.shape) for name, parameter in own.items()}
        values = fitting_arrays("load_state_dict", type(self).__name__, shapes, state)
        for name, value in values.items():
            own[name].data[...] = value

    def _walk(self, prefix: str) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            yield from _walk_value(f"{prefix}{name}", value)


def _walk_value(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if getattr(value, "__cavs_parameter__", False):
        yield path, value
    elif isinstance(value, Module):
        yield from value._walk(f"{path}.")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _walk_value(f"{path}.{index}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk_value(f"{path}.{key}", item)


class VertexFunction(Module):
    """The static vertex function F: what one vertex does, declared once for all vertices.

    Subclasses make their layers in ``__init__`` and define ``forward(v)``, which runs once, on
    symbols: ``v.pull`` reads inputs of the vertex, ``v.gather`` what its children scattered,
    ``v.scatter`` hands states to its parents and ``v.push`` gives outputs (Xu et al. 2018, sec. 3).
    """

    def forward(self, v: Vertex) -> None:
        """Describes one vertex."""
        raise TraceError(f"[trace] {type(self).__name__}.forward(self, v) was expected, came none")
