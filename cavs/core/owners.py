"""The live compiled functions, and the check that they still own an optimizer's parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

from cavs._locks import new_lock
from cavs.core.vertex import Module
from cavs.errors import CavsRuntimeError

if TYPE_CHECKING:
    from cavs.core.structure import Structure


class _Compiled:
    """All live structures, and the names of parameters that were compiled once and no longer are:
    others stood in their place when their function was compiled again.

    Attributes:
        count: how many structures were ever added.
    """

    def __init__(self) -> None:
        self.count = 0
        # By identity: tensors are compared element by element.
        self._replaced: dict[int, tuple[ref[Any], str]] = {}
        self._structures: list[ref[Structure]] = []
        self._lock = new_lock()

    def add(self, new: Structure, modules: Mapping[int, Module]) -> None:
        """Adds a structure that consists of `modules`."""
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
            self._replaced = {k: x for k, x in self._replaced.items() if x[0]() is not None}
            for parameter in new.parameters.values():
                self._replaced.pop(id(parameter), None)
            self._structures = [ref(structure) for structure in [*older, new]]
            self.count += 1

    def _note_replaced(self, old: Structure, new: Structure, kept: Collection[int]) -> None:
        before = {id(p) for p in old.parameters.values()}
        for name, parameter in old.parameters.items():
            instead = new.parameters.get(name)
            if id(parameter) not in kept and instead is not None and id(instead) not in before:
                self._replaced[id(parameter)] = ref(parameter), name

    def owners(self, parameters: Sequence[Any]) -> list[Structure]:
        """The structures that have any of these parameters."""
        own = set(map(id, parameters))
        with self._lock:
            return [s for s in self._alive() if not own.isdisjoint(map(id, s.parameters.values()))]

    def first_replaced(self, parameters: Sequence[Any]) -> str | None:
        """The name of the first of `parameters` that was replaced."""
        with self._lock:
            found = [(p, self._replaced[id(p)]) for p in parameters if id(p) in self._replaced]
            return next((name for p, (own, name) in found if own() is p), None)

    def path(self, parameter: Any) -> str | None:
        """The parameter's path in the function or program that was compiled with it last."""
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
    """Makes a new structure, which consists of `modules`, known to optimizers."""
    _compiled.add(structure, modules)


def path_of(parameter: Any) -> str | None:
    """The path of a parameter in its compiled function, as ``u_iou.weight``; for errors."""
    return _compiled.path(parameter)


def name_of(tensor: Any) -> str:
    """A parameter by its path, and any other tensor by its shape; for errors."""
    path = path_of(tensor)
    return f"a tensor of shape {tensor.shape}" if path is None else f"parameter {path!r}"


class Owners:
    """The compiled functions that an optimizer's parameters belong to."""

    def __init__(self, parameters: Sequence[Any]) -> None:
        self._parameters = parameters
        self._count = -1  # of structures when the owners were looked up
        self._structures: list[ref[Structure]] = []
        self._replaced: str | None = None

    def __getstate__(self) -> Sequence[Any]:
        return self._parameters  # copied parameters belong to other functions

    def __setstate__(self, parameters: Sequence[Any]) -> None:
        self.__init__(parameters)  # type: ignore[misc]

    def check(self) -> None:
        """Checks that the functions are as they were compiled.

        Raises:
            CavsRuntimeError: an attribute of a function was replaced, or one of the parameters was
                and its function compiled again; names it.
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
        """Checks altered functions, unless intact ones own all their parameters here as well: a
        layer may have been trained in a function that was then taken apart."""
        own = set(map(id, self._parameters))
        shared = {id(p) for structure in intact for p in structure.parameters.values()}
        for structure in altered:
            parameters = set(map(id, structure.parameters.values()))
            if not structure.superseded and not parameters & own <= shared:
                structure.check()
