"""The compiled functions that are alive, and whether an optimizer's parameters still are theirs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from cavs._locks import new_lock
from cavs.core.vertex import Module
from cavs.errors import CavsRuntimeError

if TYPE_CHECKING:
    from cavs.core.structure import Structure


class _Compiled:
    """All structures that are alive, and by name the parameters that were compiled and are no
    longer, since others stood in their place when their function was compiled again.

    Attributes:
        count: how many structures there were.
    """

    def __init__(self) -> None:
        self.count = 0
        self._replaced: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._structures: list[ref[Structure]] = []
        self._lock = new_lock()

    def add(self, new: Structure, modules: Mapping[int, Module]) -> None:
        """`modules`: that `new` consists of."""
        with self._lock:
            older = self._alive()
            for structure in older:
                if id(structure.root) in modules:
                    structure.newer = ref(new)
            latest = [s for s in older if not s.superseded] + [new]
            kept = {id(p) for s in latest for p in s.parameters.values()}
            for structure in older:
                if structure.root is new.root:
                    self._note_replaced(structure, new, kept)
            for parameter in new.parameters.values():
                self._replaced.pop(parameter, None)
            self._structures = [ref(structure) for structure in [*older, new]]
            self.count += 1

    def _note_replaced(self, old: Structure, new: Structure, kept: Collection[int]) -> None:
        before = {id(p) for p in old.parameters.values()}
        for name, parameter in old.parameters.items():
            instead = new.parameters.get(name)
            if id(parameter) not in kept and instead is not None and id(instead) not in before:
                self._replaced[parameter] = name

    def owners(self, parameters: Sequence[Any]) -> list[Structure]:
        """Those that have any of these parameters."""
        own = set(map(id, parameters))
        with self._lock:
            return [s for s in self._alive() if not own.isdisjoint(map(id, s.parameters.values()))]

    def first_replaced(self, parameters: Sequence[Any]) -> str | None:
        """The name that the first of them which was replaced had."""
        with self._lock:
            return next((self._replaced[p] for p in parameters if p in self._replaced), None)

    def path(self, parameter: Any) -> str | None:
        """That of the function or program compiled last which has the parameter."""
        with self._lock:
            for structure in reversed(self._alive()):
                for name, own in structure.parameters.items():
                    if own is parameter:
                        return name
        return None

    def _alive(self) -> list[Structure]:
        found = [reference() for reference in self._structures]
        return [structure for structure in found if structure is not None]


_compiled = _Compiled()


def register(structure: Structure, modules: Mapping[int, Module]) -> None:
    """Makes a new structure, which consists of these modules, known to optimizers."""
    _compiled.add(structure, modules)


def path_of(parameter: Any) -> str | None:
    """What a parameter is called in what it was compiled with, as ``u_iou.weight``; for errors."""
    return _compiled.path(parameter)


def name_of(tensor: Any) -> str:
    """A parameter by its path, and any other tensor by its shape; for errors."""
    path = path_of(tensor)
    return f"a tensor of shape {tensor.shape}" if path is None else f"parameter {path!r}"


class Owners:
    """The compiled functions that an optimizer's parameters belong to."""

    def __init__(self, parameters: Sequence[Any]) -> None:
        self._parameters = parameters
        self._count = -1  # of when they were looked for
        self._structures: list[ref[Structure]] = []
        self._replaced: str | None = None

    def __getstate__(self) -> Sequence[Any]:
        return self._parameters  # the functions of copies of them are others

    def __setstate__(self, parameters: Sequence[Any]) -> None:
        self.__init__(parameters)  # type: ignore[misc]

    def check(self) -> None:
        """Whether they are as they were compiled.

        Raises:
            CavsRuntimeError: something of theirs was replaced, or one of the parameters was and the
                function compiled again; names it.
        """
        if self._count != _compiled.count:
            self._count = _compiled.count
            self._structures = [ref(structure) for structure in _compiled.owners(self._parameters)]
            self._replaced = _compiled.first_replaced(self._parameters)
        structures = [s for s in (reference() for reference in self._structures) if s is not None]
        altered = [s for s in structures if s.replaced()]
        if altered:
            self._check_altered(altered, [s for s in structures if s not in altered])
        if self._replaced is not None:
            raise CavsRuntimeError(
                "[optim] expected parameters of the function as it was compiled last, got "
                f"{self._replaced!r} of before; make the optimizer of the new model's parameters"
            )

    def _check_altered(self, altered: Sequence[Structure], intact: Sequence[Structure]) -> None:
        """Whether all parameters of what was altered are those of another function, too, which is
        as it was compiled: a layer may have been trained in one that was then taken apart."""
        own = set(map(id, self._parameters))
        shared = {id(p) for structure in intact for p in structure.parameters.values()}
        for structure in altered:
            parameters = set(map(id, structure.parameters.values()))
            if not structure.superseded and not parameters & own <= shared:
                structure.check()
