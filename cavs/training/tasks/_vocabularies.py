"""The vocabularies of a task beside that of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cavs.data import Vocabulary
from cavs.errors import InputError
from cavs.training._fields import shown

Vocabularies = Mapping[str, Vocabulary]


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
