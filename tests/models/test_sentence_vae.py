"""The autoencoder of sentences: against its equations, joined, and growing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import language_model_dataset, language_model_vocabulary
from cavs.models import SentenceVAE
from cavs.training import decode_sentences, sample_sentences
from cavs.training.tasks.sentences import SentenceBound, SentenceSource

SENTENCES = [["a", "b", "c"], ["b"], ["c", "c", "a", "b"], ["a", "a"]]
VOCABULARY = language_model_vocabulary([*SENTENCES, ["<unk>"]])
DATA = language_model_dataset(SENTENCES, VOCABULARY)
HIDDEN, LATENT = 5, 3


def make(dtype: str = "float64", scale: float = 1.0) -> cavs.Program:
    cavs.nn.init.manual_seed(9)
    vae = SentenceVAE(len(VOCABULARY), 4, HIDDEN, LATENT)
    vae.decoder.next_word.weight.data[...] *= scale
    vae.decoder.w_z.weight.data[...] *= scale
    return cavs.compile(vae, dtype=dtype, seed=3)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def chain(p: dict[str, np.ndarray], words: np.ndarray, extra: np.ndarray) -> list[np.ndarray]:
    """States h along a chain, `extra` added to the gates of each."""
    h, c, states = np.zeros(HIDDEN), np.zeros(HIDDEN), []
    for word in words:
        x = p["embedding.weight"][word] if word >= 0 else np.zeros(4)
        gates = p["w.weight"] @ x + p["w.bias"] + p["u.weight"] @ h + extra
        i, f, g, o = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return states


def test_both_functions_equal_their_equations() -> None:
    program = make()
    batch, inputs = DATA.batch([2, 0])
    z = np.random.default_rng(0).normal(size=(2, LATENT))
    h = program["encoder"](batch, word=inputs["label"])["h"].data
    inputs["word"][1] = -1
    out = program["decoder"](batch, z=z, **inputs)
    encoder = {n: x.data for n, x in program["encoder"].named_parameters()}
    decoder = {n: x.data for n, x in program["decoder"].named_parameters()}
    begin = 0
    for number, length in enumerate((5, 4)):
        rows = slice(begin, begin + length)
        states = chain(encoder, inputs["label"][rows], np.zeros(4 * HIDDEN))
        np.testing.assert_allclose(h[rows], np.stack(states), rtol=1e-9)
        states = chain(decoder, inputs["word"][rows], decoder["w_z.weight"] @ z[number])
        logits = np.stack(states) @ decoder["next_word.weight"].T + decoder["next_word.bias"]
        np.testing.assert_allclose(out["logits"].data[rows], logits, rtol=1e-9)
        log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        loss = -log_p[np.arange(length), inputs["label"][rows]]
        np.testing.assert_allclose(out["loss"].data[rows], loss, rtol=1e-9)
        begin += length


def bound(**changes: Any) -> SentenceBound:
    return SentenceBound(SentenceSource("text", **{"kl_steps": 0, "kl_weight": 0.7, **changes}))


def loss_of(program: cavs.Program, chosen: list[int], **changes: Any) -> tuple[cavs.Tensor, float]:
    program.set_random_state({"seed": 3, "step": 5})
    return bound(**changes).loss(program, *DATA.batch(chosen))


def test_gradients_of_the_bound_equal_central_differences() -> None:
    program = make()
    loss_of(program, [0, 2, 3])[0].backward()
    rng = np.random.default_rng(0)
    for name, p in program.named_parameters():
        grad = p.grad.to_dense() if isinstance(p.grad, cavs.RowSparse) else np.asarray(p.grad)
        direction, values, before = rng.normal(size=p.shape), [], p.data.copy()
        for step in (1e-5, -1e-5):
            p.data[...] = before + step * direction
            values.append(loss_of(program, [0, 2, 3])[0].item())
        p.data[...] = before
        found = float((grad * direction).sum())
        assert found == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7), name


def test_a_batch_equals_its_graphs_alone() -> None:
    """Words that are left out and samples of z go by the sentence's key."""
    program = make()
    together = loss_of(program, [0, 1, 2, 3], word_dropout=0.5)[1]
    alone = sum(loss_of(program, [i], word_dropout=0.5)[1] for i in range(4))
    assert together == pytest.approx(alone, rel=1e-10)
    assert together != pytest.approx(loss_of(program, [0, 1, 2, 3], word_dropout=0.0)[1])


def test_the_weight_of_the_divergence_rises() -> None:
    program = make()
    values = []
    for step in (0, 5, 10, 20):
        program.set_random_state({"seed": 3, "step": step})
        source = SentenceSource("text", word_dropout=0.0, kl_steps=10, kl_weight=2.0)
        loss, reported = SentenceBound(source).loss(program, *DATA.batch([0, 2]))
        values.append(loss.item() - reported)  # (weight - 1) times the divergence
    divergence = -values[0]
    assert divergence > 0
    np.testing.assert_allclose(values, [-divergence, 0, divergence, divergence], atol=1e-6)


def test_sentences_grow_as_the_decoder_says() -> None:
    program = make("float32", scale=8.0)
    z = np.random.default_rng(1).normal(size=(6, LATENT)).astype(np.float32)
    made = decode_sentences(program, VOCABULARY, z, max_words=6)
    assert len({tuple(words) for words in made}) > 1
    for number, words in enumerate(made):
        batch, inputs = language_model_dataset([words], VOCABULARY).batch([0])
        logits = program["decoder"](batch, z=z[number : number + 1], **inputs)["logits"].data
        logits[:, VOCABULARY.unknown_id] = -np.inf
        likeliest = logits.argmax(axis=1)
        count = len(words) + (len(words) < 6)
        np.testing.assert_array_equal(likeliest[:count], inputs["label"][:count])
    drawn = sample_sentences(program, VOCABULARY, 5, temperature=1.0, max_words=6)
    assert sample_sentences(program, VOCABULARY, 2, temperature=1.0, max_words=6) == drawn[:2]
