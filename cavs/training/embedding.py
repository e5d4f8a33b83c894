"""The embedding of a model: its parameters, which learn apart from the others."""

from __future__ import annotations

from typing import Any

import cavs

_OF_FUNCTIONS = (cavs.VertexProgram, cavs.TypedFunction)


def embeddings_of(function: Any) -> list[Any]:
    """What a vertex function, or each function of a program or of types, has as its attribute
    ``embedding``; one that several functions share comes once."""
    found = [getattr(owner, "embedding", None) for owner in _owners(function).values()]
    return list({id(item): item for item in found if item is not None}.values())


def _owners(function: Any, name: str = "") -> dict[str, Any]:
    """A function, and those that it is made of, by name; a function of types in a program too."""
    found = {name: function}
    if isinstance(function, _OF_FUNCTIONS):
        for part, own in function.functions().items():
            found |= _owners(own, f"{name}.{part}".lstrip("."))
    return found


def embedding_parameters(
    model: cavs.Model | cavs.Program | cavs.VertexFunction | cavs.VertexProgram,
) -> list[tuple[str, cavs.Parameter]]:
    """The parameters of `embeddings_of` a model, by name; none where it has no such attribute."""
    function = getattr(model, "function", model)
    prefixes = tuple(f"{owner}.embedding.".lstrip(".") for owner in _owners(function))
    return [(n, p) for n, p in model.named_parameters() if n.startswith(prefixes)]
