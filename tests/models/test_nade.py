"""NADE against its equations, summed over all images; its forms against each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs.data import chain_graph
from cavs.models import MADE, NADE

PIXELS, HIDDEN = 6, 5
EVERY = np.array(list(itertools.product((0.0, 1.0), repeat=PIXELS)))


def singles(count: int, **options: Any) -> cavs.GraphBatch:
    return cavs.batch([cavs.InputGraph([[]])] * count, **options)


def make(orders: str = "one") -> NADE:
    cavs.nn.init.manual_seed(1)
    nade = NADE(PIXELS, HIDDEN, orders)
    rng = np.random.default_rng(0)
    for parameter in nade.parameters():  # as far from zero as those of a trained one
        parameter.data[...] = rng.normal(size=parameter.shape)
    return nade


def made(**options: Any) -> MADE:
    cavs.nn.init.manual_seed(1)
    found = MADE(PIXELS, HIDDEN, **options)
    for parameter in found.parameters():
        parameter.data[...] *= 5
    return found


def nats(function: Any, x: np.ndarray, **inputs: Any) -> np.ndarray:
    model = cavs.compile(function, outputs=["loss"], dtype="float64").eval()
    with cavs.no_grad():
        found: np.ndarray = model(singles(len(x)), image=x, **inputs)["loss"].numpy()
    return found


def pixels_of(given: dict[str, Any]) -> np.ndarray:
    return np.argsort(given["order"]).astype(np.int32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def oracle(nade: NADE, x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """-log p, pixel by pixel, as the equations say it."""
    p = {name: value.astype(np.float64) for name, value in nade.state_dict().items()}
    found = np.zeros(len(x))
    for number, image in enumerate(x):
        for place, d in enumerate(order):
            before = order[:place]
            a = p["c"] + image[before] @ p["w"][before]
            if "u" in p:
                a = a + p["u"][before].sum(axis=0)
            q = sigmoid(p["b"][d] + p["v"][d] @ sigmoid(a))
            found[number] -= np.log(q if image[d] else 1 - q)
    return found


def test_it_is_what_its_equations_say() -> None:
    nade = make()
    np.testing.assert_allclose(nats(nade, EVERY), oracle(nade, EVERY, np.arange(PIXELS)), rtol=1e-9)


@pytest.mark.parametrize("orders", ["one", "many"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_in_an_order_it_is_what_the_equations_say(orders: str, number: int) -> None:
    nade = make(orders)
    given = nade.in_order(number)
    order = pixels_of(given)
    expected = oracle(nade, EVERY, order)
    np.testing.assert_allclose(nats(nade.ordered(), EVERY, **given), expected, rtol=1e-9)
    assert sorted(order) == list(range(PIXELS))
    assert (number == 0) == (list(order) == list(range(PIXELS)))


def test_probabilities_sum_to_one() -> None:
    many = make("many")
    cases: list[tuple[Any, dict[str, Any]]] = [(make(), {})]
    cases += [(many.ordered(), many.in_order(k)) for k in range(3)]
    for options in ({}, {"num_layers": 3}, {"num_masks": 3, "orders": "many", "num_layers": 2}):
        function = made(**options)
        cases += [(function, function.in_order(k)) for k in range(function.num_masks)]
    for function, inputs in cases:
        assert np.exp(-nats(function, EVERY, **inputs)).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("orders", ["one", "many"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_chain_of_pixels_is_the_same(orders: str, number: int) -> None:
    """Values and gradients, in any order."""
    nade = make(orders)
    given, x = nade.in_order(number), EVERY[::5]
    order = pixels_of(given)
    ordered = cavs.compile(nade.ordered(), outputs=["loss"], dtype="float64")
    chain = cavs.compile(nade.chain(), dtype="float64")
    graphs = cavs.batch([chain_graph(PIXELS)] * len(x))
    pixels = {"bit": x[:, order].ravel(), "pixel": np.tile(order, len(x))}
    found = []
    for loss in (ordered(singles(len(x)), image=x, **given)["loss"], chain(graphs, **pixels)["loss"]):
        for parameter in nade.parameters():
            parameter.zero_grad()
        loss.sum().backward()
        by_image = loss.numpy().reshape(len(x), -1).sum(axis=1)
        found.append([by_image, *(np.array(p.grad) for p in nade.parameters())])
    for ours, others in zip(*found, strict=True):
        np.testing.assert_allclose(ours, others, rtol=1e-9, atol=1e-12)
