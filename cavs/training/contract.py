"""Contracts between tasks and models: the inputs that a model pulls, the outputs that it pushes,
and the attributes that the task reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cavs
from cavs.core.ops._spaces import Typed
from cavs.core.trace import Trace, trace
from cavs.core.traced_vertex import InputSpec
from cavs.errors import InputError
from cavs.training._fields import is_whole
from cavs.training.user_model import UserModel

#: A shape: for each axis a size, the name of the model's argument with the size, or None for any
#: size. None in place of the tuple: any shape.
Shape: TypeAlias = tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Pull:
    """An input that a task gives for each ``vertex``, ``edge`` or ``graph``, as ``int32`` or
    ``float``; in a function of types, for vertices of `types`."""

    space: str = "vertex"
    dtype: str = "int32"
    shape: Shape = ()
    types: tuple[str, ...] = ()

    def written(self, name: str, sizes: Mapping[str, Any]) -> str:
        """The call that pulls it, as source code."""
        method = "pull" if self.space == "vertex" else f"pull_{self.space}"
        shape = ("SIZE" if size is None else str(size) for size in _resolved(self.shape, sizes))
        parts = [repr(name), *shape, *(["dtype='int32'"] if self.dtype == "int32" else [])]
        return f"v.{method}({', '.join(parts)})"

    def fits(self, spec: InputSpec, sizes: Mapping[str, Any]) -> bool:
        """Whether `spec`, an input that a function pulls, has the same row space, dtype and
        shape."""
        same = (spec.space, spec.dtype) == (self.space, self.dtype)
        return same and _is_of(spec.shape, self.shape, sizes)

    def in_types(self) -> str:
        """Where it is pulled, in words."""
        return f" in {' and '.join(map(repr, self.types))} alone" if self.types else ""


#: Maps each attribute's name to its description and a check of its value.
Attributes: TypeAlias = Mapping[str, tuple[str, Callable[[Any], bool]]]

#: An integer of each vertex, such as a word, -1 for none.
ID = Pull()


@dataclass(frozen=True)
class FunctionContract:
    """The contract of one vertex function.

    Attributes:
        pulls: maps the name of each input that the task gives to its `Pull`.
        pushes: maps each output that the task reads to its shape for a vertex.
        may_push: names of further outputs of built-in models.
        types: the types of a function of types.
        pushed_by: the types that push the outputs, or those of each output by name.
    """

    pulls: Mapping[str, Pull]
    pushes: Mapping[str, Shape]
    may_push: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    pushed_by: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()

    def check(self, traced: Trace, who: str, sizes: Mapping[str, Any]) -> None:
        """Raises InputError if a function pulls or pushes other values."""
        for name, spec in traced.inputs.items():
            at = who if spec.where is None else f"{spec.where.file}, line {spec.where.line}"
            if name not in self.pulls:
                raise InputError(
                    f"[model] {at}: expected pulls of {', '.join(self.pulls)}, which the task "
                    f"gives, got one of {name!r}; pull one of these"
                )
            pull = self.pulls[name]
            if not pull.fits(spec, sizes):
                raise InputError(
                    f"[model] {at}: expected {pull.written(name, sizes)}, got one for "
                    f"each {spec.space}, as {spec.dtype} of shape {tuple(spec.shape)}; pull it so"
                )
            if _types(spec.rows) != set(pull.types):
                raise InputError(
                    f"[model] {at}: expected {pull.written(name, sizes)}{pull.in_types()}, got it "
                    f"in {', '.join(sorted(map(repr, _types(spec.rows))))}; pull it so"
                )
        lacking = [name for name in self.pulls if name not in traced.inputs]
        if lacking:
            raise InputError(
                f"[model] {who}: expected pulls of {', '.join(self.pulls)}, got none of "
                f"{', '.join(lacking)}; pull what the task gives"
            )
        found = traced.function.pushes
        if not set(self.pushes) <= set(found) <= {*self.pushes, *self.may_push}:
            raise InputError(
                f"[model] {who}: expected pushes of {', '.join(self.pushes)}, which the task "
                f"reads, got {', '.join(found)}; push these"
            )
        for name, wanted in self.pushes.items():
            by = self.pushed_by[name] if isinstance(self.pushed_by, Mapping) else self.pushed_by
            if _types(found[name].space) != set(by):
                raise InputError(
                    f"[model] {who}: expected {name!r} pushed in "
                    f"{' and '.join(map(repr, by))} alone, got it in "
                    f"{', '.join(sorted(map(repr, _types(found[name].space))))}; push it so"
                )
            # An output that is an input too has the shape of the input.
            shape = traced.inputs[name].shape if name in traced.inputs else wanted
            if not _is_of(found[name].shape, shape, sizes):
                raise InputError(
                    f"[model] {who}: expected {name!r} pushed with shape "
                    f"{_resolved(shape or (), sizes)}, got {tuple(found[name].shape)}; push it so"
                )


@dataclass(frozen=True)
class Contract:
    """The contract of a model: a vertex function, of types or not, or a program of several.

    Attributes:
        functions: maps each function's name to its contract; a model that is one function has the
            empty name.
        attributes: the attributes of the model that training reads.
        to_sample: the attributes of the model that sampling reads.
    """

    functions: Mapping[str, FunctionContract]
    attributes: Attributes = field(default_factory=dict)
    to_sample: Attributes = field(default_factory=dict)

    @property
    def base(self) -> type:
        """The class that a model's class must derive from."""
        if "" not in self.functions:
            return cavs.VertexProgram
        return cavs.TypedFunction if self.functions[""].types else cavs.VertexFunction

    def check(self, function: Any, user: UserModel, sizes: Mapping[str, Any]) -> None:
        """Checks a user's model against the contract; `sizes` are the arguments that built the
        model.

        Raises:
            InputError: names the missing or superfluous part; TraceError, ShapeError, DTypeError:
                ``forward`` is no vertex function.
        """
        if "" in self.functions:
            functions: Mapping[str, Any] = {"": function}
        else:
            functions = self._check_names(function, user, self.functions, "vertex functions")
        check_attributes(function, user, self.attributes)
        for name, contract in self.functions.items():
            who = f"{user}, {name}" if name else str(user)
            self._check_types(functions[name], contract.types, who)
            with user.said_of("forward to be traced"):
                traced = trace(functions[name])
            contract.check(traced, who, sizes)

    @staticmethod
    def _check_types(function: Any, types: tuple[str, ...], who: str) -> None:
        """Raises InputError if a function has other types."""
        typed = isinstance(function, cavs.TypedFunction)
        if typed and not types:
            raise InputError(
                f"[model] {who}: expected a vertex function without types, as the task's "
                "graphs have none, got a cavs.TypedFunction; derive from cavs.VertexFunction"
            )
        if types and not typed:
            raise InputError(
                f"[model] {who}: expected a cavs.TypedFunction of {', '.join(types)}, got a "
                f"{type(function).__name__}; derive from cavs.TypedFunction"
            )
        if types and function.functions().keys() != set(types):
            raise InputError(
                f"[model] {who}: expected the types {', '.join(types)}, got "
                f"{', '.join(function.functions())}; call them so"
            )

    def _check_names(
        self, function: Any, user: UserModel, wanted: Iterable[str], what: str
    ) -> Mapping[str, Any]:
        """The functions, which must have these names."""
        with user.said_of("super().__init__(functions) to be called"):
            functions: Mapping[str, Any] = function.functions()
        if functions.keys() != set(wanted):
            raise InputError(
                f"[model] {user}: expected the {what} {', '.join(wanted)}, got "
                f"{', '.join(functions)}; call them so"
            )
        return functions


def check_attributes(function: Any, user: UserModel, attributes: Attributes) -> None:
    """Raises InputError if a user's model lacks an attribute, or has a wrong value of it."""
    for name, (what, good) in attributes.items():
        with user.said_of(f"its attribute {name}"):
            found = getattr(function, name, None)
        if not good(found):
            came = "none" if found is None else type(found).__name__
            raise InputError(
                f"[model] {user}: expected {what} as its attribute {name}, got {came}; add it"
            )


def _types(rows: Any) -> set[str]:
    """The types that rows are of; none in a function without types."""
    return set(map(str, rows.members)) if isinstance(rows, Typed) else set()


def is_size(value: Any) -> bool:
    """Whether `value` is an integer of at least 1."""
    return is_whole(value, 1)


def _resolved(shape: Shape, sizes: Mapping[str, Any]) -> tuple[Any, ...]:
    """A shape with the sizes that its names stand for."""
    return tuple(sizes.get(size) if isinstance(size, str) else size for size in shape or ())


def _is_of(found: Sequence[int], shape: Shape, sizes: Mapping[str, Any]) -> bool:
    """Whether the shape `found` fits `shape`."""
    if shape is None:
        return True
    wanted = _resolved(shape, sizes)
    return len(found) == len(wanted) and all(
        size in (None, own) for size, own in zip(wanted, found, strict=True)
    )
