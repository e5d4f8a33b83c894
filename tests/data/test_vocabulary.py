"""Vocabularies: ids by place, unknown tokens, what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavs.data import Vocabulary
from cavs.errors import InputError


def test_ids_follow_counts_then_tokens() -> None:
    vocabulary = Vocabulary.from_tokens(["b", "a", "c", "a", None, "c", "d"])
    assert vocabulary.tokens == ("<unk>", "a", "c", "b", "d")
    assert len(vocabulary) == 5
    assert vocabulary["c"] == 2
    assert "c" in vocabulary
    assert "e" not in vocabulary
    assert list(vocabulary) == vocabulary.to_list()


def test_rare_and_foreign_tokens_read_as_unknown() -> None:
    vocabulary = Vocabulary.from_tokens(["a", "a", "a", "b", "b", "c"], min_count=2)
    assert vocabulary.tokens == ("<unk>", "a", "b")
    assert vocabulary["c"] == vocabulary["never seen"] == vocabulary.unknown_id == 0


def test_specials_come_first_and_once() -> None:
    vocabulary = Vocabulary.from_tokens(["<unk>", "a", "<eos>"], specials=("<unk>", "<eos>"))
    assert vocabulary.tokens == ("<unk>", "<eos>", "a")


def test_encode_and_decode() -> None:
    vocabulary = Vocabulary(["<unk>", "good"])
    ids = vocabulary.encode(["good", None, "bad"])
    assert ids.dtype == np.int32
    assert ids.tolist() == [1, -1, 0]
    assert vocabulary.decode(ids) == ["good", None, "<unk>"]
    assert vocabulary.encode([]).shape == (0,)
    with pytest.raises(InputError, match=r"expected ids in \[-1, 2\), got 2"):
        vocabulary.decode([2])


@given(st.lists(st.one_of(st.none(), st.text())))
def test_decode_inverts_encode_and_json_keeps_all(tokens: list[str | None]) -> None:
    vocabulary = Vocabulary.from_tokens(tokens)
    assert vocabulary.decode(vocabulary.encode(tokens)) == tokens
    again = Vocabulary(json.loads(json.dumps(vocabulary.to_list())))
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)


def test_without_an_unknown_token() -> None:
    tags = Vocabulary(["O", "I"], unknown=None)
    assert tags.unknown_id is None
    assert tags.encode(["I", None]).tolist() == [1, -1]
    with pytest.raises(InputError, match="one of the 2 tokens O, I, got 'B'"):
        tags.encode(["B"])


def test_refused() -> None:
    with pytest.raises(InputError, match="expected the unknown-word token '<unk>'"):
        Vocabulary(["a", "b"])
    with pytest.raises(InputError, match="got 'a' as tokens 1 and 2"):
        Vocabulary(["<unk>", "a", "a"])
    with pytest.raises(InputError, match="got 3 as token 1"):
        Vocabulary(["<unk>", 3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="min_count >= 1, got 0"):
        Vocabulary.from_tokens([], min_count=0)
