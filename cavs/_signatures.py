"""What packages say of themselves: their names, and signatures without the types, which are long.

Docstrings say what may be given. Type checkers, and `typing.get_type_hints`, see the types as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from inspect import Parameter, Signature
from types import FunctionType, ModuleType
from typing import Any

from cavs._missing import of_package

_SPECIAL = ("__init__", "__call__", "__getitem__")


def publish(
    package: str, *others: str, elsewhere: Callable[[str], str | None] | None = None
) -> None:
    """Sets `__all__` and `dir` of a package to what it has under names without ``_``, other than
    modules, and `others`; shortens the signatures of all that it has. Names that it lacks are
    refused by what to use, see `of_package`."""
    names = vars(sys.modules[package])
    names.setdefault("__getattr__", of_package(package, elsewhere))
    public = {x for x in names if x[0] != "_" and not isinstance(names[x], ModuleType)}
    shorten(list(names.values()))
    listed = sorted(public.union(others))
    names.update(__all__=listed, __dir__=lambda: listed)


def shorten(objects: Iterable[Any]) -> None:
    """Gives functions, and public methods of classes and of their bases, short signatures."""
    for function in {f: None for x in objects for f in _functions(x)}:
        if "__signature__" not in function.__dict__ and "__wrapped__" not in function.__dict__:
            function.__signature__ = _short(function)  # type: ignore[attr-defined]


def _functions(x: Any) -> Iterator[FunctionType]:
    if isinstance(x, FunctionType):
        yield x
    elif isinstance(x, type):
        for base in x.__mro__:
            if base.__module__.partition(".")[0] == "cavs":
                for name, value in vars(base).items():
                    function = getattr(value, "__func__", value)  # of class and static methods
                    public = not name.startswith("_") or name in _SPECIAL
                    if public and isinstance(function, FunctionType):
                        yield function


def _short(function: FunctionType) -> Signature:
    """`inspect.signature` without the types; several times as fast, since each import pays."""
    code = function.__code__
    names, end = code.co_varnames, code.co_argcount
    first_default = end - len(function.__defaults__ or ())
    parameters = []
    for place, name in enumerate(names[:end]):
        positional = place < code.co_posonlyargcount
        kind = Parameter.POSITIONAL_ONLY if positional else Parameter.POSITIONAL_OR_KEYWORD
        default: Any = Parameter.empty
        if place >= first_default:
            default = (function.__defaults__ or ())[place - first_default]
        parameters.append(Parameter(name, kind, default=default))
    last = end + code.co_kwonlyargcount
    if code.co_flags & _VARARGS:
        parameters.append(Parameter(names[last], Parameter.VAR_POSITIONAL))
    given = function.__kwdefaults__ or {}
    for name in names[end:last]:
        default = given.get(name, Parameter.empty)
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=default))
    if code.co_flags & _VARKEYWORDS:
        place = last + bool(code.co_flags & _VARARGS)
        parameters.append(Parameter(names[place], Parameter.VAR_KEYWORD))
    return Signature(parameters, __validate_parameters__=False)


_VARARGS, _VARKEYWORDS = 4, 8  # inspect.CO_VARARGS, CO_VARKEYWORDS
