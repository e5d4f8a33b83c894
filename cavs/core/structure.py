"""Whether a compiled function is still as it was compiled.

Its parameters must be the same, and so must be each attribute of a module that ``forward`` read
while it was traced and did not set itself: a layer, a list of layers, a number such as the
probability of a dropout. Lists, tuples and dictionaries are looked into. Attributes that
``forward`` did not read may change, unless they hold parameters. Values that are no attribute of a
module are not seen: globals, closures, elements of arrays, attributes of other objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from operator import is_
from typing import Any
from weakref import ref

import numpy as np

from cavs._arguments import printed
from cavs.core.owners import register
from cavs.core.reads import ABSENT, Reads
from cavs.core.vertex import Module, attributes, named_values
from cavs.errors import CavsRuntimeError

_END = object()
# Of lists and dictionaries longer than this that hold plain values, such as a vocabulary, elements
# are not compared at each call.
_LONG = 256


class Structure:
    """The attributes and parameters that a compiled function, or program, was made of.

    Attributes:
        root: the function or program.
        parameters: by name, each once.
        newer: the structure of the same function when it was compiled later.
    """

    def __init__(
        self, root: Module, reads: Reads, functions: Mapping[str, Module] | None = None
    ) -> None:
        """`functions`: the functions of a program, by name."""
        self.root = root
        self.parameters: dict[str, Any] = dict(named_values(root))
        self._reads, self._functions = reads, functions or {}
        self.newer: ref[Structure] | None = None
        description = _Description(root, reads, self._functions)
        self._values = description.values
        self._hold(description)
        register(self, description.modules)

    def _hold(self, description: _Description) -> None:
        self._comparable = description.comparable
        self._containers = description.containers
        self._copies = [container.copy() for container in self._containers]
        self._owners, self._names = description.owners, description.names
        self._attributes = list(map(dict.get, self._owners, self._names))
        self._items = description.items
        self._elements = [*chain.from_iterable(self._items), _END]

    def _is_untouched(self) -> bool:
        """Whether nothing was replaced except by equal values. It is asked at each call, so all is
        compared at once: an object that is still the same one costs next to nothing."""
        try:
            return self._comparable and self._containers == self._copies
        except Exception:  # of values that cannot be compared, such as arrays
            return False

    def _is_as_held(self) -> bool:
        """Whether all watched attributes and elements are still the same objects."""
        return all(map(is_, map(dict.get, self._owners, self._names), self._attributes)) and all(
            map(is_, chain(chain.from_iterable(self._items), (_END,)), self._elements)
        )

    def check(self, thorough: bool = False) -> None:
        """Raises if an attribute was replaced; `thorough`: looks at all, at a tenth of the speed.

        Raises:
            CavsRuntimeError: an attribute was replaced; names it.
        """
        replaced = self.replaced(thorough)
        if replaced is not None:
            raise CavsRuntimeError(
                f"[compile] expected attribute {replaced!r} of {type(self.root).__name__} as it "
                "was compiled, got another; compile again, and make optimizers of the new "
                "model's parameters"
            )

    def replaced(self, thorough: bool = False) -> str | None:
        """Path of an attribute that was replaced, such as ``layers[0]``."""
        if not thorough and (self._is_untouched() or self._is_as_held()):
            return None
        description = _Description(self.root, self._reads, self._functions)
        before, after = self._values, description.values
        paths = [
            path
            for path in {**before, **after}
            if not _same(before.get(path, ABSENT), after.get(path, ABSENT))
        ]
        if paths:  # a layer, rather than its parameters
            return min(paths, key=lambda path: (path not in before, len(path)))
        self._hold(description)
        return None

    @property
    def superseded(self) -> bool:
        """Whether it was compiled again and the newer structure is still there."""
        return self.newer is not None and self.newer() is not None


class _Description:
    """The values to compare, by path, and where they stand.

    Attributes:
        values: attributes that were read, all parameters, and the objects that hold them.
        owners, names: dictionaries of attributes, and the name of the one in each that is to stay.
        items: lists, and keys and values of dictionaries, whose elements are to stay.
        containers: all dictionaries and lists among them.
        comparable: whether no module, and no parameter, is equal to another one.
        modules: the modules of the tree, by identity.
    """

    def __init__(self, root: Module, reads: Reads, functions: Mapping[str, Module]) -> None:
        self.values: dict[str, Any] = {}
        self.owners: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.items: list[Iterable[Any]] = []
        self.containers: list[Any] = []
        self.comparable = True
        self.modules: dict[int, Module] = {}
        self._reads = reads
        self._above: list[int] = []  # identities of the objects that are being looked into
        for name, function in functions.items():
            self._visit(function, f"{name}.")
        self._visit(root, "")
        for number, module in enumerate(reads.modules.values()):
            if id(module) not in self.modules:  # of a global, say
                self._visit(module, f"{type(module).__name__}({number}).")

    def _visit(self, module: Module, path: str) -> bool:
        """Visits the module; gives whether there are parameters in it."""
        own, read = attributes(module), self._reads.names(module)
        if id(module) not in self.modules:
            self.modules[id(module)] = module
            self.containers.append(own)
            self.comparable = self.comparable and type(module).__eq__ is object.__eq__
        learns = False
        self._above.append(id(module))
        for name, value in list(own.items()):
            holds = self._visit_value(f"{path}{name}", value, name in read)
            if holds and name not in read:
                self._watch(own, name)
            learns |= holds
        self._above.pop()
        for name in read:
            self._watch(own, name)
            if name not in own:
                self._visit_class(type(module), f"{path}{name}", name)
        return learns

    def _watch(self, own: dict[str, Any], name: str) -> None:
        self.owners.append(own)
        self.names.append(name)

    def _visit_class(self, kind: type, path: str, name: str) -> None:
        value = self.values[path] = getattr(kind, name, ABSENT)
        if value is not ABSENT and not hasattr(value, "__get__"):  # no method
            owner = next(base for base in kind.__mro__ if name in vars(base))
            self.items.append(vars(owner).values())
            self.containers.append(vars(owner))

    def _visit_value(self, path: str, value: Any, read: bool) -> bool:
        """Visits the value; gives whether there are parameters in it."""
        if id(value) in self._above:  # refers back to an object that it stands in
            return False
        if isinstance(value, (list, tuple, dict)):
            return self._visit_items(path, value, read)
        holds = _is_parameter(value)
        if holds and value.size == 1:  # tensors of one element may be equal in Python's sense
            self.comparable = False
        if isinstance(value, Module):
            holds = self._visit(value, f"{path}.")
        if read or holds:
            self.values[path] = value
        return holds

    def _visit_items(self, path: str, value: Any, read: bool) -> bool:
        items = value.values() if isinstance(value, dict) else value
        if len(value) > _LONG and not any(map(_is_inner, items)):
            if read:
                self.values[path] = value.copy() if not isinstance(value, tuple) else value
            return False
        learns = False
        self._above.append(id(value))
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            learns |= self._visit_value(f"{path}[{printed(key)}]", item, read)
        self._above.pop()
        if read or learns:
            self.items += [value, items] if isinstance(value, dict) else [value]
            self.containers += [] if isinstance(value, tuple) else [value]
        return learns


def _is_parameter(value: Any) -> bool:
    return bool(getattr(type(value), "__cavs_parameter__", False))


def _is_inner(value: Any) -> bool:
    return isinstance(value, (Module, list, tuple, dict)) or _is_parameter(value)


def _same(a: Any, b: Any) -> bool:
    """Whether `b` stands for `a`: modules and parameters stand for themselves alone, other values
    for equal ones."""
    if a is b:
        return True
    if any(x is ABSENT or isinstance(x, Module) or _is_parameter(x) for x in (a, b)):
        return False
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    try:
        return bool(a == b)
    except Exception:
        return False
