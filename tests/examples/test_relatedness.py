"""The head of the relatedness example is that of Tai et al. 2015, and its scores what it says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_files import load_example
from test_examples import run

import cavs
from cavs import data, nn

example = load_example("relatedness")


@pytest.mark.parametrize("score", [1.0, 1.25, 2.0, 3.6, 4.999, 5.0])
def test_a_target_is_a_sparse_distribution_of_its_score(score: float) -> None:
    """As the paper writes it, case by case."""
    (row,) = example.targets(np.float32([score]))
    floor = int(score)
    expected = np.zeros(6)
    expected[floor - 1] = floor - score + 1
    expected[floor] = score - floor
    np.testing.assert_allclose(row, expected[:5], atol=1e-6)
    assert row @ example.SCORES == pytest.approx(score)


def test_head_and_divergence_are_those_of_the_equations() -> None:
    nn.init.manual_seed(2)
    head = example.Head(4, 3)
    p = {name: np.asarray(value, np.float64) for name, value in head.state_dict().items()}
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, 6, 4)).astype(np.float32)
    target = example.targets(rng.uniform(1, 5, 6).astype(np.float32)).astype(np.float64)
    found = example.divergence(head(cavs.tensor(left), cavs.tensor(right)), np.float32(target))
    expected = 0.0
    for a, b, row in zip(np.float64(left), np.float64(right), target, strict=True):
        compared = p["product.weight"] @ (a * b) + p["product.bias"]
        compared += p["difference.weight"] @ np.abs(a - b)
        logits = p["scores.weight"] @ (1 / (1 + np.exp(-compared))) + p["scores.bias"]
        q = np.exp(logits) / np.exp(logits).sum()
        expected += sum(x * np.log(x / y) for x, y in zip(row, q, strict=True) if x > 0)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_reach_both_sentences_and_the_head() -> None:
    """Against differences of the loss, over parameters of encoder and head."""
    nn.init.manual_seed(4)
    rng = np.random.default_rng(1)
    pairs = [example.pair(rng) for _ in range(3)]
    words = data.pair_vocabulary(pairs)
    graphs, inputs = data.pair_dataset(pairs, words).batch(range(3))
    target = example.targets(inputs.pop("score"))
    encoder, head = cavs.compile(example.Encoder(len(words), 3, 4)), example.Head(4, 3)

    def loss() -> Any:
        h = encoder(graphs, **inputs)["h"]
        return example.divergence(head(*cavs.readout_pairs(graphs, h)), target)

    loss().backward()
    for parameter in (encoder.function.u_iou.weight, head.product.weight, head.difference.weight):
        gradient = parameter.grad
        direction = gradient / np.linalg.norm(gradient)
        values = parameter.data.copy()
        ends = []
        for step in (1e-2, -1e-2):
            parameter.data = values + np.float32(step) * direction
            ends.append(loss().item())
        parameter.data = values
        slope = (ends[0] - ends[1]) / 2e-2
        assert slope == pytest.approx(np.linalg.norm(gradient), rel=2e-2)


def test_generated_scores_count_what_is_alike() -> None:
    rng = np.random.default_rng(0)
    pairs = [example.pair(rng) for _ in range(200)]
    assert {round(6 * (pair.score - 1) / 4) for pair in pairs} == set(range(7))
    for pair in pairs:
        score = 1.0
        for left, right in zip(roles(pair.left), roles(pair.right), strict=True):
            score += 4 / 6 * ((left[0] == right[0]) + (left == right))
        assert pair.score == pytest.approx(score)


def roles(tree: data.LabelledTree) -> list[tuple[int, int]]:
    """Kind and meaning of subject, verb and object."""
    _, subject, verb, _, object_ = tree.words()
    found = []
    for word, table in ((subject, "NOUNS"), (verb, "VERBS"), (object_, "NOUNS")):
        kind, meaning, _ = np.argwhere(getattr(example, table) == word)[0].tolist()
        found.append((kind, meaning))
    return found


def test_sick_is_read(tmp_path: Path) -> None:
    rows = [
        ("A man sings", "A man is singing", 4.7, "ENTAILMENT", "TRAIN"),
        ("A dog runs", "A woman eats rice", 1.1, "NEUTRAL", "TRAIN"),
        ("A man runs", "A man sings", 2.6, "NEUTRAL", "TRIAL"),
        ("A dog eats", "A dog is eating", 4.9, "ENTAILMENT", "TRIAL"),
        ("A man eats", "A dog eats", 2.2, "NEUTRAL", "TEST"),
    ]
    names = "pair_ID sentence_A sentence_B relatedness_score entailment_label SemEval_set"
    lines = ["\t".join(names.split())]
    lines += ["\t".join(map(str, (number, *row))) for number, row in enumerate(rows)]
    (tmp_path / "SICK.txt").write_text("\n".join(lines) + "\n")
    correlations = run("relatedness.py", "--data", str(tmp_path), "--epochs", "1")
    assert len(correlations) == 1
