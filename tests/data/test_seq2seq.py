"""Pairs of sentences by teacher forcing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs.data import Vocabulary, chain_graph, pair_graph, seq2seq_dataset
from cavs.errors import InputError

WORDS = Vocabulary(["<unk>", "<eos>", "a", "b", "c"], unknown="<unk>")
SENTENCES = st.lists(st.lists(st.sampled_from(["a", "b", "c", "z"]), max_size=4), max_size=4)


def test_what_is_read_and_what_is_written() -> None:
    dataset = seq2seq_dataset([["a", "b"]], [["c", "z", "a"]], WORDS)
    graph, inputs = dataset[0]
    assert graph == pair_graph(chain_graph(3), chain_graph(4))
    assert graph.types == ["encoder"] * 3 + ["decoder"] * 4
    assert WORDS.decode(inputs["word"]) == ["a", "b", "<eos>", "<eos>", "c", "<unk>", "a"]
    assert WORDS.decode(inputs["label"]) == ["c", "<unk>", "a", "<eos>"]
    assert inputs["word"].dtype == inputs["label"].dtype == np.int32


@given(SENTENCES)
def test_rows_stand_by_type(sources: list[list[str]]) -> None:
    targets = [[*x[::-1], "b"] for x in sources]
    dataset = seq2seq_dataset(sources, targets, WORDS)
    assert len(dataset) == len(sources)
    graphs, inputs = dataset.batch(range(len(sources)))
    decoder = graphs.vertices("decoder")
    assert len(inputs["label"]) == len(decoder) == sum(len(x) + 1 for x in targets)
    # What a decoder reads is what it wrote before.
    for part, read in zip(
        cavs.unbatch(graphs, inputs["label"], of="decoder"),
        cavs.unbatch(graphs, inputs["word"][decoder], of="decoder"),
        strict=True,
    ):
        assert read.tolist() == [WORDS["<eos>"], *part[:-1].tolist()]


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(InputError, match="a target for each of 2 sources, got 1; give as many"):
        seq2seq_dataset([["a"], ["b"]], [["a"]], WORDS)
    with pytest.raises(InputError, match="expected words in a list as a sentence, got 'ab'"):
        seq2seq_dataset(["ab"], [["a"]], WORDS)  # type: ignore[list-item]
    with pytest.raises(InputError, match="expected <eos> in the vocabulary, got none; add it"):
        seq2seq_dataset([["a"]], [["a"]], Vocabulary(["a"], unknown=None))
