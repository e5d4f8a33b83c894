"""Modules, with all that they hold, as data for a file: tables for JSON, and arrays by name.

No code is in it and none is needed to read it: a module is its class's import path and its
attributes. Its constructor is not called again, so what was changed after it is there, and
arguments that were not kept are not missed.
"""

from __future__ import annotations

import math
import sys
from types import FunctionType
from typing import Any

import numpy as np

from cavs._arguments import shown
from cavs.core.vertex import Module, attributes, named_values
from cavs.errors import CavsRuntimeError
from cavs.tensor import Buffer, Generator, Parameter, Tensor

_PLAIN = (type(None), bool, int, str)
KINDS = "biuf"  # of the dtypes of arrays
# Types of numbers and text, which are nobody's code.
TYPES: dict[str, type] = {kind.__name__: kind for kind in (bool, int, float, str)}
TYPES |= {np.dtype(code).str: np.dtype(code).type for code in "?bBhHiIqQlLefd"}
_NAMES = {kind: name for name, kind in TYPES.items()}
_LONGEST = 4000  # digits: Python reads no integers of more than 4300
_REMEDY = (
    "keep it out of the modules, or save model.state_dict() and load it into a model that your "
    "code makes"
)


def import_path(x: Any) -> str:
    """The path that a class or function is imported by, as ``package.module:Outer.Inner``."""
    return f"{x.__module__}:{x.__qualname__}"


def imported(path: str) -> Any:
    """What stands at a path whose module is there already; None if nothing does."""
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


class Description:
    """The description of a module.

    Attributes:
        modules: for each module its class's path and its attributes.
        arrays: the values of parameters, by ``parameter.PATH``, and other arrays.
    """

    def __init__(self, root: Module) -> None:
        """Raises CavsRuntimeError where something is no data; names the attribute."""
        self.modules: list[dict[str, Any]] = []
        self.arrays: dict[str, Any] = {}
        # What stands in several places is one object again; objects are known by their identities.
        self._names = {id(p): f"parameter.{name}" for name, p in named_values(root)}
        self._numbers: dict[int, int] = {}
        self._generators: dict[int, int] = {}
        self._above: set[int] = set()
        self.value(root, type(root).__name__)

    def value(self, x: Any, place: str) -> Any:
        """A value for JSON; `place` names it in errors."""
        kind = type(x)
        if kind in _PLAIN:
            return self._integer(x, place) if kind is int else x
        if kind is float:
            return x if math.isfinite(x) else {"float": repr(x)}
        if kind in _COLLECTIONS:
            return self._collection(x, place)
        if isinstance(x, Module):
            return {"module": self._module(x, place)}
        if kind in (Parameter, Buffer, Tensor):
            values = x.numpy() if x.device != "cpu" else x._values
            return {kind.__name__.lower(): [self._array(values, place, x), x.requires_grad]}
        if kind is np.ndarray:
            return {"array": self._array(x, place, x)}
        if isinstance(x, np.generic):
            return {"scalar": self._array(np.asarray(x), place)}
        if isinstance(x, np.dtype):
            return {"dtype": x.str}
        if isinstance(x, type) and x in _NAMES:
            return {"type": _NAMES[x]}
        if kind is Generator:
            number = self._generators.setdefault(id(x), len(self._generators))
            return {"generator": [number, x.state()]}
        if import_path(kind) == _VOCABULARY:
            return {"vocabulary": [x.to_list(), x.unknown]}
        if isinstance(x, (type, FunctionType)):
            return {"object": self._import_path(x, place)}
        raise CavsRuntimeError(
            "[save] expected modules, parameters, arrays, numbers and text, and lists, tuples, "
            f"sets and dictionaries of these, got {kind.__name__} as {place}; {_REMEDY}"
        )

    def _module(self, module: Module, place: str) -> int:
        number = self._numbers.get(id(module))
        if number is None:
            path = self._import_path(type(module), place)
            if any(vars(base).get("__slots__") for base in type(module).__mro__):
                raise CavsRuntimeError(
                    f"[save] expected modules without __slots__, got one as {place}; {_REMEDY}"
                )
            number = self._numbers[id(module)] = len(self.modules)
            held: dict[str, Any] = {}
            self.modules.append({"class": path, "attributes": held})
            for name, x in attributes(module).items():
                held[name] = self.value(x, f"{place}.{name}")
        return number

    def _import_path(self, x: Any, place: str) -> str:
        path = import_path(x)
        if imported(path) is not x:
            raise CavsRuntimeError(
                f"[save] expected classes and functions that can be imported, got {path} as "
                f"{place}; define it at the top of a module"
            )
        return path

    def _integer(self, x: int, place: str) -> int:
        if x.bit_length() > _LONGEST * math.log2(10):
            raise CavsRuntimeError(
                f"[save] expected integers of at most {_LONGEST} digits, got a longer one as "
                f"{place}; {_REMEDY}"
            )
        return x

    def _array(self, array: Any, place: str, owner: Any = None) -> str:
        """The name of an array; one of an `owner` that came before is there already."""
        name = None if owner is None else self._names.get(id(owner))
        if name in self.arrays:
            return str(name)
        if array.dtype.kind not in KINDS or array.dtype.itemsize > 8:
            raise CavsRuntimeError(
                f"[save] expected arrays of numbers, got one of {array.dtype} as {place}; {_REMEDY}"
            )
        if name is None:
            name = f"array.{len(self.arrays)}"
            if owner is not None:
                self._names[id(owner)] = name
        self.arrays[name] = np.asarray(array, array.dtype.newbyteorder("="), order="C")
        return name

    def _collection(self, x: Any, place: str) -> Any:
        if id(x) in self._above:
            raise CavsRuntimeError(
                f"[save] expected no collection within itself, got one as {place}; {_REMEDY}"
            )
        self._above.add(id(x))
        found: Any
        if type(x) is dict:
            pairs = enumerate(x.items())
            found = [
                [self.value(key, f"key {n} of {place}"), self.value(y, f"{place}[{shown(key)}]")]
                for n, (key, y) in pairs
            ]
        else:
            found = [self.value(y, f"{place}[{n}]") for n, y in enumerate(x)]
        self._above.discard(id(x))
        return found if type(x) is list else {type(x).__name__: found}


_COLLECTIONS: tuple[type, ...] = (list, tuple, set, frozenset, dict)
_VOCABULARY = "cavs.data.vocabulary:Vocabulary"
