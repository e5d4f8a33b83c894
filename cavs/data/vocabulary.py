"""Tokens and their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cavs._arguments import INT32_MAX, integer, items, shown, text
from cavs.errors import InputError

UNKNOWN = "<unk>"


def checked_tokens(tokens: Iterable[str | None]) -> list[str | None]:
    """A list of strings and None; raises InputError for anything else."""
    kinds = (str, type(None))
    found: list[Any] = items("vocabulary", "tokens", tokens, kinds, "tokens")
    return found


class Vocabulary:
    """A fixed list of tokens; the id of a token is its place in the list.

    Args:
      tokens: the tokens in the order of their ids, each once.
      unknown: the token that stands for every token not in the list; it must be in the list.
        None: there is none, and looking up a token that is not in the list is an error.

    Raises:
      InputError: a token twice, a token that is not a string, or `unknown` not among the tokens.
    """

    def __init__(self, tokens: Sequence[str], unknown: str | None = UNKNOWN) -> None:
        given: list[Any] = items("vocabulary", "tokens", tokens, object, "tokens")
        self._tokens: tuple[str, ...] = tuple(given)
        self._ids: dict[str, int] = {}
        for index, token in enumerate(self._tokens):
            if not isinstance(token, str):
                raise InputError(
                    f"[vocabulary] expected strings, got {shown(token)} as token {index}; "
                    "convert it"
                )
            if self._ids.setdefault(token, index) != index:
                raise InputError(
                    f"[vocabulary] expected every token once, got {token!r} as tokens "
                    f"{self._ids[token]} and {index}; remove one"
                )
        if unknown is not None and text("vocabulary", "unknown", unknown) not in self._ids:
            raise InputError(
                f"[vocabulary] expected the unknown-word token {unknown!r} among the tokens, got "
                f"{len(self._tokens)} others; add it, or pass unknown=None if every token is known"
            )
        self._unknown = unknown

    @classmethod
    def from_tokens(
        cls,
        tokens: Iterable[str | None],
        *,
        min_count: int = 1,
        specials: Sequence[str] = (UNKNOWN,),
        unknown: str | None = UNKNOWN,
    ) -> Vocabulary:
        """The vocabulary of a text: specials first, then by falling count, equal counts by token.

        Args:
          tokens: the text; None (a vertex without a word) is skipped.
          min_count: tokens that occur fewer times are left out, and so read as `unknown`.
          specials: tokens that are there whether they occur or not.
          unknown: as in the constructor.
        """
        min_count = integer("vocabulary", "min_count", min_count, 1)
        specials = items("vocabulary", "specials", specials, str, "tokens")
        counts = Counter(token for token in checked_tokens(tokens) if token is not None)
        for token in specials:
            counts.pop(token, None)
        kept = [(-count, token) for token, count in counts.items() if count >= min_count]
        return cls([*specials, *(token for _, token in sorted(kept))], unknown)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens in the order of their ids."""
        return self._tokens

    @property
    def unknown(self) -> str | None:
        """The token that unknown tokens read as, or None."""
        return self._unknown

    @property
    def unknown_id(self) -> int | None:
        """The id of the unknown token, or None."""
        return None if self._unknown is None else self._ids[self._unknown]

    def __len__(self) -> int:
        return len(self._tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and token in self._ids

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._tokens == other._tokens and self._unknown == other._unknown

    def __hash__(self) -> int:
        return hash((self._tokens, self._unknown))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, unknown={shown(self._unknown)})"

    def __getitem__(self, token: str) -> int:
        """The id of a token; of a token that is not in the list, the id of the unknown token.

        Raises `InputError` for an unknown token if the vocabulary has none to stand for it.
        """
        text("vocabulary", "token", token)
        index = self._ids.get(token, self.unknown_id)
        if index is None:
            raise InputError(
                f"[vocabulary] expected one of the {len(self)} tokens "
                f"{', '.join(self._tokens[:8])}{', ...' * (len(self) > 8)}, got {token!r}, and "
                "there is no unknown token; leave it out, or make a vocabulary with one"
            )
        return index

    def encode(self, tokens: Iterable[str | None]) -> npt.NDArray[np.int32]:
        """The ids of tokens, int32; None gives -1, which reads as "no word".

        Raises `InputError` as `__getitem__` does.
        """
        tokens = checked_tokens(tokens)
        find = self._ids.get
        default = self.unknown_id
        if default is None:
            ids = [-1 if token is None else self[token] for token in tokens]
        else:
            ids = [-1 if token is None else find(token, default) for token in tokens]
        return np.array(ids, dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> list[str | None]:
        """The tokens of ids, None for -1; `InputError` for an id out of range."""
        tokens: list[str | None] = []
        for given in items("vocabulary", "ids", ids, object, "ids"):
            index = integer("vocabulary", "id", given, -INT32_MAX)
            if not -1 <= index < len(self._tokens):
                raise InputError(
                    f"[vocabulary] expected ids in [-1, {len(self)}), got {index}; use the "
                    "vocabulary that made them"
                )
            tokens.append(None if index < 0 else self._tokens[index])
        return tokens

    def to_list(self) -> list[str]:
        """The tokens in the order of their ids, as JSON can hold them."""
        return list(self._tokens)
