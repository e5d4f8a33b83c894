"""Which vertices and edges of graphs are of some types, as their users name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import integer, shown
from cavs.errors import GraphError

Type = str | int
OneOrMore = Type | Sequence[Type]
"""A type, by name or number, or several."""


def is_of(types: Sequence[Type] | None, count: int, wanted: OneOrMore) -> npt.NDArray[np.bool_]:
    """Whether each vertex is of a type that is wanted; bool [count].

    Args:
        types: of the vertices, as the graphs give them; None where they have none.
        count: the number of vertices.
        wanted: the types.

    Raises:
        GraphError: there are vertices without types, or types as names where a number is wanted, or
            the other way round; InputError: `wanted` is neither.
    """
    given: list[Any] = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]
    asked = [x if isinstance(x, str) else integer("graph", "type", x, least=0) for x in given]
    if types is None and count:
        raise GraphError(
            "[graph] expected graphs with types, got some without; give them, as in "
            "InputGraph(children, types=[...])"
        )
    for each in asked:
        other = next((x for x in types or () if isinstance(x, str) != isinstance(each, str)), None)
        if other is not None:
            raise GraphError(
                f"[graph] expected a type as the graphs give it, such as {other!r}, got "
                f"{shown(each)}; ask by a {'name' if isinstance(other, str) else 'number'}, "
                "and give graphs of one batch types of one kind"
            )
    return np.array([x in asked for x in types or ()], np.bool_)


def types_there(types: Sequence[Type] | None) -> str:
    """The types that graphs have, in words."""
    found = ", ".join(map(repr, dict.fromkeys(types or ())))
    return f"they have types {found}" if found else "they have no vertices"
