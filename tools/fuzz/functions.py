"""Vertex functions as a list of steps, which cavs traces and `oracle` evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from table import OPERATIONS

import cavs

Shape = tuple[int, ...]


class Weight(NamedTuple):
    """An operand that is a parameter, by number."""

    number: int


Operand = int | float | Weight  # an earlier step by number, a constant, a parameter


class Step(NamedTuple):
    """One operation.

    Attributes:
        op: a name of `OPERATIONS`, or ``pull`` or ``gather``.
        operands: the operands that it is applied to.
        attrs: its attributes; ``ids`` is the name of an integer pull.
        space: its row space: vertices, edges, graphs, or ``none`` for values of parameters alone.
        shape: the shape of a row.
    """

    op: str
    operands: tuple[Operand, ...]
    attrs: Mapping[str, Any]
    space: str
    shape: Shape

    def __str__(self) -> str:
        operands = [
            f"w{x.number}" if isinstance(x, Weight) else f"%{x}" if isinstance(x, int) else str(x)
            for x in self.operands
        ]
        operands += [f"{name}={value!r}" for name, value in self.attrs.items()]
        return f"{self.op}({', '.join(operands)})  # {self.space} {list(self.shape)}"


class Pull(NamedTuple):
    """An input: floats, or ids below `bound`."""

    space: str
    shape: Shape
    bound: int | None


@dataclass
class Description:
    """A vertex function.

    Attributes:
        steps: in order; operands stand before the steps that take them.
        weights: initial values of the parameters.
        pulls: maps each name to its pull.
        scatters, pushes: map each name to the number of a step.
        most_children: how many children vertices of its graphs have at most; None where it does not
            matter.
    """

    steps: list[Step] = field(default_factory=list)
    weights: list[np.ndarray[Any, Any]] = field(default_factory=list)
    pulls: dict[str, Pull] = field(default_factory=dict)
    scatters: dict[str, int] = field(default_factory=dict)
    pushes: dict[str, int] = field(default_factory=dict)
    most_children: int | None = None

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        known = [OPERATIONS[step.op] for step in self.steps if step.op in OPERATIONS]
        return any(operation.mean is None for operation in known)

    def pushing(self, names: list[str]) -> Description:
        """The same function with these outputs alone, without the steps that no result depends
        on."""
        pushes = {name: self.pushes[name] for name in names}
        live: set[int] = set()
        waiting = list(pushes.values())
        while waiting:
            number = waiting.pop()
            if number not in live:
                live.add(number)
                step = self.steps[number]
                waiting += [x for x in step.operands if type(x) is int]
                waiting += [self.scatters[step.attrs["name"]]] if step.op == "gather" else []
        gathered = {
            s.attrs["name"] for n, s in enumerate(self.steps) if n in live and s.op == "gather"
        }
        place = {number: i for i, number in enumerate(sorted(live))}

        def moved(step: Step) -> Step:
            return step._replace(
                operands=tuple(place[x] if type(x) is int else x for x in step.operands)
            )

        return Description(
            [moved(self.steps[number]) for number in place],
            self.weights,
            self.pulls,
            {name: place[number] for name, number in self.scatters.items() if name in gathered},
            {name: place[number] for name, number in pushes.items()},
            self.most_children,
        )

    def __str__(self) -> str:
        used = {x.number for step in self.steps for x in step.operands if isinstance(x, Weight)}
        lines = [f"w{n}: {list(self.weights[n].shape)}" for n in sorted(used)]
        lines += [f"%{n} = {step}" for n, step in enumerate(self.steps)]
        lines += [f"scatter {name} = %{n}" for name, n in self.scatters.items()]
        lines += [f"push {name} = %{n}" for name, n in self.pushes.items()]
        return "\n".join(lines)


class DescribedFunction(cavs.VertexFunction):
    """A description as a vertex function."""

    def __init__(self, description: Description, dtype: str) -> None:
        self.description = description
        self.weights = [cavs.Parameter(w.astype(dtype)) for w in description.weights]

    def forward(self, v: cavs.Vertex) -> None:
        values: list[Any] = []
        pull = {"vertex": v.pull, "edge": v.pull_edge, "graph": v.pull_graph}
        pulls = self.description.pulls

        def operand(x: Operand) -> Any:
            if isinstance(x, Weight):
                return self.weights[x.number]
            return values[x] if isinstance(x, int) else x

        for step in self.description.steps:
            attrs = dict(step.attrs)
            if step.op == "pull":
                name = attrs["name"]
                values.append(pull[pulls[name].space](name, pulls[name].shape))
            elif step.op == "gather":
                slot = () if attrs["slot"] is None else (attrs["slot"],)
                name = attrs["name"]
                values.append(getattr(v.gather(*slot, **{name: step.shape}), name))
            else:
                operands = [operand(x) for x in step.operands]
                if "ids" in attrs:
                    name = attrs.pop("ids")
                    operands.append(pull[pulls[name].space](name, pulls[name].shape, "int32"))
                values.append(OPERATIONS[step.op].write(*operands, *attrs.values()))
        if self.description.scatters:
            v.scatter(**{name: values[n] for name, n in self.description.scatters.items()})
        v.push(**{name: values[n] for name, n in self.description.pushes.items()})
