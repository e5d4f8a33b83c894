"""What draws samples of a user's function leaves its parameters as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import models, training
from cavs.data import Vocabulary

WORDS = Vocabulary(["<unk>", "<eos>", "a"])
LEFT = np.array([1] * 8 + [0] * 8)
CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "images": (lambda: models.VAE(16, 4, 3), lambda f: training.sample_images(f, 2)),
    "pixels": (lambda: models.NADE(16, 4), lambda f: training.sample_pixels(f, 2)),
    "rbm": (lambda: models.RBM(16, 4), lambda f: training.sample_rbm(f, 2, temperatures=3)),
    "log Z": (
        lambda: models.RBM(16, 4),
        lambda f: training.log_partition(f, chains=3, temperatures=3),
    ),
    "flow": (lambda: models.Flow("realnvp", 16, 4, 3, 1, 3), lambda f: training.sample_flow(f, 2)),
    "norms": (
        lambda: models.Flow("realnvp", 16, 4, 3, 1, 3),
        lambda f: training.set_first_norms(f, np.ones((3, 16))),
    ),
    "halves": (
        lambda: models.DBM(16, 4, 3),
        lambda f: training.complete_images(f, np.zeros((2, 16)), LEFT, steps=2),
    ),
    "text": (
        lambda: models.LSTMLanguageModel(len(WORDS), 4),
        lambda f: training.sample_text(f, WORDS, 2, max_words=3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_function_of_float64_stays_one(name: str) -> None:
    make, use = CASES[name]
    function = make()
    cavs.compile(function, dtype="float64")
    for parameter in function.parameters():
        parameter.data[...] += 1e-12
    before = {n: p.numpy().copy() for n, p in function.named_parameters()}
    use(function)
    for n, parameter in function.named_parameters():
        assert parameter.dtype == np.float64
        if name != "norms":
            np.testing.assert_array_equal(parameter.numpy(), before[n])
