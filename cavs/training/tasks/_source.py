"""The sources of tasks' data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, get_args, get_type_hints

from cavs.errors import InputError
from cavs.training._fields import is_number, is_text, is_whole, shown
from cavs.training.config import MOST_SEED

#: The most graphs that are generated, and the most samples for one graph: more would not fit
#: memory.
MOST_GRAPHS, MOST_SAMPLES = 10_000_000, 1_000_000
#: The most that any number of a source may be.
MOST = 2**31 - 1
#: The ranges of fields of several sources: generated expressions, and the weight of a divergence.
Ranges = Mapping[str, tuple[float, float]]
EXPRESSION_RANGES: Ranges = {"num_train": (1, MOST_GRAPHS), "max_depth": (2, MOST)}
DIVERGENCE_RANGES: Ranges = {"kl_weight": (0, math.inf), "kl_steps": (0, MOST)}


@dataclass(frozen=True)
class Source(ABC):
    """A source of data. Its fields are values for JSON, which may come from a file.

    Attributes:
        ranges: the least and the greatest value of numbers, by field.
        seeds: fields that are seeds.

    Raises:
        InputError: a path that no file can have, a number out of its range, or a value of another
            type.
    """

    ranges: ClassVar[Ranges] = {}
    seeds: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for name in (item.name for item in fields(self)):
            value, kind = getattr(self, name), kinds[name]
            if value is None and type(None) in get_args(kind):
                continue
            (wanted,) = [k for k in get_args(kind) or (kind,) if k is not type(None)]
            what, good = _SEED if name in self.seeds else _KINDS[wanted]
            if not good(value):
                raise InputError(f"[train] expected {what} as {name}, got {shown(value)}; pass one")
        for name, (least, most) in self.ranges.items():
            value = getattr(self, name)
            if value is None:
                continue
            if value < least:
                raise InputError(
                    f"[train] expected {name} of at least {least}, got {value}; raise it"
                )
            if value > most:
                raise InputError(
                    f"[train] expected {name} of at most {most}, got {value}; lower it"
                )

    @abstractmethod
    def load(self) -> Any:
        """The data, with ``train``, ``dev`` and ``test``, each of which has a length; `DataError`
        names the missing or malformed file."""

    @property
    def name(self) -> str:
        """A short name, that of the folder; generated expressions have no path."""
        path = getattr(self, "path", None)
        return "listops" if path is None else Path(path).resolve().name or "data"

    def to_dict(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return asdict(self)


def _is_path(value: Any) -> bool:
    """Whether `value` can be the name of a file, or another name."""
    return is_text(value) and "\0" not in value and len(value) < 4096


_Kind = tuple[str, Callable[[Any], bool]]
_SEED: _Kind = ("an integer in 0..2**64-1", lambda value: is_whole(value, 0, MOST_SEED))
_KINDS: dict[Any, _Kind] = {
    str: ("a path or name", _is_path),
    int: ("an integer below 2**31", lambda value: is_whole(value, -MOST - 1, MOST)),
    float: ("a finite number", is_number),
    bool: ("true or false", lambda value: isinstance(value, bool)),
}
