"""A policy that was learned: a table from the types that are ready to the type that runs next."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cavs._arguments import shown
from cavs._native import core
from cavs.errors import InputError

State = tuple[str, ...]


@dataclass(frozen=True)
class LearnedPolicy:
    """A policy that :func:`cavs.learn_policy` learned: a finite-state machine, as in ED-Batch (Chen
    et al., ICML 2023). ``print`` shows its table.

    A state that is not in the table runs the type with the most ready vertices. Policies are equal
    if their types and tables are.

    Attributes:
        types: the types of the function that it was learned for; of as many ready vertices, the
            type that stands first counts as more.
        table: of each state the types with ready vertices, those with most first, and the type that
            runs next.
    """

    types: tuple[str, ...]
    table: tuple[tuple[State, str], ...]

    def __post_init__(self) -> None:
        known = set(self.types)
        for state, chosen in self.table:
            fits = len(set(state)) == len(state) and known.issuperset(state)
            if not fits or chosen not in state:
                raise InputError(
                    f"[policy] expected states of types among {', '.join(self.types)}, each with "
                    f"one of its own, got {shown(chosen)} for {shown(state)}; correct the table"
                )

    def __call__(self, ready: Mapping[str, int]) -> str:
        """The type that runs next, from the number of ready vertices of each type that has some."""
        state = tuple(sorted(ready, key=lambda name: (-ready[name], self.types.index(name))))
        return dict(self.table).get(state, state[0])

    def __str__(self) -> str:
        lines = [("ready, most first", "runs next")]
        lines += [(", ".join(state), chosen) for state, chosen in self.table]
        lines += [("anything else", "the first")]
        width = max(len(state) for state, _ in lines)
        return "\n".join(f"{state:{width}}  {chosen}" for state, chosen in lines)

    def to_json(self) -> str:
        """The policy as text, for :meth:`from_json`."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LearnedPolicy:
        """The policy that :meth:`to_json` wrote.

        Raises:
            InputError: the text is of no policy.
        """
        try:
            found = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            raise _no_policy(text) from None
        return cls.from_dict(found)

    def to_dict(self) -> dict[str, Any]:
        """The policy in lists and texts."""
        return {"types": list(self.types), "table": [[list(s), chosen] for s, chosen in self.table]}

    @classmethod
    def from_dict(cls, found: Any) -> LearnedPolicy:
        """The policy that :meth:`to_dict` described.

        Raises:
            InputError: it is of no policy.
        """
        whole = isinstance(found, dict) and set(found) == {"types", "table"}
        if not whole or not _are_names(found["types"]) or not isinstance(found["table"], list):
            raise _no_policy(found)
        for row in found["table"]:
            if not (isinstance(row, list) and len(row) == 2 and _are_names(row[0])):
                raise _no_policy(row)
        rows = tuple((tuple(state), chosen) for state, chosen in found["table"])
        return cls(tuple(found["types"]), rows)

    def check(self, types: Collection[str]) -> None:
        """Raises `InputError` where a function has other types than those it was learned for."""
        if set(types) != set(self.types):
            got = f"types {', '.join(types)}" if types else "no types"
            raise InputError(
                f"[policy] expected a function of the types {', '.join(self.types)}, for which the "
                f"policy was learned, got one of {got}; learn one by cavs.learn_policy"
            )

    def native(self, names: Sequence[str]) -> Any:
        """The policy for C++; `names`: the types by their numbers there."""
        number = {name: i for i, name in enumerate(names)}
        table = {tuple(number[name] for name in s): number[t] for s, t in self.table}
        return core.LearnedPolicy(table)


def _are_names(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(name, str) for name in found)


def _no_policy(got: Any) -> InputError:
    return InputError(
        f"[policy] expected what to_json() of a policy wrote, got {shown(got)}; pass its text"
    )
