"""The language model against its equations in NumPy, and pieces of text against the whole."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import chain_graph
from cavs.models import LSTMLanguageModel

WORDS, HIDDEN, LAYERS = 11, 5, 2


def make(
    dtype: str = "float64", dropout: float = 0.0, by: str = "vertex", **options: Any
) -> cavs.Model:
    cavs.nn.init.manual_seed(4)
    rates: dict[str, Any] = {"dropout": dropout, "embedding_dropout_by": by}
    if "embedding" in options:
        rates["embedding_dropout"] = options.pop("embedding")
    function = LSTMLanguageModel(WORDS, HIDDEN, LAYERS, init_scale=0.5, **rates)
    return cavs.compile(function, dtype=dtype, seed=1, **options)


def inputs(lengths: list[int], state: np.ndarray | None = None) -> dict[str, Any]:
    rng = np.random.default_rng(sum(lengths))
    count = sum(lengths)
    first = np.zeros(count)
    first[np.cumsum([0, *lengths[:-1]])] = 1
    size = 2 * LAYERS * HIDDEN
    return {
        "word": rng.integers(0, WORDS, count).astype(np.int32),
        "label": rng.integers(0, WORDS, count).astype(np.int32),
        "first": first,
        "state": rng.normal(size=(len(lengths), size)) if state is None else state,
    }


def batch(lengths: list[int], **options: Any) -> cavs.GraphBatch:
    return cavs.batch([chain_graph(n) for n in lengths], **options)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def oracle(p: dict[str, np.ndarray], words: np.ndarray, state: np.ndarray) -> tuple[Any, Any]:
    """Logits of all words of one piece, and the state after each."""
    h, c = (
        state.reshape(LAYERS, 2, HIDDEN)[:, 0].copy(),
        state.reshape(LAYERS, 2, HIDDEN)[:, 1].copy(),
    )
    logits, states = [], []
    for word in words:
        x = p["embedding.weight"][word]
        for k in range(LAYERS):
            gates = p[f"w.{k}.weight"] @ x + p[f"w.{k}.bias"] + p[f"u.{k}.weight"] @ h[k]
            i, f, g, o = np.split(gates, 4)
            c[k] = sigmoid(f) * c[k] + sigmoid(i) * np.tanh(g)
            h[k] = x = sigmoid(o) * np.tanh(c[k])
        logits.append(p["next_word.weight"] @ x + p["next_word.bias"])
        states.append(np.stack([h, c], axis=1).ravel())
    return np.stack(logits), np.stack(states)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_it_equals_the_equations(executor: str) -> None:
    model, lengths = make(executor=executor), [4, 1, 6]
    given = inputs(lengths)
    out = model(batch(lengths), **given)
    parameters = {name: p.data for name, p in model.named_parameters()}
    begin = 0
    for number, length in enumerate(lengths):
        rows = slice(begin, begin + length)
        logits, states = oracle(parameters, given["word"][rows], given["state"][number])
        np.testing.assert_allclose(out["logits"].data[rows], logits, rtol=1e-10)
        np.testing.assert_allclose(out["state"].data[rows], states, rtol=1e-10)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        loss = -log_p[np.arange(length), given["label"][rows]]
        np.testing.assert_allclose(out["loss"].data[rows], loss, rtol=1e-10)
        begin += length


def test_pieces_that_go_on_equal_the_whole_text() -> None:
    model = make()
    given = inputs([9], np.zeros((1, 2 * LAYERS * HIDDEN)))
    whole = model(batch([9]), **given)["loss"].data
    state, losses = given["state"], []
    for piece in (slice(0, 4), slice(4, 5), slice(5, 9)):
        length = piece.stop - piece.start
        part = {name: given[name][piece] for name in ("word", "label")}
        first = np.eye(1, length)[0]
        out = model(batch([length]), first=first, state=state, **part)
        state = out["state"].data[-1:]
        losses.append(out["loss"].data)
    np.testing.assert_allclose(np.concatenate(losses), whole, rtol=1e-12)


@pytest.mark.parametrize("by", ["vertex", "id"])
def test_a_batch_equals_its_graphs_alone(by: str) -> None:
    model, lengths = make(dropout=0.4, by=by), [3, 5, 2]
    given = inputs(lengths)
    start = model.random_state()
    together = model(batch(lengths), **given)["loss"].data
    ptr = np.cumsum([0, *lengths])
    for key, (a, b) in enumerate(pairwise(ptr)):
        model.set_random_state(start)
        own = {name: x[a:b] for name, x in given.items() if name != "state"}
        alone = model(batch([b - a], keys=[key]), state=given["state"][key : key + 1], **own)
        np.testing.assert_allclose(alone["loss"].data, together[a:b], rtol=1e-12)


def test_gradients_equal_central_differences() -> None:
    model, lengths = make(), [3, 4]
    given = inputs(lengths)
    model(batch(lengths), **given)["loss"].sum().backward()
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        direction, values, before = rng.normal(size=p.shape), [], p.data.copy()
        for step in (1e-5, -1e-5):
            p.data[...] = before + step * direction
            values.append(float(model(batch(lengths), **given)["loss"].data.sum()))
        p.data[...] = before
        found = float((np.asarray(p.grad) * direction).sum())
        assert found == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6, abs=1e-8), name


def test_dropout_is_of_all_that_goes_up() -> None:
    """The embedding, the layers between and the last, as Zaremba et al. 2014 have it; the first can
    be set apart."""
    lengths = [6, 3]
    given = inputs(lengths)

    def losses(**options: Any) -> np.ndarray:
        values: np.ndarray = make(**options)(batch(lengths), **given)["loss"].data
        return values

    dropped = losses(dropout=0.4)
    np.testing.assert_array_equal(losses(dropout=0.4, embedding=0.4), dropped)
    others = [losses(), losses(dropout=0.4, embedding=0.0), losses(embedding=0.4)]
    others.append(losses(dropout=0.4, by="id"))
    for number, other in enumerate(others):
        assert not np.allclose(other, dropped)
        assert not any(np.allclose(other, before) for before in others[:number])


def test_a_loop_of_a_forward_is_not_asked_for() -> None:
    # As in a damaged file.
    function = LSTMLanguageModel(7, 4)
    function.num_layers = 10**12
    with pytest.raises(cavs.ShapeError, match=r"expected at most 268,435,456 elements in a row"):
        cavs.compile(function)
    tree = cavs.models.NaryTreeLSTM(7, 4, 5, 3)
    tree.arity = 10**12
    with pytest.raises(cavs.TraceError, match=r"\[gather\] expected a child position below 4096"):
        cavs.compile(tree)
