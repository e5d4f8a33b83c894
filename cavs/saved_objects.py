"""Modules, with all that they hold, as data for a file: tables for JSON, and arrays by name.

No code is in it and none is needed to read it: a module is its class's import path and its
attributes. Its constructor is not called again, so what was changed after it is there, and
arguments that were not kept are not missed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from cavs._arguments import shown
from cavs.core.vertex import Module, attributes
from cavs.errors import CavsRuntimeError
from cavs.tensor import Generator, Parameter, Tensor

_PLAIN = (type(None), bool, int, str)
_KINDS = "biuf"  # of arrays
# Types of numbers and text, which are nobody's code.
_TYPES: dict[str, type] = {kind.__name__: kind for kind in (bool, int, float, str)}
_TYPES |= {np.dtype(code).str: np.dtype(code).type for code in "?bBhHiIlLefd"}
_NAMES = {kind: name for name, kind in _TYPES.items()}
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
        self._names = {id(p): f"parameter.{name}" for name, p in root.named_parameters()}
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
        if kind in (Parameter, Tensor):
            values = x.read()[0] if kind is Parameter else x.detach().data
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
        if array.dtype.kind not in _KINDS or array.dtype.itemsize > 8:
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


class Damaged(Exception):  # noqa: N818
    """A description is none that :class:`Description` makes; says where."""


def paths_in(modules: Any) -> Iterator[str]:
    """The import paths of all classes and functions in a table of modules.

    Raises:
        Damaged: it is no such table.
    """
    for number, entry in enumerate(_checked(modules, list, "the modules")):
        of = f"module {number}"
        if set(_checked(entry, dict, of)) != {"class", "attributes"}:
            raise Damaged(f"{of} has not a class and attributes alone")
        yield _checked(entry["class"], str, f"the class of {of}")
        yield from _objects_in(_checked(entry["attributes"], dict, f"the attributes of {of}"))


def _objects_in(x: Any) -> Iterator[str]:
    if isinstance(x, dict):
        if isinstance(x.get("object"), str):
            yield x["object"]
        x = list(x.values())
    if isinstance(x, list):
        for y in x:
            yield from _objects_in(y)


def _checked(x: Any, kind: type, what: str) -> Any:
    if type(x) is not kind:
        raise Damaged(f"{what} is no {kind.__name__}")
    return x


class Rebuilt:
    """Modules made again from a description."""

    def __init__(self, modules: Any, arrays: dict[str, Any], find: Callable[[str], Any]) -> None:
        """`find` gives what stands at an import path: asked before anything is made.

        Raises:
            Damaged: the description is none.
        """
        self._arrays, self._find = arrays, find
        self._tensors: dict[str, Tensor] = {}
        self._generators: dict[int, Generator] = {}
        kinds = [find(_checked(entry["class"], str, "a class")) for entry in modules]
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, Module)):
                raise Damaged(f"{shown(kind)} is no class of modules")
        self._modules = [object.__new__(kind) for kind in kinds]
        for module, entry in zip(self._modules, modules, strict=True):
            for name, x in entry["attributes"].items():
                attributes(module)[name] = self.value(x)

    @property
    def root(self) -> Any:
        """The module that was described."""
        if not self._modules:
            raise Damaged("there are no modules")
        return self._modules[0]

    def value(self, x: Any) -> Any:
        """The value that stands for `x`."""
        if isinstance(x, list):
            return [self.value(y) for y in x]
        if not isinstance(x, dict):
            return x
        if len(x) != 1:
            raise Damaged("a value has not one kind")
        ((kind, y),) = x.items()
        make = _MAKERS.get(kind)
        if make is None:
            raise Damaged(f"a value is of the kind {shown(kind)}")
        try:
            return make(self, y)
        except Damaged:
            raise
        except Exception as error:  # of a wrong form, of which there are many
            raise Damaged(f"a {kind} is none: {type(error).__name__}") from error

    def module(self, number: Any) -> Any:
        return self._modules[_index(number, len(self._modules))]

    def array(self, name: str) -> Any:
        return self._arrays[name]

    def parameter(self, form: Any) -> Tensor:
        return self._tensor(form, Parameter)

    def tensor(self, form: Any) -> Tensor:
        return self._tensor(form, Tensor)

    def _tensor(self, form: Any, kind: Any) -> Tensor:
        name, learns = form
        if name not in self._tensors:
            self._tensors[name] = kind(self._arrays[name], requires_grad=learns)
        return self._tensors[name]

    def generator(self, form: Any) -> Generator:
        number, state = form
        if number not in self._generators:
            generator = self._generators[number] = Generator(0)
            generator.set_state(state)
        return self._generators[number]

    def vocabulary(self, form: Any) -> Any:
        from cavs.data import Vocabulary  # not with cavs: few models hold one

        tokens, unknown = form
        return Vocabulary(tokens, unknown)

    def object(self, path: str) -> Any:
        return self._find(path)

    def dictionary(self, pairs: Any) -> dict[Any, Any]:
        return {self.value(key): self.value(y) for key, y in _checked(pairs, list, "a dictionary")}

    def collection(self, kind: Callable[[Any], Any], items: Any) -> Any:
        return kind([self.value(y) for y in _checked(items, list, "a collection")])


def _index(number: Any, count: int) -> int:
    if type(number) is not int or not 0 <= number < count:
        raise Damaged("a module has no such number")
    return number


def _float(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise Damaged("a float is written otherwise")
    return float(text)


def _dtype(text: str) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(_checked(text, str, "a dtype"))
    if found.kind not in _KINDS:
        raise Damaged("a dtype is not of numbers")
    return found


_MAKERS: dict[str, Callable[[Rebuilt, Any], Any]] = {
    "float": lambda _, text: _float(text),
    "dtype": lambda _, text: _dtype(text),
    "type": lambda _, name: _TYPES[name],
    "module": Rebuilt.module,
    "array": Rebuilt.array,
    "scalar": lambda rebuilt, name: rebuilt.array(name)[()],
    "parameter": Rebuilt.parameter,
    "tensor": Rebuilt.tensor,
    "generator": Rebuilt.generator,
    "vocabulary": Rebuilt.vocabulary,
    "object": Rebuilt.object,
    "dict": Rebuilt.dictionary,
    "tuple": lambda rebuilt, items: rebuilt.collection(tuple, items),
    "set": lambda rebuilt, items: rebuilt.collection(set, items),
    "frozenset": lambda rebuilt, items: rebuilt.collection(frozenset, items),
}
