"""Modules as text: the tree of a module, and a table of its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from cavs.core.vertex import Above, Module, children, walk


def outline(module: Module, above: Above = ()) -> str:
    """The tree of a module: a line for each module in it and for each parameter of its own, by
    attribute path. Modules with a ``__repr__`` of their own show that."""
    kind = type(module).__name__
    if id(module) in above:
        return f"{kind}(...)"
    parts: list[tuple[str, str]] = []
    for path, inner in children(module, ""):
        plain = type(inner).__repr__ is Module.__repr__
        text = outline(inner, (*above, id(module))) if plain else repr(inner)
        parts.append((path, text))
    parts += [(path, f"Parameter({p.dtype}, {tuple(p.shape)})") for path, p in own(module)]
    return block(kind, [f"({path}): {text}" for path, text in parts])


def block(kind: str, lines: list[str]) -> str:
    """What stands in brackets after a name, each on a line of its own, further in."""
    if not lines:
        return f"{kind}()"
    return f"{kind}(\n" + "\n".join(f"  {line}" for x in lines for line in x.splitlines()) + "\n)"


def own(module: Module) -> Iterator[tuple[str, Any]]:
    """(attribute path, parameter) of the parameters that stand in no module within it."""
    inner = [id(x) for _, x in children(module, "")]
    for name, value in module.__cavs_items__():
        for path, _, parameter in walk(name, "", value, tuple(inner)):
            yield path, parameter


class Row(NamedTuple):
    """A parameter, or a module that has none of its own, in a table."""

    path: str
    module: str
    parameter: str
    shape: str
    elements: str


def table(module: Module) -> list[str]:
    """A line for each parameter with its module, shape and number of elements; a parameter that is
    shared comes once, and one that does not learn is marked."""
    rows, seen = [Row("path", "module", "parameter", "shape", "elements")], set[int]()
    for path, inner in Module.named_modules(module):
        place, kind = path, _kind(inner)
        found = [(name, p) for name, p in own(inner) if id(p) not in seen]
        if not found:
            rows.append(Row(place, kind, "", "", ""))
        for name, parameter in found:
            seen.add(id(parameter))
            shape = tuple(parameter.shape)
            note = "" if parameter.requires_grad else " frozen"
            rows.append(Row(place, kind, name, str(shape), f"{prod(shape):,}{note}"))
            place = kind = ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _kind(module: Module) -> str:
    """A module on one line: as it shows itself, if that is short, else its class."""
    if type(module).__repr__ is not Module.__repr__:
        text = repr(module)
        if "\n" not in text and len(text) <= 60:
            return text
    return type(module).__name__
