"""The example of a causal transformer: its samples, and what it writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from example_files import load_example

import cavs


@pytest.fixture(scope="module")
def example() -> Any:
    return load_example("causal_transformer")


@pytest.fixture(scope="module")
def model(example: Any) -> cavs.Model:
    cavs.manual_seed(1)
    model = cavs.compile(example.transformer(8, 2))
    for parameter in model.parameters():  # far from what it begins with
        parameter.data = np.random.default_rng(0).normal(0, 0.5, parameter.shape).astype("float32")
    return model


def test_labels_are_those_that_follow_from_what_was_read(example: Any) -> None:
    graph, inputs = example.sample("abc")
    assert "".join(example.ALPHABET[i] for i in inputs["character"]) == "abc|abc"
    assert [example.ALPHABET[i] if i >= 0 else "" for i in inputs["label"]] == [
        *("", "", "", "a", "b", "c", ".")
    ]
    assert graph.children[7:9] == [[0], [0, 1]]
    assert graph.children[14:16] == [[7], [7, 8]]


def test_graphs_that_grow_write_as_whole_ones(example: Any, model: cavs.Model) -> None:
    """Against a loop over ever longer strings, each given whole."""
    words = ["abc", "zyxwvu", "q"]
    for word, said in zip(words, example.say_again(model, words), strict=True):
        text = f"{word}|"
        while text[-1] != "." and len(text) < example.LONGEST:
            graph = example.graph_of(len(text))
            given = {"character": example.numbers(text), "label": np.full(len(text), -1, np.int32)}
            log_p = model(graph, **given)["log_p"].numpy()
            text += example.ALPHABET[int(log_p[-1].argmax())]
        assert said == text[len(word) + 1 :]
