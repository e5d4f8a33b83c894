"""Options of tasks, shared by the library and the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from cavs.errors import InputError
from cavs.training._fields import is_number, is_text, is_whole, shown


@dataclass(frozen=True)
class Integer:
    """Integers from `least` to `most`, of which `odd` leaves out the even ones."""

    least: int
    most: int = 2**31 - 1
    odd: bool = False

    def parse(self, text: str) -> int:
        """The value of a text; ValueError where it is no integer."""
        return int(text)

    def admits(self, value: Any) -> bool:
        """Whether the option takes `value`."""
        return is_whole(value, self.least, self.most) and (not self.odd or value % 2 == 1)

    def wanted(self, value: Any = None) -> str:
        """The values that an error expects in place of `value`; None: in place of a text that is no
        value."""
        kind = "an odd integer" if self.odd else "an integer"
        # An upper bound below 2**32 is named only for a value that exceeds it.
        if (not isinstance(value, int) or value < self.least) and self.most < 2**32:
            return f"{kind} of at least {self.least}"
        return f"{kind} in {self.least}..{self.most}"


@dataclass(frozen=True)
class Number:
    """Numbers from `least` (above it if `exclusive`) to below `below`."""

    least: float
    below: float = math.inf
    exclusive: bool = False

    def parse(self, text: str) -> float:
        """The value of a text, no negative zero; ValueError where it is no number."""
        return float(text) + 0.0

    def admits(self, value: Any) -> bool:
        """Whether the option takes `value`."""
        if not is_number(value) or not value < self.below:
            return False
        return bool(value > self.least if self.exclusive else value >= self.least)

    def wanted(self, value: Any = None) -> str:
        """The values that an error expects; see `Integer`."""
        del value
        bound = f" and below {self.below}" if self.below < math.inf else ""
        return f"a number {'above' if self.exclusive else 'of at least'} {self.least}{bound}"


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    values: tuple[str, ...]

    def admits(self, value: Any) -> bool:
        """Whether the option takes `value`."""
        return isinstance(value, str) and value in self.values

    def wanted(self, value: Any = None) -> str:
        """The values that an error expects; see `Integer`."""
        del value
        return f"one of {', '.join(self.values)}"


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    def admits(self, value: Any) -> bool:
        """Whether the option takes `value`."""
        return isinstance(value, bool)

    def wanted(self, value: Any = None) -> str:
        """The values that an error expects; see `Integer`."""
        del value
        return "True or False"


@dataclass(frozen=True)
class Text:
    """Any text, such as a path."""

    def admits(self, value: Any) -> bool:
        """Whether the option takes `value`."""
        return is_text(value)

    def wanted(self, value: Any = None) -> str:
        """The values that an error expects; see `Integer`."""
        del value
        return "a text"


Kind: TypeAlias = Integer | Number | Choice | Flag | Text


@dataclass(frozen=True)
class Option:
    """A setting.

    Attributes:
        name: an identifier; on the command line it is ``--NAME``, with dashes.
        kind: the values that it takes.
        default: its value if none is given; None: it has no default.
        meaning: its description, in a few words.
        metavar: the placeholder of a value in help; empty: N for integers, X for others.
        group: its subject, ``data``, ``model`` or ``training``.
        said: the text of help about the default, if it is not the value.
        follows: the name of the option whose value is the default.
        otherwise: a case, and another default for this case.
        only: the tasks that have it, as errors name them; empty if all have it.
        needs: another option, and the value of it, or its values, without which nothing reads this
            one.
        beside: another option, a value of it, and the default beside this value.
        voids: names of options that nothing reads where this one is given.
    """

    name: str
    kind: Kind
    default: Any = None
    meaning: str = ""
    metavar: str = ""
    group: str = "training"
    said: str | None = None
    follows: str | None = None
    otherwise: tuple[str, Any] | None = None
    only: str = ""
    needs: tuple[str, Any] | None = None
    beside: tuple[str, Any, Any] | None = None
    voids: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def placeholder(self) -> str:
        """What stands for a value in help."""
        return self.metavar or ("N" if isinstance(self.kind, Integer) else "X")

    def is_heeded(self, values: Mapping[str, Any]) -> bool:
        """Whether anything reads it beside the values of other options."""
        if self.needs is None:
            return True
        name, value = self.needs
        return values[name] in (value if isinstance(value, tuple) else (value,))

    @property
    def help(self) -> str:
        """Its meaning and its default."""
        default = self.said
        if default is None and self.follows is not None:
            default = f"that of --{self.follows.replace('_', '-')}"
        if default is None and self.default is not None and not isinstance(self.kind, Flag):
            default = str(self.default)
        if default is not None and self.otherwise is not None:
            case, other = self.otherwise
            default += f"; {other} for {case}"
        if default is not None and self.beside is not None and self.beside[2] != self.default:
            name, value, other = self.beside
            default += f"; {other} with --{name.replace('_', '-')} {value}"
        return f"{self.meaning} (default: {default})".lstrip() if default else self.meaning

    def default_in(self, case: str | None, values: Mapping[str, Any] | None = None) -> Any:
        """The default in a case, beside the values of other options."""
        if self.beside is not None and values is not None:
            name, value, default = self.beside
            if values.get(name) == value:
                return default
        if self.otherwise is not None and self.otherwise[0] == case:
            return self.otherwise[1]
        return self.default


def with_defaults(options: Sequence[Option], defaults: Mapping[str, Any]) -> tuple[Option, ...]:
    """The same options, with other defaults where `defaults` names them."""
    return tuple(
        replace(option, default=defaults[option.name]) if option.name in defaults else option
        for option in options
    )


def voided(
    options: Sequence[Option], given: Mapping[str, Any], others: Mapping[str, Any]
) -> dict[str, Option]:
    """Which of the values `others` nothing would read beside those of `given`, which win over them:
    maps their names to the given options that are in their way."""
    known = {option.name: option for option in options}
    found: dict[str, Option] = {}
    for option in (known[name] for name in given if name in known):
        found |= dict.fromkeys((name for name in option.voids if name in others), option)
        if option.needs is None or option.needs[0] not in others:
            continue
        name, _ = option.needs
        if isinstance(known[name].kind, Flag) and not option.is_heeded(others):
            found[name] = option
    for name in others:
        needs = known[name].needs if name in known else None
        if needs is not None and needs[0] in given and not known[name].is_heeded(given):
            found[name] = known[needs[0]]
    return {name: option for name, option in found.items() if name not in given}


def complete(
    options: Sequence[Option], given: Mapping[str, Any], case: str | None = None
) -> dict[str, Any]:
    """The values of all options: given values, else defaults, else None.

    Args:
        options: all options.
        given: values by name.
        case: the case that selects one of two defaults.

    Raises:
        InputError: a name is no option, an option does not take its value, or nothing reads it for
            want of another one.
    """
    known = {option.name: option for option in options}
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"[train] expected options among {', '.join(known)}, got {shown(name)}; leave it "
                "out"
            )
        kind = known[name].kind
        if not kind.admits(value):
            raise InputError(
                f"[train] expected {kind.wanted(value)} as {name}, got {shown(value)}; pass one"
            )
    values = {option.name: option.default_in(case) for option in options} | dict(given)
    for option in options:
        if option.beside is not None and option.name not in given:
            values[option.name] = option.default_in(case, values)
    for option in options:
        if option.follows is not None and option.name not in given:
            values[option.name] = values[option.follows]
        if option.needs is not None and option.name in given:
            name, value = option.needs
            if option.is_heeded(values):
                continue
            if value is False:
                raise InputError(
                    f"[train] expected {option.flag} without {known[name].flag}, got both; leave "
                    "one out"
                )
            if value is True:
                raise InputError(
                    f"[train] expected {option.flag} with {known[name].flag} only, got it alone; "
                    "leave it out"
                )
            wanted = " or ".join(value) if isinstance(value, tuple) else value
            raise InputError(
                f"[train] expected {option.flag} with {known[name].flag} {wanted} only, got "
                f"{values[name]}; leave one out"
            )
    return values
