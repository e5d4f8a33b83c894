"""The names that users may give to pulls, states, outputs and vertex functions."""

from __future__ import annotations

from keyword import iskeyword
from typing import Any
from unicodedata import normalize

from cavs._arguments import printed
from cavs.errors import TraceError

OPTIONS = (
    *("clip_norm", "gradients", "loss", "outputs", "repeats", "retain", "scale", "vertex", "why"),
)
"""Keyword options of the model methods that also take the model's inputs by keyword."""

_OPTIONS_OF_GATHER = ("of",)


def check_name(component: str, what: str, name: Any, where: object = None) -> None:
    """Raises TraceError unless `name` is a Python identifier without an underscore in front.

    Args:
        component: the component that asks.
        what: the kind of thing that is named, in the plural.
        where: the user's line, where the tracer does not add it.
    """
    if _is_name(name):
        return
    line = f", at {where}" if where else ""
    if isinstance(name, str) and name.isidentifier() and normalize("NFKC", name) != name:
        raise TraceError(
            f"[{component}] expected {what} by names as Python reads them, got {name!r}, which it "
            f"reads as {normalize('NFKC', name)!r}{line}; rename it"
        )
    raise TraceError(
        f"[{component}] expected {what} by names that are identifiers, without '_' in front, got "
        f"{printed(name)}{line}; rename it"
    )


def _is_name(name: Any) -> bool:
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
        return False
    # Python brings the keywords of a call to this form: a name in another form could not be given.
    return name[0] != "_" and normalize("NFKC", name) == name


def check_pull(name: Any) -> None:
    """Raises TraceError unless a call can give an input of this name."""
    check_name("pull", "inputs", name)
    _refuse("pull", "inputs", name, OPTIONS, "a model's methods")


def check_state(component: str, name: Any) -> None:
    """Raises TraceError unless a state can be gathered under this name."""
    check_name(component, "states", name)
    _refuse(component, "states", name, _OPTIONS_OF_GATHER, "gather")


def _refuse(component: str, what: str, name: str, options: tuple[str, ...], of: str) -> None:
    if name in options:
        raise TraceError(
            f"[{component}] expected {what} by other names than the options of {of} "
            f"({', '.join(options)}), got {name!r}; rename it"
        )
