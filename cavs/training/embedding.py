"""The embedding of a model: its parameters, which learn apart from the others."""

from __future__ import annotations

from typing import Any

import cavs

_OF_SEVERAL = (cavs.VertexProgram, cavs.TypedFunction)


def embeddings_of(function: Any) -> list[Any]:
    """What a vertex function, or each function of a program or of a type, has as its attribute
    ``embedding``; one that several functions share comes once."""
    owners = [function]
    if isinstance(function, _OF_SEVERAL):
        owners += function.functions().values()
    found = [getattr(owner, "embedding", None) for owner in owners]
    return list({id(item): item for item in found if item is not None}.values())


def embedding_parameters(
    model: cavs.Model | cavs.Program | cavs.VertexFunction | cavs.VertexProgram,
) -> list[tuple[str, cavs.Parameter]]:
    """The parameters of `embeddings_of` a model, by name; none where it has no such attribute."""
    function = getattr(model, "function", model)
    owners = ["", *(function.functions() if isinstance(function, _OF_SEVERAL) else ())]
    prefixes = tuple(f"{owner}.embedding.".lstrip(".") for owner in owners)
    return [(n, p) for n, p in model.named_parameters() if n.startswith(prefixes)]
