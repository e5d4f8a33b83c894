"""What a task says of a model that comes with it, and of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cavs.training.contract import Contract


@dataclass(frozen=True)
class BuiltInModel:
    """A model that comes with a task.

    Attributes:
        name: its name on the command line.
        meaning: its description, in a few words.
        make: its class.
        contract: its contract with the task.
        defaults: defaults of options that differ from the task's.
        lacks: options of the task that it does not have.
    """

    name: str
    meaning: str
    make: Any
    contract: Contract
    defaults: Mapping[str, Any] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        scores: the scores as values for JSON.
        text: the scores in words.
    """

    scores: Mapping[str, Any]
    text: str
