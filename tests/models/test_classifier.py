"""Classifiers of images against NumPy, and the layers that they begin with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs.errors import InputError, ShapeError
from cavs.models import DBM, ImageClassifier, MeanFieldClassifier

PIXELS, HIDDEN, TOP, CLASSES = 6, 4, 3, 5
X = np.random.default_rng(2).uniform(size=(7, PIXELS))
LABELS = np.int32([0, 4, 2, 2, 1, 3, 0])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def apply(layer: Any, x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x @ layer.weight.numpy().T + layer.bias.numpy()
    return found


def run(model: cavs.Model, x: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    return model(cavs.batch([cavs.InputGraph([[]])] * len(x)), image=x, label=labels)


def check(function: Any, h: np.ndarray) -> None:
    """Its outputs for X, of which the last layer reads h."""
    out = run(cavs.compile(function, dtype="float64"), X, LABELS)
    logits = apply(function.classes, h)
    np.testing.assert_allclose(out["logits"].data, logits, rtol=1e-9)
    loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(7), LABELS]
    np.testing.assert_allclose(out["loss"].data, loss, rtol=1e-9)


@pytest.mark.parametrize("sizes", [(HIDDEN,), (HIDDEN, TOP)])
def test_it_equals_the_equations(sizes: tuple[int, ...]) -> None:
    function, h = ImageClassifier(PIXELS, sizes, CLASSES), X
    for layer in function.hidden:
        h = sigmoid(apply(layer, h))
    check(function, h)


def test_with_a_machine_it_begins_at_the_next_update_of_mean_field() -> None:
    rng = np.random.default_rng(1)
    dbm = DBM(PIXELS, HIDDEN, TOP, updates=4)
    for parameter in dbm.parameters():
        parameter.data[...] = rng.normal(size=parameter.shape)
    function = MeanFieldClassifier(PIXELS, (HIDDEN, TOP), CLASSES, updates=4)
    function.set_machine(dbm)
    weight = dbm.joint.weight.numpy()
    w, v = weight[:, :PIXELS], weight[:, PIXELS:].T
    c, d = dbm.joint.hidden_bias.numpy(), dbm.joint.visible_bias.numpy()[PIXELS:]
    m = sigmoid(sigmoid(2 * X @ w.T + c) @ v.T + d)
    for _ in range(5):
        m = sigmoid(sigmoid(X @ w.T + m @ v + c) @ v.T + d)
    check(function, m)
    model = cavs.compile(function)
    run(model, X, LABELS)["loss"].sum().backward()
    for name, parameter in model.named_parameters():
        has = parameter.grad is not None and bool(np.asarray(parameter.grad).any())
        assert has != name.startswith("machine."), name


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected an integer num_classes >= 1, got 0"):
        ImageClassifier(PIXELS, (3,), 0)
    with pytest.raises(InputError, match="expected two integers as hidden_sizes, got 3; pass"):
        MeanFieldClassifier(PIXELS, (3, 4, 5), CLASSES)
