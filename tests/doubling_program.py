"""A native program that doubles twice, and changes of it, for tests of wrong programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from native_programs import group, instruction, output, segment, value

from cavs._native import core

Change = Callable[[dict[str, Any]], None]


DOUBLED = ("add", [0, 0])  # input 0 and itself


def doubled(width: int = 16, **other: Any) -> dict[str, Any]:
    return group(width, ["row"], [DOUBLED]) | other


def described() -> dict[str, Any]:
    """A program: y = tanh-free 2 x + 2 x over the vertices, by way of a value of its own."""
    return {
        "dtype": core.DType.FLOAT32,
        "values": [
            value("x", "vertex", 16, role="input", index=0),
            value("h", "vertex", 16),
            value("y", "vertex", 16, role="output", index=0),
        ],
        "segments": [
            segment(
                "rows",
                "vertex",
                [
                    instruction("fused", [0], [1], **doubled()),
                    instruction("fused", [1], [2], **doubled()),
                ],
            )
        ],
        "uniques": [],
        "saved": [],
        "outputs": [output("vertex", [16])],
        "states": [1],
    }


def make(change: Change | None = None) -> Any:
    fields = described()
    if change is not None:
        change(fields)
    return core.Program(**fields)


def attribute(name: str, content: Any) -> Change:
    """Another attribute of the first group."""
    return lambda fields: fields["segments"][0][2][0][4].__setitem__(name, content)


def put(*new: tuple[Any, ...]) -> Change:
    """Other instructions in place of the first."""

    def change(fields: dict[str, Any]) -> None:
        fields["segments"][0][2][:1] = new

    return change


def field(name: str, content: Any) -> Change:
    return lambda fields: fields.__setitem__(name, content)


def values(*new: tuple[Any, ...]) -> Change:
    return lambda fields: fields["values"].__setitem__(slice(1, 2), list(new))
