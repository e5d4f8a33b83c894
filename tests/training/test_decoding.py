"""Decoding: the probabilities of teacher forcing, greedy as beam search of one, and the best."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cavs
from cavs.data import Vocabulary, seq2seq_dataset
from cavs.errors import InputError
from cavs.models import Seq2Seq
from cavs.training import write_sentences

WORDS = Vocabulary(["<unk>", "<eos>", "a", "b"], unknown="<unk>")
SENTENCES = st.lists(st.lists(st.sampled_from(["a", "b", "z"]), max_size=4), max_size=4)


def made(seed: int, executor: str = "native") -> cavs.Model:
    cavs.nn.init.manual_seed(seed)
    model = cavs.compile(Seq2Seq(len(WORDS), 3, 4), dtype="float64", executor=executor)
    for parameter in model.parameters():
        cavs.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def forced(
    model: cavs.Model, sources: list[list[str]], targets: list[list[str]], ended: list[bool]
) -> list[float]:
    """The log-probability of each target over the graph of teacher forcing."""
    graphs, inputs = seq2seq_dataset(sources, targets, WORDS).batch(range(len(sources)))
    loss = cavs.unbatch(graphs, model(graphs, **inputs)["loss"].data, of="decoder")
    return [
        -float(part.sum() if end else part[:-1].sum())
        for part, end in zip(loss, ended, strict=True)
    ]


@pytest.mark.parametrize("executor", ["native", "reference"])
@settings(max_examples=25)
@given(sources=SENTENCES, beam=st.integers(1, 4), seed=st.integers(0, 50))
def test_decoding_runs_as_trained(
    executor: str, sources: list[list[str]], beam: int, seed: int
) -> None:
    model = made(seed, executor)
    written = write_sentences(model, WORDS, sources, beam=beam, max_words=4)
    assert [len(kept) for kept in written] == [beam] * len(sources)
    for place in range(beam):
        some = [kept[place] for kept in written]
        assert all(len(x.words) + x.ended <= 4 for x in some)
        expected = forced(model, sources, [x.words for x in some], [x.ended for x in some])
        np.testing.assert_allclose([x.log_probability for x in some], expected, 1e-10, 1e-12)


@given(seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_a_beam_of_all_is_the_search_of_all(seed: int) -> None:
    """With room for all beginnings of up to three words, the best is the likeliest of all."""
    model, source = made(seed), ["a", "b"]
    ((best, *_),) = write_sentences(model, WORDS, [source], beam=4**3, max_words=3)
    names = [str(x) for x in WORDS.decode(range(4)) if x != "<eos>"]
    ended = [list(x) for n in range(3) for x in product(names, repeat=n)]
    cut = [list(x) for x in product(names, repeat=3)]
    all_of_them = [*ended, *cut]
    ends = [True] * len(ended) + [False] * len(cut)
    scores = forced(model, [source] * len(ends), all_of_them, ends)
    assert np.exp(scores).sum() == pytest.approx(1)
    assert best.log_probability == pytest.approx(max(scores), rel=1e-10)
    assert best.words == all_of_them[int(np.argmax(scores))]


@given(sources=SENTENCES, seed=st.integers(0, 50))
@settings(max_examples=25)
def test_greedy_takes_the_likeliest_word_each_time(sources: list[list[str]], seed: int) -> None:
    model = made(seed)
    written = [kept[0] for kept in write_sentences(model, WORDS, sources, max_words=5)]
    for source, found in zip(sources, written, strict=True):
        graphs, inputs = seq2seq_dataset([source], [found.words], WORDS).batch([0])
        likeliest = model(graphs, **inputs)["logits"].data.argmax(axis=1)
        wanted = [*found.words, "<eos>"] if found.ended else found.words
        assert WORDS.decode(likeliest[: len(wanted)]) == wanted
        alone = write_sentences(model, WORDS, [source], max_words=5)[0][0]
        assert alone.words == found.words


def test_an_output_ends_at_the_most_words() -> None:
    model = made(0)
    with model.function.decoder.bias.writing() as bias:
        bias[:] = [0, -100, 0, 0]  # never <eos>
    ((found,),) = write_sentences(model, WORDS, [["a"]])
    assert len(found.words) == 2 * 1 + 10
    assert not found.ended


def test_arguments_are_checked() -> None:
    model = made(0)
    assert write_sentences(model, WORDS, []) == []
    with pytest.raises(InputError, match=r"\[decode\] expected an integer beam >= 1, got 0"):
        write_sentences(model, WORDS, [["a"]], beam=0)
    with pytest.raises(InputError, match=r"\[decode\] expected an integer max_words >= 1"):
        write_sentences(model, WORDS, [["a"]], max_words=0)
    with pytest.raises(InputError, match=r"\[decode\] expected <eos> in the vocabulary, got none"):
        write_sentences(model, Vocabulary(["<unk>", "a"]), [["a"]])
    with pytest.raises(InputError, match=r"\[decode\] expected a compiled cavs.Model as model"):
        write_sentences(model.function, WORDS, [["a"]])  # type: ignore[arg-type]
