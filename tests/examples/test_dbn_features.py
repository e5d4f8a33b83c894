"""The deep belief network of the example: what its pictures show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from example_files import load_example

from cavs.models import DBN, RBM

example = load_example("dbn_features")


def test_units_of_the_second_layer_are_seen_through_the_first() -> None:
    dbn, rbm = DBN(9, (4,), 3), RBM(9, 4)
    dbn.lower[0].set_rbm(rbm)
    first, second = example.features(dbn)
    np.testing.assert_array_equal(first, rbm.weight.numpy())
    alone = np.zeros_like(dbn.top.weight.numpy())
    alone[2, 1] = -2.0
    dbn.top.weight.data[...] = alone
    np.testing.assert_allclose(example.features(dbn)[1][2], -2 * first[1], rtol=1e-6)
    assert second.shape == (3, 9)


def test_shades_are_grey_for_nothing() -> None:
    shades = example.shades(np.array([[0.0, 2.0, -1.0], [0.1, 0.0, -0.2]]))
    np.testing.assert_allclose(shades, [[0.5, 1.0, 0.25], [0.75, 0.5, 0.0]])


def test_enlarged_pixels_are_squares() -> None:
    large = example.enlarged(np.arange(8.0).reshape(2, 4), 2, 3).reshape(2, 6, 6)
    np.testing.assert_array_equal(large[1], np.kron([[4, 5], [6, 7]], np.ones((3, 3))))


def test_layers_learn_to_give_images_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = np.repeat(rng.integers(0, 2, (60, 4)), 4, axis=1).astype(np.float32)  # four stripes
    rbm = RBM(16, 6)
    before = example.error(rbm, images)
    example.train(rbm, images, 40, 0.3, 10, "layer 1")
    learnt = example.error(rbm, images)
    assert learnt < 0.3 * before
    dbn = DBN(16, (6,), 5)
    dbn.lower[0].set_rbm(rbm)
    begun = example.error(dbn, images)
    example.train(dbn, images, 40, 0.3, 10, "layer 2")
    assert example.error(dbn, images) < 0.8 * begun
