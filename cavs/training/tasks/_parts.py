"""What a task consists of, and gives: built-in models, further vocabularies, evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cavs.data import Vocabulary
from cavs.errors import InputError
from cavs.training._fields import shown
from cavs.training.contract import Contract

Vocabularies = Mapping[str, Vocabulary]


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


def check_vocabularies(
    sizes: Mapping[str, str | None], arguments: Mapping[str, Any], vocabularies: Vocabularies
) -> None:
    """Raises InputError where further vocabularies do not fit the arguments of a model.

    Args:
        sizes: see `Task.sizes_of_vocabularies`.
        arguments: the arguments of the model.
        vocabularies: the vocabularies by name.
    """
    for name, argument in sizes.items():
        size = len(vocabularies.get(name, ()))
        wanted = max(size, 1) if argument is None else arguments.get(argument)
        if size != wanted:
            raise InputError(
                f"[train] expected a vocabulary of {shown(wanted)} {name}, got one of {size}; take "
                "the one that the model was made with"
            )
