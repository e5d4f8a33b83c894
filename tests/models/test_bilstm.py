"""The bidirectional LSTM, which is two vertex functions: against a loop, and its gradients."""

from typing import Any

import model_oracles
import numpy as np
import pytest
from model_cases import CHAINS, CLASSES, EMBEDDING, HIDDEN, VOCABULARY

import cavs
from cavs.models import BiLSTMTagger

STEP = 1e-5


class Network:
    def __init__(self, **dropout: Any) -> None:
        cavs.nn.init.manual_seed(1)
        self.tagger = BiLSTMTagger(VOCABULARY, EMBEDDING, HIDDEN, CLASSES, **dropout)
        self.models = [
            cavs.compile(function, dtype="float64", seed=seed)
            for seed, function in enumerate((self.tagger.before, self.tagger.after))
        ]

    def __call__(self, graphs: cavs.GraphBatch, inputs: dict[str, Any]) -> dict[str, cavs.Tensor]:
        before, after = self.models
        h = before(graphs, word=inputs["word"])["h"]
        out: dict[str, cavs.Tensor] = after(graphs.reverse(), before=h, **inputs)
        return out


def samples() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "word": rng.integers(-1, VOCABULARY, len(graph)).astype(np.int32),
            "label": rng.integers(-1, CLASSES, len(graph)).astype(np.int32),
        }
        for graph in CHAINS
    ]


def together() -> tuple[cavs.GraphBatch, dict[str, Any]]:
    batch = cavs.batch([cavs.InputGraph(children=graph) for graph in CHAINS])
    return batch, {k: np.concatenate([x[k] for x in samples()]) for k in ("word", "label")}


def test_values_equal_a_loop() -> None:
    network = Network()
    batch, inputs = together()
    out = network(batch, inputs)
    parameters = network.tagger.state_dict()
    pairs = zip(CHAINS, samples(), strict=True)
    expected = np.concatenate([model_oracles.bilstm(parameters, *pair) for pair in pairs])
    losses = [
        model_oracles.cross_entropy(logits, label)
        for logits, label in zip(expected, inputs["label"], strict=True)
    ]
    np.testing.assert_allclose(out["logits"].numpy(), expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(out["loss"].numpy(), losses, rtol=1e-10, atol=1e-13)


def test_the_embedding_is_shared() -> None:
    names = [name for name, _ in Network().tagger.named_parameters()]
    assert [name for name in names if "embedding" in name] == ["embedding.weight"]


@pytest.mark.parametrize("by", ["vertex", "id"])
def test_gradients_equal_central_differences(by: str) -> None:
    network = Network(dropout=0.3, embedding_dropout=0.3, embedding_dropout_by=by)
    batch, inputs = together()

    def total() -> cavs.Tensor:
        for model in network.models:
            model.set_random_state({"seed": 5, "step": 2})
        loss: cavs.Tensor = network(batch, inputs)["loss"].sum()
        return loss

    total().backward()
    for name, parameter in network.tagger.named_parameters():
        gradient = np.array(parameter.grad)
        numeric = np.empty_like(gradient)
        for place in np.ndindex(gradient.shape):
            before, values = parameter.data[place], []
            for sign in (1, -1):
                parameter.data[place] = before + sign * STEP
                with cavs.no_grad():
                    values.append(total().item())
            parameter.data[place] = before
            numeric[place] = (values[0] - values[1]) / (2 * STEP)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8, err_msg=name)
