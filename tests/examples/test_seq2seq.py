"""The sequence-to-sequence example decodes as it was trained."""

import itertools
from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs
from cavs import nn

SOURCES = [[3, 1, 4], [5], [2, 7, 1, 8, 2], [9, 9, 9, 9]]


@pytest.fixture(scope="module")
def seq2seq() -> Any:
    return load_example("seq2seq")


@pytest.fixture(scope="module")
def model(seq2seq: Any) -> cavs.Model:
    """A model that prefers nothing for long: its strings differ, and few are ended early."""
    nn.init.manual_seed(5)
    model = cavs.compile(seq2seq.seq2seq(6), dtype="float64")
    for parameter in model.parameters():
        parameter.data[...] *= 2
    return model


def forced(seq2seq: Any, model: cavs.Model, source: list[int], tokens: list[int]) -> Any:
    """log p of all tokens at each place of a string that is given: as in training."""
    graph, inputs = seq2seq.sample(source, tokens)
    return model(cavs.batch([graph]), **inputs)["log_p"].data


def score(seq2seq: Any, model: cavs.Model, source: list[int], tokens: list[int]) -> float:
    log_p = forced(seq2seq, model, source, tokens)
    return float(log_p[np.arange(len(tokens)), tokens].sum())


@pytest.mark.parametrize("beam", [1, 3])
def test_scores_are_those_of_a_teacher_forced_call(
    seq2seq: Any, model: cavs.Model, beam: int
) -> None:
    found = seq2seq.decode(model, SOURCES, beam)
    assert [len(hypotheses) for hypotheses in found] == [beam] * len(SOURCES)
    for source, hypotheses in zip(SOURCES, found, strict=True):
        for hypothesis in hypotheses:
            expected = score(seq2seq, model, source, hypothesis.tokens)
            assert hypothesis.score == pytest.approx(expected, rel=1e-10)
            graph, inputs = seq2seq.sample(source, hypothesis.tokens)
            loss = model(cavs.batch([graph]), **inputs)["loss"].sum().item()
            assert hypothesis.score == pytest.approx(-loss, rel=1e-10)


def test_a_beam_of_one_is_greedy(seq2seq: Any, model: cavs.Model) -> None:
    """Against a loop over ever longer strings, each given whole."""
    found = seq2seq.decode(model, SOURCES)
    for source, (hypothesis,) in zip(SOURCES, found, strict=True):
        tokens: list[int] = []
        while len(tokens) < seq2seq.MOST + 1 and tokens[-1:] != [seq2seq.END]:
            # The last token is read by nobody; what it is does not matter.
            log_p = forced(seq2seq, model, source, [*tokens, 0])
            tokens.append(int(log_p[-1].argmax()))
        assert hypothesis.tokens == tokens
    assert len({tuple(hypothesis.tokens) for (hypothesis,) in found}) > 1


def test_a_beam_that_drops_nothing_finds_the_best(seq2seq: Any, model: cavs.Model) -> None:
    """Against all strings of up to two tokens; and so it is never below greedy."""
    end, most = seq2seq.END, 2
    whole = list(map(list, itertools.product(range(seq2seq.TOKENS), repeat=most)))
    strings = [[end], *(s for s in whole if s[0] != end)]
    found = seq2seq.decode(model, SOURCES, beam=len(strings), most=most)
    greedy = seq2seq.decode(model, SOURCES, most=most)
    for source, hypotheses, (first,) in zip(SOURCES, found, greedy, strict=True):
        pairs = [seq2seq.sample(source, string) for string in strings]
        dataset = cavs.data.Dataset.from_samples(pairs, of={"label": "decoder"})
        graphs, inputs = dataset.batch(np.arange(len(pairs)))
        loss = cavs.unbatch(graphs, model(graphs, **inputs)["loss"].data, of="decoder")
        expected = sorted((-part.sum() for part in loss), reverse=True)
        np.testing.assert_allclose([h.score for h in hypotheses], expected, rtol=1e-10)
        assert sorted(h.tokens for h in hypotheses) == sorted(strings)
        assert hypotheses[0].score >= first.score


def test_sources_are_decoded_as_if_alone(seq2seq: Any, model: cavs.Model) -> None:
    together = seq2seq.decode(model, SOURCES, 2)
    for source, hypotheses in zip(SOURCES, together, strict=True):
        (alone,) = seq2seq.decode(model, [source], 2)
        assert [h.tokens for h in alone] == [h.tokens for h in hypotheses]
        np.testing.assert_allclose([h.score for h in alone], [h.score for h in hypotheses])
