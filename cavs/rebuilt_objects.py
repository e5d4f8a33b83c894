"""Modules made again from the data that `saved_objects` makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cavs._arguments import shown
from cavs.core.vertex import Module, attributes
from cavs.saved_objects import KINDS, TYPES
from cavs.tensor import Buffer, Generator, Parameter, Tensor


class Damaged(Exception):  # noqa: N818
    """A description is none that :class:`Description` makes; says where."""


def paths_in(modules: Any, own: Any) -> Iterator[str]:
    """The import paths of all classes and functions in a table of modules, and in values beside it.

    Raises:
        Damaged: it is no such table.
    """
    yield from _objects_in(own)
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
        except (Damaged, MemoryError):
            raise
        except Exception as error:  # of a wrong form, of which there are many
            raise Damaged(f"a {kind} is none: {type(error).__name__}") from error

    def module(self, number: Any) -> Any:
        return self._modules[_index(number, len(self._modules))]

    def array(self, name: str) -> Any:
        return self._arrays[name]

    def parameter(self, form: Any) -> Tensor:
        return self._tensor(form, Parameter)

    def buffer(self, form: Any) -> Tensor:
        name, _ = form
        if name not in self._tensors:
            self._tensors[name] = Buffer(self._arrays[name])
        return self._tensors[name]

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
    if found.kind not in KINDS:
        raise Damaged("a dtype is not of numbers")
    return found


_MAKERS: dict[str, Callable[[Rebuilt, Any], Any]] = {
    "float": lambda _, text: _float(text),
    "dtype": lambda _, text: _dtype(text),
    "type": lambda _, name: TYPES[name],
    "module": Rebuilt.module,
    "array": Rebuilt.array,
    "scalar": lambda rebuilt, name: rebuilt.array(name)[()],
    "parameter": Rebuilt.parameter,
    "buffer": Rebuilt.buffer,
    "tensor": Rebuilt.tensor,
    "generator": Rebuilt.generator,
    "vocabulary": Rebuilt.vocabulary,
    "object": Rebuilt.object,
    "dict": Rebuilt.dictionary,
    "tuple": lambda rebuilt, items: rebuilt.collection(tuple, items),
    "set": lambda rebuilt, items: rebuilt.collection(set, items),
    "frozenset": lambda rebuilt, items: rebuilt.collection(frozenset, items),
}
