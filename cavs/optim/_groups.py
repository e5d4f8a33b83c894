"""Groups of parameters, made of what a user gives to an optimizer, and their names in errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cavs._arguments import boolean, items, number, of_pytorch, shown, text
from cavs._arrays import Array
from cavs.core.owners import path_of
from cavs.errors import InputError
from cavs.tensor import Parameter, Tensor

State = dict[str, Array]
"""The arrays that are kept for a parameter, by name."""
Group = dict[str, Any]
"""``params``, ``names`` and the options."""


def as_groups(parameters: Any) -> list[Group]:
    """The groups as they are given; a plain list of parameters is one group."""
    if of_pytorch(parameters):
        raise of_another_optimizer(parameters)
    single = isinstance(parameters, (str, Tensor)) or getattr(parameters, "shape", None) == ()
    if single or not isinstance(parameters, Iterable):
        raise InputError(
            f"[optim] expected a list of parameters, got {type(parameters).__name__}; pass "
            "list(model.parameters())"
        )
    given = list(parameters)
    if given and all(isinstance(item, dict) for item in given):
        if not all("params" in item for item in given):
            raise InputError(
                "[optim] expected groups with 'params', got one without; add its parameters"
            )
        return given
    return [{"params": given}]


def as_group_given(group: Any) -> Group:
    """A group as it is given to an optimizer that exists; a single parameter becomes a list."""
    if not isinstance(group, Mapping) or "params" not in group:
        raise InputError(
            f"[optim] expected a dictionary with 'params' as group, got {shown(group)}; pass "
            '{"params": layer.parameters()}'
        )
    given = dict(group)
    if isinstance(given["params"], Parameter):
        given["params"] = [given["params"]]
    return given


def named(parameters: Any, first: int) -> list[tuple[str, Parameter]]:
    """(name, parameter) of all; those without a name are numbered from `first`."""
    pairs = []
    given = items("optim", "params", parameters, object, "parameters")
    for position, item in enumerate(given, first):
        pair = item if isinstance(item, tuple) and len(item) == 2 else (str(position), item)
        name, parameter = text("optim", "a parameter's name", pair[0]), pair[1]
        if of_pytorch(parameter):
            raise of_another_optimizer(parameter)
        if not isinstance(parameter, Parameter):
            raise InputError(
                "[optim] expected parameters or (name, parameter) pairs, got "
                f"{type(parameter).__name__}; pass model.parameters()"
            )
        pairs.append((name, parameter))
    return pairs


def of_another_optimizer(given: Any) -> InputError:
    """The error of a parameter or module of PyTorch, as layers of cavs.torch have them."""
    return InputError(
        f"[optim] expected parameters of cavs, got {type(given).__name__}, which is PyTorch's; use "
        "an optimizer of cavs.torch.optim"
    )


def option_of(name: str, value: Any, kind: type) -> Any:
    """Checks an option and gives it the type `kind`."""
    if kind is bool:
        return boolean("optim", name, value)
    return number("optim", name, value, 0)


def called(name: str, parameter: Parameter) -> str:
    """The name of a parameter in errors: its path if it was given without a name."""
    return (path_of(parameter) or name) if name.isdecimal() else name


def name_in(group: Group, parameter: Parameter) -> str:
    """The name in errors of a parameter of the group."""
    pairs = zip(group["names"], group["params"], strict=True)
    return next(called(name, p) for name, p in pairs if p is parameter)


def option_places(groups: Sequence[Group]) -> dict[str, tuple[int, str]]:
    """Maps each option's path in :meth:`Optimizer.state_dict` to the number of its group and its
    name there."""
    return {
        f"groups.{number}.{option}": (number, option)
        for number, group in enumerate(groups)
        for option in group
        if option not in ("params", "names")
    }


def check_paths(groups: Sequence[Group], states: Mapping[Parameter, State]) -> None:
    """Raises InputError if an array and an option have the same path in a state."""
    paths = {
        f"{name}.{state}"
        for group in groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
        for state in states[parameter]
    }
    both = sorted(paths & set(option_places(groups)))
    if both:
        raise InputError(
            f"[optim] expected parameters of names beside {both[0]!r}, an option's in "
            f"state_dict, got {both[0].rpartition('.')[0]!r}; rename it"
        )


def check_parameters(groups: Sequence[Group]) -> None:
    parameters = [p for group in groups for p in group["params"]]
    names = [name for group in groups for name in group["names"]]
    if not parameters:
        raise InputError(
            "[optim] expected at least one parameter, got none; pass model.parameters()"
        )
    if len({id(p) for p in parameters}) < len(parameters) or len(set(names)) < len(names):
        raise InputError(
            "[optim] expected each parameter and each name once, got one twice; remove one"
        )
