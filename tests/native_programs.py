"""Parts of native programs, with words in place of the extension's enumerations.

What is no such word goes to the extension as it is, which refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cavs._native import core


def _words(enumeration: Any) -> dict[Any, Any]:
    return {member.name.lower(): member for member in enumeration}


SPACES, ROLES = _words(core.SpaceKind), _words(core.Role)
SEGMENTS, READS = _words(core.SegmentKind), _words(core.Read)
TABLES = {"": core.TableKind.NONE, **_words(core.TableKind)}
DTYPES = {**_words(core.DType), "float": core.DType.FLOAT32, "double": core.DType.FLOAT64}


def _known(words: dict[Any, Any], word: Any) -> Any:
    return words.get(word, word) if isinstance(word, str) else word


def space(word: Any) -> Any:
    return _known(SPACES, word)


def dtype(word: Any) -> Any:
    return _known(DTYPES, word)


def value(
    name: Any,
    over: Any,
    size: Any,
    *,
    dtype: str = "float",
    role: str = "arena",
    index: int = -1,
    base: int = -1,
    column: int = 0,
) -> tuple[Any, ...]:
    return (name, space(over), size, DTYPES[dtype], _known(ROLES, role), index, base, column)


def table(word: Any) -> Any:
    kind, argument = word if isinstance(word, tuple) else (word, 0)
    return _known(TABLES, kind), argument


def instruction(
    kernel: Any,
    inputs: Any,
    outputs: Any,
    tables: Any = (),
    over: Any = "vertex",
    /,
    **attributes: Any,
) -> tuple[Any, ...]:
    read = [table(word) for word in tables]
    return (kernel, list(inputs), list(outputs), read, attributes, space(over))


def segment(kind: Any, over: Any, instructions: Any) -> tuple[Any, ...]:
    return (_known(SEGMENTS, kind), space(over), instructions)


def output(over: Any, shape: Any, dtype: str = "float") -> tuple[Any, ...]:
    return (space(over), DTYPES[dtype], shape)


def unique(name: Any, inputs: Any, base: Any, rows: Any, of: Any) -> tuple[Any, ...]:
    return (name, inputs, space(base), rows, of)


def group(width: Any, reads: Sequence[str], calls: Sequence[Any]) -> dict[str, Any]:
    """Attributes of a group whose output is the last of its calls."""
    return {
        "width": width,
        "inputs": [(READS[read], False) for read in reads],
        "constants": [],
        "calls": list(calls),
        "outputs": [len(reads) + len(calls) - 1],
    }
